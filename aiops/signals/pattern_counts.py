"""Requests of operations, and those that showed patterns, by minute: numbers and arrays, at most so many patterns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from aiops.signals.novelty import PatternShares
from aiops.signals.requests import PatternKind, Requests
from aiops.signals.text_arrays import packed_texts, unpacked_texts
from aiops.types import IntArray, State

_NONE: Final = -1


class ShownPattern(NamedTuple):
    """A pattern of an operation: kind and parts as in `requests.Pattern`."""

    service: str
    operation: str
    kind: str
    first: str
    second: str


@dataclass(slots=True)
class CountedMinute:
    """A minute: numbers and counts of operations (o,) and of patterns (p,); services whose minute is out of their reference."""

    number: int
    operations: IntArray
    requests: IntArray
    patterns: IntArray
    shown: IntArray
    out: set[str] = field(default_factory=set)


class PatternCounts:
    """Counts of the minutes kept. Memory: a name of each pattern and operation, 16 B for each in each minute."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.left_out = 0
        self.minutes: list[CountedMinute] = []
        self._names: list[ShownPattern] = []
        self._operations: list[tuple[str, str]] = []
        self._index()

    def _index(self) -> None:
        """Look up names by number and numbers by name; services and operations of patterns by number."""
        self._number = {name: number for number, name in enumerate(self._names)}
        self._operation = {name: number for number, name in enumerate(self._operations)}

    def add(self, minute: int, requests: Requests, kinds: Sequence[PatternKind]) -> None:
        """Count the requests of a minute. O(rows log rows), Python once a pattern of the minute."""
        services, operations = requests.names.services.texts, requests.names.operations.texts
        group = requests.service << 32 | requests.operation
        codes, counts = np.unique(group, return_counts=True)
        numbers = [self._operation_of(services[code >> 32], operations[code & 0xFFFFFFFF]) for code in codes.tolist()]
        looked_at = np.array([pattern.kind in kinds for pattern in requests.patterns], np.bool_)[requests.shown]
        many = max(1, len(requests.patterns))
        place = np.searchsorted(codes, group[requests.shown_by[looked_at]])
        pairs, times = np.unique(place * many + requests.shown[looked_at], return_counts=True)
        order = np.argsort(-times, kind="stable")[: self.most]
        self.left_out += max(0, len(times) - self.most)
        shown = []
        for pair in pairs[order].tolist():
            code, pattern = int(codes[pair // many]), requests.patterns[pair % many]
            name = (services[code >> 32], operations[code & 0xFFFFFFFF], pattern.kind, pattern.first, pattern.second)
            shown.append(self._pattern_of(ShownPattern(*name)))
        self.minutes.append(
            CountedMinute(
                minute,
                np.array(numbers, np.int64),
                counts.astype(np.int64),
                np.array(shown, np.int64),
                times[order].astype(np.int64),
            )
        )

    def keep(self, minutes: int) -> None:
        """Hold the newest minutes alone, and of patterns those that most requests showed."""
        del self.minutes[:-minutes]
        total = self._totals()
        shown = np.flatnonzero(total)
        if shown.size > self.most:
            order = np.lexsort((shown, -total[shown]))
            self.left_out += shown.size - self.most
            self._renumber(shown[np.sort(order[: self.most])])
        elif len(self._names) > 2 * max(shown.size, 64):
            self._renumber(shown)

    def in_order(self) -> IntArray:
        """Return the numbers of the patterns that minutes show, in order of their names."""
        shown = np.flatnonzero(self._totals()).tolist()
        return np.array(sorted(shown, key=self._names.__getitem__), np.int64)

    def name(self, pattern: int) -> ShownPattern:
        """Return a pattern by its number."""
        return self._names[pattern]

    def templates(self) -> list[str]:
        """Return the names of log templates in patterns, each once, in order."""
        return sorted({part for name in self._names if name.kind == "order" for part in (name.first, name.second)})

    def service_of(self, patterns: IntArray) -> IntArray:
        """Return a number of the service of each pattern (n,): the same for the same service."""
        codes: dict[str, int] = {}
        return np.array([codes.setdefault(self._names[number].service, len(codes)) for number in patterns.tolist()], np.int64)

    def shares(self, patterns: IntArray, window: int) -> PatternShares:
        """Return requests of patterns (n,) by part: the newest `window` minutes together first, then each one before alone.

        A minute that is out of a service's reference counts as none.
        """
        names = [self._names[number] for number in patterns.tolist()]
        operation = np.array([self._operation[name.service, name.operation] for name in names], np.int64)
        parts = len(self.minutes) - window + 1
        showing, counted = np.zeros((len(names), parts)), np.zeros((len(names), parts))
        for number, minute in enumerate(self.minutes):
            column = number + 1 if number < parts - 1 else 0
            shown, asked = np.zeros(len(self._names)), np.zeros(len(self._operations))
            shown[minute.patterns], asked[minute.operations] = minute.shown, minute.requests
            kept = np.array([name.service not in minute.out for name in names]) if column and minute.out else 1.0
            showing[:, column] += shown[patterns] * kept
            counted[:, column] += asked[operation] * kept
        return PatternShares(showing, counted)

    def rename(self, successors: Mapping[str, str]) -> None:
        """Give patterns of log templates other names; those that are the same then are added, up to all requests."""
        target = np.arange(len(self._names))
        for number, name in enumerate(list(self._names)):
            renamed = name._replace(first=successors.get(name.first, name.first), second=successors.get(name.second, name.second))
            if name.kind == "order" and renamed != name:
                target = np.append(target, len(self._names)) if renamed not in self._number else target
                target[number] = self._pattern_of(renamed)
        operation = np.array([self._operation[name.service, name.operation] for name in self._names], np.int64)
        for minute in self.minutes:
            asked = np.zeros(len(self._operations), np.int64)
            asked[minute.operations] = minute.requests
            patterns, place = np.unique(target[minute.patterns], return_inverse=True)
            total = np.bincount(place, minute.shown, len(patterns)).astype(np.int64)
            minute.patterns, minute.shown = patterns, np.minimum(total, asked[operation[patterns]])

    def state(self) -> State:
        """Return names and counts."""
        self._renumber(np.flatnonzero(self._totals()))
        texts = [part for name in (*self._operations, *self._names) for part in name]
        numbers = [self.left_out, len(self.minutes), len(self._operations), len(self._names)]
        counts: list[IntArray] = []
        for minute in self.minutes:
            numbers += [minute.number, len(minute.operations), len(minute.patterns), len(minute.out)]
            counts += [minute.operations, minute.requests, minute.patterns, minute.shown]
            texts += sorted(minute.out)
        data, offsets = packed_texts(texts)
        joined = np.concatenate(counts) if counts else np.zeros(0, np.int64)
        return {"numbers": np.array(numbers, np.int64), "counts": joined, "texts": data, "offsets": offsets}

    @classmethod
    def restored(cls, most: int, state: State) -> "PatternCounts":
        """Return what was saved."""
        restored = cls(most)
        texts, numbers = iter(unpacked_texts(state["texts"], state["offsets"])), iter(state["numbers"].tolist())
        restored.left_out, minutes, operations, patterns = (next(numbers) for _ in range(4))
        restored._operations = [(next(texts), next(texts)) for _ in range(operations)]
        restored._names = [ShownPattern(*(next(texts) for _ in ShownPattern._fields)) for _ in range(patterns)]
        restored._index()
        at = 0
        for _ in range(minutes):
            number, called, shown, out = (next(numbers) for _ in range(4))
            ends = np.cumsum([at, called, called, shown, shown])
            names, asked, seen, times = (state["counts"][ends[place] : ends[place + 1]].astype(np.int64) for place in range(4))
            restored.minutes.append(CountedMinute(number, names, asked, seen, times, {next(texts) for _ in range(out)}))
            at = int(ends[-1])
        return restored

    def _totals(self) -> IntArray:
        total = np.zeros(len(self._names), np.int64)
        for minute in self.minutes:
            total[minute.patterns] += minute.shown
        return total

    def _renumber(self, kept: IntArray) -> None:
        """Hold these patterns alone, ascending, and the operations that minutes have requests of."""
        number = np.full(len(self._names), _NONE, np.int64)
        number[kept] = np.arange(kept.size)
        called = np.unique(np.concatenate([np.zeros(0, np.int64), *(minute.operations for minute in self.minutes)]))
        operation = np.full(len(self._operations), _NONE, np.int64)
        operation[called] = np.arange(called.size)
        self._names = [self._names[place] for place in kept.tolist()]
        self._operations = [self._operations[place] for place in called.tolist()]
        self._index()
        for minute in self.minutes:
            places = number[minute.patterns]
            minute.patterns, minute.shown = places[places != _NONE], minute.shown[places != _NONE]
            minute.operations = operation[minute.operations]

    def _pattern_of(self, name: ShownPattern) -> int:
        number = self._number.setdefault(name, len(self._names))
        if number == len(self._names):
            self._names.append(name)
        return number

    def _operation_of(self, service: str, operation: str) -> int:
        number = self._operation.setdefault((service, operation), len(self._operations))
        if number == len(self._operations):
            self._operations.append((service, operation))
        return number
