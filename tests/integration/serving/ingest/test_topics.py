"""Topics that others fill, on a real broker of the Kafka protocol: each message counts once, whoever is killed when."""

import io
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cramjam
import fastavro
import httpx
import pytest

from aiops.settings.broker_settings import BrokerSettings
from serving.ingest.topic_positions import TopicLag, topic_lags
from serving.stream import streams
from serving.stream.broker import open_streams
from serving.stream.sent_sequences import SentSequences
from tests.testing.deadlines import within
from tests.testing.filled_topics import FilledTopics
from tests.testing.free_ports import free_ports
from tests.testing.kafka_broker import KafkaBroker
from tests.testing.receiver_harness import Receiver, Sent, receiver_settings, write_1, write_2
from tests.testing.registry_server import RegistryServer, framed
from tests.testing.stream_harness import wait_until

NOW_MS = int(time.time() * 1000)
SERIES = 20
READING = {"at": "long", "app": "string", "amount": "double"}


def body(number: int) -> bytes:
    """Return a compressed body of remote write 1.0 whose values all say its number."""
    at = NOW_MS - 10_000_000 + number * 100
    return write_1([Sent({"__name__": f"m{row}", "job": f"service-{row % 5}"}, [(float(number), at)]) for row in range(SERIES)])


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as started:
        yield started


@pytest.fixture(scope="module")
def topics(kafka: KafkaBroker) -> FilledTopics:
    return FilledTopics(kafka.port)


def reading(home: Path, kafka: KafkaBroker, *named: dict[str, Any], **ingest: Any) -> Receiver:
    home.mkdir(exist_ok=True)
    more = {"AIOPS_CONSUMER__LEASE_S": "1", **ingest.pop("more", {})}
    return Receiver(receiver_settings(home, topics=json.dumps(named), kafka_url=kafka.url, **ingest), more)


def stored(receiver: Receiver) -> Counter[int]:
    """Return how many points the streams hold by the number of their body."""
    return Counter(int(row["value"]) for row in receiver.rows(streams.KIND_POINTS))


def lags(receiver: Receiver, topic: str) -> list[TopicLag]:
    return list(topic_lags(open_streams(receiver.settings), [topic]))


def read_through(receiver: Receiver, topic: str, counts: "list[int]") -> bool:
    """Return whether each partition was read up to so many messages."""
    return [lag.next_offset for lag in lags(receiver, topic)] == counts


def test_messages_of_every_kind_become_points_and_positions_move_with_them(
    tmp_path: Path, kafka: KafkaBroker, topics: FilledTopics
) -> None:
    topics.make("mixed", 2)
    two = write_2([Sent({"__name__": "two", "job": "a"}, [(2.0, NOW_MS)], kind=2)])
    topics.put("mixed", 0, [body(1), bytes(cramjam.snappy.decompress_raw(body(2))), two])
    topics.put("mixed", 1, [body(3), b"\x0a\xff\xff no message", b"", body(4)])
    with reading(tmp_path / "home", kafka, {"topic": "mixed", "encoding": "remote_write", "tenant": "acme"}) as receiver:
        assert wait_until(lambda: read_through(receiver, "mixed", [3, 4]), 30), receiver.log()
        points = receiver.rows(streams.KIND_POINTS)
        assert Counter(int(row["value"]) for row in points) == {1: SERIES, 2: SERIES + 1, 3: SERIES, 4: SERIES}
        assert {row["tenant"] for row in points} == {"acme"}
        letters = receiver.rows(streams.KIND_REFUSED, "signals")
        assert [json.loads(letter["row"])["entry"] for letter in letters] == ["mixed/1/1", "mixed/1/2"]
        assert {(letter["reason"], letter["source"], letter["tenant"]) for letter in letters} == {
            ("undecodable", "kafka/mixed", "acme")
        }
        page = httpx.get(f"{receiver.url}/metrics", timeout=within(10)).text
        assert 'aiops_ingest_topic_messages_total{outcome="unreadable",tenant="acme",topic="mixed"} 2.0' in page
        assert wait_until(lambda: [lag.high for lag in lags(receiver, "mixed")] == [3, 4], 20)
        assert receiver.drain() == 0


