"""A batch of points before any is applied: the greatest times so far, and values as the engine takes them."""

from typing import NamedTuple

import numpy as np

from aiops.features.series_points import SeriesPoints
from aiops.jit import bare
from aiops.types import FloatArray, IntArray


class Arrivals(NamedTuple):
    """Of points in order of arrival, (n,) each."""

    watermark: IntArray  # greatest event time so far, us
    available: IntArray  # greatest time of availability so far in the batch, us
    value: FloatArray  # without negative zeros
    row: int  # of the first value that is not finite; -1 = none


def arrivals_of(points: SeriesPoints, available: IntArray, watermark_us: int) -> Arrivals:
    """Return what is known of points that are `available` (n,) at those times; the watermark was `watermark_us`. O(n)."""
    count = len(points)
    made = Arrivals(np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count), -1)
    return made._replace(row=write_arrivals(points.time_us, available, points.value, watermark_us, made))


@bare
def write_arrivals(time: IntArray, available: IntArray, value: FloatArray, watermark_us: int, out: Arrivals) -> int:
    """Fill in the arrays of `out`; return the row of the first value that is not finite, -1 = none."""
    row = -1
    newest = -(2**62)
    for i in range(value.size):
        watermark_us = max(watermark_us, time[i])
        newest = max(newest, available[i])
        out.watermark[i] = watermark_us
        out.available[i] = newest
        out.value[i] = value[i] + 0.0
        if row < 0 and not np.isfinite(value[i]):
            row = i
    return row
