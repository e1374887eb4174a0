"""Telemetry on Kafka: one topic, its partitions are ours. Positions lie in the state store, so no consumer group is used.

The id of the entry at offset n is `<n + 1>-0`. Nothing is deleted here: the topic's own retention decides how long telemetry
stays; it must be longer than consumers may stand still. Durability of an acknowledged entry is the cluster's (`acks=all`).
"""

import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from aiops.errors import ConfigurationError, Unavailable
from serving.stream.entry import Entry, entry_of, id_parts
from serving.stream.kafka_url import KafkaAddress

if TYPE_CHECKING:
    from confluent_kafka import Message, Producer

MOST_BYTES: Final = 8 << 20
"""The greatest entry that is appended or read."""
_PAYLOAD: Final = "b"


def offset_after(entry_id: str) -> int:
    """Return the offset of the entry that follows an id.

    >>> offset_after("0-0"), offset_after("5-0")
    (0, 5)
    """
    return id_parts(entry_id)[0]


class KafkaLog:
    """TelemetryLog on one topic. `timeout_s` = how long one call may take. Safe to share between threads.

    Reading one place after another keeps one connection fetching ahead; a read elsewhere seeks.
    """

    def __init__(self, address: KafkaAddress, partitions: int, timeout_s: float = 5.0) -> None:
        """Name the cluster; nothing connects before its first use."""
        self._address = address
        self._partitions = partitions
        self._timeout_s = timeout_s
        self._send_lock = threading.RLock()
        self._look_lock = threading.RLock()
        self._producer: Producer | None = None
        self._follower: _Reader | None = None
        self._looker: _Reader | None = None

    def append(self, partition: int, fields: Mapping[str, bytes | int]) -> None:
        """Append one entry; return when all in-sync replicas have it.

        Raises:
            Unavailable: no acknowledgement in time; it may be there all the same.
        """
        from confluent_kafka import KafkaException

        outcome: list[Any] = []
        headers: list[tuple[str, str | bytes | None]] = [
            (name, _bytes(value)) for name, value in fields.items() if name != _PAYLOAD
        ]
        try:
            with self._send_lock:
                producer = self._opened_producer()
                producer.produce(
                    self._address.topic,
                    _bytes(fields[_PAYLOAD]),
                    partition=partition,
                    headers=headers,
                    on_delivery=lambda error, _message: outcome.append(error),
                )
                deadline = time.monotonic() + self._timeout_s
                while not outcome and time.monotonic() < deadline:
                    producer.poll(0.05)
                if not outcome or outcome[0] is not None:
                    self._forget_producer()
        except (KafkaException, BufferError) as error:
            self._forget_producer()
            raise self._unavailable("produce", error) from error
        if not outcome or outcome[0] is not None:
            raise self._unavailable("produce", outcome[0] if outcome else "no acknowledgement in time")

    def _forget_producer(self) -> None:
        """Send nothing more by a connection that failed: it may never recover, and what it still holds must not arrive late."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def read(self, after: Mapping[int, str], count: int, block_ms: int) -> dict[int, list[Entry]]:
        """Return at most `count` entries a partition that follow the ids, waiting up to `block_ms` for the first of all."""
        with self._look_lock:
            if self._follower is None:
                self._follower = _Reader(self._address, self._opened_topic())
            follower = self._follower
        try:
            return follower.read(after, count, block_ms / 1e3)
        except _NoAnswer as error:
            raise self._unavailable("fetch", error) from error

    def range(self, partition: int, first: str, last: str, count: int | None) -> list[Entry]:
        """Return the entries between two ids as `Streams.range` does."""
        begin = 0 if first == "-" else offset_after(first[1:]) if first.startswith("(") else max(0, offset_after(first) - 1)
        low, high = self._bounds(partition)
        end = high if last == "+" else min(high, offset_after(last))
        begin = max(begin, low)
        wanted = max(0, end - begin) if count is None else min(count, max(0, end - begin))
        entries: list[Entry] = []
        deadline = time.monotonic() + self._timeout_s
        with self._look_lock:
            if self._looker is None:
                self._looker = _Reader(self._address, self._opened_topic())
            while len(entries) < wanted:
                after = {partition: entries[-1].entry_id if entries else f"{begin}-0"}
                try:
                    more = self._looker.read(after, wanted - len(entries), 0.5).get(partition, [])
                except _NoAnswer as error:
                    raise self._unavailable("fetch", error) from error
                more = [entry for entry in more if offset_after(entry.entry_id) <= end]
                entries += more
                if not more and (self._bounds(partition)[0] > begin or time.monotonic() > deadline):
                    break
        return entries

    def last_id(self, partition: int) -> str:
        """Return the newest id, `0-0` where nothing was ever appended."""
        return f"{self._bounds(partition)[1]}-0"

    def trimmed_id(self, partition: int) -> str:
        """Return the newest id that retention has removed, `0-0` where all is there."""
        return f"{self._bounds(partition)[0]}-0"

    def close(self) -> None:
        """Close all connections; what was acknowledged stays."""
        with self._look_lock:
            for reader in (self._follower, self._looker):
                if reader is not None:
                    reader.close()
            self._follower = self._looker = self._producer = None

    def _bounds(self, partition: int) -> "tuple[int, int]":
        with self._look_lock:
            if self._looker is None:
                self._looker = _Reader(self._address, self._opened_topic())
            try:
                return self._looker.bounds(partition, self._timeout_s)
            except _NoAnswer as error:
                raise self._unavailable("watermarks", error) from error

    def _opened_producer(self) -> "Producer":
        from confluent_kafka import Producer

        if self._producer is None:
            self._opened_topic()
            self._producer = Producer(
                self._address.configuration(
                    {
                        "enable.idempotence": True,
                        "linger.ms": 0,
                        "message.max.bytes": MOST_BYTES,
                        "message.timeout.ms": int(self._timeout_s * 1e3),
                    }
                )
            )
        return self._producer

    def _opened_topic(self) -> int:
        """Return the number of partitions; the topic is made where it is not there.

        Raises:
            ConfigurationError: it has fewer partitions than `AIOPS_BROKER__PARTITIONS`.
            Unavailable: the cluster does not answer.
        """
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        topic = self._address.topic
        try:
            admin = AdminClient(self._address.configuration({}))
            known = admin.list_topics(timeout=self._timeout_s).topics.get(topic)
            if known is None or known.error is not None:
                made = admin.create_topics([NewTopic(topic, self._partitions)], operation_timeout=self._timeout_s)
                made[topic].result(self._timeout_s)
                return self._partitions
        except (KafkaException, TimeoutError) as error:
            if "TOPIC_ALREADY_EXISTS" not in str(error):
                raise self._unavailable("topic", error) from error
            return self._partitions
        if len(known.partitions) < self._partitions:
            raise ConfigurationError(
                f"broker.partitions = {self._partitions}: topic {topic} has {len(known.partitions)} partitions; "
                "set AIOPS_BROKER__PARTITIONS to that, or add partitions before the first telemetry"
            )
        return len(known.partitions)

    def _unavailable(self, what: str, error: object) -> Unavailable:
        return Unavailable(f"kafka {self._address.servers}: {what} got no answer ({error}); is it running and reachable?")


class _NoAnswer(Exception):
    """The cluster does not answer."""


class _Reader:
    """One connection that reads places of the topic; a read that goes on where the last one ended does not seek."""

    def __init__(self, address: KafkaAddress, partitions: int) -> None:
        from confluent_kafka import Consumer

        self._topic = address.topic
        self._at: dict[int, int] = {}
        self._kept: dict[int, list[Entry]] = {}
        self._consumer: Consumer = Consumer(
            address.configuration(
                {
                    "group.id": "aiops",  # named, and never joined: positions lie in the state store
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "fetch.message.max.bytes": MOST_BYTES,
                    "fetch.wait.max.ms": 50,
                    "queued.max.messages.kbytes": 65_536,
                    "max.poll.interval.ms": 86_400_000,
                }
            )
        )

    def read(self, after: Mapping[int, str], count: int, block_s: float) -> dict[int, list[Entry]]:
        """Return entries that follow the ids; what other partitions give beyond `count` is kept for the next read."""
        self._go_to({partition: offset_after(entry_id) for partition, entry_id in after.items()})
        if not any(self._kept.values()):
            self._fetch(count * len(after), block_s)
        result: dict[int, list[Entry]] = {}
        for partition in after:
            kept = self._kept.get(partition, [])
            if kept:
                result[partition], self._kept[partition] = kept[:count], kept[count:]
                self._at[partition] = offset_after(result[partition][-1].entry_id)
        return result

    def bounds(self, partition: int, timeout_s: float) -> "tuple[int, int]":
        """Return the first offset that is there and the one after the newest."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=timeout_s)
        except KafkaException as error:
            raise _NoAnswer(str(error)) from error
        return max(0, low), max(0, high)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _go_to(self, places: Mapping[int, int]) -> None:
        from confluent_kafka import TopicPartition

        if all(self._at.get(partition) == offset for partition, offset in places.items()) and places.keys() == self._at.keys():
            return
        self._at = dict(places)
        self._kept = {}
        self._consumer.assign([TopicPartition(self._topic, partition, offset) for partition, offset in places.items()])

    def _fetch(self, count: int, block_s: float) -> None:
        from confluent_kafka import KafkaException

        try:
            first = self._consumer.poll(block_s)
            messages = [] if first is None else [first, *self._consumer.consume(count - 1, 0)] if count > 1 else [first]
        except KafkaException as error:
            raise _NoAnswer(str(error)) from error
        for message in messages:
            if message.error() is not None:
                raise _NoAnswer(str(message.error()))
            self._kept.setdefault(message.partition() or 0, []).append(_entry(message))


def _entry(message: "Message") -> Entry:
    ordinal = (message.offset() or 0) + 1
    fields = {name.encode(): value for name, value in _headers(message)}
    return entry_of(f"{ordinal}-0".encode(), {**fields, b"b": message.value() or b"", b"o": str(ordinal).encode()})


def _headers(message: "Message") -> Iterator[tuple[str, bytes]]:
    """Yield the headers of a message: ours have bytes as values."""
    given: Any = message.headers() or []
    for name, value in given:
        yield str(name), value if isinstance(value, bytes) else str(value or "").encode()


def _bytes(value: bytes | int) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
