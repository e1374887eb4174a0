"""What the dispatcher says about itself to Prometheus."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class NotificationCounts(Collector):
    """Attempts by tenant, channel and outcome, read from the dispatchers when somebody asks."""

    def __init__(self, counts: Callable[[], Mapping[tuple[str, str, str], int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the present counts."""
        family = CounterMetricFamily(
            "aiops_notifications", "Attempts to notify, by what came of them", labels=["tenant", "channel", "outcome"]
        )
        for labels, count in sorted(self._counts().items()):
            family.add_metric(labels, count)
        return (family,)


def expose(counts: Callable[[], Mapping[tuple[str, str, str], int]], registry: CollectorRegistry) -> None:
    """Add the counts to a registry."""
    registry.register(NotificationCounts(counts))
