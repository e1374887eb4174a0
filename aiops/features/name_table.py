"""Numbers of names, in order of first sight."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from aiops.types import IntArray


class NameTable:
    """Numbers of names in order of first sight; names that come in a sequence that only grows cost once."""

    def __init__(self) -> None:
        self.number_of: dict[str, int] = {}
        self.names: list[str] = []
        self._given: Sequence[str] = ()
        self._numbers: IntArray = np.zeros(0, np.int64)
        self._column: pa.Array[Any] = pa.array([], pa.string())

    def __len__(self) -> int:
        return len(self.names)

    def number(self, name: str) -> int:
        """Return the number of `name`, the next one where it is new."""
        known = self.number_of.get(name)
        if known is None:
            known = self.number_of[name] = len(self.names)
            self.names.append(name)
        return known

    def of(self, names: Sequence[str]) -> IntArray:
        """Return the number of every name, (k,)."""
        known = self._numbers.size if names is self._given else 0
        if known < len(names) or names is not self._given:
            new = [self.number(name) for name in names[known:]]
            self._numbers = np.concatenate([self._numbers[:known], np.array(new, np.int64)])
            self._given = names
        return self._numbers

    def column(self) -> "pa.Array[Any]":
        """Return the names by number."""
        column = self._column
        if len(column) != len(self.names):
            column = self._column = pa.array(self.names, pa.string())
        return column  # not what another thread may have put there meanwhile
