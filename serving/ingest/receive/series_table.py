"""The active series of one tenant in this receiver: what a label hash stands for, and the newest point of each series.

Two hashes may be one series (the members of an HA pair; a type that changed). Refused series are kept by their hash too, so that
they are read once and counted each time; they are looked at again after every sweep. Memory: about 90 bytes a series, and at
most as many refused as may be active.
"""

from typing import Final, NamedTuple

import numpy as np

from serving.ingest.receive.slot_kernels import (
    NEVER,
    REFUSED,
    UNKNOWN,
    Entries,
    Rows,
    Slots,
    grow,
    look_up,
    move,
    put_in,
    slots_of,
)
from serving.ingest.receive.wire.decoded import Int64s, Uint64s

_FIRST_PLACES: Final = 1 << 12
_FULL: Final = 0.6


class Homes(NamedTuple):
    """(n,) where series belong: partition, number of the service, member of an HA pair, number of the label that names it."""

    partition: Int64s
    service: Int64s
    member: Int64s
    named: Int64s


class SeriesTable:
    """Not thread-safe: one thread has it. `generation` changes whenever slots get other numbers."""

    def __init__(self) -> None:
        self.generation = 0
        self._used = 0
        self._slots = _empty_slots(_FIRST_PLACES)
        self._by_hash, self._hashes, self._refused = _empty_entries(_FIRST_PLACES), 0, 0
        self._by_id, self._ids = _empty_entries(_FIRST_PLACES), 0

    def __len__(self) -> int:
        """Return the active series."""
        return self._used

    @property
    def refused(self) -> int:
        """Return the refused series that are remembered."""
        return self._refused

    @property
    def slots(self) -> Slots:
        """Return the columns of series; valid until the next `define` or `forget`."""
        return self._slots

    def look_up(self, hashes: Uint64s, now_s: int) -> tuple[Rows, Int64s]:
        """Return what (s,) hashes are, and the rows to read: those not known, and those to be defined again."""
        rows = Rows(*np.empty((3, len(hashes)), np.int64))
        count = look_up(self._by_hash, self._slots, _keys(hashes), now_s, rows)
        return rows, np.flatnonzero(rows.read) if count else np.empty(0, np.int64)

    def slots_of_ids(self, series_ids: Int64s) -> Int64s:
        """Return (n,) slots, UNKNOWN where there is none."""
        return slots_of(self._by_id, _keys(series_ids.view(np.uint64)))

    def define(self, hashes: Uint64s, series_ids: Int64s, homes: Homes, now_s: int) -> Int64s:
        """Make (n,) hashes known under their ids, distinct hashes; return their slots. Equal ids share one.

        One that was known before moves to the partition given now: its kind may be another since.
        """
        slot = self.slots_of_ids(series_ids)
        new = np.flatnonzero(slot == UNKNOWN)
        fresh, first, back = np.unique(series_ids[new], return_index=True, return_inverse=True)
        slot[new] = self._used + back
        self._grow(len(hashes), len(fresh))
        rows = slice(self._used, self._used + len(fresh))
        self._slots.series_id[rows] = fresh
        self._slots.service[rows], self._slots.named[rows] = homes.service[new][first], homes.named[new][first]
        self._slots.time_us[rows] = NEVER
        self._used += len(fresh)
        numbers = np.arange(rows.start, rows.stop)
        self._ids += put_in(self._by_id, _keys(fresh.view(np.uint64)), numbers, np.zeros(len(fresh), np.int64))
        self._hashes += put_in(self._by_hash, _keys(hashes), slot, homes.member)
        self._slots.seen_s[slot] = now_s
        self._slots.partition[slot] = homes.partition
        return slot

    def refuse(self, hashes: Uint64s, reasons: Int64s, most: int) -> None:
        """Remember (n,) hashes as refused for their reasons, as long as fewer than `most` are."""
        count = min(len(hashes), max(0, most - self._refused))
        self._grow(count, 0)
        new = put_in(self._by_hash, _keys(hashes[:count]), REFUSED - reasons[:count], np.zeros(count, np.int64))
        self._hashes += new
        self._refused += new

    def announce_all(self) -> None:
        """Let all series be defined again before their next point."""
        self._slots.due_s[:] = 0

    def unsent(self, slots: Int64s) -> None:
        """Take back that the newest points of series, and their definitions, were passed on."""
        self._slots.time_us[slots] = NEVER
        self._slots.due_s[slots] = 0

    def unsent_all(self) -> None:
        """Take it back for all series."""
        self.unsent(np.arange(self._used))

    def forget(self, silent_since_s: int) -> int:
        """Forget the series not seen since then, and all refused ones; return how many series."""
        stays = self._slots.seen_s[: self._used] >= silent_since_s
        kept = int(stays.sum())
        forgotten = self._used - kept
        if not forgotten and not self._refused:
            return 0
        slot_after = np.where(stays, np.cumsum(stays) - 1, UNKNOWN)
        places = _places(max(kept, self._hashes - self._refused))
        by_hash, by_id = _empty_entries(places), _empty_entries(places)
        self._hashes = move(self._by_hash, by_hash, slot_after)
        self._ids = move(self._by_id, by_id, slot_after)
        slots = _empty_slots(_places(kept))
        for column, before in zip(slots, self._slots, strict=True):
            column[:kept] = before[: self._used][stays]
        self._by_hash, self._by_id, self._slots = by_hash, by_id, slots
        self._used, self._refused = kept, 0
        self.generation += 1
        return forgotten

    def _grow(self, hashes: int, slots: int) -> None:
        self._by_hash = _with_room(self._by_hash, self._hashes + hashes)
        self._by_id = _with_room(self._by_id, self._ids + slots)
        if self._used + slots > len(self._slots.series_id):
            larger = _empty_slots(_places(self._used + slots))
            for column, before in zip(larger, self._slots, strict=True):
                column[: self._used] = before[: self._used]
            self._slots = larger


def compile_growth() -> None:
    """Compile or load the kernel that a full table needs, so that no sender waits for it."""
    _with_room(_empty_entries(_FIRST_PLACES), _FIRST_PLACES)


def _with_room(entries: Entries, count: int) -> Entries:
    if count <= _FULL * len(entries.key):
        return entries
    larger = _empty_entries(_places(count))
    grow(entries, larger)
    return larger


def _places(count: int) -> int:
    """Return the power of two that holds so many with room to grow."""
    return max(_FIRST_PLACES, 1 << int(np.ceil(np.log2(max(1, count) / _FULL))))


def _keys(hashes: Uint64s) -> Uint64s:
    """Return hashes without 0, which marks an empty place."""
    return hashes if hashes.all() else np.where(hashes == 0, np.uint64(1), hashes)


def _empty_entries(places: int) -> Entries:
    return Entries(np.zeros(places, np.uint64), np.zeros(places, np.int32), np.zeros(places, np.int32))


def _empty_slots(count: int) -> Slots:
    return Slots(*(np.zeros(count, np.int64) for _ in Slots._fields))
