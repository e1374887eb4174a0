"""State of histograms: families of classic ones with their members, and the newest buckets of whole ones.

A classic histogram comes as many series. What they say at one time waits until every member that still sends has said it, or
until it may wait no longer; up to PENDING times wait at once, and are evaluated in their order.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import inlined, kernel
from aiops.types import FloatArray, IntArray

PENDING: Final = 8
"""Times of a family that may be open at once."""
OLDER: Final = 12
"""Times of a member that came before its newest four, and are known when they come again."""
DERIVED: Final = ("rate", "mean", "p50", "p99")
"""Ends of the names of the series that are made of a histogram: observations per second, their mean, two quantiles."""
FAMILY_COUNT, MEMBER_COUNT, ARENA_END, ARENA_WASTE = range(4)

FAMILY_RECORD: Final = np.dtype(
    [
        ("key", "i8"),
        ("newest", "i8"),  # time that its members' values were last evaluated at
        ("whole_at", "i8"),  # time of its newest whole histogram
        ("keys", "i8", (4,)),  # ids of the series made of it
        ("names", "i8", (4,)),  # hashes of their names
        ("limits", "i4", (4,)),
        ("offset", "i8"),  # where its newest whole histogram lies
        ("sum", "f8"),  # of that
        ("size", "i4"),
        ("room", "i4"),
        ("first", "i4"),  # its members in order of bounds, sum and count at the end
        ("awaited", "i4"),  # members that still send
        ("pending", "i4"),  # times that are open
        ("members", "i4"),
    ]
)
MEMBER_RECORD: Final = np.dtype(
    [
        ("bound", "f8"),
        ("base", "f8"),  # its value when the family was last evaluated; NaN = it had none
        ("family", "i4"),
        ("next", "i4"),
        ("kind", "u1"),  # IS_BUCKET, IS_SUM, IS_COUNT
        ("have", "u1"),  # bit k: it has a value at the k-th open time
        ("active", "u1"),
        ("older", "u1"),  # place of the next of its older marks
    ]
)
IS_BUCKET, IS_SUM, IS_COUNT = range(3)


class FamilyState(NamedTuple):
    """Histograms. F families, M members, A places of the arena; K = PENDING."""

    records: npt.NDArray[Any]
    """(F,) FAMILY_RECORD."""
    table: npt.NDArray[np.int32]
    pending_time: IntArray
    """(F, K) open times, ascending."""
    pending_start: IntArray
    """(F, K) newest start that was said for each."""
    pending_clock: IntArray
    """(F, K) when the first value of each arrived."""
    pending_have: npt.NDArray[np.int32]
    """(F, K) members that have a value then."""
    members: npt.NDArray[Any]
    """(M,) MEMBER_RECORD."""
    pending_value: FloatArray
    """(M, K) values at the open times; a NaN = the end of the member."""
    older: npt.NDArray[np.uint32]
    """(M, OLDER) hashes of values before the newest four, as `raw_series` has those; a ring."""
    arena: FloatArray
    """(2, A) upper bounds and observations up to them of the newest whole histograms."""
    counters: IntArray


class NewMembers(NamedTuple):
    """Members to link, (n,) each: family id, kind and bound; `family` and `member` (their numbers) are written."""

    key: IntArray
    kind: npt.NDArray[np.uint8]
    bound: FloatArray
    family: npt.NDArray[np.int32]
    member: npt.NDArray[np.int32]


@inlined
def find_family(families: FamilyState, key: int) -> int:
    """Return the number of family `key`, or -1 - (its free place in the table)."""
    mask = families.table.size - 1
    place = ((key * 0x9E3779B97F4A7C1) >> 20) & mask
    while True:
        number = families.table[place]
        if number < 0:
            return -1 - place
        if families.records[number].key == key:
            return int(number)
        place = (place + 1) & mask


@kernel
def rebuild_family_table(families: FamilyState) -> None:
    """Fill the table anew from the keys of all families."""
    families.table[:] = -1
    for number in range(families.counters[FAMILY_COUNT]):
        families.table[-1 - find_family(families, families.records[number].key)] = number


@kernel
def link(families: FamilyState, new: NewMembers, never_us: int) -> None:
    """Find or add the family of each row, and add a member where `kind` is one; there must be room for all."""
    for i in range(new.key.size):
        number = find_family(families, new.key[i])
        if number < 0:
            place = -1 - number
            number = families.counters[FAMILY_COUNT]
            families.counters[FAMILY_COUNT] = number + 1
            families.table[place] = number
            families.records[number].key = new.key[i]
            families.records[number].newest = never_us
            families.records[number].whole_at = never_us
            families.records[number].first = -1
        new.family[i] = number
        if new.kind[i] <= IS_COUNT:
            new.member[i] = _add_member(families, number, new.kind[i], new.bound[i])


@kernel
def _add_member(families: FamilyState, number: int, kind: int, bound: float) -> int:
    member = families.counters[MEMBER_COUNT]
    families.counters[MEMBER_COUNT] = member + 1
    family = families.records[number]
    record = families.members[member]
    record.bound = bound
    record.base = np.nan
    record.family = number
    record.kind = kind
    record.have = 0
    record.active = 1
    family.awaited += 1
    family.members += 1
    before, after = -1, family.first
    while after >= 0 and _precedes(families.members[after], record):
        before, after = after, families.members[after].next
    record.next = after
    if before < 0:
        family.first = member
    else:
        families.members[before].next = member
    return int(member)


@kernel
def unlink(families: FamilyState, member: int) -> None:
    """Take a member out of its family; its number is free when the arrays are next packed."""
    record = families.members[member]
    family = families.records[record.family]
    if family.first == member:
        family.first = record.next
    else:
        before = family.first
        while families.members[before].next != member:
            before = families.members[before].next
        families.members[before].next = record.next
    family.members -= 1
    if record.active == 1:
        family.awaited -= 1
    for k in range(family.pending):
        if record.have & (1 << k):
            families.pending_have[record.family, k] -= 1


@inlined
def _precedes(left: Any, right: Any) -> bool:
    """Return whether a member that is linked already stays before a new one."""
    return bool(left.kind < right.kind or (left.kind == right.kind and left.bound <= right.bound))


def empty_families(families: int = 4, members: int = 16, arena: int = 64) -> FamilyState:
    """Return the state of no histograms, with that much room."""
    return FamilyState(
        np.zeros(families, FAMILY_RECORD),
        np.full(1 << (2 * families).bit_length(), -1, np.int32),
        np.zeros((families, PENDING), np.int64),
        np.zeros((families, PENDING), np.int64),
        np.zeros((families, PENDING), np.int64),
        np.zeros((families, PENDING), np.int32),
        np.zeros(members, MEMBER_RECORD),
        np.zeros((members, PENDING)),
        np.zeros((members, OLDER), np.uint32),
        np.zeros((2, arena)),
        np.zeros(4, np.int64),
    )


def with_family_room(state: FamilyState, families: int, members: int, arena: int = 0) -> FamilyState:
    """Return the arrays with room for that many families, members and places of the arena, themselves where they have it."""
    room = (state.records.size, state.members.size, state.arena.shape[1])
    needed = (families, members, arena)
    if all(have >= need for have, need in zip(room, needed, strict=True)):
        return state
    sizes = [have if have >= need else max(need, 2 * have) for have, need in zip(room, needed, strict=True)]
    larger = empty_families(*sizes)
    larger.pending_time[: room[0]] = state.pending_time
    larger.pending_start[: room[0]] = state.pending_start
    larger.pending_clock[: room[0]] = state.pending_clock
    larger.pending_have[: room[0]] = state.pending_have
    larger.records[: room[0]] = state.records
    larger.members[: room[1]] = state.members
    larger.pending_value[: room[1]] = state.pending_value
    larger.older[: room[1]] = state.older
    larger.arena[:, : room[2]] = state.arena
    larger.counters[:] = state.counters
    rebuild_family_table(larger)
    return larger
