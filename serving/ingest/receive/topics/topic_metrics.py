"""What is counted of topics of others: messages by outcome, and how far each partition is read."""

from prometheus_client import CollectorRegistry, Counter, Gauge

_PLACE = ["tenant", "topic", "partition"]


class TopicMetrics:
    """Metrics of all topics of this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter(
            "aiops_ingest_topic_messages_total",
            "Messages of topics by outcome: read, unreadable",
            ["tenant", "topic", "outcome"],
            registry=registry,
        )
        self.lag = Gauge(
            "aiops_ingest_topic_lag", "Messages that wait, of partitions this process reads", _PLACE, registry=registry
        )
        self.held = Gauge(
            "aiops_ingest_topic_held", "1 = fetching waits until what was fetched is taken", _PLACE, registry=registry
        )
        self.retries = Counter(
            "aiops_ingest_topic_retries_total",
            "Runs of messages taken again after a refusal",
            ["tenant", "topic"],
            registry=registry,
        )
        self.gone = Counter(
            "aiops_ingest_topic_gone_total",
            "Offsets that the topic no longer had when they were to be read",
            ["tenant", "topic"],
            registry=registry,
        )
        self.faults = Counter(
            "aiops_ingest_topic_faults_total", "Faults that the cluster told", ["tenant", "topic"], registry=registry
        )
