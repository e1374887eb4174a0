"""Features of every series at one tick: `schemas.SERIES_FEATURES`, from the points with timestamp <= tick in its window.

Windows are (tick - length, tick]. All formulas are two-pass over the window itself, nothing is a running sum:

- `last`: the newest value; `ewma`, `ewma_dev`: running mean and standard deviation over the points in order up to the tick
- `abnormality`: the greatest tier 1 score of the points in (tick - step, tick]
- `mean`, `std` (n - 1), `min`, `max`, `median`
- `mad_z`: (last - median) / floored 1.4826 MAD, clipped
- `slope_per_min`: least squares
- `rate_of_change`: 2 (last - first) / (|last| + |first|): in [-2, 2], symmetric, 0 where both are 0
- `gap_count`: points expected by the median interval of the last hour and not there

Unknown is NaN: everything of an empty window; std, mad_z, slope, rate and gaps of one with fewer than 2 points.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.features.robust import (
    MAD_TO_SIGMA,
    clipped_z,
    floored,
    mad_of_sorted,
    median_in_place,
    median_of_sorted,
    score_of_z,
    sort_in_place,
)
from aiops.features.series_state import (
    BIN_DEVIATION,
    BIN_MASKED_AT,
    BIN_MEAN,
    BIN_SCORE,
    BIN_VARIANCE,
    HOUR_US,
    SERIES_COUNT,
    EngineArrays,
    EngineParameters,
    Ring,
)
from aiops.features.windows import forget, order_window
from aiops.jit import inlined, kernel
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.telemetry_schemas import SERIES_FEATURES, WINDOW_STATISTICS

MINUTE_US: Final = 60_000_000
SHORT_US: Final = 300_000_000
MEAN, STD, MIN, MAX, MEDIAN, MAD_Z, SLOPE, RATE, GAPS = range(len(WINDOW_STATISTICS))
LAST, EWMA, EWMA_DEV, ABNORMALITY, SHORT, LONG = 0, 1, 2, 3, 4, 4 + len(WINDOW_STATISTICS)
SLOPE_ERROR: Final = len(SERIES_FEATURES)
"""Row of the standard error of the 1 h slope: for service features only."""
RECENT: Final = SLOPE_ERROR + 1
"""Row that is 1 where a point lies in the last 5 min (or step, if longer)."""
ROWS: Final = RECENT + 1
BASELINE_POINTS: Final = 5
"""Points in the last hour from which its median and MAD are a baseline for scores."""

ERROR_POINTS: Final = 5
"""Points from which a slope has a standard error."""


class Window(NamedTuple):
    """Points of one series in one window."""

    time: IntArray  # (n,) us ascending
    value: FloatArray  # (n,)
    ordered: FloatArray  # (n,) the values ascending


class Expectation(NamedTuple):
    """What a window should look like."""

    tick: int  # us
    length: int  # us
    interval: float  # us between points, NaN = unknown
    covered_from: int  # us
    floor: float  # of the scale


class WindowBounds(NamedTuple):
    """Ring positions of the points up to a tick."""

    hour: int  # first of the last hour
    short: int  # first of the last 5 min
    end: int


class TickRows(NamedTuple):
    """Output of one tick; one row a series with points in the last hour."""

    features: FloatArray  # (S, ROWS)
    slot: npt.NDArray[np.int32]  # (S,)


@kernel
def median_interval(times: IntArray, buffer: FloatArray) -> float:
    """Return the median time between consecutive points, us; NaN for fewer than 2 points."""
    count = times.size - 1
    if count < 1:
        return np.nan
    least = times[1] - times[0]
    greatest = least
    for i in range(count):
        interval = times[i + 1] - times[i]
        least = min(least, interval)
        greatest = max(greatest, interval)
    if least == greatest:
        return float(least)
    for i in range(count):
        buffer[i] = times[i + 1] - times[i]
    return median_in_place(buffer[:count])


@inlined
def missing_points(count: int, expectation: Expectation) -> float:
    """Return how many of the points expected in the window are not there; NaN where the interval is unknown."""
    if np.isnan(expectation.interval):
        return np.nan
    expected = np.floor(expectation.length / expectation.interval)
    if expectation.covered_from > expectation.tick - expectation.length:
        expected = np.floor((expectation.tick - expectation.covered_from) / expectation.interval) + 1.0
    return float(max(0.0, expected - count))


@inlined
def mean_of(values: FloatArray) -> float:
    """Return the mean of (n >= 1,) values; four sums side by side, for speed."""
    first = second = third = fourth = 0.0
    whole = values.size & ~3
    for i in range(0, whole, 4):
        first += values[i]
        second += values[i + 1]
        third += values[i + 2]
        fourth += values[i + 3]
    for i in range(whole, values.size):
        first += values[i]
    return float(((first + second) + (third + fourth)) / values.size)


@kernel
def write_trend(window: Window, mean: float, out: FloatArray) -> float:
    """Write std and slope of 2 points or more; return the slope's standard error (NaN below ERROR_POINTS)."""
    count = window.time.size
    origin = window.time[0]
    total = 0
    for i in range(count):
        total += window.time[i] - origin
    centre = total / count
    squares = products = spread = 0.0
    for i in range(count):
        offset = float(window.time[i] - origin) - centre
        deviation = window.value[i] - mean
        squares += deviation * deviation
        products += deviation * offset
        spread += offset * offset
    out[STD] = np.sqrt(squares / (count - 1))
    out[SLOPE] = products / spread * MINUTE_US
    if count < ERROR_POINTS:
        return np.nan
    return float(np.sqrt(max(squares - products * products / spread, 0.0) / ((count - 2) * spread)) * MINUTE_US)


