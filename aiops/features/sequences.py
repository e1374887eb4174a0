"""Sequences: the recent past of every service, as spans of ticks; backfill and stream use this same code.

A sequence at tick T is made of the ticks (T - 60 ticks, T] in 12 spans of 5 ticks, oldest first: for each span the mean of
each of `schemas.SEQUENCE_SIGNALS` where it is known. A span in which the service has no tick makes the whole sequence unknown.
It depends on those ticks alone, so any split of the rows gives the same.

Memory: 2.4 KB a service; services silent for 60 ticks are forgotten.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import StateError
from aiops.jit import bare, inlined
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SEQUENCE_SIGNALS, SEQUENCE_STEP_TICKS, SEQUENCE_STEPS

Float32s = npt.NDArray[np.float32]
RING: Final = SEQUENCE_STEPS * SEQUENCE_STEP_TICKS
_NEVER: Final = -(2**62)
_LEAST_ROOM: Final = 16
_FIRST, _NEXT, _END = np.uint64(0), np.uint64(1), np.uint64(RING)


class Rings(NamedTuple):
    """`tick` (slots, RING) number of the tick held, `value` (slots, RING, signals)."""

    tick: IntArray
    value: Float32s


class SequenceRows(NamedTuple):
    """Rows in order, (n,) each: ring, number of the tick, (n, signals) values, and whether the sequence as of it is wanted."""

    slot: IntArray
    tick: IntArray
    value: Float32s
    wanted: npt.NDArray[np.bool_]


class SpanSums(NamedTuple):
    """Room to add up one span of ticks in, (signals,) each: the readings that are finite, and how many they are."""

    total: FloatArray
    known: FloatArray


@bare
def write_and_read(rings: Rings, rows: SequenceRows, sums: SpanSums, out: Float32s) -> None:
    """Put rows into the rings, in order, and write the sequence as of each wanted one to `out` (wanted, steps * signals)."""
    slot, tick, value = rows.slot, rows.tick, rows.value
    signals = value.shape[1]
    written = 0
    for row in range(slot.size):
        ticks, values = rings.tick[slot[row]], rings.value[slot[row]]
        place = tick[row] % RING
        ticks[place] = tick[row]
        for signal in range(signals):
            values[place, signal] = value[row, signal]
        if not rows.wanted[row]:
            continue
        whole = True
        for step in range(SEQUENCE_STEPS):
            span = out[written, step * signals : (step + 1) * signals]
            first = tick[row] - RING + 1 + step * SEQUENCE_STEP_TICKS
            whole = add_span(ticks, values, first, sums) and whole
            for signal in range(signals):
                span[signal] = sums.total[signal] / sums.known[signal] if sums.known[signal] > 0.0 else np.nan
        if not whole:
            out[written] = np.nan
        written += 1


@inlined
def add_span(ticks: IntArray, values: Float32s, first: int, sums: SpanSums) -> bool:
    """Add up the span of ticks from number `first` on; return whether there is a tick in it."""
    total, known = sums.total, sums.known
    for signal in range(total.size):
        total[signal] = known[signal] = 0.0
    held = False
    place = np.uint64(first % RING)
    for number in range(first, first + SEQUENCE_STEP_TICKS):
        if ticks[place] == number:
            held = True
            readings = values[place]
            for signal in range(total.size):
                finite = np.isfinite(readings[signal])
                total[signal] += readings[signal] if finite else np.float32(0.0)
                known[signal] += 1.0 if finite else 0.0
        place = place + _NEXT if place + _NEXT < _END else _FIRST
    return held


class Sequences:
    """The rings of the services of one partition. Not thread-safe."""

    def __init__(self, step_us: int) -> None:
        self._step_us = step_us
        self._slots: dict[str, int] = {}
        self._rings = _empty(_LEAST_ROOM)
        self._newest = _NEVER
        self._names: Sequence[str] = ()
        self._slot_of: IntArray = np.zeros(0, np.int64)

    def update(self, rows: pa.RecordBatch, wanted: npt.NDArray[np.bool_] | None = None) -> Float32s:
        """Return (k, len(SEQUENCE_FEATURES)) the sequences as of the k rows `wanted` (None = all n), NaN = unknown.

        `rows`: `schemas.SERVICE_FEATURES_TABLE`, ticks never falling, at most one row a service and tick.
        """
        wanted = np.ones(rows.num_rows, bool) if wanted is None else wanted
        if not rows.num_rows:
            return np.empty((0, len(SEQUENCE_FEATURES)), np.float32)
        tick = rows.column("event_timestamp").cast(pa.int64()).to_numpy() // self._step_us
        names = rows.column("service").dictionary_encode()
        value = np.empty((rows.num_rows, len(SEQUENCE_SIGNALS)), np.float32)
        for number, name in enumerate(SEQUENCE_SIGNALS):
            with np.errstate(over="ignore"):
                value[:, number] = rows.column(name).to_numpy(zero_copy_only=False)
        texts = [str(name) for name in names.dictionary.to_pylist()]
        return self.update_arrays(texts, SequenceRows(names.indices.to_numpy().astype(np.int64), tick, value, wanted))

    def update_arrays(self, service_names: Sequence[str], rows: SequenceRows) -> Float32s:
        """Do as `update`, for rows given as arrays, of which there is one at least: `rows.slot` numbers `service_names`.

        Names given in a sequence that only grows cost Python once.
        """
        out = np.empty((int(np.count_nonzero(rows.wanted)), len(SEQUENCE_FEATURES)), np.float32)
        slot = self._slots_of(service_names, rows.slot, int(rows.tick[0]))
        sums = SpanSums(np.empty(len(SEQUENCE_SIGNALS)), np.empty(len(SEQUENCE_SIGNALS)))
        write_and_read(self._rings, rows._replace(slot=slot), sums, out)
        self._newest = int(rows.tick[-1])
        return out

    @property
    def room(self) -> int:
        """Return how many services the rings have room for."""
        return len(self._rings.tick)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays of its own, equal for equal pasts: services by name, without forgotten ones."""
        held = self._rings.tick[: len(self._slots)].max(axis=1, initial=_NEVER) > self._newest - RING
        names = sorted(name for name, slot in self._slots.items() if held[slot])
        slots = np.array([self._slots[name] for name in names], np.int64)
        live = self._rings.tick[slots] > self._newest - RING
        return {
            "newest": np.array(self._newest),
            "services": np.frombuffer("\n".join(names).encode(), np.uint8).copy(),
            "tick": np.where(live, self._rings.tick[slots], _NEVER),
            "value": np.where(live[:, :, None], self._rings.value[slots], np.float32(np.nan)),
        }

    @classmethod
    def restore(cls, step_us: int, state: Mapping[str, npt.NDArray[Any]]) -> "Sequences":
        """Return the sequences that `snapshot` described; they go on bit for bit.

        Raises:
            KeyError: an array is missing. StateError: the arrays do not fit together.
        """
        made = cls(step_us)
        text = state["services"].tobytes().decode()
        names = text.split("\n") if text else []
        tick, value = state["tick"], state["value"]
        if tick.shape != (len(names), RING) or value.shape != (len(names), RING, len(SEQUENCE_SIGNALS)):
            raise StateError(f"sequences: {tick.shape} ticks for {len(names)} services; remove the checkpoint to warm up anew")
        made._newest = int(state["newest"])
        for name in names:
            made._slot(name)
        made._rings.tick[: len(names)], made._rings.value[: len(names)] = tick, value
        return made

    def _slots_of(self, service_names: Sequence[str], service: IntArray, tick: int) -> IntArray:
        """Return the slots of services, numbers among the names; room is made first by forgetting those silent at the tick."""
        if service_names is not self._names:
            self._names, self._slot_of = service_names, np.zeros(0, np.int64)
        unseen = np.full(len(service_names) - self._slot_of.size, -1, np.int64)
        self._slot_of = np.concatenate([self._slot_of, unseen])
        slot = self._slot_of[service]
        if (slot < 0).any():
            new = [service_names[number] for number in np.unique(service[slot < 0]).tolist()]
            if len(self._slots) + len(new) > self.room:
                self._forget(tick)
                slot = self._slot_of[service]
            for number in np.unique(service[slot < 0]).tolist():
                self._slot_of[number] = self._slot(service_names[number])
            slot = self._slot_of[service]
        return slot

    def _slot(self, name: str) -> int:
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = len(self._slots)
            if slot == self.room:
                self._rings = _grown(self._rings, 2 * slot)
        return slot

    def _forget(self, tick: int) -> None:
        """Drop services without a tick in the last RING; every slot may be another one afterwards."""
        live = self._rings.tick[: len(self._slots)].max(axis=1, initial=_NEVER) > tick - RING
        kept = [name for name, slot in self._slots.items() if live[slot]]
        if len(kept) == len(self._slots):
            return
        slots = np.array([self._slots[name] for name in kept], np.int64)
        rings = _empty(max(_LEAST_ROOM, 2 * len(kept)))
        rings.tick[: len(kept)], rings.value[: len(kept)] = self._rings.tick[slots], self._rings.value[slots]
        self._rings, self._slots = rings, {name: number for number, name in enumerate(kept)}
        self._slot_of[:] = -1


def _empty(room: int) -> Rings:
    return Rings(np.full((room, RING), _NEVER, np.int64), np.full((room, RING, len(SEQUENCE_SIGNALS)), np.nan, np.float32))


def _grown(rings: Rings, room: int) -> Rings:
    larger = _empty(room)
    larger.tick[: len(rings.tick)], larger.value[: len(rings.value)] = rings.tick, rings.value
    return larger
