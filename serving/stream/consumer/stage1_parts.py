"""What stage 1 works with."""

import threading
from dataclasses import dataclass

from serving.stream import streams
from serving.stream.consumer.consumer_config import ConsumerConfig
from serving.stream.consumer.consumer_metrics import ConsumerMetrics
from serving.stream.consumer.outlets import Outlets
from serving.stream.consumer.tenant_partitions import TenantsConfig
from serving.stream.ownership.ownership import Ownership


@dataclass(frozen=True, slots=True)
class Stage1Parts:
    """What stage 1 works with."""

    config: ConsumerConfig
    tenants: TenantsConfig
    broker: streams.Streams
    metrics: ConsumerMetrics
    outlets: Outlets | None
    stop: threading.Event
    ownership: Ownership | None = None
    """Which partitions are ours now; None = those of `config`."""
