"""Metrics as one caller may see them: those of tenants for whom it may not act are left out."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from serving.http.request_tenant import TenantScope


class OfTenants(CollectorRegistry):
    """Metrics of a registry without those of tenants for whom a caller may not act."""

    def __init__(self, registry: CollectorRegistry, scope: TenantScope) -> None:
        super().__init__()
        self._registry = registry
        self._scope = scope

    def collect(self) -> Iterator[Metric]:
        """Yield each family; what has no label `tenant` is everybody's."""
        for family in self._registry.collect():
            shown = Metric(family.name, family.documentation, family.type, family.unit)
            shown.samples = [
                sample for sample in family.samples if "tenant" not in sample.labels or self._scope.holds(sample.labels["tenant"])
            ]
            yield shown if len(shown.samples) < len(family.samples) else family
