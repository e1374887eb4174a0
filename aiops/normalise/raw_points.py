"""Raw values as kernels: gauges pass, totals and amounts become rates, parts of histograms are put together.

A total's rate is its increase since the value before, by the time between: over a gap that is the true mean. It began anew where
it fell, or where its start is said after the value before; then the value itself is the increase, since the start if that is
known. The first value gives none, unless it is said to have begun within the last 5 min; the first one after an end neither.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from aiops.jit import inlined, kernel
from aiops.normalise.classic_histograms import MOST_A_ROW, close_over, fold_part
from aiops.normalise.distributions import Emitted, began, emit
from aiops.normalise.raw_series import (
    BAD_TIME,
    BUCKET_SUM,
    DELTA,
    DUPLICATE,
    EMITTED,
    FOLDED,
    FUTURE,
    HISTOGRAM,
    MISFIT,
    NEVER_US,
    NEXT_EXPIRY,
    NON_FINITE,
    OUT_OF_RANGE,
    REPEATED,
    SECOND,
    STALE_BITS,
    TOO_LATE,
    TOTAL,
    UNKNOWN,
    VALUE,
    WATERMARK,
    Bounds,
    NormaliserState,
    RawRows,
    came_before,
    point_hash,
    remember,
)

EARLIEST_US: Final = 946_684_800_000_000
"""2000-01-01, as for all telemetry."""
SECOND_US: Final = 1_000_000


class Part(NamedTuple):
    """One raw value."""

    time: int
    value: float
    bits: int
    start: int


@inlined
def advance(state: NormaliserState, time: int, wait_us: int, out: Emitted) -> bool:
    """Move the watermark; with every full second of it look for histograms that have waited enough. False = more room first."""
    counters = state.raw.counters
    if time <= counters[WATERMARK]:
        return True
    second = time // SECOND_US * SECOND_US
    if second > counters[SECOND]:
        horizon = second - wait_us
        if counters[NEXT_EXPIRY] <= horizon and not close_over(state, horizon, out):
            return False
        counters[SECOND] = second
    counters[WATERMARK] = time
    return True


@inlined
def per_second(amount: float, since: int, until: int) -> float:
    """Return an amount by the time it came about in."""
    return amount / ((until - since) / 1e6)


@inlined
def total_rate(record: Any, part: Part) -> float:
    """Return the rate of a total at a value after the one before, NaN where there is none."""
    if began(part.start, record.seen, part.time):
        return per_second(part.value, part.start, part.time) if part.start < part.time else np.nan
    if np.isnan(record.value):
        return np.nan
    increase = part.value - record.value if part.value >= record.value else part.value
    return per_second(increase, record.seen, part.time)


@inlined
def delta_rate(record: Any, part: Part) -> float:
    """Return the rate of an amount: since its start, else since the value before, NaN where neither is known."""
    if part.start != NEVER_US and part.start < part.time:
        return per_second(part.value, part.start, part.time)
    if np.isnan(record.value) or part.time <= record.seen:
        return np.nan
    return per_second(part.value, record.seen, part.time)


@inlined
def order_fault(record: Any, time: int, mark: int) -> int:
    """Return why a value cannot follow those before it, EMITTED where it can."""
    if time > record.seen:
        return EMITTED
    if came_before(record, mark):
        return REPEATED
    return DUPLICATE if time == record.seen else TOO_LATE


@inlined
def emit_own(state: NormaliserState, slot: int, row: int, part: Part, out: Emitted) -> int:
    """Append a point of the raw series' own id, unless it is beyond its limits; return what became of its row."""
    if not np.isfinite(part.value):
        return NON_FINITE
    record = state.raw.records[slot]
    if record.limits != 0:
        limits = state.raw.limits[record.limits]
        if part.value < limits[0] or part.value > limits[1]:
            return OUT_OF_RANGE
    place = emit(out, part.time, record.key, record.name, part.value)
    out.source[place] = slot
    out.row[place] = row
    out.fault[place] = 0
    return EMITTED


@kernel
def take_value(state: NormaliserState, slot: int, row: int, part: Part, out: Emitted) -> int:
    """Pass a gauge's value on; one that came before is known by its hash, other late ones are for the engine to judge."""
    record = state.raw.records[slot]
    mark = point_hash(part.time, part.bits)
    if part.time <= record.seen and came_before(record, mark):
        return REPEATED
    remember(record, part.time, mark)
    if part.bits == STALE_BITS:
        return FOLDED
    return emit_own(state, slot, row, part, out)


@kernel
def take_change(state: NormaliserState, slot: int, row: int, part: Part, out: Emitted) -> int:
    """Make a rate of a total or of an amount; return what became of the row."""
    record = state.raw.records[slot]
    mark = point_hash(part.time, part.bits)
    fault = order_fault(record, part.time, mark)
    delta = record.role == DELTA
    if fault == TOO_LATE and delta and part.start != NEVER_US and part.start < part.time:
        fault = EMITTED
    if fault != EMITTED:
        return fault
    if part.bits == STALE_BITS:
        remember(record, part.time, mark)
        record.value = np.nan
        return FOLDED
    if part.value < 0.0:
        return OUT_OF_RANGE
    rate = delta_rate(record, part) if delta else total_rate(record, part)
    if part.time > record.seen:
        record.value = part.value
    remember(record, part.time, mark)
    if np.isnan(rate):
        return FOLDED
    return emit_own(state, slot, row, Part(part.time, rate, part.bits, part.start), out)


@kernel
def take_part(state: NormaliserState, slot: int, part: Part, out: Emitted) -> int:
    """Put a part of a classic histogram to the others."""
    record = state.raw.records[slot]
    if part.value < 0.0 and record.role != BUCKET_SUM:
        return OUT_OF_RANGE
    return fold_part(state, record, part, out)


@kernel
def apply_points(state: NormaliserState, rows: RawRows, bounds: Bounds, out: Emitted) -> int:
    """Apply rows in order from the first to do; return the row reached: less than all where `out` must be emptied first."""
    records = state.raw.records
    for i in range(bounds.first, rows.time.size):
        if out.time.size - out.made[0] < MOST_A_ROW:
            return i
        slot = rows.slot[i]
        if slot < 0:
            rows.status[i] = UNKNOWN
            continue
        time = rows.time[i]
        if time < EARLIEST_US or time > bounds.latest_us:
            rows.status[i] = BAD_TIME if time < EARLIEST_US else FUTURE
            continue
        part = Part(time, rows.value[i], rows.bits[i], rows.start[i] if rows.start.size > 0 else NEVER_US)
        role = records[slot].role
        if not np.isfinite(part.value) and part.bits != STALE_BITS:
            rows.status[i] = NON_FINITE
            continue
        if not advance(state, time, bounds.wait_us, out):
            return i
        if role == VALUE:
            rows.status[i] = take_value(state, slot, i, part, out)
        elif role in (TOTAL, DELTA):
            rows.status[i] = take_change(state, slot, i, part, out)
        elif role < HISTOGRAM:
            rows.status[i] = take_part(state, slot, part, out)
        else:
            rows.status[i] = MISFIT
    return rows.time.size
