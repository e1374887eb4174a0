"""Names of series by number as bytes: no Python object a series, and a snapshot shares their memory."""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from aiops.errors import StateError
from aiops.features.text_column import TextColumn
from aiops.types import IntArray, State
from data_contracts.series.series_name import SeriesName

_COLUMNS: Final = ("service", "metric", "labels")


class NameStore:
    """Service, metric and labels of numbers 0, 1, …; memory: their bytes and 24 B each."""

    def __init__(self) -> None:
        self._texts = [TextColumn() for _ in _COLUMNS]

    def __len__(self) -> int:
        return len(self._texts[0])

    def extend(self, names: Sequence["pa.Array[Any]"]) -> None:
        """Append names given as three string columns (n,)."""
        for texts, column in zip(self._texts, names, strict=True):
            texts.extend(column)

    def at(self, number: int) -> tuple[str, str, str]:
        """Return service, metric and labels of a number."""
        service, metric, labels = (texts.at(number) for texts in self._texts)
        return service, metric, labels

    def name(self, number: int, series_id: int) -> SeriesName:
        """Return the name of a number whose id is known elsewhere."""
        return SeriesName(series_id, *self.at(number))

    def columns(self, numbers: IntArray) -> "list[pa.Array[Any]]":
        """Return the names of numbers (n,) as three string columns."""
        return [texts.taken(pa.array(numbers)) for texts in self._texts]

    def kept(self, numbers: IntArray) -> "NameStore":
        """Return a store of the names of these numbers, in their order."""
        store = NameStore()
        store.extend(self.columns(numbers))
        return store

    def snapshot(self, prefix: str) -> State:
        """Return the names as arrays that nobody changes."""
        state: dict[str, Any] = {}
        for texts, column in zip(self._texts, _COLUMNS, strict=True):
            state[f"{prefix}{column}_bytes"] = texts.data
            state[f"{prefix}{column}_ends"] = texts.ends
        return state

    @classmethod
    def restore(cls, prefix: str, state: State) -> "NameStore":
        """Return the store that `snapshot` described.

        Raises:
            KeyError: an array is missing.
            StateError: the arrays do not fit together.
        """
        store = cls()
        store._texts = [
            TextColumn.of_bytes(state[f"{prefix}{column}_bytes"], state[f"{prefix}{column}_ends"]) for column in _COLUMNS
        ]
        if len(set(map(len, store._texts))) > 1:
            raise StateError(f"{prefix}: names have columns of several lengths; remove the checkpoint to warm up anew")
        return store
