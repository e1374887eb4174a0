"""Features of every series at one tick: `schemas.SERIES_FEATURES`, from the points with timestamp <= tick in its window.

Windows are (tick - length, tick]. All formulas are over the window itself, nothing is a running sum; its values are kept
to 24 bits (`windows.stored`):

- `last`: the newest value; `ewma`, `ewma_dev`: running mean and standard deviation over the points in order up to the tick
- `abnormality`: the greatest tier 1 score of the points in (tick - step, tick];
  below 0.5 where its excursion has not lasted for 3/4 of a step
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
    mad_of_places,
    mad_of_sorted,
    median_in_place,
    median_of_places,
    median_of_sorted,
    score_of_z,
    sort_values,
)
from aiops.features.series_state import (
    BIN_DEVIATION,
    BIN_MASKED_AT,
    BIN_MEAN,
    BIN_SCORE,
    BIN_VARIANCE,
    HOUR_US,
    MOST_TICKED,
    SERIES_COUNT,
    UNIT,
    EngineArrays,
    EngineParameters,
    place_type,
)
from aiops.features.straying import note_tick, weighed_excess
from aiops.features.window_order import order_window
from aiops.features.window_statistics import (
    GAPS,
    Ends,
    Expectation,
    even_sums,
    missing_points,
    uneven_sums,
    write_window,
)
from aiops.features.windows import forget, place_at, time_of, without_times
from aiops.jit import bare, inlined
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import SERIES_FEATURES, WINDOW_STATISTICS

SHORT_US: Final = 300_000_000
LAST, EWMA, EWMA_DEV, ABNORMALITY, SHORT, LONG = 0, 1, 2, 3, 4, 4 + len(WINDOW_STATISTICS)
SLOPE_ERROR: Final = len(SERIES_FEATURES)
"""Row of the standard error of the 1 h slope: for service features only."""
RECENT: Final = SLOPE_ERROR + 1
"""Row that is 1 where a point lies in the last 5 min (or step, if longer)."""
EXCESS: Final = RECENT + 1
"""Row of how far the series is beyond its bound, weighed by how seldom it is, beside others; 0 = it is not."""
ALONE: Final = EXCESS + 1
"""Row of the same, alone."""
ROWS: Final = ALONE + 1
BASELINE_POINTS: Final = 5
"""Points in the last hour from which its median and MAD are a baseline for scores."""


class WindowBounds(NamedTuple):
    """Numbers of the points up to a tick (us), counted from the oldest one that is kept."""

    tick: int
    hour: int  # first of the last hour
    short: int  # first of the last 5 min
    end: int


class Spacing(NamedTuple):
    """How far the points of the last hour lie apart, us."""

    interval: float  # median, NaN for fewer than 2 points
    even: bool  # all are equally far apart


class Scratch(NamedTuple):
    """Room to work in for one series: the points of its last hour, oldest first, and what is sorted of them."""

    value: npt.NDArray[np.float32]  # (C,)
    offset: FloatArray  # (C,) us since the first
    gaps: FloatArray  # (C,)
    ordered: npt.NDArray[np.float32]  # (C,) of a short window
    rank: npt.NDArray[np.int32]  # (C,) of its values
    places: npt.NDArray[Any]  # (C + 2,) of a window's points in the ring

    @classmethod
    def of(cls, points: int) -> "Scratch":
        """Return room for so many points."""
        return cls(
            np.empty(points, np.float32),
            np.empty(points),
            np.empty(points),
            np.empty(points, np.float32),
            np.empty(points, np.int32),
            np.zeros(points + 2, place_type(points)),
        )


class TickRows(NamedTuple):
    """Output of one tick; one row a series with points in the last hour."""

    features: FloatArray  # (S, ROWS)
    slot: npt.NDArray[np.int32]  # (S,)


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
def bounds_at(arrays: EngineArrays, record: Any, tick: int) -> WindowBounds:
    """Return which points lie in the windows of the tick."""
    count = int(record.count)
    if record.times_at < 0 and count > 1:
        newest, interval = record.newest, record.interval
        high = count if newest <= tick else count - (newest - tick + interval - 1) // interval
        low = count - (newest - (tick - HOUR_US) + interval - 1) // interval
        short = count - max(0, (newest - (tick - SHORT_US) + interval - 1) // interval)
        high = max(high, 0)
        return WindowBounds(tick, max(low, 0), min(max(short, 0), high), high)
    high = count
    while high > 0 and time_of(arrays, record, high - 1) > tick:
        high -= 1
    low = 0
    while low < high and time_of(arrays, record, low) <= tick - HOUR_US:
        low += 1
    short = high
    while short > low and time_of(arrays, record, short - 1) > tick - SHORT_US:
        short -= 1
    return WindowBounds(tick, low, short, high)


@bare
def copy_values(source: npt.NDArray[np.float32], target: npt.NDArray[np.float32]) -> None:
    """Copy (n,) values: by index from 0 on, which is all that is known to be no index from the end."""
    for i in range(target.size):
        target[i] = source[i]


@inlined
def read_values(arrays: EngineArrays, record: Any, bounds: WindowBounds, value: npt.NDArray[np.float32]) -> None:
    """Copy the values of the last hour to `value`, oldest first."""
    count = bounds.end - bounds.hour
    begin, place = int(record.at) * UNIT, place_at(record, bounds.hour)
    first = min(count, int(record.room) - place)
    copy_values(arrays.values[begin + place : begin + place + first], value[:first])
    copy_values(arrays.values[begin : begin + count - first], value[first:count])


@bare
def read_times(arrays: EngineArrays, record: Any, bounds: WindowBounds, scratch: Scratch) -> Spacing:
    """Write the offsets of the last hour's points where they are not equally far apart; return how far they are."""
    count = bounds.end - bounds.hour
    if count < 2:
        scratch.offset[0] = 0.0
        return Spacing(np.nan, False)
    first = time_of(arrays, record, bounds.hour)
    before = first
    even = True
    for i in range(count):
        time = time_of(arrays, record, bounds.hour + i)
        scratch.offset[i] = float(time - first)
        scratch.gaps[max(i - 1, 0)] = float(time - before)
        before = time
    for i in range(1, count - 1):
        even = even and scratch.gaps[i] == scratch.gaps[0]
    interval = scratch.gaps[0] if even else median_in_place(scratch.gaps[: count - 1])
    return Spacing(interval, even)


