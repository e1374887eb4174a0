"""The service call graph: who calls whom (now or then), and which services belong together."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import ContractError

ORIGINS: Final = ("configuration", "table", "traces", "learned")
"""Who says that one service calls another, the most trusted first: people, a table, traces, series that move together."""
UNMARKED: Final = "table"
"""The origin of rows without one: before version 2 of the schema, sources wrote them from tables."""
LEARNED: Final = "learned"
Pair = tuple[str, str]


class Mark(NamedTuple):
    """Who tells of a call, and the weight that it gives it; None = not given."""

    origin: str
    weight: float | None


@dataclass(frozen=True, slots=True)
class ServiceGraph:
    """An immutable call graph; services, callers and callees are sorted by name.

    Learned edges are in it where they were asked for. They count as calls, are recognised by `origin_of`, and belong to no
    component: a service known from them alone has none.
    """

    services: tuple[str, ...]
    _callers: Mapping[str, tuple[str, ...]]
    _callees: Mapping[str, tuple[str, ...]]
    _component: Mapping[str, int]
    _marks: Mapping[Pair, Mark] = field(default_factory=dict)

    @classmethod
    def from_edges(cls, edges: pa.Table, at: datetime | None = None, learned: bool = False) -> "ServiceGraph":
        """Build the graph from `schemas.EDGES` (valid_to, origin and weight may be missing); calls to itself do not count.

        With `at`: the graph as it was then (valid_from <= at < valid_to). Without: what is called still, whatever its valid_from,
        one picture of the whole period; its components are those of all calls ever recorded, so that a call that ends tears
        none apart.

        Raises:
            ContractError: a column is missing: caller, callee or, with `at`, valid_from.
        """
        needed = ("caller", "callee") if at is None else ("caller", "callee", "valid_from")
        missing = [name for name in needed if name not in edges.column_names]
        if missing:
            raise ContractError(
                f"edges: column {missing[0]!r} is missing (columns: {edges.column_names}); a call graph needs {', '.join(needed)}"
            )
        held = _held(edges, at)
        marks = _marks(held if learned else _recorded(held))
        recorded = [pair for pair, (origin, _) in marks.items() if origin != LEARNED]
        whole = recorded if at is not None else [*recorded, *_marks(_recorded(edges))]
        return cls._of(marks, whole)

    @classmethod
    def from_pairs(cls, pairs: Iterable[Pair], services: Iterable[str] = ()) -> "ServiceGraph":
        """Build the graph from (caller, callee) pairs and services that may stand alone.

        >>> ServiceGraph.from_pairs([("web", "cart"), ("web", "pay")]).callees("web")
        ('cart', 'pay')
        """
        marks = dict.fromkeys(sorted(set(pairs)), Mark(UNMARKED, None))
        return cls._of(marks, list(marks), services)

    @classmethod
    def _of(cls, marks: Mapping[Pair, Mark], joined: Iterable[Pair], services: Iterable[str] = ()) -> "ServiceGraph":
        """Return the graph of the marked calls with the components of the `joined` ones."""
        alone = tuple(services)
        callers, callees = _neighbours(marks, alone)
        joined_callers, joined_callees = _neighbours(joined, alone)
        return cls(
            tuple(sorted(callers)),
            {name: tuple(names) for name, names in callers.items()},
            {name: tuple(names) for name, names in callees.items()},
            _components(tuple(sorted(joined_callers)), joined_callers, joined_callees),
            {pair: mark for pair, mark in marks.items() if pair[0] != pair[1]},
        )

    def calls(self) -> tuple[Pair, ...]:
        """Return all (caller, callee) pairs by name."""
        return tuple((caller, callee) for caller in self.services for callee in self._callees[caller])

    def origin_of(self, caller: str, callee: str) -> str | None:
        """Return the most trusted origin of a call (one of ORIGINS); None where the graph has no such call."""
        mark = self._marks.get((caller, callee))
        return None if mark is None else mark.origin

    def weight_of(self, caller: str, callee: str) -> float | None:
        """Return the weight that the call's origin gives it (calls seen, strength of a learned edge); None = not given."""
        mark = self._marks.get((caller, callee))
        return None if mark is None else mark.weight

    def callers(self, service: str) -> tuple[str, ...]:
        """Return the services that call `service`; empty for one that the graph does not know."""
        return self._callers.get(service, ())

    def callees(self, service: str) -> tuple[str, ...]:
        """Return the services that `service` calls; empty for one that the graph does not know."""
        return self._callees.get(service, ())

    def components(self) -> dict[str, int]:
        """Return the connected component of every service known from calls that are not learned, numbered by first name."""
        return dict(self._component)

    def component_of(self, service: str) -> int | None:
        """Return the connected component of `service`; None for one that the graph does not know."""
        return self._component.get(service)


def _held(edges: pa.Table, at: datetime | None) -> pa.Table:
    """Return the rows that hold at a time; those that hold still without one."""
    ends = edges["valid_to"] if "valid_to" in edges.column_names else pa.nulls(edges.num_rows, pa.timestamp("us", tz="UTC"))
    if at is None:
        return edges.filter(pc.is_null(ends))
    moment: Any = pa.scalar(at, pa.timestamp("us", tz="UTC"))
    begun = pc.call_function("less_equal", [edges["valid_from"], moment])
    lasting = pc.call_function("greater", [ends, moment]).fill_null(True)
    return edges.filter(pc.call_function("and", [begun, lasting]))


def _recorded(edges: pa.Table) -> pa.Table:
    """Return the rows that are not learned."""
    if "origin" not in edges.column_names:
        return edges
    return edges.filter(pc.call_function("not_equal", [edges["origin"], pa.scalar(LEARNED)]).fill_null(True))


def _marks(edges: pa.Table) -> dict[Pair, Mark]:
    """Return (origin, weight) of each call, of its most trusted origin (the greatest weight where that one says several)."""
    marks: dict[Pair, Mark] = {}
    for caller, callee, origin, weight in zip(*_columns(edges), strict=True):
        pair, mark = (str(caller), str(callee)), Mark(origin or UNMARKED, weight)
        known = marks.get(pair)
        if known is None or _trust(mark) > _trust(known):
            marks[pair] = mark
    return marks


def _columns(edges: pa.Table) -> Iterator[list[Any]]:
    for name in ("caller", "callee", "origin", "weight"):
        yield edges[name].to_pylist() if name in edges.column_names else [None] * edges.num_rows


def _trust(mark: Mark) -> tuple[int, float]:
    rank = ORIGINS.index(mark.origin) if mark.origin in ORIGINS else len(ORIGINS)
    return -rank, -1.0 if mark.weight is None else mark.weight


def _neighbours(pairs: Iterable[Pair], alone: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return callers and callees of every service named, sorted."""
    calls = sorted(set(pairs))
    names = sorted({*alone, *(name for pair in calls for name in pair)})
    callers: dict[str, list[str]] = {name: [] for name in names}
    callees: dict[str, list[str]] = {name: [] for name in names}
    for caller, callee in calls:
        if caller != callee:
            callers[callee].append(caller)
            callees[caller].append(callee)
    return callers, callees


def _components(names: tuple[str, ...], callers: Mapping[str, list[str]], callees: Mapping[str, list[str]]) -> dict[str, int]:
    component: dict[str, int] = {}
    number = 0
    for first in names:
        if first in component:
            continue
        component[first] = number
        waiting = [first]
        while waiting:
            name = waiting.pop()
            for neighbour in (*callers[name], *callees[name]):
                if neighbour not in component:
                    component[neighbour] = number
                    waiting.append(neighbour)
        number += 1
    return component
