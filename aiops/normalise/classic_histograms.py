"""Classic histograms as kernels: cumulative buckets, sum and count that come as series of their own.

A time of a family is evaluated when every member that still sends has a value then, or when its first value arrived so long
ago that it may wait no longer; times are evaluated in their order. A member that is silent when its time is over is not waited
for until it sends again. The family began anew where a count fell, or where a start is said after the time before; then all its
members did.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import inlined, kernel
from aiops.normalise.distributions import LONGEST_FIRST_US, Buckets, Emitted, Interval, began, emit_distribution
from aiops.normalise.families import FAMILY_COUNT, IS_COUNT, IS_SUM, PENDING, FamilyState
from aiops.normalise.raw_series import (
    CLOCK,
    DUPLICATE,
    FOLDED,
    NEVER_US,
    NEXT_EXPIRY,
    REPEATED,
    TOO_LATE,
    NormaliserState,
    part_came_before,
    point_hash,
    remember_part,
)
from aiops.types import FloatArray, IntArray

OTHERWISE, COMPLETE = -1, -2
"""Answers of `fold_open`."""
MOST_A_ROW = 4 * (PENDING + 1)
"""Points that one raw value can bring about, beside those of an older time that is over."""


class OpenTimes(NamedTuple):
    """The arrays of `FamilyState` that a value of an open time needs."""

    families: npt.NDArray[Any]
    members: npt.NDArray[Any]
    time: IntArray
    start: IntArray
    have: npt.NDArray[np.int32]
    value: FloatArray
    older: npt.NDArray[np.uint32]


@inlined
def open_times(state: FamilyState) -> OpenTimes:
    """Return the arrays of `fold_open`."""
    return OpenTimes(
        state.records,
        state.members,
        state.pending_time,
        state.pending_start,
        state.pending_have,
        state.pending_value,
        state.older,
    )


@inlined
def fold_open(opened: OpenTimes, record: Any, part: Any) -> int:
    """Take in a value of a time that is open already: the usual case, without a call. OTHERWISE = it must be judged."""
    member = opened.members[record.place]
    number = member.family
    family = opened.families[number]
    place = 0
    while place < family.pending and opened.time[number, place] < part.time:
        place += 1
    mark = point_hash(part.time, part.bits)
    outcome = OTHERWISE
    is_open = place < family.pending and opened.time[number, place] == part.time
    if is_open and member.active == 1 and (member.have >> place) & 1 == 0 and part.time > record.seen:
        member.have |= 1 << place
        opened.value[record.place, place] = part.value
        opened.start[number, place] = max(opened.start[number, place], part.start)
        opened.have[number, place] += 1
        remember_part(opened.older, member, record, part.time, mark)
        outcome = COMPLETE if opened.have[number, 0] >= family.awaited else FOLDED
    return outcome


@kernel
def finish_part(state: NormaliserState, record: Any, part: Any, answer: int, out: Emitted) -> int:
    """Do what `fold_open` left to do: judge a value that is none of an open time, evaluate times that are complete."""
    status = FOLDED if answer == COMPLETE else _fold_other(state, record, part, out)
    families = state.families
    number = families.members[record.place].family
    family = families.records[number]
    while family.pending > 0 and families.pending_have[number, 0] >= family.awaited:
        evaluate(state, number, out)
    return status


@kernel
def _fold_other(state: NormaliserState, record: Any, part: Any, out: Emitted) -> int:
    """Take in a value that opens a time, or refuse it."""
    families = state.families
    member = families.members[record.place]
    number = member.family
    family = families.records[number]
    mark = point_hash(part.time, part.bits)
    if part.time <= record.seen and part_came_before(families.older, record, mark):
        return REPEATED
    if part.time <= family.newest:
        return _late(families, record, part, mark)
    place = _open(state, number, part.time, out)
    if place < 0:
        return TOO_LATE
    if member.have & (1 << place):
        return DUPLICATE
    member.have |= 1 << place
    families.pending_value[record.place, place] = part.value
    families.pending_start[number, place] = max(families.pending_start[number, place], part.start)
    families.pending_have[number, place] += 1
    if member.active == 0:
        member.active = 1
        family.awaited += 1
    remember_part(families.older, member, record, part.time, mark)
    return FOLDED


@kernel
def _late(families: FamilyState, record: Any, part: Any, mark: int) -> int:
    """Take a value of an evaluated time for the base of the next, where the member has none."""
    member = families.members[record.place]
    family = families.records[member.family]
    if part.time < family.newest:
        return TOO_LATE
    if not np.isnan(member.base):
        return DUPLICATE
    if record.seen >= part.time or np.isnan(part.value):
        return TOO_LATE
    member.base = part.value
    if member.active == 0:
        member.active = 1
        family.awaited += 1
    remember_part(families.older, member, record, part.time, mark)
    return FOLDED


@kernel
def _open(state: NormaliserState, number: int, time: int, out: Emitted) -> int:
    """Return the place of `time` among the open ones of a family, opened where it was not; -1 = there is none before them."""
    families = state.families
    family = families.records[number]
    place = _place(families, number, time)
    if place < family.pending and families.pending_time[number, place] == time:
        return place
    if family.pending == PENDING:
        if place == 0:
            return -1
        evaluate(state, number, out)
        place = _place(families, number, time)
    for k in range(family.pending, place, -1):
        families.pending_time[number, k] = families.pending_time[number, k - 1]
        families.pending_start[number, k] = families.pending_start[number, k - 1]
        families.pending_clock[number, k] = families.pending_clock[number, k - 1]
        families.pending_have[number, k] = families.pending_have[number, k - 1]
    families.pending_time[number, place] = time
    families.pending_start[number, place] = NEVER_US
    families.pending_clock[number, place] = state.raw.counters[CLOCK]
    families.pending_have[number, place] = 0
    below = (1 << place) - 1
    at = family.first
    while at >= 0:
        member = families.members[at]
        member.have = (member.have & below) | ((member.have & ~below) << 1)
        for k in range(family.pending, place, -1):
            families.pending_value[at, k] = families.pending_value[at, k - 1]
        at = member.next
    family.pending += 1
    state.raw.counters[NEXT_EXPIRY] = min(state.raw.counters[NEXT_EXPIRY], state.raw.counters[CLOCK])
    return place


@kernel
def _place(families: FamilyState, number: int, time: int) -> int:
    place = 0
    while place < families.records[number].pending and families.pending_time[number, place] < time:
        place += 1
    return place


@kernel
def evaluate(state: NormaliserState, number: int, out: Emitted) -> None:
    """Emit what the oldest open time of a family says of the time since the one before; then close it."""
    families = state.families
    family = families.records[number]
    time = families.pending_time[number, 0]
    start = families.pending_start[number, 0]
    anew = began(start, family.newest, time)
    since = start if anew else family.newest
    from_zero = anew or _fell(families, number)
    covered = family.whole_at != NEVER_US and time - family.whole_at < LONGEST_FIRST_US
    if since != NEVER_US and since < time and not covered:
        _say(state, number, Interval(time, (time - since) / 1e6, 0.0, 0.0, False), from_zero, out)
    _close(families, number)


@kernel
def _fell(families: FamilyState, number: int) -> bool:
    at = families.records[number].first
    while at >= 0:
        member = families.members[at]
        if member.have & 1 and member.kind != IS_SUM and families.pending_value[at, 0] < member.base:
            return True
        at = member.next
    return False


@kernel
def _say(state: NormaliserState, number: int, interval: Interval, from_zero: bool, out: Emitted) -> None:
    families = state.families
    family = families.records[number]
    upper, upto = np.empty(family.members + 1), np.empty(family.members + 1)
    size, count, total = 0, np.nan, np.nan
    at = family.first
    while at >= 0:
        member = families.members[at]
        increase = np.nan
        if member.have & 1:
            increase = families.pending_value[at, 0] - (0.0 if from_zero else member.base)
        if member.kind == IS_COUNT:
            count = increase
        elif member.kind == IS_SUM:
            total = increase
        elif not np.isnan(increase):
            upper[size] = member.bound
            upto[size] = max(increase, upto[size - 1]) if size > 0 else increase
            size += 1
        at = member.next
    bounded = size == 0 or not np.isinf(upper[size - 1])
    if np.isnan(count) and not bounded:
        count = upto[size - 1]
    if np.isnan(count):
        return
    if bounded and size > 0:
        upper[size] = np.inf
        upto[size] = max(count, upto[size - 1])
        size += 1
    buckets = Buckets(upper[:size], upto[:size])
    emit_distribution(state, number, Interval(interval.time, interval.seconds, count, total, False), buckets, out)


@kernel
def _close(families: FamilyState, number: int) -> None:
    """Make the oldest open time the one that the next is compared with."""
    family = families.records[number]
    at = family.first
    while at >= 0:
        member = families.members[at]
        later = member.have >> 1
        member.base = families.pending_value[at, 0] if member.have & 1 else np.nan
        if np.isnan(member.base) and later == 0 and member.active == 1:
            member.active = 0
            family.awaited -= 1
        member.have = later
        for k in range(family.pending - 1):
            families.pending_value[at, k] = families.pending_value[at, k + 1]
        families.pending_value[at, family.pending - 1] = 0.0
        at = member.next
    family.newest = families.pending_time[number, 0]
    family.pending -= 1
    for k in range(family.pending):
        families.pending_time[number, k] = families.pending_time[number, k + 1]
        families.pending_start[number, k] = families.pending_start[number, k + 1]
        families.pending_clock[number, k] = families.pending_clock[number, k + 1]
        families.pending_have[number, k] = families.pending_have[number, k + 1]
    families.pending_time[number, family.pending] = 0
    families.pending_start[number, family.pending] = 0
    families.pending_clock[number, family.pending] = 0
    families.pending_have[number, family.pending] = 0


@kernel
def close_over(state: NormaliserState, until_us: int, arrived_us: int, out: Emitted) -> bool:
    """Evaluate the open times up to `until_us`, and those of which the first value arrived up to `arrived_us`.

    False = there must be more room first, then call again.
    """
    families = state.families
    next_expiry = -NEVER_US
    for number in range(families.counters[FAMILY_COUNT]):
        family = families.records[number]
        while family.pending > 0:
            over = families.pending_time[number, 0] <= until_us or families.pending_clock[number, 0] <= arrived_us
            if not over and families.pending_have[number, 0] < family.awaited:
                break
            if out.time.size - out.made[0] < 4 + MOST_A_ROW:
                return False
            evaluate(state, number, out)
        for k in range(family.pending):
            next_expiry = min(next_expiry, families.pending_clock[number, k])
    state.raw.counters[NEXT_EXPIRY] = next_expiry
    return True
