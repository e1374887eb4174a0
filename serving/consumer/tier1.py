"""Tier 1 in the stream: alarm levels and static limits of every series, looked up per point."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from aiops.types import FloatArray, IntArray
from data_contracts.metrics import spec_of

DEFAULT_ALARM_Z: Final = 6.0
_DENSE_PAIRS: Final = 1 << 20


@runtime_checkable
class AlarmLevels(Protocol):
    """Where tier 1 raises the alarm, by series name `service|metric`."""

    def alarm_for(self, series: Sequence[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (n,) alarm |z|, (n,) lowest and (n,) highest normal value; infinite = no limit."""
        ...


class CatalogueLevels:
    """Without a fitted artifact: one alarm z for all, and the valid range of the metric as static limits."""

    def alarm_for(self, series: Sequence[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the defaults for `series`."""
        specs = [spec_of(name.rpartition("|")[2]) for name in series]
        lows = np.array([spec.low for spec in specs], dtype=np.float64)
        highs = np.array([spec.high for spec in specs], dtype=np.float64)
        return np.full(len(specs), DEFAULT_ALARM_Z), lows, highs


@dataclass(frozen=True, slots=True)
class Tier1:
    """Alarm levels and the version they are of; "" = the catalogue's."""

    levels: AlarmLevels
    version: str


CATALOGUE_VERSION: Final = ""


@dataclass(frozen=True, slots=True)
class PointLevels:
    """Alarm levels aligned to points, (n,) each."""

    alarm_z: FloatArray
    low: FloatArray
    high: FloatArray


class LevelTable:
    """Alarm levels of the series seen so far, looked up per point. Bounded by twice the engine's limit on series.

    The places of a pair of dictionaries are kept while the next batches bring the same dictionaries.
    """

    def __init__(self, levels: AlarmLevels, capacity: int) -> None:
        self._levels = levels
        self._capacity = capacity
        self._slots: dict[tuple[str, str], int] = {}
        self._columns = np.empty((3, 1024))
        self._names: tuple[list[str], list[str]] = ([], [])
        self._places: IntArray = np.empty(0, dtype=np.int64)

    def look_up(self, names: tuple[list[str], list[str]], service: IntArray, metric: IntArray) -> PointLevels:
        """Return the levels of points given as codes into (service names, metric names)."""
        pairs = service * len(names[1]) + metric
        if len(names[0]) * len(names[1]) > _DENSE_PAIRS:
            distinct, inverse = np.unique(pairs, return_inverse=True)
            slots = self._slots_of(names, distinct)[inverse]
        else:
            slots = self._dense(names, pairs)
        found = self._columns[:, slots]
        return PointLevels(found[0], found[1], found[2])

    def _dense(self, names: tuple[list[str], list[str]], pairs: IntArray) -> IntArray:
        if names != self._names:
            if len(self._slots) > 2 * self._capacity:
                self._slots.clear()
            self._names = names
            self._places = np.full(len(names[0]) * len(names[1]), -1, dtype=np.int64)
        slots = self._places[pairs]
        if (slots < 0).any():
            unknown = np.unique(pairs[slots < 0])
            self._places[unknown] = self._slots_of(names, unknown)
            slots = self._places[pairs]
        return slots

    def _slots_of(self, names: tuple[list[str], list[str]], pairs: IntArray) -> IntArray:
        width = len(names[1])
        return self._held([(names[0][pair // width], names[1][pair % width]) for pair in pairs.tolist()])

    def _held(self, series: list[tuple[str, str]]) -> IntArray:
        missing = [pair for pair in series if pair not in self._slots]
        if missing:
            first = len(self._slots)
            size = first + len(missing)
            if size > self._columns.shape[1]:
                grown = np.empty((3, 2 * size))
                grown[:, :first] = self._columns[:, :first]
                self._columns = grown
            levels = self._levels.alarm_for([f"{service}|{metric}" for service, metric in missing])
            self._columns[:, first:size] = np.stack(levels)
            self._slots.update({pair: first + at for at, pair in enumerate(missing)})
        return np.array([self._slots[pair] for pair in series], dtype=np.int64)


def codes_of(column: "pa.Array[Any]") -> tuple[list[str], IntArray]:
    """Return the names and the (n,) int64 codes of a dictionary column without nulls."""
    if not isinstance(column, pa.DictionaryArray):
        raise TypeError(f"column of type {column.type}; schema series has dictionaries of names")
    return [str(name) for name in column.dictionary.to_pylist()], column.indices.to_numpy(zero_copy_only=False).astype(np.int64)
