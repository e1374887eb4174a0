"""Raw values as kernels: gauges pass, totals and amounts become rates, parts of histograms are put together.

A total's rate is its increase since the value before, by the time between: over a gap that is the true mean. It began anew where
it fell, or where its start is said after the value before; then the value itself is the increase, since the start if that is
known. The first value gives none, unless it is said to have begun within the last 5 min; the first one after an end neither.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from aiops.jit import inlined, kernel
from aiops.normalise.classic_histograms import MOST_A_ROW, OpenTimes, finish_part, fold_open, open_times
from aiops.normalise.distributions import Emitted, began
from aiops.normalise.raw_series import (
    BAD_TIME,
    BUCKET,
    BUCKET_SUM,
    DELTA,
    DUPLICATE,
    EMITTED,
    FOLDED,
    FUTURE,
    HISTOGRAM,
    MISFIT,
    NEVER_US,
    NON_FINITE,
    OUT_OF_RANGE,
    REPEATED,
    STALE_BITS,
    TOO_LATE,
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
from aiops.types import FloatArray

EARLIEST_US: Final = 946_684_800_000_000
"""2000-01-01, as for all telemetry."""


class Part(NamedTuple):
    """One raw value."""

    time: int
    value: float
    bits: int
    start: int


class Taken(NamedTuple):
    """What became of a raw value, and the value of its point where one is made."""

    status: int
    value: float


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
def take_value(record: Any, part: Part) -> int:
    """Note a gauge's value; one that came before is known by its hash, other late ones are for the engine to judge."""
    mark = point_hash(part.time, part.bits)
    status = EMITTED
    if part.time <= record.seen and came_before(record, mark):
        status = REPEATED
    else:
        remember(record, part.time, mark)
        if part.bits == STALE_BITS:
            status = FOLDED
    return status


@inlined
def take_change(record: Any, part: Part) -> Taken:
    """Note a total or an amount and return its rate, if there is one."""
    mark = point_hash(part.time, part.bits)
    status, rate = order_fault(record, part.time, mark), np.nan
    delta = record.role == DELTA
    if status == TOO_LATE and delta and part.start != NEVER_US and part.start < part.time:
        status = EMITTED
    if status == EMITTED:
        if part.bits == STALE_BITS:
            remember(record, part.time, mark)
            record.value = np.nan
            status = FOLDED
        elif part.value < 0.0:
            status = OUT_OF_RANGE
        else:
            rate = delta_rate(record, part) if delta else total_rate(record, part)
            if part.time > record.seen:
                record.value = part.value
            remember(record, part.time, mark)
            if np.isnan(rate):
                status = FOLDED
    return Taken(status, rate)


@kernel
def apply_points(state: NormaliserState, rows: RawRows, bounds: Bounds, out: Emitted) -> int:
    """Apply rows in order from the first to do; return the row reached: less than all where `out` must be emptied first.

    Gauges and totals are inlined, and every array of theirs is taken out of its tuple before the loop: a call that is given the
    state, or a tuple that is opened within the loop, costs more than they do, for each array in it is counted.
    """
    records, limits, counters = state.raw.records, state.raw.limits, state.raw.counters
    times, slots, values, all_bits, starts, statuses = rows.time, rows.slot, rows.value, rows.bits, rows.start, rows.status
    opened = open_times(state.families)
    made, most = out.made, out.time.size - MOST_A_ROW
    target = (out.time, out.key, out.name, out.value, out.source, out.row, out.fault)
    for i in range(bounds.first, times.size):
        if made[0] > most:
            return i
        slot, time, bits = slots[i], times[i], all_bits[i]
        fault = row_fault(slot, time, bits, bounds.latest_us)
        if fault != EMITTED:
            statuses[i] = fault
            continue
        counters[WATERMARK] = max(counters[WATERMARK], time)
        record = records[slot]
        part = Part(time, values[i], bits, starts[i] if starts.size > 0 else NEVER_US)
        taken = take(record, part)
        status = taken.status
        if BUCKET <= record.role < HISTOGRAM:
            status = take_part(opened, record, part)
        if status < 0:
            status = finish_part(state, record, part, status, out)
        elif status == EMITTED:
            status = limit_fault(limits, record.limits, taken.value)
            if status == EMITTED:
                put(target, made[0], record, Point(time, taken.value, slot, i))
                made[0] += 1
        statuses[i] = status
    return times.size


@inlined
def take(record: Any, part: Part) -> Taken:
    """Take in a value of a series that is scored under its own id; MISFIT = it is none."""
    taken = Taken(MISFIT, part.value)
    if record.role == VALUE:
        taken = Taken(take_value(record, part), part.value)
    elif record.role <= DELTA:
        taken = take_change(record, part)
    return taken


@inlined
def take_part(opened: OpenTimes, record: Any, part: Part) -> int:
    """Put a part of a classic histogram to the others; OTHERWISE and COMPLETE are for `finish_part`."""
    if part.value < 0.0 and record.role != BUCKET_SUM:
        return OUT_OF_RANGE
    return fold_open(opened, record, part)


class Point(NamedTuple):
    """A point of a raw series' own id."""

    time: int
    value: float
    slot: int
    row: int


@inlined
def put(target: Any, place: int, record: Any, point: Point) -> None:
    """Write a point to the columns of `Emitted`, in their order."""
    target[0][place] = point.time
    target[1][place] = record.key
    target[2][place] = record.name
    target[3][place] = point.value
    target[4][place] = point.slot
    target[5][place] = point.row
    target[6][place] = 0


@inlined
def limit_fault(limits: FloatArray, number: int, value: float) -> int:
    """Return why a value cannot be scored, EMITTED where it can."""
    if np.isinf(value):
        return NON_FINITE
    return OUT_OF_RANGE if value < limits[number, 0] or value > limits[number, 1] else EMITTED


@inlined
def row_fault(slot: int, time: int, bits: int, latest_us: int) -> int:
    """Return what becomes of a raw value whatever its series says, EMITTED where that decides.

    NaN says that nothing was measured: senders have it for every quantile of a summary without observations. It is no fault.
    """
    if slot < 0:
        return UNKNOWN
    if time < EARLIEST_US or time > latest_us:
        return BAD_TIME if time < EARLIEST_US else FUTURE
    if (bits >> 52) & 0x7FF != 0x7FF or bits == STALE_BITS:
        return EMITTED
    return FOLDED if bits & (1 << 52) - 1 else NON_FINITE
