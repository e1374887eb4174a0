"""Groups with positions of topics where telemetry has a log of its own: the outbox is sent once, whoever dies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiops.errors import FencedError, Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.ingest.entry_batch import Appended, EncodedEntry, EntryBatch, EntryGroup
from serving.ingest.producer_sequence import ProducerSequence
from serving.ingest.topic_positions import Advance, Claimed, PositionsLost, TopicPlace, TopicPositions
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, connect
from tests.testing.free_ports import free_ports
from tests.testing.memory_log import MemoryLog

PLACE = TopicPlace("t", 0)
OUTBOX = "aiops:outbox:*"


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def broker(home: Path, log: MemoryLog) -> Iterator[streams.Streams]:
    settings = Settings(home=home, broker=BrokerSettings(port=free_ports(1)[0], partitions=2))
    with EmbeddedBroker(settings):
        unread: Any = log
        yield streams.Streams(connect(settings), unread)


@pytest.fixture
def positions(broker: streams.Streams) -> TopicPositions:
    positions = TopicPositions(broker)
    assert positions.claim(PLACE, "a", "acme") == Claimed(None, "", 0)
    positions.move(PLACE, "a", 7)
    return positions


def batch(stream: str, seq: int, counter: str = "") -> EntryBatch:
    return EntryBatch(
        stream, counter, seq, 5, (EncodedEntry("acme", b"w", b"%d.0" % seq), EncodedEntry("acme", b"w", b"%d.1" % seq))
    )


def group(seq: int, begin: int, end: int) -> EntryGroup:
    batches = [batch(streams.telemetry(number), seq, streams.entries(number)) for number in (0, 1)]
    return EntryGroup((*batches, batch(streams.signals(0), seq)), (Advance(PLACE, "a", begin, end),), seq, 5)


def whole(seq: int) -> list[tuple[int, str, bytes]]:
    return [(partition, f"p {seq}-{part}", b"%d.%d" % (seq, part)) for partition in (0, 1) for part in (0, 1)]


def test_what_goes_by_the_outbox_reaches_the_log_once(broker: streams.Streams, log: MemoryLog, positions: TopicPositions) -> None:
    producer = ProducerSequence(broker, "p")
    assert producer.append_group(group(1, 7, 9), 10).outcome is Appended.NEW
    assert producer.append_group(group(1, 7, 9), 10).outcome is Appended.REPEATED
    assert producer.append_group(group(2, 9, 10), 10).outcome is Appended.NEW
    assert log.entries == [*whole(1), *whole(2)]
    assert (broker.keys(OUTBOX), broker.length(streams.signals(0))) == ([], 4)
    assert positions.claim(PLACE, "b", "acme") == Claimed(10, "p", 2)
    with pytest.raises(PositionsLost):
        producer.append_group(group(3, 10, 11), 10)
    assert producer.append_group(group(4, 10, 11), 5).outcome is Appended.BACKLOG_FULL
    assert len(log.entries) == 8


@pytest.mark.parametrize("room", [0, 1, 3])
def test_a_restart_sends_what_a_crash_left(room: int, broker: streams.Streams, log: MemoryLog, positions: TopicPositions) -> None:
    log.room = room
    with pytest.raises(Unavailable):
        ProducerSequence(broker, "p").append_group(group(4, 7, 9), 10)
    assert positions.current(PLACE, "a") == 9, "the position moved with the outbox"
    assert ProducerSequence(broker, "p").newest() == 4, "a log that is away does not keep a receiver from its start"
    log.room = 1000
    again = ProducerSequence(broker, "p")
    assert again.newest() == 4
    assert log.entries == whole(4)
    assert again.append_group(group(5, 9, 10), 10).outcome is Appended.NEW
    assert (log.entries, broker.keys(OUTBOX)) == ([*whole(4), *whole(5)], [])


def test_who_takes_a_position_over_sends_in_the_place_of_the_dead(
    broker: streams.Streams, log: MemoryLog, positions: TopicPositions
) -> None:
    dead = ProducerSequence(broker, "p")
    log.room = 1
    with pytest.raises(Unavailable):
        dead.append_group(group(4, 7, 9), 10)
    log.room = 1000
    claimed = positions.claim(PLACE, "b", "acme")
    ProducerSequence(broker, claimed.producer_id).finish(claimed.seq - 1)
    assert len(log.entries) == 1, "what lies there has a later number: its producer is at work, and is left alone"
    ProducerSequence(broker, claimed.producer_id).finish(claimed.seq)
    assert log.entries == whole(4)
    with pytest.raises(FencedError):
        dead.append_group(group(5, 9, 10), 10)
    ProducerSequence(broker, claimed.producer_id).finish(claimed.seq)
    assert log.entries == whole(4)


def test_bodies_of_requests_go_behind_what_lies_in_the_outbox(
    broker: streams.Streams, log: MemoryLog, positions: TopicPositions
) -> None:
    producer = ProducerSequence(broker, "p")
    log.room = 0
    with pytest.raises(Unavailable):
        producer.append_group(group(1, 7, 9), 10)
    with pytest.raises(Unavailable):
        producer.append_batch(batch(streams.telemetry(1), 2), 10)
    log.room = 1000
    assert producer.append_batch(batch(streams.telemetry(1), 3), 10).outcome is Appended.NEW
    assert log.entries == [*whole(1), *whole(3)[2:]]
