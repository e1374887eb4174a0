"""The service call graph: who calls whom, which services belong together, which partition a service lives in."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from aiops.errors import ConfigurationError, ContractError


@dataclass(frozen=True, slots=True)
class ServiceGraph:
    """An immutable call graph; services, callers and callees are sorted by name.

    Edges count from the start whatever their `valid_from`: the graph is one picture of the whole period.
    """

    services: tuple[str, ...]
    _callers: Mapping[str, tuple[str, ...]]
    _callees: Mapping[str, tuple[str, ...]]
    _component: Mapping[str, int]

    @classmethod
    def from_edges(cls, edges: pa.Table) -> "ServiceGraph":
        """Build the graph from a table of schema `schemas.EDGES`; repeated edges count once, calls to itself not at all.

        Raises:
            ContractError: the column caller or callee is missing.
        """
        missing = [name for name in ("caller", "callee") if name not in edges.column_names]
        if missing:
            raise ContractError(
                f"edges: column {missing[0]!r} is missing (columns: {edges.column_names}); a call graph needs caller and callee"
            )
        callers, callees = edges["caller"].to_pylist(), edges["callee"].to_pylist()
        return cls.from_pairs((str(caller), str(callee)) for caller, callee in zip(callers, callees, strict=True))

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]], services: Iterable[str] = ()) -> "ServiceGraph":
        """Build the graph from (caller, callee) pairs and services that may stand alone.

        >>> ServiceGraph.from_pairs([("web", "cart"), ("web", "pay")]).callees("web")
        ('cart', 'pay')
        """
        calls = sorted(set(pairs))
        names = tuple(sorted({*services, *(name for pair in calls for name in pair)}))
        callers: dict[str, list[str]] = {name: [] for name in names}
        callees: dict[str, list[str]] = {name: [] for name in names}
        for caller, callee in calls:
            if caller != callee:
                callers[callee].append(caller)
                callees[caller].append(callee)
        return cls(
            names,
            {name: tuple(found) for name, found in callers.items()},
            {name: tuple(found) for name, found in callees.items()},
            _components(names, callers, callees),
        )

    def callers(self, service: str) -> tuple[str, ...]:
        """Return the services that call `service`; empty for one that the graph does not know."""
        return self._callers.get(service, ())

    def callees(self, service: str) -> tuple[str, ...]:
        """Return the services that `service` calls; empty for one that the graph does not know."""
        return self._callees.get(service, ())

    def components(self) -> dict[str, int]:
        """Return the connected component of every service, numbered by the first service name in each."""
        return dict(self._component)

    def component_of(self, service: str) -> int | None:
        """Return the connected component of `service`; None for one that the graph does not know."""
        return self._component.get(service)


def partition_of(graph: ServiceGraph, service: str, partitions: int) -> int:
    """Return the partition (0..partitions-1) of `service`.

    A connected component stays together, so callers and callees are features of the same engine; a service that the graph
    does not know goes by a stable hash of its name.

    Raises:
        ConfigurationError: partitions < 1.
    """
    if partitions < 1:
        raise ConfigurationError(f"partitions={partitions}: at least 1 is needed; set AIOPS_BROKER__PARTITIONS to 1 or more")
    component = graph.component_of(service)
    if component is None:
        return zlib.crc32(service.encode()) % partitions
    return component % partitions


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
