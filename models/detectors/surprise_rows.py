"""The row loop of the surprise detector: streams of a row, their surprises added, one alarm an event."""

import math
from typing import NamedTuple

import numpy as np

from aiops.jit import inlined, kernel
from aiops.types import FloatArray, IntArray
from models.detectors.surprise_kernels import (
    ALMOST,
    DAY_US,
    LARGEST,
    SurpriseArrays,
    SurpriseParameters,
    SurpriseRows,
    cleaned,
    common_bound,
    nearest_distance,
    share_of,
    surprise_of,
    window_mean,
)


class TimedValue(NamedTuple):
    """One row: its time in us since 1970, and its value."""

    time_us: int
    value: float


class WindowValue(NamedTuple):
    """A value that enters a window, by the window's number."""

    window: int
    value: float


@inlined
def day_strangeness(
    arrays: SurpriseArrays, parameters: SurpriseParameters, slot: int, row: TimedValue, detail: FloatArray
) -> float:
    """Return the surprise of a value beside the mean of its time of day."""
    time, value = row.time_us, row.value
    bins = parameters.day_bins
    number = (time % DAY_US) * bins // DAY_US
    rows = arrays.day_rows[slot, number]
    mean = arrays.day_mean[slot, number]
    arrays.day_rows[slot, number] = rows + 1
    arrays.day_mean[slot, number] = mean + (value - mean) * max(parameters.day_share, 1.0 / (rows + 1.0))
    if rows == 0:
        return 0.0
    deviation = cleaned(abs(value - mean), max(abs(value), abs(mean)))
    if detail.size:
        bound = common_bound(arrays, slot, 0)
        share = share_of(arrays, slot, 0, deviation)
        detail[0, 1:] = np.array((value, mean, mean - bound, mean + bound, share))
    return surprise_of(arrays, slot, 0, deviation, parameters.beyond)


@inlined
def window_strangeness(
    arrays: SurpriseArrays, parameters: SurpriseParameters, slot: int, entry: WindowValue, detail: FloatArray
) -> float:
    """Return the surprise of the mean of a window that leaves the range of all earlier means."""
    window, value = entry.window, entry.value
    width = parameters.windows[window]
    mean = window_mean(arrays, parameters, slot, window, value)
    rows = arrays.rows[slot] + 1
    if rows < width:
        return 0.0
    low = arrays.low[slot, window]
    high = arrays.high[slot, window]
    arrays.low[slot, window] = min(low, mean)
    arrays.high[slot, window] = max(high, mean)
    if rows < width + parameters.learn_rows:
        return 0.0
    outside = max(mean - high, low - mean)
    deviation = cleaned(outside, max(abs(low), abs(high), abs(mean))) if outside > 0.0 else 0.0
    stream = 1 + window
    if detail.size:
        share = share_of(arrays, slot, stream, deviation)
        detail[stream, 1:] = np.array((mean, min(max(mean, low), high), low, high, share))
    return surprise_of(arrays, slot, stream, deviation, parameters.beyond)


@inlined
def lag_strangeness(arrays: SurpriseArrays, parameters: SurpriseParameters, slot: int, value: float, detail: FloatArray) -> float:
    """Return the surprise of how far the newest stretch lies from the third most similar one before."""
    distance = nearest_distance(arrays, parameters, slot, value)
    if math.isnan(distance) or arrays.rows[slot] < parameters.nearest_lag + parameters.learn_rows:
        return 0.0
    deviation = cleaned(distance, abs(value))
    stream = 1 + parameters.windows.size
    if detail.size:
        share = share_of(arrays, slot, stream, deviation)
        detail[stream, 1:] = np.array((distance, math.nan, 0.0, common_bound(arrays, slot, stream), share))
    return surprise_of(arrays, slot, stream, deviation, parameters.beyond)


@inlined
def row_strangeness(
    arrays: SurpriseArrays, parameters: SurpriseParameters, slot: int, row: TimedValue, detail: FloatArray
) -> tuple[float, int, float]:
    """Take the row in; return its strangeness, the most surprised stream, and that one's surprise.

    Strangeness = sum over streams of surprise ** 1.5: between adding them and taking the greatest.
    """
    value = min(max(row.value, -LARGEST), LARGEST)
    surprise = day_strangeness(arrays, parameters, slot, TimedValue(row.time_us, value), detail)
    strangeness = surprise * math.sqrt(surprise)
    leading = 0
    greatest = surprise
    if detail.size:
        detail[0, 0] = surprise
    for window in range(parameters.windows.size):
        surprise = window_strangeness(arrays, parameters, slot, WindowValue(window, value), detail)
        strangeness += surprise * math.sqrt(surprise)
        if surprise > greatest:
            leading, greatest = 1 + window, surprise
        if detail.size:
            detail[1 + window, 0] = surprise
    if parameters.lags:
        surprise = lag_strangeness(arrays, parameters, slot, value, detail)
        strangeness += surprise * math.sqrt(surprise)
        if surprise > greatest:
            leading, greatest = 1 + parameters.windows.size, surprise
        if detail.size:
            detail[1 + parameters.windows.size, 0] = surprise
    arrays.rows[slot] += 1
    return strangeness, leading, greatest


@inlined
def alarm_strangeness(parameters: SurpriseParameters, rows: int) -> float:
    """Return the strangeness of an alarm after so many rows: what is rare in a short history is common in a long one."""
    level = parameters.alarm
    if parameters.alarm_growth > 0.0 and rows > parameters.alarm_rows:
        level += parameters.alarm_growth * math.log(rows / parameters.alarm_rows)
    return level * math.sqrt(level)


@kernel
def score_rows(arrays: SurpriseArrays, parameters: SurpriseParameters, rows: SurpriseRows, order: IntArray) -> None:
    """Score rows in this order (n,): series by series for the cache's sake, in arrival order within a series."""
    nothing = np.empty((0, 0))
    for i in order:
        slot = rows.slot[i]
        rows.score[i] = np.nan
        if slot < 0 or not math.isfinite(rows.value[i]):
            continue
        detail = nothing
        if rows.wanted.size and rows.wanted[i] >= 0:
            detail = rows.details[rows.wanted[i]]
        strangeness, leading, greatest = row_strangeness(
            arrays, parameters, slot, TimedValue(rows.time[i], rows.value[i]), detail
        )
        if arrays.rows[slot] <= parameters.warmup_rows:
            continue
        score = strangeness / (strangeness + alarm_strangeness(parameters, arrays.rows[slot]))
        if arrays.quiet[slot] > 0:
            arrays.quiet[slot] -= 1
            score = 0.5 * min(score, ALMOST)
        elif score >= 0.5:
            arrays.quiet[slot] = parameters.refractory_rows
            if rows.leading.size:
                rows.leading[i] = np.array((float(leading), greatest, float(arrays.total[slot, leading] - 1)))
        rows.score[i] = score


@kernel
def by_slot(slot: IntArray, slots: int) -> IntArray:
    """Return the rows (n,) ordered by slot -1..slots - 1, stable: a counting sort."""
    ends = np.zeros(slots + 2, np.int64)
    for slot_number in slot:
        ends[slot_number + 2] += 1
    for i in range(1, slots + 2):
        ends[i] += ends[i - 1]
    order = np.empty(slot.size, np.int64)
    for i in range(slot.size):
        place = slot[i] + 1
        order[ends[place]] = i
        ends[place] += 1
    return order