class Hour(NamedTuple):
    """The points of the last hour: what was read of them, how far they are apart, how many there are."""

    scratch: Scratch
    spacing: Spacing
    points: int


@inlined
def write_short(hour: Hour, first: int, expectation: Expectation, out: FloatArray) -> None:
    """Write the statistics of the last 5 min: the points of the last hour from number `first` on."""
    scratch, spacing, end = hour.scratch, hour.spacing, hour.points
    count = end - first
    if count == 0:
        out[:] = np.nan
        out[GAPS] = missing_points(0, expectation)
        return
    value, ordered = scratch.value[first:end], scratch.ordered[:count]
    sort_values(value, scratch.rank, ordered)
    median = median_of_sorted(ordered)
    ends = Ends(median, mad_of_sorted(ordered, median), ordered[0], ordered[count - 1], value[0], value[count - 1])
    sums = even_sums(value, median, spacing.interval) if spacing.even else uneven_sums(value, median, scratch.offset[first:end])
    write_window(count, sums, ends, expectation, out)


@inlined
def write_series(arrays: EngineArrays, record: Any, bounds: WindowBounds, scratch: Scratch, out: FloatArray) -> None:
    """Write all but `abnormality` and RECENT of one series with points in the last hour, and renew its baseline."""
    tick, low, short, high = bounds.tick, bounds.hour, bounds.short, bounds.end
    count = high - low
    read_values(arrays, record, bounds, scratch.value)
    spacing = Spacing(float(record.interval), True)
    if record.times_at >= 0 or count < 2:
        spacing = read_times(arrays, record, bounds, scratch)
    floor = record.floor
    if not np.isnan(record.tick_deviation):
        floor = max(floor, record.tick_deviation)
    out[LAST] = scratch.value[count - 1]
    out[EWMA] = record.tick_mean
    out[EWMA_DEV] = np.sqrt(record.tick_variance)
    expectation = Expectation(tick, SHORT_US, spacing.interval, record.covered_from, floor)
    write_short(Hour(scratch, spacing, count), short - low, expectation, out[SHORT:LONG])
    order_window(arrays, record, low, scratch.value[:count], scratch.places)
    at = int(record.at) * UNIT
    values, order = arrays.values[at : at + record.room], arrays.order[at : at + count]
    value = scratch.value[:count]
    median = median_of_places(values, order)
    deviation = mad_of_places(values, order, median)
    ends = Ends(median, deviation, values[order[0]], values[order[count - 1]], value[0], value[count - 1])
    sums = even_sums(value, median, spacing.interval) if spacing.even else uneven_sums(value, median, scratch.offset[:count])
    expectation = Expectation(tick, HOUR_US, spacing.interval, record.covered_from, floor)
    spread, out[SLOPE_ERROR] = write_window(count, sums, ends, expectation, out[LONG:SLOPE_ERROR])
    record.ticked = min(record.ticked + 1, MOST_TICKED)
    if record.tick_masked_at > tick - HOUR_US and not np.isnan(record.spread):
        return
    known = count >= BASELINE_POINTS
    record.median = median if known else np.nan
    record.spread = spread if known else np.nan


@bare
def close_series(arrays: EngineArrays, parameters: EngineParameters, tick: int, rows: TickRows, scratch: Scratch) -> int:
    """Write the features of all series with points in (tick - 1 h, tick]; return how many there are."""
    recent = max(SHORT_US, parameters.step_us)
    place = (tick // parameters.step_us) % arrays.bins.shape[1]
    row_count = 0
    for slot in range(arrays.counters[SERIES_COUNT]):
        record = arrays.series[slot]
        if record.newest <= tick - HOUR_US:
            continue
        worst = close_bin(record, arrays.bins[slot, place])
        bounds = bounds_at(arrays, record, tick)
        if bounds.hour == bounds.end:
            continue
        out = rows.features[row_count]
        write_series(arrays, record, bounds, scratch, out)
        out[ABNORMALITY] = score_of_z(worst)
        out[EXCESS], out[ALONE] = weighed_excess(record, parameters.step_us, worst)
        note_tick(record, parameters.step_us, worst)
        out[RECENT] = 1.0 if time_of(arrays, record, bounds.end - 1) > tick - recent else 0.0
        forget(arrays, record, min(tick, record.newest) - HOUR_US)
        if record.times_at >= 0 and record.count > 2:
            without_times(arrays, record)
        rows.slot[row_count] = slot
        row_count += 1
    return row_count
