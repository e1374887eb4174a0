"""Numbers of names, in order of first sight."""

from collections.abc import Sequence

import numpy as np

from aiops.types import IntArray


class NameNumbers:
    """Numbers of names in order of first sight; names that come in a sequence that only grows cost once."""

    def __init__(self) -> None:
        self.number_of: dict[str, int] = {}
        self._names: Sequence[str] = ()
        self._numbers: IntArray = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.number_of)

    def of(self, names: Sequence[str]) -> IntArray:
        """Return the number of every name, (k,)."""
        known = self._numbers.size if names is self._names else 0
        if known < len(names) or names is not self._names:
            new = [self.number_of.setdefault(name, len(self.number_of)) for name in names[known:]]
            self._numbers = np.concatenate([self._numbers[:known], np.array(new, np.int64)])
            self._names = names
        return self._numbers
