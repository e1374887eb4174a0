"""What a process says of the partitions that it shares with others."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

_GROUP: Final = ["group"]


class OwnershipMetrics:
    """Leases of this process by group (`ingest`: stage 1 and archiver, `score`: stage 2, `topic-…`: a topic of others)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.owned = Gauge("aiops_partitions_owned", "Partitions this process has the lease of", _GROUP, registry=registry)
        self.members = Gauge("aiops_lease_members", "Processes that share the partitions", _GROUP, registry=registry)
        self.taken = Counter("aiops_partitions_taken_total", "Leases of partitions taken", _GROUP, registry=registry)
        self.given_up = Counter("aiops_partitions_given_up_total", "Partitions handed over in order", _GROUP, registry=registry)
        self.expired = Counter("aiops_leases_expired_total", "Leases that ended while held", _GROUP, registry=registry)
        self.fenced = Counter("aiops_partitions_fenced_total", "Partitions another process took", _GROUP, registry=registry)
