"""Kernels of the table of series: hash → slot by open addressing, and the fate of each point that arrives. No I/O."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import kernel
from serving.ingest.receive.wire.decoded import Float64s, Int64s, Uint64s

Int32s = npt.NDArray[np.int32]

UNKNOWN: Final = -1
"""Slot of a hash that was never seen; a refused series has REFUSED minus its reason."""
REFUSED: Final = -2
NEVER: Final = -(2**63)
KEPT, REPEATED, OTHER_REPLICA, OWN_FINDING, OLD, FUTURE = range(6)
"""What becomes of a point; a point of a refused series has the series' reason: OWN_FINDING, or 16 or more."""
FATES: Final = 64


class Entries(NamedTuple):
    """Open addressing over a power of two of places; key 0 = empty.

    `slot` < UNKNOWN = refused; `member` of an HA pair, 0 = none.
    """

    key: Uint64s
    slot: Int32s
    member: Int32s


class Slots(NamedTuple):
    """One row a series; `service` is a number of the tenant's.

    `seen_s` and `due_s` are seconds of the receiver's own clock, `due_s` when it is to be defined again. `named`: number of the
    label that its service was taken from, 0 = of a resource.
    """

    series_id: Int64s
    partition: Int64s
    service: Int64s
    time_us: Int64s
    bits: Int64s
    seen_s: Int64s
    due_s: Int64s
    named: Int64s


class Rows(NamedTuple):
    """(s,) what the rows of a body are in the table: slot and HA member; `read` 1 = unknown, or to be defined again."""

    slot: Int64s
    member: Int64s
    read: Int64s


class Arrivals(NamedTuple):
    """(n,) points: row of the series, event time, and the bits of the value."""

    row: Int64s
    time_us: Int64s
    bits: Int64s


class PointColumns(NamedTuple):
    """(n,) what a point is beside its series."""

    time_us: Int64s
    value: Float64s
    start_us: Int64s


class TimeBounds(NamedTuple):
    """First and last event time that is taken, in µs."""

    earliest_us: int
    latest_us: int


@kernel
def place_of(keys: Uint64s, key: np.uint64) -> int:
    """Return where a key is, or the empty place where it would be put."""
    mask = len(keys) - 1
    at = np.int64(key >> np.uint64(20)) & mask
    while keys[at] != np.uint64(0) and keys[at] != key:
        at = (at + 1) & mask
    return int(at)


@kernel
def look_up(entries: Entries, slots: Slots, hashes: Uint64s, now_s: int, rows: Rows) -> int:
    """Fill rows; mark the known ones as seen; return how many are to be read."""
    count = 0
    for i in range(len(hashes)):
        at = place_of(entries.key, hashes[i])
        slot, member, read = np.int64(UNKNOWN), np.int64(0), 1
        if entries.key[at] != np.uint64(0):
            slot, member, read = np.int64(entries.slot[at]), np.int64(entries.member[at]), 0
            if slot >= 0:
                slots.seen_s[slot] = now_s
                read = int(slots.due_s[slot] <= now_s)
        rows.slot[i], rows.member[i], rows.read[i] = slot, member, read
        count += read
    return count


@kernel
def slots_of(entries: Entries, keys: Uint64s) -> Int64s:
    """Return (n,) slots of keys, UNKNOWN where a key is not in the table."""
    result = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        at = place_of(entries.key, keys[i])
        result[i] = UNKNOWN if entries.key[at] == np.uint64(0) else entries.slot[at]
    return result


@kernel
def put_in(entries: Entries, hashes: Uint64s, slot: Int64s, member: Int64s) -> int:
    """Put hashes into the table, over what is there; return how many are new. There is room."""
    new = 0
    for i in range(len(hashes)):
        at = place_of(entries.key, hashes[i])
        new += entries.key[at] == np.uint64(0)
        entries.key[at] = hashes[i]
        entries.slot[at] = slot[i]
        entries.member[at] = member[i]
    return new


