"""One partition for several tenants: each has an engine, a clock and limits of its own, so that none can touch another's scores.

A tenant begins with its first entry. The partition takes `max_tenants`; rows of more are rejected, and come into the dead letters
of the tenant that they are of. What names no tenant that there can be comes into those of the default tenant.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy.typing as npt

from aiops.detection.levels import Tier1
from data_contracts.series.tenant import DEFAULT_TENANT, tenant_fault
from data_contracts.values.moments import moment_of_us
from serving.stream import streams
from serving.stream.consumer.partition import Partition, PartitionConfig
from serving.stream.consumer.partition_step import SOURCE, Step
from serving.stream.consumer.tenant_places import TenantPlaces
from serving.stream.consumer.tenant_states import TENANTS, packed_tenants, tenant_states
from serving.stream.entry import by_tenant

if TYPE_CHECKING:
    from aiops.topology.graph import ServiceGraph

_REASON: Final = "too_many_tenants"
_NOTES: Final = (streams.KIND_INCIDENT, streams.KIND_CLOSE, streams.KIND_WATERMARK)
"""Entries that hold no points."""


@dataclass(frozen=True, slots=True)
class TenantsConfig:
    """How the tenants of a partition are processed: `partition` as it is for all, with the call graph and name of each."""

    partition: PartitionConfig
    graph_of: "Callable[[str], ServiceGraph]"
    max_tenants: int
    idle_us: int = 172_800_000_000
    """A tenant of which nothing came for so long gives its place to a new one, where there is none left."""

    def of(self, tenant: str) -> PartitionConfig:
        """Return how one tenant is processed."""
        return replace(self.partition, tenant=tenant, graph=self.graph_of(tenant), tier1=self.partition.tier1.of(tenant))


class TenantPartitions:
    """State of one partition by tenant. `apply` the entries in stream order; `snapshot` and `restore` are exact."""

    def __init__(
        self, config: TenantsConfig, partitions: Mapping[str, Partition] | None = None, places: TenantPlaces | None = None
    ) -> None:
        self._config = config
        self._held: dict[str, Partition] = dict(partitions or {})
        self._tier1 = config.partition.tier1
        self._places = places or TenantPlaces(config.max_tenants, config.idle_us)

    @classmethod
    def restore(cls, config: TenantsConfig, state: Mapping[str, npt.NDArray[Any]]) -> "TenantPartitions":
        """Return what `snapshot` described; a snapshot of version 0.1 is that of the default tenant.

        Raises:
            StateError: an array is missing, or of another configuration.
            OutdatedState: it is of another version of the engine.
        """
        if TENANTS not in state:
            return cls(config, {DEFAULT_TENANT: Partition.restore(config.of(DEFAULT_TENANT), state)})
        held = {name: Partition.restore(config.of(name), own) for name, own in tenant_states(state).items()}
        return cls(config, held, TenantPlaces.restore(config.max_tenants, config.idle_us, list(held), state))

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state as arrays."""
        packed = packed_tenants({tenant: partition.snapshot() for tenant, partition in self._held.items()})
        return packed | self._places.snapshot(self.tenants)

    @property
    def tenants(self) -> tuple[str, ...]:
        """Return the tenants in order of their first entry."""
        return tuple(self._held)

    @property
    def tier1_version(self) -> str:
        """Return the version of tier 1 in force."""
        return self._tier1.version

    def use_tier1(self, tier1: Tier1) -> None:
        """Judge the points of every tenant from now on by these alarm levels, or its own; the state stays."""
        self._tier1 = tier1
        for tenant, partition in self._held.items():
            partition.use_tier1(tier1.of(tenant))

    def apply(self, entries: Sequence[streams.Entry]) -> dict[str, Step]:
        """Process entries in stream order and return what they gave, by tenant."""
        steps: dict[str, Step] = {}
        for run in self._places.runs(entries, self._held, self._held.__delitem__):
            for tenant, own in by_tenant(run).items():
                owner = DEFAULT_TENANT if tenant_fault(tenant) else tenant
                steps.setdefault(owner, Step()).extend(self._apply(tenant, own))
        return steps

    def _apply(self, tenant: str, entries: Sequence[streams.Entry]) -> Step:
        partition = self._held.get(tenant)
        if partition is None and tenant_fault(tenant) is None and len(self._held) < self._config.max_tenants:
            partition = self._held[tenant] = Partition.new(self._config.of(tenant))
            partition.use_tier1(self._tier1.of(tenant))
        return refused(tenant, entries) if partition is None else partition.apply(entries)


def refused(tenant: str, entries: Sequence[streams.Entry]) -> Step:
    """Return the step in which every row of the entries is rejected, because of whose they are."""
    step = Step()
    for entry in entries:
        if entry.kind in _NOTES:
            continue
        rows = _rejected(tenant, entry)
        step.rejected.append(rows)
        step.counts["points_in"] += rows.num_rows
        step.counts["points_rejected"] += rows.num_rows
        step.counts.update({f"rejected.{reason}": count for reason, count in Counter(rows.column("reason").to_pylist()).items()})
    return step


def _rejected(tenant: str, entry: streams.Entry) -> Any:
    from data_contracts.telemetry.codec import UndecodableError, decode
    from data_contracts.telemetry.rejects import Refusal, rejected_payload, rejected_table

    now = moment_of_us(entry.available_us)
    fault = tenant_fault(tenant)
    if fault is not None:
        return rejected_payload(entry.payload, fault, now, SOURCE, entry.name)
    detail = f"tenant {tenant}: the partition has no room for it: raise AIOPS_TELEMETRY__MAX_TENANTS"
    try:
        return rejected_table(decode(entry.payload), Refusal(_REASON, "tenant", detail), now, SOURCE)
    except UndecodableError as error:
        return rejected_payload(entry.payload, f"{detail} ({error})", now, SOURCE, entry.name)
