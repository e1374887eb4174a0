"""Services of the tenants whose home is one partition.

A tenant begins with its first entry. Where there are more than the partitions have places for (`tenant_places`), the one that is
furthest behind the new one, by the ticks that their partitions have closed and by more than `idle_us`, is forgotten. So that
follows from the entries alone, and a replay forgets the same. None is refused: its partitions had room for it.

Memory: that of `max_tenants`, and of those beyond that sent within `idle_us`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from serving.stream import streams
from serving.stream.consumer.partition_step import Step
from serving.stream.consumer.service_stage import ServiceStage
from serving.stream.consumer.tenant_partitions import TenantsConfig
from serving.stream.consumer.tenant_states import packed_tenants, tenant_states
from serving.stream.entry import by_tenant


class TenantServices:
    """State of the services by tenant. `apply` the entries in stream order; `snapshot` and `restore` are exact."""

    def __init__(self, config: TenantsConfig, stages: Mapping[str, ServiceStage] | None = None) -> None:
        self._config = config
        self._held: dict[str, ServiceStage] = dict(stages or {})

    @classmethod
    def restore(cls, config: TenantsConfig, state: Mapping[str, npt.NDArray[Any]]) -> "TenantServices":
        """Return what `snapshot` described.

        Raises:
            StateError: the state is damaged. OutdatedState: it is of another number of partitions.
        """
        return cls(config, {name: ServiceStage.restore(config.of(name), own) for name, own in tenant_states(state).items()})

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state as arrays."""
        return packed_tenants({tenant: stage.snapshot() for tenant, stage in self._held.items()})

    @property
    def tenants(self) -> tuple[str, ...]:
        """Return the tenants held, in order of their first entry."""
        return tuple(self._held)

    def apply(self, entries: Sequence[streams.Entry]) -> dict[str, Step]:
        """Process entries in stream order and return what they gave, by tenant."""
        steps: dict[str, Step] = {}
        for run in self._runs(entries):
            for tenant, own in by_tenant(run).items():
                steps.setdefault(tenant, Step()).extend(self._apply(tenant, own))
        return steps

    def _runs(self, entries: Sequence[streams.Entry]) -> Iterator[Sequence[streams.Entry]]:
        """Yield the entries in order; the first one of a tenant that is not held by then ends a run."""
        first = 0
        for end, entry in enumerate(entries, 1):
            if entry.tenant not in self._held:
                yield entries[first:end]
                first = end
        yield entries[first:]

    def _apply(self, tenant: str, entries: Sequence[streams.Entry]) -> Step:
        if tenant in self._held:
            return self._held[tenant].apply(entries)
        stage = ServiceStage.new(self._config.of(tenant))
        step = stage.apply(entries)
        self._make_room(stage.newest_us)
        self._held[tenant] = stage
        return step

    def _make_room(self, clock_us: int) -> None:
        """Forget the tenants furthest behind a time until there is room for one more, as far as they are idle."""
        while len(self._held) >= self._config.max_tenants:
            newest_us, tenant = min((stage.newest_us, tenant) for tenant, stage in self._held.items())
            if clock_us - newest_us <= self._config.idle_us:
                return
            del self._held[tenant]