@kernel
def move(old: Entries, new: Entries, slot_after: Int64s) -> int:
    """Put what stays of the old table into a new one: slot s becomes slot_after[s], and is left out where that is UNKNOWN.

    Refused series are left out. Returns how many were put.
    """
    moved = 0
    for i in range(len(old.key)):
        if old.key[i] == np.uint64(0) or old.slot[i] < 0 or slot_after[old.slot[i]] == UNKNOWN:
            continue
        at = place_of(new.key, old.key[i])
        new.key[at] = old.key[i]
        new.slot[at] = slot_after[old.slot[i]]
        new.member[at] = old.member[i]
        moved += 1
    return moved


@kernel
def grow(old: Entries, new: Entries) -> None:
    """Put all of a table into a larger one."""
    for i in range(len(old.key)):
        if old.key[i] != np.uint64(0):
            at = place_of(new.key, old.key[i])
            new.key[at], new.slot[at], new.member[at] = old.key[i], old.slot[i], old.member[i]


@kernel
def judge(arrivals: Arrivals, rows: Rows, answering: Int64s, slots: Slots, bounds: TimeBounds) -> tuple[Int64s, Int64s, Int64s]:
    """Return (n,) the fate of each point, and how often and for which point first (-1 = none) each of FATES occurs.

    `answering` (m,) by HA member: 1 = its points are taken. Kept points become the newest of their series.
    """
    count = len(arrivals.row)
    fate = np.empty(count, np.int64)
    counts = np.zeros(FATES, np.int64)
    first = np.full(FATES, -1, np.int64)
    for i in range(count):
        row = arrivals.row[i]
        slot, time_us = rows.slot[row], arrivals.time_us[i]
        if slot < 0:
            code = REFUSED - slot
        elif answering[rows.member[row]] == 0:
            code = OTHER_REPLICA
        elif time_us < bounds.earliest_us:
            code = OLD
        elif time_us > bounds.latest_us:
            code = FUTURE
        elif time_us == slots.time_us[slot] and arrivals.bits[i] == slots.bits[slot]:
            code = REPEATED
        else:
            code = KEPT
            if time_us >= slots.time_us[slot]:
                slots.time_us[slot] = time_us
                slots.bits[slot] = arrivals.bits[i]
        fate[i] = code
        counts[code] += 1
        if first[code] < 0:
            first[code] = i
    return fate, counts, first


@kernel
def by_partition(fate: Int64s, arrivals: Arrivals, rows: Rows, slots: Slots, partitions: int) -> tuple[Int64s, Int64s, Int64s]:
    """Return the kept points in order of partition, else as they came; their series; (partitions + 1,) bounds."""
    bounds = np.zeros(partitions + 1, np.int64)
    for i in range(len(fate)):
        if fate[i] == KEPT:
            bounds[slots.partition[rows.slot[arrivals.row[i]]] + 1] += 1
    for partition in range(partitions):
        bounds[partition + 1] += bounds[partition]
    place = bounds[:-1].copy()
    order = np.empty(bounds[partitions], np.int64)
    series = np.empty(bounds[partitions], np.int64)
    for i in range(len(fate)):
        if fate[i] == KEPT:
            slot = rows.slot[arrivals.row[i]]
            at = place[slots.partition[slot]]
            order[at] = i
            series[at] = slots.series_id[slot]
            place[slots.partition[slot]] += 1
    return order, series, bounds


@kernel
def chosen(points: PointColumns, order: Int64s) -> tuple[Int64s, Float64s, Int64s]:
    """Return time, value and start of points in an order."""
    time_us = np.empty(len(order), np.int64)
    value = np.empty(len(order), np.float64)
    start_us = np.empty(len(order), np.int64)
    for at in range(len(order)):
        i = order[at]
        time_us[at], value[at], start_us[at] = points.time_us[i], points.value[i], points.start_us[i]
    return time_us, value, start_us


@kernel
def note_newest(order: Int64s, arrivals: Arrivals, rows: Rows, slots: Slots, newest_us: Int64s) -> None:
    """Raise the newest event time of each service to that of its kept points."""
    for i in order:
        service = slots.service[rows.slot[arrivals.row[i]]]
        newest_us[service] = max(newest_us[service], arrivals.time_us[i])
