"""Positions of topics move with the append or not at all: fenced, elsewhere, full, repeated."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import FencedError
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.ingest.entry_batch import Appended, EncodedEntry, EntryBatch, EntryGroup
from serving.ingest.producer_sequence import ProducerSequence
from serving.ingest.receive.group_commit import CommitRules, GroupCommit
from serving.ingest.receive.raw_batch import Place, PointArrays, RawBatch, Touched
from serving.ingest.receive.series_table import Homes, SeriesTable
from serving.ingest.receive.slot_kernels import NEVER
from serving.ingest.topic_positions import Advance, PositionsLost, TopicPlace, TopicPositions, topic_lags
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from tests.testing.deadlines import within
from tests.testing.free_ports import free_ports

PLACE, OTHER = TopicPlace("t", 0), TopicPlace("t", 11)
BACKLOG = 5


@pytest.fixture
def broker(home: Path) -> Iterator[streams.Streams]:
    settings = Settings(home=home, broker=BrokerSettings(port=free_ports(1)[0], partitions=2))
    with EmbeddedBroker(settings):
        yield open_streams(settings)


@pytest.fixture
def positions(broker: streams.Streams) -> TopicPositions:
    positions = TopicPositions(broker)
    for place in (PLACE, OTHER):
        assert positions.claim(place, "a", "acme").next_offset is None
        positions.move(place, "a", 7)
    return positions


def group(seq: int, *advances: Advance, entries: int = 1) -> EntryGroup:
    """Return a group for both telemetry streams and a stream of signals, which nobody counts."""
    made = tuple(EncodedEntry("acme", b"w", f"{seq}.{number}".encode()) for number in range(entries))
    telemetry = [EntryBatch(streams.telemetry(number), streams.entries(number), seq, 1, made) for number in (0, 1)]
    return EntryGroup((*telemetry, EntryBatch(streams.signals(0), "", seq, 1, made)), advances, seq, 1)


def lengths(broker: streams.Streams) -> list[int]:
    return [broker.length(name) for name in (streams.telemetry(0), streams.telemetry(1), streams.signals(0))]


def offsets(broker: streams.Streams) -> list[int]:
    return [lag.next_offset for lag in topic_lags(broker, ["t"])]


def test_a_group_and_its_positions_are_one_step_and_a_repetition_adds_nothing(
    broker: streams.Streams, positions: TopicPositions
) -> None:
    producer = ProducerSequence(broker, "p")
    first = group(1, Advance(PLACE, "a", 7, 9), Advance(OTHER, "a", 7, 8), entries=2)
    assert producer.append_group(first, BACKLOG).lengths == (2, 2, 2)
    assert producer.append_group(first, BACKLOG).outcome is Appended.REPEATED
    assert (lengths(broker), offsets(broker)) == ([2, 2, 2], [9, 8])
    entry = broker.range(streams.telemetry(1))[1]
    assert (entry.source, entry.ordinal, entry.tenant, entry.payload) == ("p 1-1", 2, "acme", b"1.1")
    plain = EntryBatch(streams.telemetry(0), streams.entries(0), 2, 1, (EncodedEntry("acme", b"w", b"plain"),))
    assert producer.append_batch(plain, BACKLOG).outcome is Appended.NEW, "requests and topics take turns under one producer"
    assert producer.append_group(group(3, Advance(PLACE, "a", 9, 10)), BACKLOG).lengths == (4, 3, 3)


def test_nothing_is_appended_where_one_position_is_anothers_or_elsewhere(
    broker: streams.Streams, positions: TopicPositions
) -> None:
    producer = ProducerSequence(broker, "p")
    positions.claim(OTHER, "b", "acme")
    for seq, advance in enumerate((Advance(OTHER, "a", 7, 8), Advance(OTHER, "b", 6, 8)), start=1):
        with pytest.raises(PositionsLost, match="t/11: another process"):
            producer.append_group(group(seq, Advance(PLACE, "a", 7, 9), advance), BACKLOG)
    with pytest.raises(FencedError, match="another process reads it"):
        positions.current(OTHER, "a")
    assert (lengths(broker), offsets(broker), positions.current(OTHER, "b")) == ([0, 0, 0], [7, 7], 7)


def test_a_stream_without_room_holds_the_whole_group_back(broker: streams.Streams, positions: TopicPositions) -> None:
    producer = ProducerSequence(broker, "p")
    broker.client.xadd(streams.telemetry(1), {"k": "w"})
    full = producer.append_group(group(1, Advance(PLACE, "a", 7, 9), entries=BACKLOG), BACKLOG)
    assert (full.outcome, lengths(broker), offsets(broker)) == (Appended.BACKLOG_FULL, [0, 1, 0], [7, 7])


def test_messages_of_which_nothing_is_kept_move_the_position(broker: streams.Streams, positions: TopicPositions) -> None:
    producer = ProducerSequence(broker, "p")
    empty = EntryGroup((), (Advance(PLACE, "a", 7, 9),), 1, 1)
    assert producer.append_group(empty, BACKLOG).outcome is Appended.NEW
    with pytest.raises(PositionsLost):  # its reader looks where it stands, and finds that it was in
        producer.append_group(empty, BACKLOG)
    assert positions.current(PLACE, "a") == 9


def test_a_fenced_producer_moves_no_position(broker: streams.Streams, positions: TopicPositions) -> None:
    old = ProducerSequence(broker, "p")
    old.take()
    ProducerSequence(broker, "p").take()
    with pytest.raises(FencedError, match="producer p"):
        old.append_group(group(1, Advance(PLACE, "a", 7, 9)), BACKLOG)
    assert (lengths(broker), offsets(broker)) == ([0, 0, 0], [7, 7])


def test_what_is_known_for_people_is_noted_by_the_owner_alone(broker: streams.Streams, positions: TopicPositions) -> None:
    positions.note(PLACE, "a", 20)
    with pytest.raises(FencedError):
        positions.note(PLACE, "b", 99)
    (lag, other) = topic_lags(broker, ["t"])
    assert (lag.place, lag.tenant, lag.lag, lag.noted_s > 1e9) == (PLACE, "acme", 13, True)
    assert (other.place, other.lag) == (OTHER, 0)


class Intake:
    """A tenant with one series; what it takes is judged by its table."""

    def __init__(self, tenant: str) -> None:
        self.tenant, self.table, zero = tenant, SeriesTable(), np.zeros(1, np.int64)
        self.slots = self.table.define(np.array([7], np.uint64), np.array([5]), Homes(zero, zero, zero, zero), 1)

    def point(self, time_us: int, *advances: Advance) -> RawBatch:
        """Return a batch with one point, from topics or from a request."""
        made = RawBatch(advances=[*advances])
        point = PointArrays(np.array([time_us]), np.array([5]), np.array([1.0]), np.array([0]))
        made.share(Place(self.tenant, 0)).points.append(point)
        made.touched.append(Touched(self.table, self.table.generation, self.slots))
        self.table.slots.time_us[self.slots] = time_us
        return made

    @property
    def newest_us(self) -> int:
        return int(self.table.slots.time_us[self.slots][0])


def test_a_position_that_is_anothers_is_no_matter_of_other_tenants(broker: streams.Streams, positions: TopicPositions) -> None:
    """One group, real server: only the run that lost its position fails, with what its tenant's points were judged beside."""
    acme, other, positions_before = Intake("acme"), Intake("other"), offsets(broker)
    positions.claim(OTHER, "b", "acme")
    together = [
        acme.point(10, Advance(OTHER, "a", 7, 9)),
        other.point(11, Advance(PLACE, "a", 7, 8)),
        acme.point(12),
        other.point(13),
        RawBatch(signals=[EncodedEntry("acme", streams.KIND_LOGS, b"log")]),
    ]

    async def main() -> list[Any]:
        commit = GroupCommit(ProducerSequence(broker, "p"), broker, CommitRules(2, 100, 0.0))
        futures = [commit.gather(batch) for batch in together]
        task = asyncio.create_task(commit.run())
        try:
            return await asyncio.gather(*futures, return_exceptions=True)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            commit.close()

    answers = asyncio.run(asyncio.wait_for(main(), within(20)))
    assert [type(answer) for answer in answers] == [PositionsLost, type(None), PositionsLost, type(None), type(None)]
    entries = [entry for name in (streams.telemetry(0), streams.telemetry(1)) for entry in broker.range(name)]
    points = [entry for entry in entries if entry.kind == streams.KIND_POINTS]
    times = [streams.single_batch(streams.from_ipc(entry.payload)).column("timestamp") for entry in points]
    assert {entry.tenant for entry in points} == {"other"}
    assert [time.cast(pa.int64()).to_pylist() for time in times] == [[11, 13]]
    assert (positions_before, offsets(broker)) == ([7, 7], [8, 7])
    assert (acme.newest_us, other.newest_us) == (NEVER, 13), "what was refused is taken when it is sent again"
