"""Tier 1, the model-free part: every point is scored against what its series was before it."""

from typing import Any, Final, NamedTuple

import numpy as np

from aiops.features.least_steps import least_scale, note_step
from aiops.features.robust import clipped_z, floored
from aiops.features.series_state import (
    BIN_DEVIATION,
    BIN_MASKED_AT,
    BIN_MEAN,
    BIN_SCORE,
    BIN_VARIANCE,
    COLLISION,
    NEXT_BIN,
    NOT_NAMED,
    SCORED,
    SERIES_COUNT,
    TOO_MANY_SERIES,
    WARMUP,
    EngineArrays,
    EngineParameters,
    PointResults,
    PointRows,
    RowSpan,
    TickGrid,
    find_slot,
    new_slot,
)
from aiops.features.straying import weight_of
from aiops.features.windows import admit_late, keep, put_next
from aiops.jit import bare, inlined
from aiops.types import FloatArray

CLIP: Final = 5.0
"""Innovations beyond this many scales count as this many in the running averages: one outlier does not blind a series."""
SLOW_ALPHA: Final = 0.01
"""Weight of a new point in the running mean absolute deviation."""

OPEN_Z: Final = 6.0
"""|z| from which a point opens an excursion: the score that alarms, 0.5."""
CLOSE_Z: Final = 3.0
"""|z| below which an excursion ends."""
SHIFT_US: Final = 1_200_000_000
"""An excursion that lasts this long (20 min) is a level shift, learnt at once; a shorter one leaves no trace."""
LASTING: Final = 0.75
"""Share of a step that an excursion must cover before it is an alarm; a point stands for the time since the one before it."""
BRIEF_Z: Final = 0.999 * OPEN_Z
"""|z| of a step is at most this while its excursion has not lasted."""


class Averages(NamedTuple):
    """Running averages of one series."""

    mean: float
    variance: float
    deviation: float


@inlined
def update_averages(record: Any, parameters: EngineParameters, value: float) -> None:
    """Move the running mean, variance (West 1979, exponentially weighted) and mean absolute deviation by one point in order.

    Until the warm-up ends nothing is clipped; as long as 1/n is greater than the weight it is the weight (plain averages).
    """
    record.updates += 1
    updates = record.updates
    if updates == 1:
        record.mean = value
        record.variance = 0.0
        record.deviation = 0.0
        return
    step = value - record.mean
    size = abs(step)
    if updates > parameters.warmup_points:
        floor = floored(record.deviation, record.mean, record.floor)
        size = min(size, CLIP * floor)
        limit = CLIP * max(np.sqrt(record.variance), floor)
        step = min(max(step, -limit), limit)
    weight = max(parameters.alpha, 1.0 / updates)
    slow = max(SLOW_ALPHA, 1.0 / updates)
    record.mean += weight * step
    record.variance = (1.0 - weight) * (record.variance + weight * step * step)
    record.deviation += slow * (size - record.deviation)
    if not np.isfinite(record.variance):
        record.updates = 1
        record.mean = value
        record.variance = 0.0
        record.deviation = 0.0


@inlined
def mask(record: Any, parameters: EngineParameters, time: int, value: float, z: float) -> bool:
    """Return whether a point in order with score `z` is kept out of the averages: it is part of an open excursion.

    An excursion opens at |z| >= OPEN_Z, lasts while |z| >= CLOSE_Z on that side, and leaves no trace in the averages when it
    ends. One that has lasted SHIFT_US and as many points as a warm-up takes is a level shift: its own averages take over.
    Under the old level a point on the far side of CLOSE_Z has a chance of at most 1/9 (Chebyshev), so `warmup_points` = 15 of
    them in a row have one of 5e-15: a sign test against the distribution before (Dixon & Mood 1946).
    """
    side = 1 if z > 0.0 else -1
    if record.excursion != 0 and (not abs(z) >= CLOSE_Z or side * record.excursion < 0):
        record.excursion = 0
    if record.excursion == 0:
        if not abs(z) >= OPEN_Z:
            return False
        record.excursion_from = time
        record.other_mean = value
        record.other_variance = 0.0
        record.other_deviation = 0.0
    record.excursion += side
    record.masked_at = time
    count = abs(record.excursion)
    step = value - record.other_mean
    weight = max(parameters.alpha, 1.0 / count)
    record.other_mean += weight * step
    record.other_variance = (1.0 - weight) * (record.other_variance + weight * step * step)
    record.other_deviation += max(SLOW_ALPHA, 1.0 / count) * (abs(step) - record.other_deviation)
    if count >= parameters.warmup_points and time - record.excursion_from >= SHIFT_US:
        take_level(record, value)
    return True


@inlined
def take_level(record: Any, value: float) -> None:
    """Put the excursion's averages in the place of the old ones; where they overflowed, begin anew."""
    record.excursion = 0
    record.mean = record.other_mean
    record.variance = record.other_variance
    record.deviation = record.other_deviation
    if not np.isfinite(record.variance) or not np.isfinite(record.mean):
        record.updates = 1
        record.mean = value
        record.variance = 0.0
        record.deviation = 0.0


@inlined
def averages_before(record: Any, bins: FloatArray, ticks: TickGrid, time: int) -> Averages:
    """Return the running averages that a point is scored against.

    For a point in order they are the newest. For a late one they are those before its step (or as of the last closed tick, if
    later), so that a tick's abnormality never depends on points after the tick.
    """
    if time > record.newest or record.updates == 0:
        return Averages(record.mean, record.variance, record.deviation)
    number, step_us = ticks.number, ticks.step_us
    held = Averages(record.tick_mean, record.tick_variance, record.tick_deviation)
    while number * step_us < time:
        place = number % bins.shape[0]
        if not np.isnan(bins[place, BIN_MEAN]):
            held = Averages(bins[place, BIN_MEAN], bins[place, BIN_VARIANCE], bins[place, BIN_DEVIATION])
        number += 1
    return held


