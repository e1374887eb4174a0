"""All topics that the settings name, read in threads of their own beside the receivers' event loop."""

import asyncio
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiops.errors import ConfigurationError
from aiops.settings.setting_parts import setting_parts
from aiops.settings.topic_settings import MAPPED, TopicSettings
from serving.ingest.producer_sequence import ProducerSequence
from serving.ingest.receive.receivers import BodyDecoder, Receivers, SignalReader
from serving.ingest.receive.topics.message_content import ContentReader, RemoteWriteContent, metric_contents
from serving.ingest.receive.topics.record_content import RegisteredContent, VectorContent
from serving.ingest.receive.topics.registry_tls import RegistryTls
from serving.ingest.receive.topics.schema_registry import SchemaRegistry
from serving.ingest.receive.topics.topic_client import KafkaTopicClient
from serving.ingest.receive.topics.topic_intake import MetricRunIntake, RunIntake, SignalRunIntake
from serving.ingest.receive.topics.topic_metrics import TopicMetrics
from serving.ingest.receive.topics.topic_reader import TopicReader
from serving.ingest.receive.topics.topic_session import TopicParts
from serving.ingest.topic_positions import TopicPositions
from serving.stream.kafka_url import KafkaAddress, kafka_address
from serving.stream.ownership.checkpoint_place import CheckpointPlace
from serving.stream.ownership.leases import LeaseGroup, Leases, Member
from serving.stream.ownership.ownership import LeasedOwnership
from serving.stream.ownership.ownership_metrics import OwnershipMetrics

if TYPE_CHECKING:
    from aiops.settings.tree import Settings
    from serving.stream.streams import Streams

_NOWHERE: Final = CheckpointPlace("", "", "")


@dataclass(frozen=True, slots=True)
class TopicDecoders:
    """What reads metrics, as it does for requests, and logs and traces by name."""

    otlp: BodyDecoder
    otlp_json: BodyDecoder
    remote_write: RemoteWriteContent
    signals: Mapping[str, SignalReader]

    def contents(self) -> Mapping[str, ContentReader]:
        """Return what reads messages that are bodies of requests, by encoding."""
        return metric_contents(self.otlp, self.otlp_json, self.remote_write)


class ReadingTopics:
    """Reads the topics of the settings; `run` ends when `stop` was called and what was being taken is on the broker."""

    def __init__(
        self,
        settings: "Settings",
        broker: "Streams",
        receivers: Receivers,
        decoders: TopicDecoders,
        producer_id: str,
    ) -> None:
        """Check the settings; nothing connects yet.

        Raises:
            ConfigurationError: topics without a cluster, or that cannot be read as the other settings are; files that are not
                there.
        """
        self._settings = settings
        self._broker = broker
        self._receivers = receivers
        self._decoders = decoders
        self._producer_id = producer_id
        self._topics = settings.ingest.read_topics
        self._address = _address(settings) if self._topics else None
        url = settings.ingest.registry_url
        self._registry = SchemaRegistry(url, RegistryTls.of(settings.ingest)) if url else None
        self._stop, self._idle = threading.Event(), asyncio.Event()

    async def run(self) -> None:
        """Read until stopped; a failure of one reader ends all."""
        if self._address is None:
            await self._idle.wait()
            return
        loop, registry = asyncio.get_running_loop(), self._receivers.metrics.registry
        metrics, ownership = TopicMetrics(registry), OwnershipMetrics(registry)
        positions = TopicPositions(self._broker)
        readers = []
        for topic in self._topics:
            client = KafkaTopicClient(self._address, topic.topic)
            sharing = self._sharing(ownership)
            parts = TopicParts(topic, client, positions, self._intake(topic), metrics, sharing, loop, self._finish)
            readers.append(TopicReader(parts))
        with ThreadPoolExecutor(len(readers), "topic") as threads:
            running = [loop.run_in_executor(threads, reader.run, self._stop) for reader in readers]
            try:
                await asyncio.gather(*running)
            finally:
                self._stop.set()

    def stop(self) -> None:
        """Let `run` end; call it in the event loop."""
        self._stop.set()
        self._idle.set()

    def _intake(self, topic: TopicSettings) -> RunIntake:
        if topic.signal == "metrics":
            return MetricRunIntake(self._receivers, topic, self._content(topic))
        return SignalRunIntake(self._receivers, topic, self._decoders.signals[topic.signal])

    def _content(self, topic: TopicSettings) -> ContentReader:
        if topic.encoding in MAPPED:
            return RegisteredContent(topic.encoding, topic.fields, self._registry, self._decoders.otlp)
        if topic.encoding == "vector_json":
            return VectorContent(setting_parts(self._settings.ingest.service_labels), self._decoders.otlp)
        return self._decoders.contents()[topic.encoding]

    def _finish(self, producer_id: str, seq: int) -> None:
        """Send what another receiver, that is dead by now, left unsent; its positions moved already."""
        if producer_id != self._producer_id:
            ProducerSequence(self._broker, producer_id).finish(seq)

    def _sharing(self, metrics: OwnershipMetrics) -> "_Sharing":
        return _Sharing(self._broker, self._settings.consumer.lease_s, metrics)


class _Sharing:
    """Says who shares the partitions of a topic with this process: all receivers that read it."""

    def __init__(self, broker: "Streams", lease_s: float, metrics: OwnershipMetrics) -> None:
        self._broker = broker
        self._lease_s = lease_s
        self._metrics = metrics

    def __call__(self, topic: str, partitions: int) -> LeasedOwnership:
        """Return the ownership of a topic with so many partitions, of a new member."""
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        member = Member(name, time.time_ns() // 1_000_000, _NOWHERE, os.getpid())
        return LeasedOwnership(
            Leases(self._broker, LeaseGroup(f"topic-{topic}", partitions, self._lease_s), member), self._metrics
        )


def _address(settings: "Settings") -> KafkaAddress:
    if not settings.ingest.kafka_url:
        raise ConfigurationError("ingest.topics: no cluster; set AIOPS_INGEST__KAFKA_URL to kafka://host:9092")
    needing = [topic.topic for topic in settings.ingest.read_topics if topic.encoding in ("avro", "protobuf")]
    if needing and not settings.ingest.registry_url:
        raise ConfigurationError(f"ingest.topics: {needing[0]} needs a schema registry; set AIOPS_INGEST__REGISTRY_URL")
    if settings.consumer.archive == "off" and any(topic.signal != "metrics" for topic in settings.ingest.read_topics):
        raise ConfigurationError(
            "ingest.topics: logs and traces are not kept while consumer.archive is off; set AIOPS_CONSUMER__ARCHIVE to inside"
        )
    return kafka_address(settings.ingest.kafka_url, "ingest.kafka_url")