def test_records_of_a_registry_and_events_of_vector_become_points(
    tmp_path: Path, kafka: KafkaBroker, topics: FilledTopics
) -> None:
    """A registry that is away holds its own topic back alone; what it does not know is a dead letter."""
    topics.make("readings", 1)
    topics.make("events", 1)
    event = {"name": "rps", "tags": {"app": "web"}, "kind": "absolute", "gauge": {"value": 5.0}}
    event["timestamp"] = datetime.fromtimestamp(NOW_MS / 1e3, UTC).isoformat()
    topics.put("events", 0, [json.dumps(event).encode(), b"{}"])
    with RegistryServer() as registry:
        schema = {"type": "record", "name": "R", "fields": [{"name": name, "type": kind} for name, kind in READING.items()]}
        known = registry.register("readings-value", "AVRO", json.dumps(schema)).schema_id
        parsed, output = fastavro.parse_schema(schema), io.BytesIO()
        fastavro.schemaless_writer(output, parsed, {"at": NOW_MS, "app": "cart", "amount": 12.5})
        topics.put(
            "readings", 0, [framed(known, output.getvalue()), framed(9, b""), b"text", framed(known, output.getvalue()[:-1])]
        )
        registry.status = 503
        fields = {"timestamp": "at", "service": "app", "metric": "=orders", "value": "amount", "labels": ""}
        readings = {"topic": "readings", "encoding": "avro", "fields": fields}
        more = {"topic": "events", "encoding": "vector_json"}
        with reading(tmp_path / "home", kafka, readings, more, registry_url=registry.url) as receiver:
            assert wait_until(lambda: read_through(receiver, "events", [2]), 30), receiver.log()
            assert [row["value"] for row in receiver.rows(streams.KIND_POINTS)] == [5.0]
            assert [lag.next_offset for lag in lags(receiver, "readings")] == [0]
            registry.status = 200
            assert wait_until(lambda: read_through(receiver, "readings", [4]), 30), receiver.log()
            assert sorted(row["value"] for row in receiver.rows(streams.KIND_POINTS)) == [5.0, 12.5]
            services = {(row["service"], row["metric"]) for row in receiver.rows(streams.KIND_DEFINITIONS)}
            assert services == {("web", "rps"), ("cart", "orders")}
            letters = receiver.rows(streams.KIND_REFUSED, "signals")
            entries = {json.loads(letter["row"])["entry"] for letter in letters}
            assert entries == {"events/0/1", "readings/0/1", "readings/0/2", "readings/0/3"}
            assert receiver.drain() == 0


class Feed:
    """Puts a few messages into each partition of a topic again and again, in a thread of its own, while the block runs."""

    def __init__(self, topics: FilledTopics, topic: str, partitions: int) -> None:
        topics.make(topic, partitions)
        self.sent = [0] * partitions
        self.newest = 0
        self._topics, self._topic = topics, topic
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.05):
            for partition in range(len(self.sent)):
                self._topics.put(self._topic, partition, [body(self.newest + each) for each in range(1, 4)])
                self.newest, self.sent[partition] = self.newest + 3, self.sent[partition] + 3


@pytest.mark.slow
def test_kill_9_of_the_receiver_while_it_reads_counts_each_point_once(
    tmp_path: Path, kafka: KafkaBroker, topics: FilledTopics
) -> None:
    with reading(tmp_path / "home", kafka, {"topic": "killed", "encoding": "remote_write"}) as receiver:
        with Feed(topics, "killed", 3) as feed:
            for number in range(5):
                before = sum(stored(receiver).values())
                assert wait_until(lambda before=before: sum(stored(receiver).values()) > before, 30), receiver.log()
                time.sleep(0.1 + 0.03 * number)
                receiver.kill()
                receiver.start()
        assert wait_until(lambda: read_through(receiver, "killed", feed.sent), 60), receiver.log()
        assert stored(receiver) == dict.fromkeys(range(1, feed.newest + 1), SERIES)
        assert receiver.drain() == 0


