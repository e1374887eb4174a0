"""Services of the tenants whose home is one partition."""

from collections.abc import Mapping, Sequence
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

    def apply(self, entries: Sequence[streams.Entry]) -> dict[str, Step]:
        """Process entries in stream order and return what they gave, by tenant."""
        return {tenant: self._stage(tenant).apply(own) for tenant, own in by_tenant(entries).items()}

    def _stage(self, tenant: str) -> ServiceStage:
        if tenant not in self._held:
            self._held[tenant] = ServiceStage.new(self._config.of(tenant))
        return self._held[tenant]