@inlined
def is_brief(record: Any, parameters: EngineParameters, time: int, before: int) -> bool:
    """Return whether a point in order is part of an excursion that has not lasted yet; `before` is the time of the point before.

    The first point of an excursion is taken to stand for as long as this one does.
    """
    if record.excursion == 0 or time != record.newest:
        return False
    return bool(time - record.excursion_from + time - before < LASTING * parameters.step_us)


@inlined
def score_point(record: Any, parameters: EngineParameters, averages: Averages, value: float) -> tuple[float, float, float]:
    """Return (z, expected, scale) of a value against what was known before it; NaN in warm-up.

    Two views: running average, and median/MAD of the last hour as of the last closed tick. The one that finds the value
    less strange counts, so both must agree before a point is strange. No scale is below what `least_scale` says.
    """
    if record.updates < parameters.warmup_points or record.ticked < parameters.warmup_ticks:
        return np.nan, np.nan, np.nan
    expected = averages.mean
    least = least_scale(record)
    scale = max(np.sqrt(averages.variance), floored(averages.deviation, expected, record.floor), least)
    z = clipped_z(value - expected, scale)
    if not np.isnan(record.spread):
        spread = max(record.spread, least)
        second = clipped_z(value - record.median, spread)
        if abs(second) < abs(z):
            return second, record.median, spread
    return z, expected, scale


@inlined
def note_bin(record: Any, bins: FloatArray, ticks: TickGrid, time: int, size: float) -> None:
    """Keep what the tick that ends this point's step will need: the averages so far and the greatest |z|.

    `bins`: (B, BIN_FIELDS) of the series; `size`: |z|, NaN = no score.
    A point of a step whose tick has closed only moves the averages.
    """
    number, step_us = ticks.number, ticks.step_us
    in_order = time == record.newest
    if time <= (number - 1) * step_us:
        if in_order:
            record.tick_mean = record.mean
            record.tick_variance = record.variance
            record.tick_deviation = record.deviation
            record.tick_masked_at = record.masked_at
        return
    while number * step_us < time:
        number += 1
    place = number % bins.shape[0]
    if in_order:
        bins[place, BIN_MEAN] = record.mean
        bins[place, BIN_VARIANCE] = record.variance
        bins[place, BIN_DEVIATION] = record.deviation
        bins[place, BIN_MASKED_AT] = record.masked_at
    if not np.isnan(size) and not bins[place, BIN_SCORE] >= size:
        bins[place, BIN_SCORE] = size


@inlined
def write_result(results: PointResults, row: np.uint64, z: float, expected: float, scale: float) -> None:
    """Write what became of a point that was taken in."""
    results.status[row] = WARMUP if np.isnan(z) else SCORED
    results.z[row] = z
    results.expected[row] = expected
    results.scale[row] = scale


@inlined
def slot_of(arrays: EngineArrays, parameters: EngineParameters, key: int, name: int, before: int) -> int:
    """Return the slot of a series, a new one where it is new; -1 = too many series, -2 = the arrays must grow first.

    The slot after that of the point `before` is looked at first: series come in the same order in every batch, and the table
    is seldom in the cache.
    """
    expected = before + 1 if before + 1 < arrays.counters[SERIES_COUNT] else 0
    if expected < arrays.counters[SERIES_COUNT] and arrays.keys[np.uint64(expected)] == key:
        return expected
    slot = find_slot(arrays.table, arrays.keys, key)
    return new_slot(arrays, parameters, key, name, -1 - slot) if slot < 0 else slot


@bare
def apply_points(
    arrays: EngineArrays, parameters: EngineParameters, rows: PointRows, results: PointResults, span: RowSpan
) -> int:
    """Apply the rows of `span` in order; return the row reached: less than its end where arrays must grow first."""
    ticks = TickGrid(arrays.counters[NEXT_BIN], parameters.step_us)
    slot = -1
    for number in range(span.first, span.end):
        i = np.uint64(number)
        slot = slot_of(arrays, parameters, rows.key[i], rows.name[i], slot)
        if slot == -2:
            return number
        if slot == -1:
            results.status[i] = TOO_MANY_SERIES
            continue
        results.slot[i] = slot
        if arrays.names[np.uint64(slot)] != rows.name[i]:
            results.status[i] = COLLISION
            continue
        time, value = rows.time[i], rows.value[i]
        record, bins = arrays.series[np.uint64(slot)], arrays.bins[np.uint64(slot)]
        if record.floor == NOT_NAMED and record.updates >= parameters.warmup_points:
            return number
        in_order = record.count == 0 or time > record.newest
        if not in_order:
            status = admit_late(arrays, record, parameters, time, value)
            if status != SCORED:
                results.status[i] = status
                continue
        averages, before = averages_before(record, bins, ticks, time), note_step(arrays, record, time, value)
        if not put_next(arrays, record, parameters, time, value) and not keep(arrays, record, parameters, time, value):
            return number
        z, expected, scale = score_point(record, parameters, averages, value)
        if in_order and not mask(record, parameters, time, value, z):
            update_averages(record, parameters, value)
        results.brief[i] = brief = is_brief(record, parameters, time, before)
        if abs(z) >= OPEN_Z:
            results.weight[i] = weight_of(record, parameters.step_us)
        note_bin(record, bins, ticks, time, min(abs(z), BRIEF_Z) if brief else abs(z))
        write_result(results, i, z, expected, scale)
    return span.end