@pytest.mark.slow
def test_with_telemetry_on_kafka_too_a_kill_between_position_and_log_loses_nothing(
    tmp_path: Path, kafka: KafkaBroker, topics: FilledTopics
) -> None:
    """Points go by an outbox; what the log holds twice has one number, by which readers leave the second out."""
    log = f"{kafka.url}/own.telemetry"
    more = {"AIOPS_BROKER__URL": log}
    with reading(tmp_path / "home", kafka, {"topic": "both", "encoding": "remote_write"}, more=more) as receiver:
        logged = BrokerSettings(url=log, port=receiver.settings.broker.port, partitions=2)
        receiver.settings = receiver.settings.model_copy(update={"broker": logged})
        second, broker = beside(receiver), open_streams(receiver.settings)
        try:
            second.start()
            with Feed(topics, "both", 3) as feed:
                for number, victim in enumerate((receiver, second) * 2):
                    before = sum(read_once(broker).values())
                    assert wait_until(lambda before=before: sum(read_once(broker).values()) > before, 30), receiver.log()
                    time.sleep(0.1 + 0.03 * number)
                    victim.kill()
                    if number % 3:  # its partitions, and what it left in the outbox, are another's now
                        assert wait_until(lambda number=number: owned((receiver, second)[1 - number % 2]) == 3, 30), (
                            receiver.log()
                        )
                    victim.start()
            assert wait_until(lambda: read_through(receiver, "both", feed.sent), 60), receiver.log()
            assert wait_until(lambda: not broker.keys("aiops:outbox:*"), 20)
            assert read_once(broker) == dict.fromkeys(range(1, feed.newest + 1), SERIES)
        finally:
            if second.process is not None:
                second.process.kill()
                second.process.wait()


def read_once(broker: streams.Streams) -> Counter[int]:
    """Return how many points a reader of the log sees, by the number of their body."""
    counts = Counter[int]()
    for partition in range(2):
        for entry in SentSequences().fresh(broker.range(streams.telemetry(partition))):
            if entry.kind == streams.KIND_POINTS:
                counts.update(int(value) for value in streams.from_ipc(entry.payload).column("value").to_pylist())
    return counts


def beside(receiver: Receiver) -> Receiver:
    """Return a second receiver over the same broker, not started."""
    http, grpc = free_ports(2)
    ingest = receiver.settings.ingest.model_copy(update={"port": http, "grpc_port": grpc})
    return Receiver(receiver.settings.model_copy(update={"ingest": ingest}), receiver.more)


def owned(receiver: Receiver) -> int:
    """Return how many partitions of topics a receiver has the lease of."""
    page = httpx.get(f"{receiver.url}/metrics", timeout=within(10)).text
    return sum(int(float(line.split()[-1])) for line in page.splitlines() if line.startswith("aiops_partitions_owned{"))


@pytest.mark.slow
def test_two_receivers_share_a_topic_and_nothing_doubles_while_partitions_move(
    tmp_path: Path, kafka: KafkaBroker, topics: FilledTopics
) -> None:
    """One joins, is stopped for longer than its lease and goes on, the other one is killed: each point counts once."""
    with reading(tmp_path / "home", kafka, {"topic": "shared", "encoding": "remote_write"}) as first:
        second = beside(first)
        try:
            with Feed(topics, "shared", 4) as feed:
                second.start()
                assert wait_until(lambda: (owned(first), owned(second)) == (2, 2), 30), first.log()
                for _ in range(3):
                    pause(second)
                    assert wait_until(lambda: owned(first) == 4, 30), first.log()
                    go_on(second)
                    assert wait_until(lambda: owned(second) == 2, 30), second.log()
                first.kill()
                assert wait_until(lambda: owned(second) == 4, 30), second.log()
            assert wait_until(lambda: read_through(second, "shared", feed.sent), 60), second.log()
            assert stored(second) == dict.fromkeys(range(1, feed.newest + 1), SERIES)
            assert second.drain() == 0
        finally:
            if second.process is not None:
                second.process.kill()
                second.process.wait()


def pause(receiver: Receiver) -> None:
    assert receiver.process is not None
    receiver.process.send_signal(signal.SIGSTOP)


def go_on(receiver: Receiver) -> None:
    assert receiver.process is not None
    receiver.process.send_signal(signal.SIGCONT)
