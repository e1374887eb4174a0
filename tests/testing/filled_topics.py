"""Topics of a Kafka cluster that a test fills, as collectors and other senders do."""

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.testing.deadlines import within


class FilledTopics:
    """Makes topics on a cluster and puts messages into them."""

    def __init__(self, port: int) -> None:
        self._servers = {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}
        self._producer = Producer({**self._servers, "linger.ms": 5})
        self._admin = AdminClient(self._servers)

    def make(self, topic: str, partitions: int) -> None:
        made = self._admin.create_topics([NewTopic(topic, partitions)], operation_timeout=within(10))
        made[topic].result(within(10))

    def put(self, topic: str, partition: int, contents: Sequence[bytes], headers: Mapping[str, str] | None = None) -> None:
        """Return once all are there, in order."""
        faults: list[Any] = []
        for content in contents:
            self._producer.produce(
                topic,
                content,
                partition=partition,
                headers=dict(headers or {}),
                on_delivery=lambda error, _message: faults.append(error) if error else None,
            )
            self._producer.poll(0)
        assert self._producer.flush(within(30)) == 0
        assert not faults, faults[0]
