"""Names of the series of one engine by number, as columns: no Python object a series, and a snapshot shares their memory."""

import threading
from collections.abc import Sequence
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import StateError
from aiops.features.name_table import NameTable
from aiops.features.text_column import TextColumn
from aiops.types import IntArray, State
from data_contracts.series.series_name import SeriesName
from data_contracts.telemetry.names import bytes_of

_CODED: Final = ("service", "metric")


class SeriesNames(Sequence[SeriesName]):
    """Series of numbers 0, 1, …, which only grow. Memory: 24 B each and the labels; their text as people read it where asked for.

    One thread adds; others may read what was there.
    """

    def __init__(self) -> None:
        self.services = NameTable()
        self.metrics = NameTable()
        self._ids: IntArray = np.zeros(64, np.int64)
        self._codes = np.zeros((len(_CODED), 64), np.int32)
        self._labels = TextColumn()
        self._texts = TextColumn()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, series: Sequence[SeriesName]) -> "SeriesNames":
        """Return the names of these series."""
        names = cls()
        names.add(series)
        return names

    def __len__(self) -> int:
        return len(self._labels)

    @overload
    def __getitem__(self, number: int) -> SeriesName: ...

    @overload
    def __getitem__(self, number: slice) -> list[SeriesName]: ...

    def __getitem__(self, number: int | slice) -> SeriesName | list[SeriesName]:
        if isinstance(number, slice):
            return [self._at(place) for place in range(*number.indices(len(self)))]
        place = number + len(self) if number < 0 else number
        if not 0 <= place < len(self):
            raise IndexError(f"series {number} of {len(self)}")
        return self._at(place)

    def _at(self, number: int) -> SeriesName:
        service, metric = self._codes[:, number].tolist()
        names = self.services.names[service], self.metrics.names[metric]
        return SeriesName(int(self._ids[number]), *names, self._labels.at(number))

    def add(self, series: Sequence[SeriesName]) -> None:
        """Append series. Python a series."""
        ids = np.fromiter((name.series_id for name in series), np.int64, len(series))
        tables = zip((self.services, self.metrics), _CODED, strict=True)
        codes = [[table.number(getattr(name, part)) for name in series] for table, part in tables]
        self._extend(ids, np.array(codes, np.int32), pa.array([name.labels for name in series], pa.string()))

    def _extend(self, ids: IntArray, codes: npt.NDArray[np.int32], labels: "pa.Array[Any]") -> None:
        begin = len(self)
        end = begin + ids.size
        if end > self._ids.size:
            room = max(end, 2 * self._ids.size) - self._ids.size
            self._ids = np.pad(self._ids, (0, room))
            self._codes = np.pad(self._codes, ((0, 0), (0, room)))
        self._ids[begin:end] = ids
        self._codes[:, begin:end] = codes
        self._labels.extend(labels)

    @property
    def ids(self) -> IntArray:
        """Return the ids of all series."""
        count = len(self)  # read first: what it counts is there by then
        return self._ids[:count]

    def codes(self, part: str) -> npt.NDArray[np.int32]:
        """Return the number of each series' service (in `services`) or metric (in `metrics`)."""
        count = len(self)
        codes: npt.NDArray[np.int32] = self._codes[_CODED.index(part), :count]
        return codes

    def column(self, part: str, numbers: "pa.Array[Any]") -> "pa.Array[Any]":
        """Return series_id, service, metric, labels or text of series (n,), null where they are."""
        if part == "series_id":
            return pa.array(self.ids).take(numbers)
        if part == "labels":
            return self._labels.taken(numbers)
        if part == "text":
            return self._with_texts().taken(numbers)
        table, codes = self.services if part == "service" else self.metrics, pa.array(self.codes(part))
        places: Any = codes.take(numbers)
        return table.column().take(places)

    def _with_texts(self) -> TextColumn:
        with self._lock:
            known = len(self._texts)
            if known < len(self):
                self._texts.extend(pa.array([name.text for name in self[known:]], pa.string()))
        return self._texts

    def snapshot(self) -> State:
        """Return ids and texts as arrays that nobody changes."""
        state: dict[str, npt.NDArray[Any]] = {"series_id": self.ids, "labels_bytes": self._labels.data}
        state["labels_offsets"] = self._labels.ends
        everything: Any = pa.array(np.arange(len(self), dtype=np.int32))
        for part in _CODED:
            ends, data = bytes_of(self.column(part, everything))
            state |= {f"{part}_bytes": data, f"{part}_offsets": ends}
        return state

    @classmethod
    def restore(cls, state: State) -> "SeriesNames":
        """Return what `snapshot` described.

        Raises:
            KeyError: an array is missing.
            StateError: the arrays do not fit together.
        """
        names = cls()
        coded = [TextColumn.of_bytes(state[f"{part}_bytes"], state[f"{part}_offsets"]).column() for part in _CODED]
        encoded: list[Any] = [column.cast(pa.string()).dictionary_encode() for column in coded]
        labels = TextColumn.of_bytes(state["labels_bytes"], state["labels_offsets"])
        if len({state["series_id"].size, len(labels), *map(len, encoded)}) > 1:
            raise StateError("names of series have columns of several lengths")
        for table, column in zip((names.services, names.metrics), encoded, strict=True):
            table.of(column.dictionary.to_pylist())
        codes = np.array([column.indices.to_numpy() for column in encoded], np.int32).reshape(len(_CODED), -1)
        names._extend(state["series_id"], codes, labels.column().cast(pa.string()))
        return names
