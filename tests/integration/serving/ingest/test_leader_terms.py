"""Points of an HA pair are in while their leader leads, or not at all: the append itself looks, however late it comes."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from aiops.errors import Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.ingest.entry_batch import Appended, BatchAppended, EncodedEntry, EntryBatch, EntryGroup, GroupAppended
from serving.ingest.leader_terms import LeaderChanged, LeaderTerm
from serving.ingest.producer_sequence import ProducerSequence
from serving.ingest.receive.group_commit import CommitRules, GroupCommit
from serving.ingest.receive.raw_batch import Led, Place, PointArrays, RawBatch
from serving.ingest.receive.replica_election import Claim, ReplicaElection
from serving.ingest.receive.replica_leases import ReplicaLeases
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, connect
from tests.testing.deadlines import within
from tests.testing.free_ports import free_port
from tests.testing.memory_log import MemoryLog

SILENT_S = 30.0


@dataclass(slots=True)
class Pair:
    """A pair of tenant acme, its leases in a state store whose clock is the test's; telemetry lies in `log`, or beside them."""

    broker: streams.Streams
    log: MemoryLog | None
    now_s: float = 1000.0
    leases: ReplicaLeases = field(init=False)

    def __post_init__(self) -> None:
        self.leases = ReplicaLeases(self.broker, SILENT_S, lambda: int(self.now_s * 1000))

    def led_by(self, replica: str, after_s: float = 0.0) -> LeaderTerm:
        """Let a member send, after so long; return the term in force then."""
        self.now_s += after_s
        (lead,) = self.leases.elect("acme", [Claim("eu", replica)], 0.0)
        return LeaderTerm("acme", "eu", lead.changes, lead.leader)

    def written(self) -> list[bytes]:
        """Return what is in both partitions, and in the outbox."""
        names = [streams.telemetry(0), streams.telemetry(1)] if self.log is None else []
        held = [entry.payload for name in [*names, *self.broker.keys("aiops:outbox:*")] for entry in self.broker.range(name)]
        return held + ([] if self.log is None else [payload for _, _, payload in self.log.entries])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), broker=BrokerSettings(port=free_port(), partitions=2))
    with EmbeddedBroker(settings):
        yield settings


@pytest.fixture(params=["state store", "log"])
def pair(server: Settings, request: pytest.FixtureRequest) -> Pair:
    log: Any = MemoryLog() if request.param == "log" else None
    broker = streams.Streams(connect(server), log)
    broker.client.flushall()
    return Pair(broker, log)


def group(seq: int, *terms: LeaderTerm) -> EntryGroup:
    entries = (EncodedEntry("acme", streams.KIND_POINTS, b"%d" % seq),)
    batches = [EntryBatch(streams.telemetry(number), streams.entries(number), seq, 5, entries) for number in (0, 1)]
    return EntryGroup(tuple(batches), (), seq, 5, terms)


def test_an_append_is_in_while_its_leader_leads_and_never_after(pair: Pair) -> None:
    producer = ProducerSequence(pair.broker, "p")
    first = pair.led_by("a")
    assert first == LeaderTerm("acme", "eu", 1, "a")
    assert producer.append_group(group(1, first), 10).outcome is Appended.NEW
    assert pair.led_by("b", after_s=SILENT_S - 1) == first
    pair.now_s += 2 * SILENT_S
    assert producer.append_group(group(2, first), 10).outcome is Appended.NEW, "nobody else took the pair"
    second = pair.led_by("b")
    assert second.leader == "b"
    for terms in ([first], [second, first]):
        with pytest.raises(LeaderChanged, match="HA pair eu may lead by now; send it again"):
            producer.append_group(group(3, *terms), 10)
    assert pair.written() == [b"1", b"2", b"1", b"2"] if pair.log is None else [b"1", b"1", b"2", b"2"]
    assert producer.append_group(group(2, first), 10).outcome is Appended.REPEATED, "it was in, only its answer was lost"
    again = pair.led_by("a", after_s=2 * SILENT_S)
    with pytest.raises(LeaderChanged):
        producer.append_group(group(4, first), 10)
    assert producer.append_group(group(5, again), 10).outcome is Appended.NEW


def test_a_state_store_that_knows_of_no_leader_takes_nothing(pair: Pair) -> None:
    with pytest.raises(LeaderChanged):
        ProducerSequence(pair.broker, "p").append_group(group(1, LeaderTerm("acme", "eu", 1, "a")), 10)
    assert pair.written() == []


@dataclass(slots=True)
class StoppedAppender:
    """A receiver that stands still just before it appends, for longer than a lease: the other member takes the pair."""

    producer: ProducerSequence
    pair: Pair
    stops: bool = True

    def newest(self) -> int:
        return self.producer.newest()

    def append_batch(self, batch: EntryBatch, max_backlog: int) -> BatchAppended:
        self._stop()
        return self.producer.append_batch(batch, max_backlog)

    def append_group(self, group: EntryGroup, max_backlog: int) -> GroupAppended:
        self._stop()
        return self.producer.append_group(group, max_backlog)

    def done(self, seq: int, newest_us: int = 0) -> None:
        self.producer.done(seq, newest_us)

    def _stop(self) -> None:
        if self.stops:
            self.pair.led_by("b", after_s=2 * SILENT_S)
            self.stops = False


def points_of(pair: Pair, election: ReplicaElection) -> RawBatch:
    """Return a point of member a in each partition, judged now by what is agreed, which is asked where that is due."""
    present = np.array([election.member("eu", "a")])
    election.note(pair.leases.elect("acme", election.undecided(present), election.clock()))
    made = RawBatch()
    for partition in (0, 1):
        point = PointArrays(np.array([1]), np.array([partition]), np.array([1.0]), np.array([0]))
        made.share(Place("acme", partition)).points.append(point)
    made.led.append(Led(election, election.terms("acme", present)))
    return made


def test_a_receiver_that_stood_still_before_its_append_appends_nothing(pair: Pair) -> None:
    async def main() -> None:
        appender = StoppedAppender(ProducerSequence(pair.broker, "p"), pair)
        commit = GroupCommit(appender, pair.broker, CommitRules(2, 100, 0.0))
        task = asyncio.create_task(commit.run())
        election = ReplicaElection(SILENT_S, lambda: 0.0, shared=True)
        try:
            with pytest.raises(Unavailable, match="another member of the HA pair eu"):
                await commit.commit(points_of(pair, election))
            assert pair.written() == []
            present = np.array([election.member("eu", "a")])
            assert election.undecided(present) == [Claim("eu", "a")], "it is agreed again"
            points_of(pair, election)
            assert not election.answering(present)[present[0]]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            commit.close()

    asyncio.run(asyncio.wait_for(main(), within(20)))
