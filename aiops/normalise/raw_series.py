"""State of the raw series that senders defined, by slot: one cache line each, found by series id; times in us since the epoch.

A slot holds what its next value is compared with, and hashes of its newest points, by which one that comes again is known.
Histograms have more: see `families`. Memory: 72 B a series with its place in the table.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import inlined, kernel
from aiops.normalise.families import OLDER, FamilyState, empty_families
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.wire_schemas import ROLES

Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]

VALUE, TOTAL, DELTA, BUCKET, BUCKET_SUM, BUCKET_COUNT, HISTOGRAM, HISTOGRAM_DELTA = range(len(ROLES))
"""Numbers of roles, as ROLES orders them."""
NEVER_US: Final = -(2**62)
"""Before every time; the start of a total that was not said."""
STALE_BITS: Final = 0x7FF0000000000002
"""The NaN by which senders mark the end of a series."""
WATERMARK, CLOCK, NEXT_EXPIRY, SERIES_COUNT, SWEPT = range(5)
"""Counters: newest event time; newest time of arrival; when the first open time of a histogram arrived, at the earliest; slots
taken; the event time at which idle series were last forgotten."""
COUNTERS: Final = 5
UNLIMITED: Final = 0
"""Number of the limits that hold nothing back."""

EMITTED, FOLDED, REPEATED, UNKNOWN, NON_FINITE, BAD_TIME, FUTURE, OUT_OF_RANGE, DUPLICATE, TOO_LATE, MISFIT = range(11)
"""What became of a raw row: a point was made of it; it is part of one to come, or ended a series; it came before; its series is
not defined; the value is no number; the time is before 2000, or in the future; the value, or its rate, is beyond the limits; the
series has another value at that time; newer ones came before; its series is a histogram, or it is one and its series is not."""

RAW_RECORD: Final = np.dtype(
    [
        ("key", "i8"),  # series id
        ("name", "i8"),  # hash of its names, as the engine has it
        ("seen", "i8"),  # time of its newest value or end
        ("value", "f8"),  # a total or delta: the value then; NaN = begins anew; a whole histogram: observations
        ("recent0", "u4"),  # hashes of the newest points, newest first, 0 = none
        ("recent1", "u4"),
        ("recent2", "u4"),
        ("recent3", "u4"),
        ("announced", "u4"),  # event time of its newest definition, s
        ("place", "i4"),  # number of its member or family, -1 = none
        ("limits", "i4"),
        ("role", "u1"),
        ("certainty", "u1"),
        ("spare", "u2"),  # day since 1970 on which its row of the catalogue was last given
    ]
)


class RawArrays(NamedTuple):
    """Raw series by slot. S slots of room, T places of the hash table, L limits."""

    records: npt.NDArray[Any]
    """(S,) RAW_RECORD."""
    table: Int32s
    """(T,) slot, -1 = free."""
    limits: FloatArray
    """(L, 2) lowest and highest valid value of a scored point."""
    counters: IntArray


class NormaliserState(NamedTuple):
    """All that a normaliser remembers of numbers."""

    raw: RawArrays
    families: FamilyState


class RawRows(NamedTuple):
    """Raw values in order of arrival, (n,) each; `start` has no rows where no start was said; `status` is written."""

    time: IntArray
    slot: Int32s
    value: FloatArray
    bits: IntArray
    start: IntArray
    status: Int8s


class Bounds(NamedTuple):
    """What holds for the rows of one entry: the first row to do, the latest valid time."""

    first: int
    latest_us: int


@inlined
def find_raw(raw: RawArrays, key: int) -> int:
    """Return the slot of series `key`, or -1 - (its free place in the table)."""
    mask = raw.table.size - 1
    place = ((key * 0x9E3779B97F4A7C1) >> 20) & mask
    while True:
        slot = raw.table[place]
        if slot < 0:
            return -1 - place
        if raw.records[slot].key == key:
            return int(slot)
        place = (place + 1) & mask


@kernel
def find_rows(raw: RawArrays, keys: IntArray) -> Int32s:
    """Return the slots of series ids (n,), -1 = not defined."""
    slots = np.empty(keys.size, np.int32)
    for i in range(keys.size):
        slots[i] = max(find_raw(raw, keys[i]), -1)
    return slots


@kernel
def rebuild_raw_table(raw: RawArrays) -> None:
    """Fill the table anew from the keys of all slots."""
    raw.table[:] = -1
    for slot in range(raw.counters[SERIES_COUNT]):
        raw.table[-1 - find_raw(raw, raw.records[slot].key)] = slot


@kernel
def enter(raw: RawArrays, first: int) -> None:
    """Enter the slots from `first` on into the table, which must have room."""
    for slot in range(first, raw.counters[SERIES_COUNT]):
        raw.table[-1 - find_raw(raw, raw.records[slot].key)] = slot


@inlined
def point_hash(time: int, bits: int) -> int:
    """Return what a point is known by when it comes again: 32 bits, never 0."""
    mixed = (time ^ (bits * 0x2545F4914F6CDD1D)) * 0x9E3779B97F4A7C1
    return ((mixed >> 29) & 0xFFFFFFFF) | 1


@inlined
def came_before(record: Any, mark: int) -> bool:
    """Return whether a point with this hash is one of the newest of its series."""
    return bool(mark in (record.recent0, record.recent1, record.recent2, record.recent3))


@inlined
def remember(record: Any, time: int, mark: int) -> None:
    """Note a point that its series had not before."""
    record.recent3 = record.recent2
    record.recent2 = record.recent1
    record.recent1 = record.recent0
    record.recent0 = mark
    record.seen = max(record.seen, time)


@inlined
def part_came_before(older: npt.NDArray[np.uint32], record: Any, mark: int) -> bool:
    """Return whether a value with this hash is one of the newest 16 of a part."""
    before = came_before(record, mark)
    for k in range(OLDER):
        before |= older[record.place, k] == mark
    return before


@inlined
def remember_part(older: npt.NDArray[np.uint32], member: Any, record: Any, time: int, mark: int) -> None:
    """Note a value that a part had not before."""
    older[record.place, member.older] = record.recent3
    member.older = (member.older + 1) % OLDER
    remember(record, time, mark)


def empty_raw(room: int) -> RawArrays:
    """Return the state of no series, with room for `room`."""
    counters = np.zeros(COUNTERS, np.int64)
    counters[[WATERMARK, CLOCK, SWEPT]] = NEVER_US
    counters[NEXT_EXPIRY] = -NEVER_US
    table = np.full(1 << (2 * room).bit_length(), -1, np.int32)
    return RawArrays(np.zeros(room, RAW_RECORD), table, np.array([[-np.inf, np.inf]]), counters)


def empty_state() -> NormaliserState:
    """Return the state of a normaliser that has seen nothing."""
    return NormaliserState(empty_raw(64), empty_families())


def with_room(raw: RawArrays, slots: int) -> RawArrays:
    """Return the arrays with room for that many series, themselves where they have it."""
    if slots <= raw.records.size:
        return raw
    count = int(raw.counters[SERIES_COUNT])
    larger = empty_raw(max(slots, 2 * raw.records.size))
    larger.records[:count] = raw.records[:count]
    grown = RawArrays(larger.records, larger.table, raw.limits, raw.counters)
    rebuild_raw_table(grown)
    return grown
