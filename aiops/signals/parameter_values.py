"""Values at places of lines that take few: which were never seen there before, by minute.

A place takes values as they come until it has had none that is new for `quiet_minutes` in which it was written; from then on
a new one is strange, and stays so for `adopted_minutes`: then it is one of them. After each the place has to be quiet for twice
as long, so that a place where now and then something new comes says less and less. A place with more than `most_values` is free,
and says nothing any more. Of whole numbers the next greater or less one of a known number is none that is new: what counts,
counts on.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import ContractError
from aiops.signals.line_values import MOST_PLACES, values_in
from aiops.signals.minute_cells import MINUTE_US
from aiops.signals.signal_sentences import MOST_EXAMPLE
from aiops.signals.text_arrays import packed_texts, unpacked_texts
from aiops.types import IntArray, State

_MERGED_FROM: Final = 1 << 16
_COLUMNS: Final = 4


@dataclass(frozen=True, slots=True)
class ParameterConfig:
    """Values of a place that is not free, minutes until a place is known, and until a new value is one of it; places held."""

    most_values: int = 16
    quiet_minutes: int = 30
    adopted_minutes: int = 30
    most_places: int = 20_000

    def __post_init__(self) -> None:
        if min(self.most_values, self.quiet_minutes, self.adopted_minutes, self.most_places) < 1:
            raise ContractError(f"{self}: give at least 1 of each")


@dataclass(frozen=True, slots=True)
class Strange:
    """Lines of a shape in a minute with a value that was never seen at its place, and one of them; "" = none is kept."""

    lines: int
    example: str


@dataclass(slots=True)
class _Place:
    """A place: its values with the minute from which each is known, minutes without a new one, and how many it needs."""

    needed: int
    quiet: int = 0
    known_from: dict[int, int] = field(default_factory=dict)

    def strange(self, minute: int, counts: Mapping[int, int], adopted_minutes: int) -> int:
        """Take in the values of a minute; return in how many lines there are strange ones."""
        closed = self.is_closed(minute)
        discovered, lines = False, 0
        for value in sorted(counts):
            if value not in self.known_from:
                beside = value >= 0 and any(self._knows(value + step, minute) for step in (-1, 1))
                discovered |= not beside
                self.known_from[value] = minute + adopted_minutes if closed and not beside else minute
            lines += counts[value] if self.known_from[value] > minute else 0
        self.needed *= 2 if discovered and closed else 1
        self.quiet = 0 if discovered else self.quiet + 1
        return lines

    def is_closed(self, minute: int) -> bool:
        """Return whether a new value is strange: it was quiet for long enough, or another one is strange still."""
        return self.quiet >= self.needed or any(known_from > minute for known_from in self.known_from.values())

    def may_be_strange(self, minute: int, value: int) -> bool:
        """Return whether a value of a minute that is open may turn out to be strange."""
        return self.is_closed(minute) and not self._knows(value, minute)

    def _knows(self, value: int, minute: int) -> bool:
        return self.known_from.get(value, minute + 1) <= minute


class ParameterValues:
    """Places are numbers of shapes times `MOST_PLACES`, and the place in the line.

    Memory: `most_places` with `most_values` each, some 100 B a value; of an open minute 32 B and, where it is strange, a line.
    """

    def __init__(self, config: ParameterConfig | None = None) -> None:
        self.config = config or ParameterConfig()
        self._places: dict[int, _Place] = {}
        self._free = np.zeros(0, np.bool_)
        self._rows = np.zeros((_COLUMNS, 0), np.int64)
        """Minutes, places, values and lines with these, of open minutes; ascending but for what was added since."""
        self._added: list[IntArray] = []
        self._examples: dict[int, dict[int, tuple[int, str]]] = {}
        """By minute and place: the first line that may be strange, by event time."""

    def take(self, shape: IntArray, at_us: IntArray, bodies: "pa.Array[Any]") -> None:
        """Look at lines (n,) of shapes (n,) with event times (n,). O(values log values)."""
        values = values_in(bodies)
        place = shape[values.row] * MOST_PLACES + values.place
        self._room_for(int(place.max(initial=-1)))
        kept = ~self._free[place]
        row, place, value = values.row[kept], place[kept], values.value[kept]
        if not row.size:
            return
        minute = at_us[row] // MINUTE_US
        order = np.lexsort((at_us[row], value, place, minute))
        columns = np.stack([minute, place, value, np.ones(row.size, np.int64)])[:, order]
        begins = _begins(columns)
        self._note_examples(columns[:, begins], row[order][begins], at_us, bodies)
        self._added.append(_summed(columns))
        if sum(added.shape[1] for added in self._added) > max(_MERGED_FROM, self._rows.shape[1]):
            self._merge()

    def strange(self, minute: int) -> dict[int, Strange]:
        """Return by shape what was strange in a minute that is over; of the places of a shape the one with most lines."""
        self._merge()
        due = self._rows[0] <= minute
        columns, self._rows = self._rows[:, due], self._rows[:, ~due]
        examples = self._examples.pop(minute, {})
        strange: dict[int, Strange] = {}
        for place, counts in _by_place(columns):
            lines = self._learned(minute, place, counts)
            shape = place // MOST_PLACES
            if lines > (strange[shape].lines if shape in strange else 0):
                strange[shape] = Strange(lines, examples[place][1] if place in examples else "")
        return strange

    def forget(self, shapes: Iterable[int]) -> None:
        """Let go of shapes that are free now."""
        for shape in shapes:
            for place in range(shape * MOST_PLACES, (shape + 1) * MOST_PLACES):
                self._places.pop(place, None)
            self._free[shape * MOST_PLACES : (shape + 1) * MOST_PLACES] = False

    def _learned(self, minute: int, place: int, counts: Mapping[int, int]) -> int:
        known = self._places.get(place)
        if known is None:
            if len(self._places) >= self.config.most_places:
                return 0
            known = self._places[place] = _Place(self.config.quiet_minutes)
        lines = known.strange(minute, counts, self.config.adopted_minutes)
        if len(known.known_from) > self.config.most_values:
            del self._places[place]
            self._free[place] = True
        return lines

    def _note_examples(self, columns: IntArray, rows: IntArray, at_us: IntArray, bodies: "pa.Array[Any]") -> None:
        for minute, place, value, row in zip(*columns[:3].tolist(), rows.tolist(), strict=True):
            known = self._places.get(place)
            if known is None or not known.may_be_strange(minute, value):
                continue
            examples, at = self._examples.setdefault(minute, {}), int(at_us[row])
            if place not in examples or at < examples[place][0]:
                examples[place] = (at, str(bodies[row].as_py() or "")[:MOST_EXAMPLE])

    def _room_for(self, place: int) -> None:
        if place >= len(self._free):
            self._free = np.append(self._free, np.zeros(2 * place + MOST_PLACES - len(self._free), np.bool_))

    def _merge(self) -> None:
        """Add what came to what waits: of a place and minute one value more than a place that is not free has, the least ones."""
        if not self._added:
            return
        columns = np.concatenate([self._rows, *self._added], axis=1)
        self._added = []
        columns = _summed(columns[:, np.lexsort((columns[2], columns[1], columns[0]))])
        begins = _begins(columns[:2])
        size = np.diff(begins, append=columns.shape[1])
        rank = np.arange(columns.shape[1]) - np.repeat(begins, size)
        self._rows = columns[:, rank <= self.config.most_values]

    def state(self) -> State:
        """Return all that `restored` goes on from, as plain arrays."""
        self._merge()
        places = list(self._places.items())
        known = [(value, known_from) for _, place in places for value, known_from in place.known_from.items()]
        lines = [(minute, place, *line) for minute, of in self._examples.items() for place, line in of.items()]
        data, offsets = packed_texts([line for *_, line in lines])
        return {
            "rows": self._rows.copy(),
            "free": np.flatnonzero(self._free),
            "places": _table([(number, place.needed, place.quiet, len(place.known_from)) for number, place in places], 4),
            "known": _table(known, 2),
            "examples": _table([(minute, place, at) for minute, place, at, _ in lines], 3),
            "lines": data,
            "offsets": offsets,
        }

    @classmethod
    def restored(cls, config: ParameterConfig, state: State) -> "ParameterValues":
        """Return what was saved."""
        values = cls(config)
        values._rows = state["rows"].astype(np.int64)
        free = state["free"].astype(np.int64)
        known = iter(state["known"].tolist())
        for number, needed, quiet, size in state["places"].tolist():
            own = dict(next(known) for _ in range(size))
            values._places[number] = _Place(needed, quiet, own)
        values._room_for(max([*values._places, int(free.max(initial=-1))], default=-1))
        values._free[free] = True
        texts = unpacked_texts(state["lines"], state["offsets"])
        for (minute, place, at), text in zip(state["examples"].tolist(), texts, strict=True):
            values._examples.setdefault(minute, {})[place] = (at, text)
        return values


def _begins(columns: IntArray) -> IntArray:
    """Return where in sorted rows (columns, n) another minute, place or value begins."""
    changes = np.any(np.diff(columns[:3], axis=1) != 0, axis=0)
    return np.flatnonzero(np.concatenate([np.ones(min(1, columns.shape[1]), np.bool_), changes]))


def _summed(columns: IntArray) -> IntArray:
    """Return sorted rows (columns, n) with the lines of equal ones added up."""
    begins = _begins(columns)
    summed = columns[:, begins]
    if begins.size:
        summed[3] = np.add.reduceat(columns[3], begins)
    return summed


def _by_place(columns: IntArray) -> Iterator[tuple[int, dict[int, int]]]:
    """Yield each place with its values and their lines, of sorted rows of a minute."""
    bounds = [*_begins(columns[:2]).tolist(), columns.shape[1]]
    for first, end in pairwise(bounds):
        part = columns[:, first:end]
        yield int(part[1, 0]), dict(zip(part[2].tolist(), part[3].tolist(), strict=True))


def _table(rows: "list[Any]", width: int) -> IntArray:
    return np.array(rows, np.int64).reshape(-1, width)
