"""Places of series that minutes have counts of: names in, numbers out, at most so many; idle ones leave and make room."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from aiops.signals.text_arrays import packed_texts, unpacked_texts
from aiops.types import IntArray, State

NO_ROOM: Final = -1
_NEVER: Final = -1
Name = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodedNames:
    """Names (n,) as codes into distinct texts, one column a part of the name."""

    codes: tuple[IntArray, ...]
    texts: tuple[list[str], ...]


@dataclass(slots=True)
class SeriesPlaces:
    """Places of at most `most` names of `parts` texts each. Memory: a name, a dictionary entry and 8 B each."""

    most: int
    parts: int
    left_out: int = 0
    """Rows whose name had no room."""
    _place: dict[Name, int] = field(default_factory=dict)
    _names: list[Name | None] = field(default_factory=list)
    _free: list[int] = field(default_factory=list)
    _last: list[int] = field(default_factory=list)

    def places(self, names: CodedNames) -> IntArray:
        """Return the place (n,) of each name, `NO_ROOM` where there is none, in order of first sight."""
        combined = np.zeros(len(names.codes[0]), np.int64)
        for codes, texts in zip(names.codes, names.texts, strict=True):
            combined = combined * max(1, len(texts)) + codes
        _, first, back = np.unique(combined, return_index=True, return_inverse=True)
        place = np.empty(len(first), np.int64)
        for number in np.argsort(first).tolist():
            row = first[number]
            place[number] = self._of(tuple(texts[codes[row]] for codes, texts in zip(names.codes, names.texts, strict=True)))
        placed: IntArray = place[back]
        self.left_out += int((placed == NO_ROOM).sum())
        return placed

    def place(self, name: Name) -> int:
        """Return the place of a name, `NO_ROOM` where it has none."""
        return self._place.get(name, NO_ROOM)

    def name(self, place: int) -> Name:
        """Return the name at a place that is taken."""
        name = self._names[place]
        if name is None:
            raise LookupError(f"place {place} is free")
        return name

    def seen(self, places: IntArray, minute: int) -> None:
        """Note that these places have counts in a minute."""
        for place in np.unique(places).tolist():
            self._last[place] = minute

    def known(self) -> list[int]:
        """Return the places that had counts in a closed minute, in order of their names. O(n log n)."""
        return [place for _, place in sorted((name, place) for name, place in self._place.items() if self._last[place] != _NEVER)]

    def forget(self, before_minute: int, kept: IntArray) -> list[int]:
        """Free places that had counts in closed minutes, all before this one, and are not among those kept; return them."""
        waiting, freed = set(kept.tolist()), []
        for name, place in list(self._place.items()):
            if _NEVER < self._last[place] < before_minute and place not in waiting:
                del self._place[name]
                self._names[place], self._last[place] = None, _NEVER
                self._free.append(place)
                freed.append(place)
        return freed

    def state(self) -> State:
        """Return names, places and counts."""
        taken = list(self._place.items())
        data, offsets = packed_texts([part for name, _ in taken for part in name])
        return {
            "names": data,
            "offsets": offsets,
            "places": np.array([place for _, place in taken], np.int64),
            "last": np.array([self._last[place] for _, place in taken], np.int64),
            "free": np.array(self._free, np.int64),
            "marks": np.array([self.left_out, len(self._names)], np.int64),
        }

    @classmethod
    def restored(cls, most: int, parts: int, state: State) -> "SeriesPlaces":
        """Return what was saved."""
        left_out, size = state["marks"].tolist()
        texts = unpacked_texts(state["names"], state["offsets"])
        names: list[Name | None] = [None] * size
        last, place_of = [_NEVER] * size, {}
        for number, (place, minute) in enumerate(zip(state["places"].tolist(), state["last"].tolist(), strict=True)):
            name = tuple(texts[number * parts : (number + 1) * parts])
            names[place], last[place], place_of[name] = name, minute, place
        return cls(most, parts, left_out, place_of, names, state["free"].tolist(), last)

    def _of(self, name: Name) -> int:
        place = self._place.get(name)
        if place is not None:
            return place
        if self._free:
            place = self._free.pop()
            self._names[place] = name
        elif len(self._names) < self.most:
            place = len(self._names)
            self._names.append(name)
            self._last.append(_NEVER)
        else:
            return NO_ROOM
        self._place[name] = place
        return place
