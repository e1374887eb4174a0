"""Ways through the call graph: who may have begun it, how trouble came from there to the symptom, whom it could explain."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiops.topology.graph import ServiceGraph

QUIET: Final = 3.0
"""What a step through a service that did not stray costs, in steps through ones that did."""
AGAINST: Final = 20.0
"""What a step costs along which trouble rarely moves: from a caller to its callee."""
MOST_MARKED: Final = 64
"""Alerted services, the earliest, whose callees are marked."""


@dataclass(frozen=True, slots=True)
class Ways:
    """The next service on the cheapest way to the symptom, and hops to it, of every service connected with it."""

    towards: Mapping[str, str]
    hops: Mapping[str, int]

    def path(self, service: str) -> tuple[str, ...]:
        """Return the services from `service` to the symptom, both included; empty where no way is known."""
        if service not in self.hops:
            return ()
        path = [service]
        while path[-1] in self.towards:
            path.append(self.towards[path[-1]])
        return tuple(path)


def candidates(graph: ServiceGraph, alerted: Collection[str]) -> frozenset[str]:
    """Return `alerted` and all services connected with one of them; a service that the graph does not know is its own."""
    components = {graph.component_of(service) for service in alerted} - {None}
    connected = {service for service, component in graph.components().items() if component in components}
    return frozenset(connected | set(alerted))


def ways_to(symptom: str, graph: ServiceGraph, abnormal: Collection[str]) -> Ways:
    """Return the ways to `symptom` through as many abnormal services as possible. Cycles are fine. O(edges x log services).

    Trouble moves from a callee to its callers; the other direction only where there is no such way. Ties go by name.
    """
    strayed = frozenset(abnormal)
    cost: dict[str, float] = {}
    towards: dict[str, str] = {}
    hops: dict[str, int] = {}
    waiting: list[tuple[float, int, str, str]] = [(0.0, 0, symptom, "")]
    while waiting:
        spent, far, service, via = heapq.heappop(waiting)
        if service in cost:
            continue
        cost[service], hops[service] = spent, far
        if via:
            towards[service] = via
        step = 1.0 if service in strayed or not far else QUIET
        for neighbours, factor in ((graph.callees(service), 1.0), (graph.callers(service), AGAINST)):
            for neighbour in neighbours:
                if neighbour not in cost:
                    heapq.heappush(waiting, (spent + step * factor, far + 1, neighbour, service))
    return Ways(towards, hops)


def covered(graph: ServiceGraph, alerted: Sequence[str]) -> dict[str, float]:
    """Return for each service the share of `alerted` services (the first MOST_MARKED) that call it, directly or not, or are it.

    A service that is not listed covers none. O(edges x alerted) at worst.
    """
    marked = tuple(dict.fromkeys(alerted))[:MOST_MARKED]
    marks: dict[str, int] = {}
    waiting = []
    for number, service in enumerate(marked):
        marks[service] = marks.get(service, 0) | 1 << number
        waiting.append(service)
    while waiting:
        service = waiting.pop()
        own_marks = marks[service]
        for callee in graph.callees(service):
            both = marks.get(callee, 0) | own_marks
            if both != marks.get(callee, 0):
                marks[callee] = both
                waiting.append(callee)
    return {service: own_marks.bit_count() / len(marked) for service, own_marks in marks.items()}
