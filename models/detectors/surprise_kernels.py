"""Kernels of the surprise detector: how strange one row is against the past of its own series, stream by stream.

Streams are numbered: 0 residual of the time of day, 1..W novelty of the mean of a window, W + 1 distance to the third nearest
stretch of the past. Nothing is ever subtracted from a running sum, so rounding errors cannot build up.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import inlined, kernel
from aiops.types import FloatArray, IntArray

BINS: Final = 128
"""Bins of a histogram of deviations: half octaves below the greatest deviation seen, thus a span of 2**64."""
UNSET: Final = -(10**6)
"""Bin of the greatest deviation while there was none."""
DAY_US: Final = 86_400_000_000
EXACT: Final = 1e-9
"""A deviation below this share of the value is rounding, and counts as none."""
LARGEST: Final = 1e150
"""Values are clipped here: squares stay finite."""
ALMOST: Final = 1.0 - 1e-6
"""A score is taken for no more than this before it is halved, so that the half is below an alarm."""
COMMON: Final = 1e-3
"""Bounds are exceeded by this share of the past rows."""
SURPRISE, SEEN, EXPECTED, LOWER, UPPER, SHARE = range(6)
DETAILS: Final = 6


class SurpriseParameters(NamedTuple):
    """Numbers that kernels read; see `SurpriseConfig`."""

    windows: IntArray  # (W,) rows
    window_start: IntArray  # (W,) place of the window's sums in a row of `sums`
    warmup_rows: int
    learn_rows: int
    day_bins: int
    day_share: float
    beyond: float
    alarm: float
    alarm_growth: float
    alarm_rows: int
    refractory_rows: int
    lags: int
    lag_decay: float
    nearest_lag: int


class SurpriseArrays(NamedTuple):
    """State of all series; S = series allocated, B = bins of the day, K = streams, W = windows, H = lags."""

    rows: IntArray  # (S,) rows seen
    quiet: IntArray  # (S,) rows that the refractory period still lasts
    day_mean: FloatArray  # (S, B)
    day_rows: IntArray  # (S, B)
    sums: FloatArray  # (S, sum of windows) value / window of the current block up to its place, suffix sums of the last after it
    block: FloatArray  # (S, W) sum of the current block
    low: FloatArray  # (S, W) least mean so far
    high: FloatArray  # (S, W)
    past: FloatArray  # (S, 2 H) the newest H values, newest first, twice: every stretch of H is contiguous
    distance: FloatArray  # (S, H) decaying sum of squared differences to the value 1..H rows before
    counts: npt.NDArray[np.int32]  # (S, K, BINS) rows by deviation, ascending up to the greatest seen
    top: IntArray  # (S, K) bin of the greatest deviation; UNSET = none yet
    total: IntArray  # (S, K) rows counted, those without deviation too


class SurpriseRows(NamedTuple):
    """Rows in arrival order and where their results go."""

    time: IntArray  # (n,) us
    value: FloatArray  # (n,)
    slot: IntArray  # (n,) -1 = no room for this series
    score: FloatArray  # (n,)
    wanted: IntArray  # (n,) place in `details`, -1 = not wanted; or (0,)
    details: FloatArray  # (m, K, DETAILS)
    leading: FloatArray  # (n, 3) of alarms: the most surprised stream, its surprise, its rows before; or (0, 3) = not wanted


@inlined
def bin_of(deviation: float) -> tuple[int, float]:
    """Return the half octave of a deviation > 0, and how far up in it (0..1) the deviation lies."""
    mantissa, exponent = math.frexp(deviation)
    if mantissa >= 0.75:
        return 2 * exponent + 1, 4.0 * mantissa - 3.0
    return 2 * exponent, 4.0 * mantissa - 2.0


@kernel
def edge_of(number: int) -> float:
    """Return the least deviation in a half octave."""
    return float(math.ldexp(0.5 + 0.25 * (number & 1), number >> 1))


@kernel
def raise_top(counts: npt.NDArray[np.int32], steps: int) -> None:
    """Move the bins (BINS,) down by `steps` >= 1; what falls out below is kept in the lowest."""
    below = min(steps, BINS - 1)
    lowest = 0
    for i in range(below + 1):
        lowest += counts[i]
    for i in range(1, BINS - below):
        counts[i] = counts[i + below]
    counts[BINS - below :] = 0
    counts[0] = lowest


@inlined
def rows_above(counts: npt.NDArray[np.int32], place: int, part: float) -> float:
    """Return how many rows lie above the share `part` of bin `place`; within a bin they are taken to lie evenly."""
    above = 0
    for i in range(place + 1, BINS):
        above += counts[i]
    return float(above + (1.0 - part) * counts[place])


@inlined
def surprise_of(arrays: SurpriseArrays, slot: int, stream: int, deviation: float, beyond: float) -> float:
    """Return -ln of the share of past rows that deviated at least as much (by bins), and count this row.

    Beyond all bins seen, every half octave adds `beyond`: the tail is taken to go on as a power law.
    """
    total = arrays.total[slot, stream]
    arrays.total[slot, stream] = total + 1
    if not deviation > 0.0:
        return 0.0
    counts = arrays.counts[slot, stream]
    number, part = bin_of(deviation)
    top = arrays.top[slot, stream]
    if number > top:
        surprise = math.log(total + 2.0) + (beyond * (number - top + part) if top != UNSET else 0.0)
        if top != UNSET:
            raise_top(counts, number - top)
        arrays.top[slot, stream] = number
        counts[BINS - 1] += 1
        return surprise
    place = max(BINS - 1 - (top - number), 0)
    above = rows_above(counts, place, part)
    counts[place] += 1
    return math.log((total + 2.0) / (above + 1.0))


@kernel
def common_bound(arrays: SurpriseArrays, slot: int, stream: int) -> float:
    """Return the deviation that only a share of COMMON of the past rows exceeded; NaN = none deviated yet."""
    top = arrays.top[slot, stream]
    if top == UNSET:
        return math.nan
    above = 0
    for i in range(BINS - 1, -1, -1):
        above += arrays.counts[slot, stream, i]
        if above > COMMON * arrays.total[slot, stream]:
            return edge_of(top - (BINS - 1 - i) + 1)
    return edge_of(top - BINS + 1)


@kernel
def share_of(arrays: SurpriseArrays, slot: int, stream: int, deviation: float) -> float:
    """Return the share of past rows that deviated at least as much; 1 where the row did not deviate."""
    if not deviation > 0.0:
        return 1.0
    number, part = bin_of(deviation)
    place = BINS - 1 - (arrays.top[slot, stream] - number)
    above = 0.0 if place >= BINS else rows_above(arrays.counts[slot, stream], max(place, 0), part)
    return float((above + 1.0) / (arrays.total[slot, stream] + 2.0))


@inlined
def window_mean(arrays: SurpriseArrays, parameters: SurpriseParameters, slot: int, window: int, value: float) -> float:
    """Take a value in and return the mean of the newest rows; right once the window is full.

    Sum of the block so far + suffix sum of the block before (van Herk 1992): two additions a row, no subtraction.
    """
    width = parameters.windows[window]
    begin = parameters.window_start[window]
    place = arrays.rows[slot] % width
    share = value / width
    total = arrays.block[slot, window] + share
    arrays.sums[slot, begin + place] = share
    if place + 1 < width:
        arrays.block[slot, window] = total
        return float(total + arrays.sums[slot, begin + place + 1])
    arrays.block[slot, window] = 0.0
    for i in range(begin + width - 2, begin - 1, -1):
        arrays.sums[slot, i] += arrays.sums[slot, i + 1]
    return float(total)


@inlined
def cleaned(deviation: float, magnitude: float) -> float:
    """Return the deviation, 0 where it is but rounding."""
    return deviation if deviation > EXACT * magnitude else 0.0


@kernel
def nearest_distance(arrays: SurpriseArrays, parameters: SurpriseParameters, slot: int, value: float) -> float:
    """Take a value in and return its stretch's distance to the third nearest earlier stretch; NaN = fewer than three.

    The squared differences to the rows 1..H before are summed with weights that decay into the past.
    """
    lags = parameters.lags
    head = lags - 1 - arrays.rows[slot] % lags
    past = arrays.past[slot]
    distance = arrays.distance[slot]
    known = min(arrays.rows[slot], lags)
    before = past[head + 1 : head + 1 + known]
    for i in range(known):
        difference = value - before[i]
        distance[i] = parameters.lag_decay * distance[i] + difference * difference
    past[head] = value
    past[head + lags] = value
    first = parameters.nearest_lag - 1
    third = third_least(distance, first, min(lags, arrays.rows[slot] + 1 - parameters.nearest_lag))
    return math.sqrt(third) if third < math.inf else math.nan


@kernel
def third_least(values: FloatArray, begin: int, end: int) -> float:
    """Return the third least of values[begin:end]; infinite = fewer than three. Eight are compared at a time."""
    first = second = third = math.inf
    while begin < end:
        stop = min(begin + 8, end)
        if stop == begin + 8:
            v = values[begin:stop]
            near = (v[0] < third) | (v[1] < third) | (v[2] < third) | (v[3] < third)
            if not (near | (v[4] < third) | (v[5] < third) | (v[6] < third) | (v[7] < third)):
                begin = stop
                continue
        for i in range(begin, stop):
            first, second, third = with_value(first, second, third, values[i])
        begin = stop
    return third


@inlined
def with_value(first: float, second: float, third: float, value: float) -> tuple[float, float, float]:
    """Return the three least of four, ascending; the first three are."""
    if value >= third:
        return first, second, third
    if value >= second:
        return first, second, value
    if value >= first:
        return first, value, second
    return value, first, second


def empty_arrays(parameters: SurpriseParameters, series: int) -> SurpriseArrays:
    """Return the state of `series` series without a row."""
    windows = parameters.windows.size
    streams = stream_count(parameters)
    return SurpriseArrays(
        np.zeros(series, np.int64),
        np.zeros(series, np.int64),
        np.zeros((series, parameters.day_bins)),
        np.zeros((series, parameters.day_bins), np.int64),
        np.zeros((series, int(parameters.windows.sum()))),
        np.zeros((series, windows)),
        np.full((series, windows), np.inf),
        np.full((series, windows), -np.inf),
        np.zeros((series, 2 * parameters.lags)),
        np.zeros((series, parameters.lags)),
        np.zeros((series, streams, BINS), np.int32),
        np.full((series, streams), UNSET, np.int64),
        np.zeros((series, streams), np.int64),
    )


def stream_count(parameters: SurpriseParameters) -> int:
    """Return K: time of day, windows, and lags where they are searched."""
    return 1 + int(parameters.windows.size) + (1 if parameters.lags else 0)


def grown(arrays: SurpriseArrays, parameters: SurpriseParameters, series: int) -> SurpriseArrays:
    """Return the arrays with room for `series` series; nothing else changes."""
    larger = empty_arrays(parameters, series)
    kept = arrays._asdict()
    for name, array in larger._asdict().items():
        array[: len(kept[name])] = kept[name]
    return larger
