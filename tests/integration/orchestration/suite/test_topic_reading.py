"""`aiops status` on topics that others fill: how far they are read, and those that nobody reads, or ever read."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from orchestration.suite.health import ask
from orchestration.suite.topic_reading import TopicLine, topic_reading
from serving.ingest.topic_positions import TopicPlace, TopicPositions
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from tests.testing.fake_topic import FakeTopic
from tests.testing.filled_topics import FilledTopics
from tests.testing.free_ports import free_port
from tests.testing.kafka_broker import KafkaBroker


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, broker=BrokerSettings(port=free_port(), partitions=1))


@pytest.fixture
def broker(settings: Settings) -> Iterator[streams.Streams]:
    with EmbeddedBroker(settings):
        yield open_streams(settings)


def reading_topics(settings: Settings, kafka_url: str = "kafka://127.0.0.1:1", **topic: str) -> Settings:
    named = json.dumps([{"topic": "t", "encoding": "otlp_proto", "tenant": "acme", **topic}])
    ingest = settings.ingest.model_copy(update={"topics": named, "kafka_url": kafka_url})
    return settings.model_copy(update={"ingest": ingest})


def read_to(broker: streams.Streams, partition: int, offset: int, high: int) -> TopicPlace:
    positions, place = TopicPositions(broker), TopicPlace("t", partition)
    positions.claim(place, "reader", "acme")
    positions.move(place, "reader", offset)
    positions.note(place, "reader", high)
    return place


def test_topics_show_how_far_they_are_read_and_that_nobody_reads_them(broker: streams.Streams, settings: Settings) -> None:
    settings, topic = reading_topics(settings), FakeTopic({0: [b""] * 100})
    place = read_to(broker, 0, 40, 100)
    known = topic_reading(broker, settings, lambda _address, _name: topic)
    assert [(line.topic, line.partition, line.tenant, line.next_offset, line.lag) for line in known.lines] == [
        ("t", 0, "acme", 40, 60)
    ]
    assert known.faults == ()
    broker.hash_set(place.key, {"at": str(int(time.time() * 1000) - 120_000)})
    (fault,) = topic_reading(broker, settings, lambda _address, _name: topic).faults
    assert fault.startswith("topic t/0: nobody has read it for 12")


@pytest.mark.parametrize(("start", "following", "lag"), [("earliest", 2, 5), ("latest", 7, 0)])
def test_a_topic_that_nobody_ever_read_is_a_fault_with_what_waits(
    broker: streams.Streams, settings: Settings, start: str, following: int, lag: int
) -> None:
    settings = reading_topics(settings, start=start)
    topic = FakeTopic({0: [b""] * 7, 1: [b""] * 7}, low={0: 2, 1: 2})
    report = topic_reading(broker, settings, lambda _address, _name: topic)
    assert report.lines == tuple(TopicLine("t", partition, "acme", following, lag, None) for partition in (0, 1))
    assert report.faults == (
        f"topic t: nobody has ever read it, {2 * lag} messages wait; does a receiver run with AIOPS_INGEST__TOPICS?",
    )
    read_to(broker, 0, 7, 7)
    report = topic_reading(broker, settings, lambda _address, _name: topic)
    assert [(line.partition, line.noted_at is None) for line in report.lines] == [(0, False), (1, True)]
    assert report.faults[0].startswith(f"topic t: nobody has ever read partitions 1, {lag} messages wait")


def test_a_topic_that_is_not_there_and_a_cluster_that_is_away_are_faults(broker: streams.Streams, settings: Settings) -> None:
    settings = reading_topics(settings)
    (fault,) = topic_reading(broker, settings, lambda _address, _name: FakeTopic({})).faults
    assert fault.startswith("topic t: the cluster has no such topic")
    read_to(broker, 3, 40, 100)
    report = ask(settings)
    assert [line.lag for line in report.topics] == [60]
    (fault,) = (fault for fault in report.faults if fault.startswith("topics"))
    assert fault.startswith("topics: what nobody ever read is not known: kafka 127.0.0.1:1: metadata of topic t: no answer")


def test_a_cluster_says_what_waits_in_a_topic_that_nobody_ever_read(
    broker: streams.Streams, settings: Settings, tmp_path: Path
) -> None:
    with KafkaBroker(tmp_path) as kafka:
        topics = FilledTopics(kafka.port)
        topics.make("t", 2)
        topics.put("t", 1, [b"a", b"b", b"c"])
        report = topic_reading(broker, reading_topics(settings, kafka.url))
        assert [(line.partition, line.next_offset, line.lag) for line in report.lines] == [(0, 0, 0), (1, 0, 3)]
        assert report.faults[0].startswith("topic t: nobody has ever read it, 3 messages wait")
