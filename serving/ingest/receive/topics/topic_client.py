"""One connection to a topic: partitions are taken by assign and seek, never by a group, and no offset is committed to Kafka."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiops.errors import Unavailable
from serving.ingest.receive.topics.topic_messages import TopicFault, TopicMessage
from serving.stream.kafka_url import KafkaAddress

if TYPE_CHECKING:
    from confluent_kafka import Message

FETCHED_KB: Final = 16_384
_UNKNOWN: Final = 0
_HEADER_BYTES: Final = 200


class TopicClient(Protocol):
    """Reads partitions of one topic; one thread has it."""

    def partitions(self) -> int:
        """Return how many partitions the topic has, 0 where there is no such topic; raises Unavailable."""

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset that is there and the one after the newest; raises Unavailable."""

    def read_from(self, offsets: Mapping[int, int]) -> None:
        """Read these partitions from these offsets, and no others."""

    def poll(self, count: int, wait_s: float) -> list[TopicMessage | TopicFault]:
        """Return up to so many messages, waiting for the first one only; raises Unavailable."""

    def hold(self, partitions: Collection[int]) -> None:
        """Fetch nothing of these partitions for now, and of all others."""

    def high(self, partition: int) -> int:
        """Return the offset after the newest message as far as it is known, 0 where it is not."""

    def close(self) -> None:
        """Close the connection."""


class KafkaTopicClient:
    """TopicClient over librdkafka; nothing connects before its first use."""

    def __init__(self, address: KafkaAddress, topic: str, timeout_s: float = 5.0) -> None:
        from confluent_kafka import Consumer

        self._topic = topic
        self._timeout_s = timeout_s
        self._assigned: frozenset[int] = frozenset()
        self._held: frozenset[int] = frozenset()
        self._consumer = Consumer(
            address.configuration(
                {
                    "group.id": "aiops",  # named, and never joined
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",
                    "fetch.wait.max.ms": 100,
                    "queued.max.messages.kbytes": FETCHED_KB,
                    "max.poll.interval.ms": 86_400_000,
                }
            )
        )
        self._servers = address.servers

    def partitions(self) -> int:
        """Return how many partitions the topic has, 0 where there is no such topic."""
        from confluent_kafka import KafkaException

        try:
            known = self._consumer.list_topics(self._topic, timeout=self._timeout_s).topics.get(self._topic)
        except KafkaException as error:
            raise self._unavailable("metadata", error) from error
        return 0 if known is None or known.error is not None else len(known.partitions)

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset that is there and the one after the newest."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=self._timeout_s)
        except KafkaException as error:
            raise self._unavailable("watermarks", error) from error
        return max(0, low), max(0, high)

    def read_from(self, offsets: Mapping[int, int]) -> None:
        """Read these partitions from these offsets, and no others."""
        from confluent_kafka import TopicPartition

        self._assigned, self._held = frozenset(offsets), frozenset()
        self._consumer.assign([TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()])

    def poll(self, count: int, wait_s: float) -> list[TopicMessage | TopicFault]:
        """Return up to so many messages, waiting for the first one only."""
        from confluent_kafka import KafkaException

        try:
            first = self._consumer.poll(wait_s)
            messages = [] if first is None else [first, *self._consumer.consume(count - 1, 0)]
        except KafkaException as error:
            raise self._unavailable("fetch", error) from error
        return [_read(message) for message in messages]

    def hold(self, partitions: Collection[int]) -> None:
        """Fetch nothing of these partitions for now, and of all others."""
        from confluent_kafka import TopicPartition

        held = self._assigned & frozenset(partitions)
        for change, numbers in ((self._consumer.pause, held - self._held), (self._consumer.resume, self._held - held)):
            if numbers:
                change([TopicPartition(self._topic, number) for number in sorted(numbers)])
        self._held = held

    def high(self, partition: int) -> int:
        """Return the offset after the newest message as of the last fetch."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            return max(_UNKNOWN, self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)[1])
        except KafkaException:
            return _UNKNOWN

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _unavailable(self, what: str, error: object) -> Unavailable:
        return Unavailable(f"kafka {self._servers}: {what} of topic {self._topic}: no answer ({error}); is it reachable?")


def _read(message: "Message") -> TopicMessage | TopicFault:
    from confluent_kafka import KafkaError

    error, number = message.error(), message.partition()
    partition = -1 if number is None else number
    if error is not None:
        gone = error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
        return TopicFault(str(error), partition, gone)
    return TopicMessage(partition, message.offset() or 0, message.value() or b"", dict(_headers(message)))


def _headers(message: "Message") -> Iterator[tuple[str, str]]:
    given: Any = message.headers() or []
    for name, value in given:
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
        yield str(name).lower(), text[:_HEADER_BYTES]