@kernel
def write_window(window: Window, expectation: Expectation, out: FloatArray) -> tuple[float, float]:
    """Write the WINDOW_STATISTICS of one window; return (floored 1.4826 MAD, standard error of the slope)."""
    count = window.value.size
    out[:] = np.nan
    if count == 0:
        out[GAPS] = missing_points(0, expectation)
        return np.nan, np.nan
    mean = mean_of(window.value)
    last = window.value[count - 1]
    median = median_of_sorted(window.ordered)
    spread = floored(MAD_TO_SIGMA * mad_of_sorted(window.ordered, median), median, expectation.floor)
    out[MEAN] = mean
    out[MEDIAN] = median
    out[MIN] = window.ordered[0]
    out[MAX] = window.ordered[count - 1]
    if count == 1:
        out[GAPS] = missing_points(1, expectation)
        return spread, np.nan
    error = write_trend(window, mean, out)
    out[MAD_Z] = clipped_z(last - median, spread)
    first = window.value[0]
    size = abs(last) + abs(first)
    out[RATE] = 2.0 * (last - first) / size if size > 0.0 else 0.0
    out[GAPS] = missing_points(count, expectation)
    return spread, error


@inlined
def close_bin(record: Any, held: FloatArray) -> float:
    """Take over the averages of the step that ends at the tick (`held`); return its greatest |z|, NaN where there was none."""
    if not np.isnan(held[BIN_MEAN]):
        record.tick_mean = held[BIN_MEAN]
        record.tick_variance = held[BIN_VARIANCE]
        record.tick_deviation = held[BIN_DEVIATION]
        record.tick_masked_at = int(held[BIN_MASKED_AT])
    worst = held[BIN_SCORE]
    for i in range(held.size):
        held[i] = np.nan
    return float(worst)


@inlined
def bounds_at(record: Any, times: IntArray, tick: int) -> WindowBounds:
    """Return where the windows of the tick lie in the ring."""
    low = record.start
    high = record.start + record.count
    while high > low and times[high - 1] > tick:
        high -= 1
    while low < high and times[low] <= tick - HOUR_US:
        low += 1
    short = high
    while short > low and times[short - 1] > tick - SHORT_US:
        short -= 1
    return WindowBounds(low, short, high)


@inlined
def write_series(record: Any, ring: Ring, tick: int, bounds: WindowBounds, out: FloatArray) -> None:
    """Write all but `abnormality` and RECENT of one series with points in the last hour, and renew its baseline.

    `out`: (ROWS + C,), behind the features lies room to work in.
    """
    low, short, high = bounds.hour, bounds.short, bounds.end
    buffer = out[ROWS:]
    interval = median_interval(ring.time[low:high], buffer)
    floor = record.floor
    if not np.isnan(record.tick_deviation):
        floor = max(floor, record.tick_deviation)
    out[LAST] = ring.value[high - 1]
    out[EWMA] = record.tick_mean
    out[EWMA_DEV] = np.sqrt(record.tick_variance)
    ordered = buffer[: high - short]
    for i in range(high - short):
        ordered[i] = ring.value[short + i]
    sort_in_place(ordered)
    expectation = Expectation(tick, SHORT_US, interval, record.covered_from, floor)
    write_window(Window(ring.time[short:high], ring.value[short:high], ordered), expectation, out[SHORT:LONG])
    order_window(record, ring, low, high)
    expectation = Expectation(tick, HOUR_US, interval, record.covered_from, floor)
    window = Window(ring.time[low:high], ring.value[low:high], ring.ordered[: high - low])
    spread, out[SLOPE_ERROR] = write_window(window, expectation, out[LONG:SLOPE_ERROR])
    record.ticked = 1
    if record.tick_masked_at > tick - HOUR_US and not np.isnan(record.spread):
        return
    known = high - low >= BASELINE_POINTS
    record.median = out[LONG + MEDIAN] if known else np.nan
    record.spread = spread if known else np.nan


@kernel
def close_series(arrays: EngineArrays, parameters: EngineParameters, tick: int, rows: TickRows) -> int:
    """Write the features of all series with points in (tick - 1 h, tick]; return how many there are."""
    recent = max(SHORT_US, parameters.step_us)
    place = (tick // parameters.step_us) % arrays.bins.shape[1]
    row_count = 0
    out = np.empty(ROWS + arrays.ring_time.shape[1])
    for slot in range(arrays.counters[SERIES_COUNT]):
        record = arrays.series[slot]
        if record.newest <= tick - HOUR_US:
            continue
        worst = close_bin(record, arrays.bins[slot, place])
        ring = Ring(arrays.ring_time[slot], arrays.ring_value[slot], arrays.ordered[slot])
        bounds = bounds_at(record, ring.time, tick)
        if bounds.hour == bounds.end:
            continue
        write_series(record, ring, tick, bounds, out)
        forget(record, ring, min(tick, record.newest) - HOUR_US)
        out[ABNORMALITY] = score_of_z(worst)
        out[RECENT] = 1.0 if ring.time[bounds.end - 1] > tick - recent else 0.0
        rows.slot[row_count] = slot
        for i in range(ROWS):
            rows.features[row_count, i] = out[i]
        row_count += 1
    return row_count
