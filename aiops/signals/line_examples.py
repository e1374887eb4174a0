"""A line of each series of lines, as it was stored: the first by event time. For people; nothing is computed from it."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.signals.signal_sentences import MOST_EXAMPLE
from aiops.signals.text_arrays import packed_texts, unpacked_texts
from aiops.types import IntArray, State

_NEVER: Final = np.iinfo(np.int64).max


@dataclass(slots=True)
class LineExamples:
    """Lines by place. Memory: at most 4 B a character of `MOST_EXAMPLE` a place."""

    _at_us: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    _lines: dict[int, str] = field(default_factory=dict)

    def take(self, place: IntArray, at_us: IntArray, bodies: "pa.Array[Any]") -> None:
        """Look at lines (n,) of places (n,) with event times (n,). O(n log n)."""
        order = np.lexsort((at_us, place))
        first = order[np.flatnonzero(np.diff(place[order], prepend=-1))]
        most = int(place[order[-1]]) + 1 if len(order) else 0
        if most > len(self._at_us):
            self._at_us = np.append(self._at_us, np.full(2 * most - len(self._at_us), _NEVER, np.int64))
        for row in first[at_us[first] < self._at_us[place[first]]].tolist():
            self._at_us[place[row]] = at_us[row]
            self._lines[int(place[row])] = str(bodies[row].as_py() or "")[:MOST_EXAMPLE]

    def of(self, place: int) -> str:
        """Return the line of a place; empty where none came."""
        return self._lines.get(place, "")

    def forget(self, places: list[int]) -> None:
        """Let go of places that are free now."""
        for place in places:
            if self._lines.pop(place, None) is not None:
                self._at_us[place] = _NEVER

    def state(self) -> State:
        """Return all lines."""
        places = np.array(sorted(self._lines), np.int64)
        data, offsets = packed_texts([self._lines[place] for place in places.tolist()])
        return {"places": places, "at": self._at_us[places], "lines": data, "offsets": offsets}

    @classmethod
    def restored(cls, state: State) -> "LineExamples":
        """Return what was saved."""
        places = state["places"].astype(np.int64)
        at_us = np.full(int(places.max(initial=-1)) + 1, _NEVER, np.int64)
        at_us[places] = state["at"]
        return cls(at_us, dict(zip(places.tolist(), unpacked_texts(state["lines"], state["offsets"]), strict=True)))
