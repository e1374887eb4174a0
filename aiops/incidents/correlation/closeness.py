"""How close services are: calls of the graph, made shorter or longer by how often both ends were in one incident.

A call is as long as the prior share of common incidents over the learned one, so 1 while nothing is known. Services that the
graph does not link become neighbours once most of the incidents of one of them began together with one of the other, or a person
said so.
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final

from aiops.topology.graph import ServiceGraph

PRIOR_SHARE: Final = 0.5
PRIOR_COUNT: Final = 4.0
TAUGHT: Final = 8
"""Incidents that one word of a person counts as."""
LEAST_TOGETHER: Final = 5
LEAST_SHARE: Final = 0.8
MOST_PAIRS: Final = 4096
"""Pairs without a call, and services near which is kept, at most."""
MOST_NEAR: Final = 500_000
"""Distances that are kept at most, some 25 MB: near a hub of a large graph are all of its services."""
Pair = tuple[str, str]
Votes = tuple[int, int]
"""How often people said that two services belong together, and that they do not."""


class Closeness:
    """Distances between services. Memory: calls of the graph + `MOST_PAIRS` + `MOST_NEAR`. Not thread-safe."""

    def __init__(self, graph: ServiceGraph) -> None:
        self._graph = graph
        self._both: dict[Pair, int] = {}
        self._either: dict[Pair, int] = {}
        self._began: dict[str, int] = {}
        self._together: dict[Pair, int] = {}
        self._linked: dict[str, set[str]] = {}
        self._judgements: dict[Pair, Votes] = {}
        self._judged_near: dict[str, set[str]] = {}
        self._judged_apart: dict[str, set[str]] = {}
        self._near: dict[tuple[str, float], dict[str, float]] = {}
        self._near_count = 0

    def length(self, service: str, other: str) -> float:
        """Return the length of the call or learned link between two services that are linked."""
        pair = _pair(service, other)
        together, apart = self._judgements.get(pair, (0, 0))
        both = self._both.get(pair, 0) + TAUGHT * together
        either = self._either.get(pair, 0) + TAUGHT * (together + apart)
        share = (both + PRIOR_SHARE * PRIOR_COUNT) / (either + PRIOR_COUNT)
        return PRIOR_SHARE / share if share > 0 else float("inf")

    def neighbours(self, service: str) -> list[str]:
        """Return who calls it, whom it calls and what was learned to be linked with it; by name."""
        linked = (*self._linked.get(service, ()), *self._judged_near.get(service, ()))
        return sorted({*self._graph.callers(service), *self._graph.callees(service), *linked})

    def near(self, service: str, reach: float) -> dict[str, float]:
        """Return services within `reach`, itself included, with their distances, nearest first. O(their calls).

        Those that people said do not belong to it are left out, however near.
        """
        known = self._near.get((service, reach))
        if known is not None:
            return known
        distances: dict[str, float] = {}
        waiting = [(0.0, service)]
        while waiting:
            distance, name = heappop(waiting)
            if name in distances:
                continue
            distances[name] = distance
            for other in self.neighbours(name):
                further = distance + self.length(name, other)
                if other not in distances and further <= reach:
                    heappush(waiting, (further, other))
        for name in self._judged_apart.get(service, ()):
            distances.pop(name, None)
        if len(self._near) >= MOST_PAIRS or self._near_count + len(distances) > MOST_NEAR:
            self._forget_near()
        self._near[(service, reach)] = distances
        self._near_count += len(distances)
        return distances

    @property
    def kept_distances(self) -> int:
        """Return how many distances are kept for later questions."""
        return self._near_count

    def _forget_near(self) -> None:
        self._near.clear()
        self._near_count = 0

    def called_within(self, service: str, calls: int) -> dict[str, int]:
        """Return services that it calls, directly or not, by number of calls, up to `calls`."""
        calls_by_service, edge = {service: 0}, [service]
        for far in range(1, calls + 1):
            edge = [callee for name in edge for callee in self._graph.callees(name) if callee not in calls_by_service]
            calls_by_service.update(dict.fromkeys(edge, far))
        for name in (service, *self._judged_apart.get(service, ())):
            calls_by_service.pop(name, None)
        return calls_by_service

    def learn(self, services: Sequence[str]) -> None:
        """Count a finished incident: each call of one of its services either had both ends in it or one."""
        inside = set(services)
        pairs = {_pair(name, other) for name in inside for other in self.neighbours(name)}
        for pair in pairs:
            self._either[pair] = self._either.get(pair, 0) + 1
            if pair[0] in inside and pair[1] in inside:
                self._both[pair] = self._both.get(pair, 0) + 1
        self._forget_near()

    def began(self, service: str, others: Iterable[str]) -> None:
        """Count an incident that began at `service` while those of `others`, which the graph holds far away, were young."""
        self._began[service] = self._began.get(service, 0) + 1
        for pair in {_pair(service, other) for other in others if other != service}:
            count = self._together[pair] = self._together.get(pair, 0) + 1
            fewest = min(self._began.get(name, 0) for name in pair)
            if count >= LEAST_TOGETHER and count >= LEAST_SHARE * fewest:
                self._link(*pair)
        _bound(self._together)
        _bound(self._began)

    def teach(self, service: str, other: str, together: bool) -> None:
        """Take a person's word that two services' alerts belong together, or do not."""
        yes, no = self._judgements.get(_pair(service, other), (0, 0))
        self.retaught({**self._judgements, _pair(service, other): (yes + together, no + (not together))})

    def retaught(self, judgements: Mapping[Pair, Votes]) -> None:
        """Replace all that people said of pairs of services: the same again changes nothing."""
        self._judgements = {_pair(*pair): votes for pair, votes in judgements.items() if any(votes) and pair[0] != pair[1]}
        self._judged_near, self._judged_apart = {}, {}
        for (service, other), (yes, no) in self._judgements.items():
            if yes != no:
                side = self._judged_near if yes > no else self._judged_apart
                side.setdefault(service, set()).add(other)
                side.setdefault(other, set()).add(service)
        self._forget_near()

    def regraph(self, graph: ServiceGraph) -> None:
        """Go on with another graph; what was learned stays."""
        self._graph = graph
        self._forget_near()

    def _link(self, service: str, other: str) -> None:
        if len(self._linked) < MOST_PAIRS:
            self._linked.setdefault(service, set()).add(other)
            self._linked.setdefault(other, set()).add(service)
            self._forget_near()

    def snapshot(self) -> dict[str, object]:
        """Return what was learned."""
        pairs = sorted(self._either)
        return {
            "calls": [[*pair, self._both.get(pair, 0), self._either[pair]] for pair in pairs],
            "began": [[name, count] for name, count in self._began.items()],
            "together": [[*pair, count] for pair, count in self._together.items()],
            "linked": sorted([service, other] for service, others in self._linked.items() for other in others if service < other),
            "told": sorted([*pair, *votes] for pair, votes in self._judgements.items()),
        }

    def restore(self, state: dict[str, list[list[object]]]) -> None:
        """Go on from a snapshot."""
        for service, other, both, either in state["calls"]:
            self._either[(str(service), str(other))] = int(str(either))
            if both:
                self._both[(str(service), str(other))] = int(str(both))
        self._began = {str(name): int(str(count)) for name, count in state["began"]}
        self._together = {(str(service), str(other)): int(str(count)) for service, other, count in state["together"]}
        for service, other in state["linked"]:
            self._link(str(service), str(other))
        rows = state.get("told", ())
        judgements = {(str(service), str(other)): (int(str(yes)), int(str(no))) for service, other, yes, no in rows}
        self.retaught(judgements)


def _pair(service: str, other: str) -> Pair:
    return (service, other) if service < other else (other, service)


def _bound(counts: dict[Pair, int] | dict[str, int]) -> None:
    """Drop the half with the smallest counts where there are too many; of equal ones the oldest."""
    if len(counts) > MOST_PAIRS:
        keep = sorted(counts.items(), key=lambda item: item[1])[len(counts) // 2 :]
        counts.clear()
        counts.update(keep)  # type: ignore[arg-type]
