"""Sequences: the recent past of every service, as spans of ticks; backfill and stream use this same code.

A sequence at tick T is made of the ticks (T - 60 ticks, T] in 12 spans of 5 ticks, oldest first: for each span the mean of
each of `schemas.SEQUENCE_SIGNALS` where it is known. A span in which the service has no tick makes the whole sequence unknown.
It depends on those ticks alone, so any split of the rows gives the same.

Memory: 2.4 KB a service; services silent for 60 ticks are forgotten.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import StateError
from aiops.jit import kernel
from aiops.types import IntArray
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SEQUENCE_SIGNALS, SEQUENCE_STEP_TICKS, SEQUENCE_STEPS

Float32s = npt.NDArray[np.float32]
RING: Final = SEQUENCE_STEPS * SEQUENCE_STEP_TICKS
_NEVER: Final = -(2**62)
_LEAST_ROOM: Final = 16


class Rings(NamedTuple):
    """`tick` (slots, RING) number of the tick held, `value` (slots, RING, signals)."""

    tick: IntArray
    value: Float32s


@kernel
def write_and_read(rings: Rings, slot: IntArray, tick: IntArray, value: Float32s, out: Float32s) -> None:
    """Put rows into the rings, in order, and write the sequence as of each to `out` (n, steps * signals)."""
    signals = value.shape[1]
    for row in range(slot.size):
        ticks, values = rings.tick[slot[row]], rings.value[slot[row]]
        place = tick[row] % RING
        ticks[place] = tick[row]
        values[place] = value[row]
        whole = True
        for step in range(SEQUENCE_STEPS):
            first = tick[row] - RING + 1 + step * SEQUENCE_STEP_TICKS
            held = 0
            for number in range(first, first + SEQUENCE_STEP_TICKS):
                held += ticks[number % RING] == number
            whole = whole and held > 0
            for signal in range(signals):
                total = 0.0
                known = 0
                for number in range(first, first + SEQUENCE_STEP_TICKS):
                    if ticks[number % RING] == number and np.isfinite(values[number % RING, signal]):
                        total += values[number % RING, signal]
                        known += 1
                out[row, step * signals + signal] = total / known if known else np.nan
        if not whole:
            out[row] = np.nan


class Sequences:
    """The rings of the services of one partition. Not thread-safe."""

    def __init__(self, step_us: int) -> None:
        self._step_us = step_us
        self._slots: dict[str, int] = {}
        self._rings = _empty(_LEAST_ROOM)
        self._newest = _NEVER

    def update(self, rows: pa.RecordBatch) -> Float32s:
        """Return (n, len(SEQUENCE_FEATURES)) the sequences as of each row, NaN = unknown.

        `rows`: `schemas.SERVICE_FEATURES_TABLE`, ticks never falling, at most one row a service and tick.
        """
        out = np.empty((rows.num_rows, len(SEQUENCE_FEATURES)), np.float32)
        if not rows.num_rows:
            return out
        tick = rows.column("event_timestamp").cast(pa.int64()).to_numpy() // self._step_us
        self._forget(int(tick[0]))
        names = rows.column("service").dictionary_encode()
        slots = np.array([self._slot(str(name)) for name in names.dictionary.to_pylist()], np.int64)
        slot = slots[names.indices.to_numpy()]
        value = np.empty((rows.num_rows, len(SEQUENCE_SIGNALS)), np.float32)
        for number, name in enumerate(SEQUENCE_SIGNALS):
            with np.errstate(over="ignore"):
                value[:, number] = rows.column(name).to_numpy(zero_copy_only=False)
        write_and_read(self._rings, slot, tick, value, out)
        self._newest = int(tick[-1])
        return out

    @property
    def room(self) -> int:
        """Return how many services the rings have room for."""
        return len(self._rings.tick)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays of its own, equal for equal pasts: services by name, without forgotten ones."""
        names = sorted(name for name, slot in self._slots.items() if self._is_live(slot, self._newest))
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

    def _slot(self, name: str) -> int:
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = len(self._slots)
            if slot == len(self._rings.tick):
                self._rings = _grown(self._rings, 2 * slot)
        return slot

    def _is_live(self, slot: int, tick: int) -> bool:
        return bool(self._rings.tick[slot].max() > tick - RING)

    def _forget(self, tick: int) -> None:
        """Drop services without a tick in the last RING, when room would be made otherwise."""
        if len(self._slots) < len(self._rings.tick):
            return
        kept = [name for name, slot in self._slots.items() if self._is_live(slot, tick)]
        if len(kept) == len(self._slots):
            return
        slots = np.array([self._slots[name] for name in kept], np.int64)
        rings = _empty(max(_LEAST_ROOM, 2 * len(kept)))
        rings.tick[: len(kept)], rings.value[: len(kept)] = self._rings.tick[slots], self._rings.value[slots]
        self._rings, self._slots = rings, {name: number for number, name in enumerate(kept)}


def _empty(room: int) -> Rings:
    return Rings(np.full((room, RING), _NEVER, np.int64), np.full((room, RING, len(SEQUENCE_SIGNALS)), np.nan, np.float32))


def _grown(rings: Rings, room: int) -> Rings:
    larger = _empty(room)
    larger.tick[: len(rings.tick)], larger.value[: len(rings.value)] = rings.tick, rings.value
    return larger
