"""Names of series by number as bytes: no Python object a series, and a snapshot is a copy of three buffers."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import StateError
from aiops.types import IntArray, State
from data_contracts.series.series_name import SeriesName
from data_contracts.telemetry.names import bytes_of

_COLUMNS: Final = ("service", "metric", "labels")


class NameStore:
    """Service, metric and labels of numbers 0, 1, …; memory: their bytes and 24 B each."""

    def __init__(self) -> None:
        self._data = [bytearray() for _ in _COLUMNS]
        self._ends = [np.zeros(64, np.int64) for _ in _COLUMNS]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, names: Sequence["pa.Array[Any]"]) -> None:
        """Append names given as three string columns (n,)."""
        count = self._count + len(names[0])
        for i, column in enumerate(names):
            ends, data = bytes_of(column)
            if count >= self._ends[i].size:
                self._ends[i] = np.concatenate([self._ends[i], np.zeros(count, np.int64)])
            self._ends[i][self._count + 1 : count + 1] = ends[1:] - ends[0] + len(self._data[i])
            self._data[i] += data[ends[0] : ends[-1]].tobytes()
        self._count = count

    def at(self, number: int) -> tuple[str, str, str]:
        """Return service, metric and labels of a number."""
        service, metric, labels = (
            self._data[i][self._ends[i][number] : self._ends[i][number + 1]].decode() for i in range(len(_COLUMNS))
        )
        return service, metric, labels

    def name(self, number: int, series_id: int) -> SeriesName:
        """Return the name of a number whose id is known elsewhere."""
        return SeriesName(series_id, *self.at(number))

    def columns(self, numbers: IntArray) -> "list[pa.Array[Any]]":
        """Return the names of numbers (n,) as three string columns."""
        texts = [self.at(number) for number in numbers.tolist()]
        return [pa.array([text[i] for text in texts], pa.string()) for i in range(len(_COLUMNS))]

    def kept(self, numbers: IntArray) -> "NameStore":
        """Return a store of the names of these numbers, in their order."""
        store = NameStore()
        store.extend(self.columns(numbers))
        return store

    def snapshot(self, prefix: str) -> State:
        """Return the names as arrays of their own."""
        state: dict[str, Any] = {}
        for i, column in enumerate(_COLUMNS):
            state[f"{prefix}{column}_bytes"] = np.frombuffer(bytes(self._data[i]), np.uint8)
            state[f"{prefix}{column}_ends"] = self._ends[i][: self._count + 1].copy()
        return state

    @classmethod
    def restore(cls, prefix: str, state: State) -> "NameStore":
        """Return the store that `snapshot` described.

        Raises:
            KeyError: an array is missing.
            StateError: the arrays do not fit together.
        """
        store = cls()
        for i, column in enumerate(_COLUMNS):
            ends, data = state[f"{prefix}{column}_ends"], state[f"{prefix}{column}_bytes"]
            if ends.size == 0 or ends[0] != 0 or (np.diff(ends) < 0).any() or ends[-1] != data.size:
                raise StateError(f"names of column {prefix}{column} do not fit their ends; remove the checkpoint to warm up anew")
            store._data[i] = bytearray(data.tobytes())
            store._ends[i] = ends.copy()
        if len({ends.size for ends in store._ends}) > 1:
            raise StateError(f"{prefix}: names have columns of several lengths; remove the checkpoint to warm up anew")
        store._count = store._ends[0].size - 1
        return store
