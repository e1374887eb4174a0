"""From the partial sums of several partitions to the features of services: a tick is whole once all partitions closed it.

Each of `parts` partitions gives its rows of a tick (`add`) and then says that it has closed it (`close_through`). A tick closes
when the partition that is furthest behind has closed it. Its sums are added in the order of the partitions, so that how their
messages were interleaved never matters. Rows of a tick: in the order of the partition that first has the service.

Memory: `PARTIAL_WIDTH` numbers a service and partition for every tick that some partition has not closed yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.errors import OutdatedState, StateError
from aiops.features.engine_config import NEVER
from aiops.features.engine_snapshot import FIX, incidents_of, packed_incidents, packed_texts, unpacked_texts
from aiops.features.feature_rows import DeferredRows, TickBlocks, service_rows
from aiops.features.known_incidents import KnownIncidents
from aiops.features.name_table import NameTable
from aiops.features.partial_sums import PARTIAL_WIDTH, merge_rows, whole_sums
from aiops.features.service_features import ROW_WIDTH, Neighbours, ServiceFacts, ServiceSums, write_services
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray, IntArray, State

_VERSION: Final = 3
_BEFORE_FARTHEST: Final = 2
"""The version whose sums had a number less."""


@dataclass(frozen=True, slots=True)
class _PartRows:
    """What one partition gave for a tick: when it was available (us), service numbers (k,), sums (k, PARTIAL_WIDTH)."""

    available_us: int
    service: IntArray
    sums: FloatArray


class ServiceTicks:
    """Ticks of the services of one tenant that some partition has not closed yet. Not thread-safe."""

    def __init__(self, graph: ServiceGraph, parts: int = 1) -> None:
        self._graph = graph
        self._names = NameTable()
        self._incidents = KnownIncidents()
        self._marks = np.full(parts, NEVER, np.int64)
        self._waiting: dict[int, dict[int, _PartRows]] = {}
        self._neighbours: tuple[int, Neighbours, Neighbours] | None = None

    @property
    def names(self) -> NameTable:
        """Return the services seen, in order of first sight."""
        return self._names

    def closed_by(self, part: int) -> int:
        """Return the tick, us, up to which a partition has closed; `NEVER` before."""
        return int(self._marks[part])

    @property
    def closed_us(self) -> int:
        """Return the tick, us, up to which all partitions have closed; `NEVER` before."""
        return int(self._marks.min())

    @property
    def waiting(self) -> int:
        """Return how many ticks wait for a partition."""
        return len(self._waiting)

    def note_incident(self, service: str, known_at_us: int) -> None:
        """Note that an incident of `service` became (or becomes) known; ticks from then on see it."""
        self._incidents.note(service, known_at_us)

    def incidents(self) -> list[tuple[int, str]]:
        """Return what must be noted again to be in the same state: (known at, us, service)."""
        return self._incidents.events()

    def add(self, part: int, rows: TickBlocks, service_names: Sequence[str]) -> int:
        """Take in the sums of a partition, whose services are numbers among the names; return how many came too late.

        Too late is a tick that the partition has closed before: one that lost its state and began anew gives it again.
        """
        numbers = self._names.of(service_names)
        late = 0
        for tick_us, available_us, sums, services in zip(*rows.ticks(), strict=True):
            if tick_us <= self._marks[part]:
                late += services.size
            else:
                self._waiting.setdefault(tick_us, {})[part] = _PartRows(available_us, numbers[services], sums)
        return late

    def close_through(self, part: int, tick_us: int) -> DeferredRows:
        """Note that a partition has closed all ticks up to `tick_us`; return the rows of those that all have closed now."""
        self._marks[part] = max(self._marks[part], tick_us)
        closed = TickBlocks()
        for due_us in sorted(tick for tick in self._waiting if tick <= self.closed_us):
            self._close(due_us, closed)
        if not self._waiting:
            self._waiting = {}  # one that was large stays large, however empty it is
        return service_rows(closed, self._names)

    def snapshot(self) -> State:
        """Return the whole state as arrays; the same for equal pasts, however the partitions were interleaved."""
        held = [(tick, part, rows) for tick, parts in sorted(self._waiting.items()) for part, rows in sorted(parts.items())]
        sizes = [rows.service.size for _, _, rows in held]
        names = [self._names.names[number] for _, _, rows in held for number in rows.service.tolist()]
        state: dict[str, npt.NDArray[np.generic]] = {
            "version": np.array([_VERSION]),
            "marks": self._marks.copy(),
            "blocks": np.array([(tick, part, rows.available_us) for tick, part, rows in held], np.int64).reshape(-1, 3),
            "sizes": np.array(sizes, np.int64),
            "sums": np.concatenate([np.zeros((0, PARTIAL_WIDTH)), *(rows.sums for _, _, rows in held)]),
        }
        return {**state, **packed_texts("service", names), **packed_incidents(sorted(self._incidents.events()))}

    @classmethod
    def restore(cls, graph: ServiceGraph, parts: int, state: State) -> "ServiceTicks":
        """Return what `snapshot` described; it goes on bit for bit.

        Raises:
            StateError: the state is damaged. OutdatedState: it is of another version or number of partitions.
        """
        made = cls(graph, parts)
        try:
            if state["version"].tolist() not in ([_BEFORE_FARTHEST], [_VERSION]) or state["marks"].shape != (parts,):
                raise OutdatedState(f"state of services is of {state['marks'].size} partitions, not {parts}, or older; {FIX}")
            made._marks[:] = state["marks"]
            ends = np.cumsum([0, *state["sizes"].tolist()])
            names = unpacked_texts("service", state)
            sums = whole_sums(state["sums"])
            for row, (tick, part, available_us) in enumerate(state["blocks"].tolist()):
                own = slice(int(ends[row]), int(ends[row + 1]))
                numbers = np.array([made._names.number(name) for name in names[own]], np.int64)
                made._waiting.setdefault(tick, {})[part] = _PartRows(available_us, numbers, sums[own].copy())
            for known_at_us, service in incidents_of(state):
                made.note_incident(service, known_at_us)
        except (KeyError, ValueError, IndexError) as error:
            raise StateError(f"state of services is damaged ({type(error).__name__}: {error}); {FIX}") from error
        return made

    def _close(self, tick_us: int, closed: TickBlocks) -> None:
        parts = self._waiting.pop(tick_us)
        given = [parts[part] for part in sorted(parts)]
        rows = self._added(given)
        callers, callees = self._neighbours_by_number()
        facts = ServiceFacts(callers, callees, self._incidents.times_at(tick_us, self._names.names))
        features, numbers = np.empty((rows.service.size, ROW_WIDTH)), np.empty(rows.service.size, np.int64)
        count = write_services(facts, rows, tick_us, features, numbers)
        available_us = max(part.available_us for part in given)
        closed.add(tick_us, available_us, features[:count], numbers[:count].astype(np.int32))

    def _added(self, given: Sequence[_PartRows]) -> ServiceSums:
        """Return the sums of all partitions, added in their order."""
        place_of = np.full(len(self._names), -1, np.int64)
        if len(given) == 1:
            place_of[given[0].service] = np.arange(given[0].service.size)
            return ServiceSums(given[0].service, given[0].sums, place_of)
        services: list[IntArray] = []
        count = 0
        for part in given:
            new = part.service[place_of[part.service] < 0]
            place_of[new] = count + np.arange(new.size)
            count += new.size
            services.append(new)
        sums, begun = np.empty((count, PARTIAL_WIDTH)), np.zeros(count, np.bool_)
        for part in given:
            merge_rows(sums, begun, part.sums, place_of[part.service])
        return ServiceSums(np.concatenate(services), sums, place_of)

    def _neighbours_by_number(self) -> Sequence[Neighbours]:
        count = len(self._names)
        if self._neighbours is None or self._neighbours[0] != count:
            callers = self._numbers([self._graph.callers(name) for name in self._names.names])
            callees = self._numbers([self._graph.callees(name) for name in self._names.names])
            self._neighbours = (count, callers, callees)
        return self._neighbours[1:]

    def _numbers(self, groups: Sequence[Sequence[str]]) -> Neighbours:
        known = self._names.number_of
        numbers = [[known[name] for name in group if name in known] for group in groups]
        start = np.cumsum([0, *(len(group) for group in numbers)], dtype=np.int64)
        return Neighbours(start, np.array([number for group in numbers for number in group], dtype=np.int64))
