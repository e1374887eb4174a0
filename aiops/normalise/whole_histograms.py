"""Whole histograms as kernels: native ones, and the explicit and exponential ones of OTLP, cumulative or each for its interval.

Of a cumulative one the newest is kept: what came in since is the difference at each bound. Bounds may change between two: where
the one before has none, its observations are taken as even within its bucket. It began anew where the count, or the observations
up to a bound of both, fell, or where a start is said after the one before.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import inlined, kernel
from aiops.normalise.classic_histograms import MOST_A_ROW
from aiops.normalise.distributions import Buckets, Emitted, Interval, began, emit_distribution, is_exponential
from aiops.normalise.families import ARENA_END, ARENA_WASTE, FAMILY_COUNT, FamilyState
from aiops.normalise.raw_points import EARLIEST_US, order_fault
from aiops.normalise.raw_series import (
    BAD_TIME,
    EMITTED,
    FOLDED,
    FUTURE,
    HISTOGRAM,
    HISTOGRAM_DELTA,
    MISFIT,
    NEVER_US,
    NON_FINITE,
    OUT_OF_RANGE,
    STALE_BITS,
    UNKNOWN,
    WATERMARK,
    Bounds,
    NormaliserState,
    point_hash,
    remember,
)
from aiops.types import FloatArray, IntArray

MOST_BUCKETS: Final = 4096
"""Buckets of one histogram; more are refused."""


class HistogramRows(NamedTuple):
    """Whole histograms in order of arrival, (n,) each; row i has the buckets ends[i] to ends[i + 1]; `status` is written."""

    time: IntArray
    slot: npt.NDArray[np.int32]
    start: IntArray
    observed: FloatArray
    observed_bits: IntArray
    """Those of STALE_BITS, here or in the sum, say that the series ended."""
    total: FloatArray
    """Sum of the observed values; NaN = not said."""
    total_bits: IntArray
    ends: IntArray
    upper: FloatArray
    counts: FloatArray
    status: npt.NDArray[np.int8]


class Whole(NamedTuple):
    """One whole histogram."""

    time: int
    start: int
    observed: float
    total: float
    mark: int
    buckets: Buckets


@kernel
def cumulative(upper: FloatArray, counts: FloatArray) -> FloatArray:
    """Return (n,) observations up to each bound; empty where a bound does not ascend or a count is negative or no number."""
    upto = np.empty(upper.size)
    before = 0.0
    for i in range(upper.size):
        ascends = i == 0 or upper[i] > upper[i - 1]
        if not ascends or np.isnan(upper[i]) or not counts[i] >= 0.0 or np.isinf(counts[i]):
            return np.empty(0)
        before += counts[i]
        upto[i] = before
    return upto


@inlined
def upto_bound(held: Buckets, place: int, bound: float) -> float:
    """Return the observations up to `bound`, which lies in the bucket `place` of `held`; even within it."""
    if place >= held.upper.size:
        return float(held.upto[held.upper.size - 1])
    before = held.upto[place - 1] if place > 0 else 0.0
    low = held.upper[place - 1] if place > 0 else 0.0
    high = held.upper[place]
    if bound == high:
        return float(held.upto[place])
    inside = held.upto[place] - before
    if inside == 0.0 or np.isinf(high) or not low < bound:
        return float(before)
    return float(before + inside * (bound - low) / (high - low))


@kernel
def increases(held: Buckets, new: Buckets) -> FloatArray:
    """Return (n,) observations up to each bound of `new` since `held`, never fewer than before; empty = fell: it began anew."""
    since = np.empty(new.upper.size)
    place, most = 0, 0.0
    for i in range(new.upper.size):
        while place < held.upper.size and held.upper[place] < new.upper[i]:
            place += 1
        past = 0.0 if held.upper.size == 0 else upto_bound(held, place, new.upper[i])
        shared = place < held.upper.size and held.upper[place] == new.upper[i]
        if shared and new.upto[i] < past:
            return np.empty(0)
        most = max(most, new.upto[i] - past)
        since[i] = most
    return since


@kernel
def keep(families: FamilyState, number: int, whole: Whole) -> None:
    """Make a histogram the one that the next is compared with; the arena must have room for it."""
    family = families.records[number]
    size = whole.buckets.upper.size
    if size > family.room:
        families.counters[ARENA_WASTE] += family.room
        family.offset = families.counters[ARENA_END]
        family.room = size + 8
        families.counters[ARENA_END] += family.room
    family.size = size
    family.sum = whole.total
    for i in range(size):
        families.arena[0, family.offset + i] = whole.buckets.upper[i]
        families.arena[1, family.offset + i] = whole.buckets.upto[i]


@inlined
def held_buckets(families: FamilyState, number: int) -> Buckets:
    """Return the newest buckets of a family, as they lie in the arena."""
    family = families.records[number]
    end = family.offset + family.size
    return Buckets(families.arena[0, family.offset : end], families.arena[1, family.offset : end])


@kernel
def _amounts(state: NormaliserState, record: Any, whole: Whole) -> Whole:
    """Return what came in since the one before, its start being that of the interval; NEVER_US = nothing can be said."""
    families = state.families
    if record.role == HISTOGRAM_DELTA:
        since = whole.start
        if since == NEVER_US or since >= whole.time:
            since = NEVER_US if np.isnan(record.value) or whole.time <= record.seen else record.seen
        return Whole(whole.time, since, whole.observed, whole.total, whole.mark, whole.buckets)
    anew = began(whole.start, record.seen, whole.time)
    if anew and whole.start < whole.time:
        return whole
    if anew or np.isnan(record.value):
        return Whole(whole.time, NEVER_US, whole.observed, whole.total, whole.mark, whole.buckets)
    upto = increases(held_buckets(families, record.place), whole.buckets)
    if whole.observed < record.value or (upto.size == 0 and whole.buckets.upper.size > 0):
        return Whole(whole.time, record.seen, whole.observed, whole.total, whole.mark, whole.buckets)
    total = whole.total - families.records[record.place].sum
    count = whole.observed - record.value
    return Whole(whole.time, record.seen, count, total, whole.mark, Buckets(whole.buckets.upper, upto))


@kernel
def take_histogram(state: NormaliserState, slot: int, whole: Whole, stale: bool, out: Emitted) -> int:
    """Say what one whole histogram tells of its interval; return what became of its row."""
    record = state.raw.records[slot]
    families = state.families
    fault = order_fault(record, whole.time, whole.mark)
    if fault != EMITTED:
        return fault
    if stale:
        remember(record, whole.time, whole.mark)
        record.value = np.nan
        return FOLDED
    amounts = _amounts(state, record, whole)
    exponential = is_exponential(whole.buckets)
    families.records[record.place].whole_at = whole.time
    if record.role == HISTOGRAM:
        keep(families, record.place, whole)
    record.value = whole.observed
    if amounts.start != NEVER_US:
        seconds = (whole.time - amounts.start) / 1e6
        interval = Interval(whole.time, seconds, amounts.observed, amounts.total, exponential)
        emit_distribution(state, record.place, interval, amounts.buckets, out)
    remember(record, whole.time, whole.mark)
    return FOLDED


@kernel
def apply_histograms(state: NormaliserState, rows: HistogramRows, bounds: Bounds, out: Emitted) -> int:
    """Apply rows in order from the first to do; return the row reached: less than all where `out` or the arena needs room."""
    records, families, counters = state.raw.records, state.families, state.raw.counters
    for i in range(bounds.first, rows.time.size):
        slot, time = rows.slot[i], rows.time[i]
        begin, end = rows.ends[i], rows.ends[i + 1]
        room = families.arena.shape[1] - families.counters[ARENA_END]
        if out.time.size - out.made[0] < MOST_A_ROW or room < min(end - begin, MOST_BUCKETS) + 8:
            return i
        if slot < 0:
            rows.status[i] = UNKNOWN
            continue
        stale = rows.total_bits[i] == STALE_BITS or rows.observed_bits[i] == STALE_BITS
        upto = cumulative(rows.upper[begin:end], rows.counts[begin:end])
        if time < EARLIEST_US or time > bounds.latest_us:
            rows.status[i] = BAD_TIME if time < EARLIEST_US else FUTURE
        elif records[slot].role < HISTOGRAM:
            rows.status[i] = MISFIT
        elif not stale and (not np.isfinite(rows.observed[i]) or np.isinf(rows.total[i])):
            rows.status[i] = NON_FINITE
        elif not stale and (rows.observed[i] < 0.0 or upto.size < end - begin or end - begin > MOST_BUCKETS):
            rows.status[i] = OUT_OF_RANGE
        else:
            counters[WATERMARK] = max(counters[WATERMARK], time)
            mark = point_hash(time, rows.total_bits[i] ^ (rows.observed_bits[i] * 31))
            start = rows.start[i] if rows.start.size > 0 else NEVER_US
            buckets = Buckets(rows.upper[begin:end], upto)
            whole = Whole(time, start, rows.observed[i], rows.total[i], mark, buckets)
            rows.status[i] = take_histogram(state, slot, whole, stale, out)
    return rows.time.size


@kernel
def packed_arena(families: FamilyState, room: int) -> FloatArray:
    """Return an arena of that size with the newest histograms one behind the other; the families point into it."""
    arena = np.zeros((2, room))
    end = 0
    for number in range(families.counters[FAMILY_COUNT]):
        family = families.records[number]
        for k in range(2):
            for i in range(family.size):
                arena[k, end + i] = families.arena[k, family.offset + i]
        family.offset = end
        family.room = family.size
        end += family.size
    families.counters[ARENA_END] = end
    families.counters[ARENA_WASTE] = 0
    return arena
