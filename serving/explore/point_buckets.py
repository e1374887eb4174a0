"""Points of a range as they are where they are few, else in buckets of one width: lowest, mean, highest. numpy only."""

from typing import Final

import numpy as np

from aiops.types import FloatArray, IntArray
from serving.explore.series_views import PointColumns

_US: Final = 1_000_000
LEAST_BUCKETS: Final = 10


class PointBuckets:
    """Gathers points of [since, until), given part by part in order of time. Memory O(buckets), whatever the points.

    Buckets begin at multiples of their width since 1970, so that a range that moves on does not move what it holds.
    """

    def __init__(self, since_us: int, until_us: int, most: int) -> None:
        self.width_us = bucket_us(since_us, until_us, most)
        self._first = since_us // self.width_us
        count = (until_us - 1) // self.width_us - self._first + 1
        self._low: FloatArray = np.full(count, np.inf)
        self._high: FloatArray = np.full(count, -np.inf)
        self._sum: FloatArray = np.zeros(count)
        self._count: IntArray = np.zeros(count, np.int64)
        self._points: list[tuple[IntArray, FloatArray]] | None = []
        self._most = most

    @property
    def grid_us(self) -> IntArray:
        """Return the beginning of each bucket in microseconds."""
        return (self._first + np.arange(self._count.size)) * self.width_us

    def add(self, time_us: IntArray, value: FloatArray) -> None:
        """Take points: times (n,) ascending, values (n,) finite. O(n)."""
        if not value.size:
            return
        bucket = time_us // self.width_us - self._first
        starts = np.flatnonzero(np.diff(bucket, prepend=-1))
        filled = bucket[starts]
        self._low[filled] = np.minimum(self._low[filled], np.minimum.reduceat(value, starts))
        self._high[filled] = np.maximum(self._high[filled], np.maximum.reduceat(value, starts))
        self._sum[filled] += np.add.reduceat(value, starts)
        self._count[filled] += np.diff(starts, append=bucket.size)
        if self._points is not None:
            self._points.append((time_us, value))
            self._points = self._points if self._count.sum() <= self._most else None

    def columns(self) -> PointColumns:
        """Return the points where they are as few as buckets, else every bucket; one without points has null values."""
        if self._points is not None:
            time_us = np.concatenate([np.empty(0, np.int64), *(times for times, _ in self._points)])
            value = np.concatenate([np.empty(0), *(values for _, values in self._points)])
            line = value.tolist()
            return PointColumns(True, None, seconds(time_us), line, line, line, [1] * value.size)
        known = self._count > 0
        mean = np.divide(self._sum, self._count, out=np.full(known.size, np.nan), where=known)
        low, high = (np.where(known, line, np.nan).tolist() for line in (self._low, self._high))
        return PointColumns(False, self.width_us / _US, seconds(self.grid_us), low, mean.tolist(), high, self._count.tolist())


def bucket_us(since_us: int, until_us: int, most: int) -> int:
    """Return a width in microseconds, whole seconds, of which at most `most` (two or more) cover the range wherever they begin.

    >>> bucket_us(0, 86_400_000_000, 500)
    174000000
    """
    return -(-(until_us - since_us) // ((most - 1) * _US)) * _US


def seconds(time_us: IntArray) -> list[float]:
    """Return times in seconds since 1970."""
    listed: list[float] = (time_us / _US).tolist()
    return listed
