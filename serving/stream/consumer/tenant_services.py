"""Services of the tenants whose home is one partition.

A tenant begins with its first entry. Where there are more than the partitions have places for (`tenant_places`), the one of which
nothing came for longest, and for more than `idle_us`, is forgotten. What counts is when entries were produced, not the event time
of what they hold: history that is sent now came now. So that follows from the entries alone, and a replay forgets the same. None
is refused: its partitions had room for it.

Memory: that of `max_tenants`, and of those beyond that sent within `idle_us`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.errors import StateError
from serving.stream import streams
from serving.stream.consumer.partition_step import Step
from serving.stream.consumer.service_stage import ServiceStage
from serving.stream.consumer.tenant_partitions import TenantsConfig
from serving.stream.consumer.tenant_states import packed_tenants, tenant_states
from serving.stream.entry import by_tenant

CAME: Final = "tenants_came_ns"
"""Name of the array of a snapshot that says when something last came of each tenant."""


class TenantServices:
    """State of the services by tenant. `apply` the entries in stream order; `snapshot` and `restore` are exact."""

    def __init__(
        self, config: TenantsConfig, stages: Mapping[str, ServiceStage] | None = None, came_ns: Mapping[str, int] | None = None
    ) -> None:
        self._config = config
        self._held: dict[str, ServiceStage] = dict(stages or {})
        self._came_ns: dict[str, int] = dict(came_ns or {})
        self._clock_ns = max(self._came_ns.values(), default=0)

    @classmethod
    def restore(cls, config: TenantsConfig, state: Mapping[str, npt.NDArray[Any]]) -> "TenantServices":
        """Return what `snapshot` described. Of the tenants of a state without times something came with the next entry.

        Raises:
            StateError: the state is damaged. OutdatedState: it is of another number of partitions.
        """
        held = {name: ServiceStage.restore(config.of(name), own) for name, own in tenant_states(state).items()}
        came_ns = state[CAME].tolist() if CAME in state else [0] * len(held)
        if len(came_ns) != len(held):
            raise StateError(f"state of services holds {len(held)} tenants and {len(came_ns)} times; remove the checkpoint")
        return cls(config, held, dict(zip(held, came_ns, strict=True)))

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state as arrays."""
        packed = packed_tenants({tenant: stage.snapshot() for tenant, stage in self._held.items()})
        return packed | {CAME: np.array([self._came_ns[tenant] for tenant in self._held], np.int64)}

    @property
    def tenants(self) -> tuple[str, ...]:
        """Return the tenants held, in order of their first entry."""
        return tuple(self._held)

    def apply(self, entries: Sequence[streams.Entry]) -> dict[str, Step]:
        """Process entries in stream order and return what they gave, by tenant."""
        steps: dict[str, Step] = {}
        for run in self._runs(entries):
            self._note(run)
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
        self._make_room()
        self._held[tenant] = stage
        return step

    def _note(self, entries: Sequence[streams.Entry]) -> None:
        """Note when entries were produced; the first that says so tells it of all tenants of which nothing is known yet."""
        for entry in entries:
            if self._clock_ns == 0:
                self._came_ns = dict.fromkeys(self._held, entry.produced_ns)
            self._came_ns[entry.tenant] = max(self._came_ns.get(entry.tenant, 0), entry.produced_ns)
            self._clock_ns = max(self._clock_ns, entry.produced_ns)

    def _make_room(self) -> None:
        """Forget the tenants of which nothing came for longest until there is room for one more, as far as they are idle."""
        while len(self._held) >= self._config.max_tenants:
            came_ns, tenant = min((self._came_ns[tenant], tenant) for tenant in self._held)
            if self._clock_ns - came_ns <= 1000 * self._config.idle_us:
                return
            del self._held[tenant], self._came_ns[tenant]
