"""Statistics of one window of a series, from its values, its order and how its points are spaced."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.features.robust import MAD_TO_SIGMA, clipped_z, floored
from aiops.jit import inlined, reordering
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import WINDOW_STATISTICS

MINUTE_US: Final = 60_000_000
MEAN, STD, MIN, MAX, MEDIAN, MAD_Z, SLOPE, RATE, GAPS = range(len(WINDOW_STATISTICS))
ERROR_POINTS: Final = 5
"""Points from which a slope has a standard error."""


class Expectation(NamedTuple):
    """What a window should look like."""

    tick: int  # us
    length: int  # us
    interval: float  # us between points, NaN = unknown
    covered_from: int  # us
    floor: float  # of the scale


@inlined
def missing_points(count: int, expectation: Expectation) -> float:
    """Return how many of the points expected in the window are not there; NaN where the interval is unknown."""
    if np.isnan(expectation.interval):
        return np.nan
    expected = np.floor(expectation.length / expectation.interval)
    if expectation.covered_from > expectation.tick - expectation.length:
        expected = np.floor((expectation.tick - expectation.covered_from) / expectation.interval) + 1.0
    return float(max(0.0, expected - count))


class Sums(NamedTuple):
    """Of the deviations of values from a centre: themselves, squared, multiplied by the offset from the mean time."""

    deviation: float
    square: float
    product: float
    spread: float  # of the squared offsets
    unit: float  # of the offsets, us


@reordering
def even_sums(value: npt.NDArray[np.float32], centre: float, interval: float) -> Sums:
    """Return the sums of (n >= 1,) values that are `interval` apart."""
    deviations = squares = products = 0.0
    middle = 0.5 * (value.size - 1)
    for i in range(value.size):
        deviation = value[i] - centre
        deviations += deviation
        squares += deviation * deviation
        products += deviation * (i - middle)
    count = float(value.size)
    return Sums(deviations, squares, products, count * (count * count - 1.0) / 12.0, interval)


@reordering
def uneven_sums(value: npt.NDArray[np.float32], centre: float, offset: FloatArray) -> Sums:
    """Return the sums of (n >= 1,) values at such offsets, us."""
    total = 0.0
    for i in range(value.size):
        total += offset[i]
    middle = total / value.size
    deviations = squares = products = spread = 0.0
    for i in range(value.size):
        deviation = value[i] - centre
        apart = offset[i] - middle
        deviations += deviation
        squares += deviation * deviation
        products += deviation * apart
        spread += apart * apart
    return Sums(deviations, squares, products, spread, 1.0)


class Ends(NamedTuple):
    """Robust figures of one window, and its first and last value."""

    median: float
    deviation: float  # median absolute
    least: float
    greatest: float
    first: float
    last: float


@inlined
def write_window(count: int, sums: Sums, ends: Ends, expectation: Expectation, out: FloatArray) -> tuple[float, float]:
    """Write the WINDOW_STATISTICS of one window of one point or more, whose sums are about its median.

    The mean lies within a standard deviation of the median, so that one pass about the median loses no more than two would.
    Returns (floored 1.4826 MAD, standard error of the slope).
    """
    spread = floored(MAD_TO_SIGMA * ends.deviation, ends.median, expectation.floor)
    out[MEAN] = ends.median + sums.deviation / count
    out[MEDIAN] = ends.median
    out[MIN] = ends.least
    out[MAX] = ends.greatest
    out[GAPS] = missing_points(count, expectation)
    if count == 1:
        out[STD] = out[MAD_Z] = out[SLOPE] = out[RATE] = np.nan
        return spread, np.nan
    squares = max(sums.square - sums.deviation * sums.deviation / count, 0.0)
    per_minute = MINUTE_US / sums.unit
    out[STD] = np.sqrt(squares / (count - 1))
    out[SLOPE] = sums.product / sums.spread * per_minute
    first, last = np.float64(ends.first), np.float64(ends.last)
    out[MAD_Z] = clipped_z(last - ends.median, spread)
    size = abs(last) + abs(first)
    out[RATE] = 2.0 * (last - first) / size if size > 0.0 else 0.0
    if count < ERROR_POINTS:
        return spread, np.nan
    rest = max(squares - sums.product * sums.product / sums.spread, 0.0)
    return spread, float(np.sqrt(rest / ((count - 2) * sums.spread)) * per_minute)
