"""Valkey and Kafka as the place of telemetry: one suite for both, and what only a log apart from the state store has to mind."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from aiops.errors import ConfigurationError, SequenceConflict, Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.ingest.producer_sequence import Appended, BatchPlace
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from serving.stream.kafka_log import KafkaLog
from serving.stream.kafka_url import kafka_address
from serving.stream.sent_sequences import SentSequences
from tests.conformance.telemetry_log_suite import STREAM, TelemetryLogSuite, append, sequence
from tests.testing.free_ports import free_ports
from tests.testing.kafka_broker import KafkaBroker
from tests.testing.stream_harness import wait_until


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as started:
        yield started


@pytest.fixture
def topic(kafka: KafkaBroker, request: pytest.FixtureRequest) -> str:
    return f"{kafka.url}/{request.node.name.replace('[', '-').replace(']', '')}"


def opened(home: Path, url: str | None) -> Settings:
    return Settings(home=home, broker=BrokerSettings(url=url, port=free_ports(1)[0], partitions=1))


@pytest.fixture
def on_kafka(home: Path, topic: str) -> Iterator[streams.Streams]:
    settings = opened(home, topic)
    with EmbeddedBroker(settings):
        yield open_streams(settings)


class TestValkey(TelemetryLogSuite):
    @pytest.fixture
    def broker(self, home: Path) -> Iterator[streams.Streams]:
        settings = opened(home, None)
        with EmbeddedBroker(settings):
            yield open_streams(settings)


class TestKafka(TelemetryLogSuite):
    @pytest.fixture
    def broker(self, on_kafka: streams.Streams) -> streams.Streams:
        return on_kafka


def test_the_backlog_of_a_log_is_what_stage_1_has_not_committed(on_kafka: streams.Streams) -> None:
    writer = sequence(on_kafka)
    for seq in (1, 2, 3):
        append(writer, seq)
    on_kafka.hash_set(streams.offset("stage1", 0), {"id": on_kafka.range(STREAM)[1].entry_id})
    assert on_kafka.length(STREAM) == 1
    assert len(on_kafka.range(STREAM)) == 3


def test_an_entry_whose_acknowledgement_is_lost_may_be_there_twice_and_readers_leave_it_out(
    on_kafka: streams.Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = on_kafka.log
    assert isinstance(log, KafkaLog)
    writer, really = sequence(on_kafka), log.append

    def without_answer(partition: int, fields: "dict[str, bytes | int]") -> None:
        really(partition, fields)
        raise Unavailable("the answer is lost")

    monkeypatch.setattr(log, "append", without_answer)
    with pytest.raises(Unavailable):
        append(writer, 1)
    monkeypatch.setattr(log, "append", really)
    assert append(writer, 1) is Appended.NEW
    entries = on_kafka.range(STREAM)
    assert [entry.source for entry in entries] == ["writer 1-0", "writer 1-0"]
    assert SentSequences().fresh(entries) == entries[:1]


def test_a_number_that_was_sent_without_an_answer_is_not_given_to_another_batch(
    on_kafka: streams.Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = on_kafka.log
    assert isinstance(log, KafkaLog)

    def away(partition: int, fields: "dict[str, bytes | int]") -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(log, "append", away)
        with pytest.raises(Unavailable):
            append(sequence(on_kafka), 1)
    restarted = sequence(on_kafka)
    restarted.take()
    assert restarted.newest() == 1
    with pytest.raises(SequenceConflict):
        restarted.append(BatchPlace(0, 1, "another"), 0, {"k": b"t", "b": b"x"}, 100)


def test_a_cluster_that_is_away_is_unavailable() -> None:
    log = KafkaLog(kafka_address(f"kafka://127.0.0.1:{free_ports(1)[0]}"), 1, timeout_s=0.5)
    with pytest.raises(Unavailable, match="is it running"):
        log.last_id(0)
    with pytest.raises(Unavailable, match="is it running"):
        log.append(0, {"b": b"x"})


def test_a_topic_with_too_few_partitions_is_refused(on_kafka: streams.Streams, topic: str) -> None:
    on_kafka.last_id(STREAM)
    with pytest.raises(ConfigurationError, match="AIOPS_BROKER__PARTITIONS"):
        KafkaLog(kafka_address(topic), 2).last_id(0)


def test_entries_outlive_a_kill_of_the_broker(on_kafka: streams.Streams, kafka: KafkaBroker) -> None:
    writer = sequence(on_kafka)
    append(writer, 1)
    kafka.kill()
    with pytest.raises(Unavailable):
        append(writer, 2)
    kafka.start()
    outcomes: list[Appended] = []

    def appended() -> bool:
        with suppress(Unavailable):
            outcomes.append(append(writer, 2))
        return bool(outcomes)

    assert wait_until(appended, 60)
    assert outcomes == [Appended.NEW]
    fresh = SentSequences().fresh(on_kafka.range(STREAM))
    assert [entry.source for entry in fresh] == ["writer 1-0", "writer 2-0"]
