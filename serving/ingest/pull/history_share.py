"""Where the first share of a stream's rows ends: from a bounded sample of their times."""

from datetime import timedelta
from typing import Final

import numpy as np

from aiops.errors import SourceError
from aiops.types import HistorySplit, IntArray
from data_contracts.values.moments import moment_of_us

_MOST: Final = 1_000_000


class TimeSample:
    """Earliest and latest time, and every k-th time in between; at most 2 million are kept."""

    def __init__(self) -> None:
        self._parts: list[IntArray] = []
        self._kept = 0
        self._every = 1
        self._first: int | None = None
        self._last: int | None = None

    def add(self, at: IntArray) -> None:
        """Add times (us since 1970), in any order."""
        if not len(at):
            return
        low, high = int(at.min()), int(at.max())
        self._first = low if self._first is None else min(low, self._first)
        self._last = high if self._last is None else max(high, self._last)
        part = at[:: self._every]
        self._parts.append(part)
        self._kept += len(part)
        while self._kept > _MOST:
            self._parts = [np.concatenate(self._parts)[::2]]
            self._kept = len(self._parts[0])
            self._every *= 2

    @property
    def first_us(self) -> int:
        """Return the earliest time, us since 1970; 0 where none was added."""
        return self._first or 0

    def quantiles(self, parts: int) -> IntArray:
        """Return up to `parts` - 1 distinct times, ascending, that cut what was added into about equal parts."""
        if not self._parts:
            return np.empty(0, np.int64)
        times = np.sort(np.concatenate(self._parts))
        return np.unique(times[[number * len(times) // parts for number in range(1, parts)]])

    def join(self, other: "TimeSample") -> None:
        """Add what another sample kept; of a file that kept each k-th time, these stand for all of them."""
        for part in other._parts:
            self.add(part)
        ends = [end for end in (self._first, self._last, other._first, other._last) if end is not None]
        self._first, self._last = min(ends, default=None), max(ends, default=None)

    def split(self, share: float, source: str) -> HistorySplit:
        """Return a split at the time before which `share` of the rows lie.

        Raises:
            SourceError: no time was added.
        """
        if self._first is None or self._last is None:
            raise SourceError(f"{source}: no row has a readable time; check the timestamp column and the time unit")
        times = np.sort(np.concatenate(self._parts))
        cut = moment_of_us(int(times[min(int(len(times) * share), len(times) - 1)]))
        start, end = moment_of_us(self._first), moment_of_us(self._last) + timedelta(microseconds=1)
        cut = min(max(cut, start + timedelta(microseconds=1)), end)
        return HistorySplit(history_start=start, history_end=cut, replay_start=cut, replay_end=end)
