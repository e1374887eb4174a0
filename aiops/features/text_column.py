"""A column of texts that only grows: their bytes and 8 B each, no Python object a text, read by Arrow without a copy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import StateError
from aiops.types import IntArray
from data_contracts.telemetry.names import bytes_of

Bytes = npt.NDArray[np.uint8]


class TextColumn:
    """Texts of numbers 0, 1, …; one thread extends it, others may read what was there."""

    def __init__(self) -> None:
        self._data: Bytes = np.empty(1024, np.uint8)
        self._ends: IntArray = np.zeros(65, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, texts: "pa.Array[Any]") -> None:
        """Append a string column (n,) without nulls."""
        ends, data = bytes_of(texts)
        count, begin = self._count + len(texts), int(self._ends[self._count])
        end = begin + int(ends[-1] - ends[0])
        self._data = _roomy(self._data, begin, end)
        self._ends = _roomy(self._ends, self._count + 1, count + 1)
        self._data[begin:end] = data[ends[0] : ends[-1]]
        self._ends[self._count + 1 : count + 1] = ends[1:] - ends[0] + begin
        self._count = count

    def at(self, number: int) -> str:
        """Return one text."""
        return self._data[self._ends[number] : self._ends[number + 1]].tobytes().decode()

    def column(self) -> "pa.Array[Any]":
        """Return all texts, large_string; shares their memory."""
        ends = self.ends
        views: list[Any] = [ends, self._data[: ends[-1]]]
        return pa.Array.from_buffers(pa.large_string(), ends.size - 1, [None, *map(pa.py_buffer, views)])

    def taken(self, numbers: "pa.Array[Any]") -> "pa.Array[Any]":
        """Return the texts of numbers (n,), string; null where they are."""
        return self.column().take(numbers).cast(pa.string())

    @property
    def data(self) -> Bytes:
        """Return the bytes of all texts, one behind the other: a view that nobody changes."""
        end = self.ends[-1]
        return self._data[:end]

    @property
    def ends(self) -> IntArray:
        """Return where each text begins, and where the last one ends, (n + 1,): a view that nobody changes."""
        count = self._count  # read first: what it counts is there by then
        return self._ends[: count + 1]

    @classmethod
    def of_bytes(cls, data: Bytes, ends: IntArray) -> "TextColumn":
        """Return the column whose `data` and `ends` these were.

        Raises:
            StateError: they do not fit together, or are no UTF-8.
        """
        if ends.size == 0 or ends[0] != 0 or (np.diff(ends) < 0).any() or ends[-1] != data.size:
            raise StateError(f"{data.size} bytes of texts do not fit {ends.size} ends; remove the checkpoint to warm up anew")
        column = cls()
        column._data, column._ends, column._count = data.copy(), ends.astype(np.int64), ends.size - 1
        try:
            column.column().validate(full=True)
        except pa.ArrowInvalid as error:
            raise StateError(f"texts of a state are no UTF-8 ({error}); remove the checkpoint to warm up anew") from error
        return column


def _roomy(array: npt.NDArray[Any], used: int, needed: int) -> npt.NDArray[Any]:
    """Return the array, or a larger one with its first `used` elements where it has no room for `needed`."""
    if needed <= array.size:
        return array
    larger = np.empty(max(needed, 2 * array.size), array.dtype)
    larger[:used] = array[:used]
    return larger
