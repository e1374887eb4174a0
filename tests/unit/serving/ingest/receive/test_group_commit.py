"""Group commit: one append at a time, answers after it, and what failed takes with it what was judged against it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from aiops.errors import FencedError, Unavailable
from serving.ingest.leader_terms import LeaderChanged, LeaderTerm
from serving.ingest.producer_sequence import Appended, BatchAppended, EncodedEntry, EntryBatch, EntryGroup, GroupAppended
from serving.ingest.receive import group_commit
from serving.ingest.receive.group_commit import BacklogFull, CommitRules, GroupCommit
from serving.ingest.receive.raw_batch import Led, Place, PointArrays, RawBatch, Touched
from serving.ingest.receive.replica_election import Lead, ReplicaElection
from serving.ingest.receive.series_table import Homes, SeriesTable
from serving.ingest.receive.slot_kernels import NEVER
from serving.stream import streams
from tests.testing.deadlines import within

GONE = Unavailable("broker: gone")


class Broker:
    """Gives outcomes in turn, then NEW; notes what it was asked; `held` keeps an append waiting."""

    def __init__(self, *outcomes: Appended | Exception) -> None:
        self.outcomes = list(outcomes)
        self.batches: list[EntryBatch] = []
        self.groups: list[EntryGroup] = []
        self.changed: set[LeaderTerm] = set()
        self.held = threading.Event()
        self.held.set()

    def newest(self) -> int:
        return 41

    def append_batch(self, batch: EntryBatch, max_backlog: int) -> BatchAppended:
        self.batches.append(batch)
        assert self.held.wait(within(20))
        outcome = self.outcomes.pop(0) if self.outcomes else Appended.NEW
        if isinstance(outcome, Exception):
            raise outcome
        return BatchAppended(outcome, len(self.batches))

    def append_group(self, group: EntryGroup, max_backlog: int) -> GroupAppended:
        self.groups.append(group)
        assert self.held.wait(within(20))
        gone = [term for term in group.terms if term in self.changed]
        if gone:
            raise LeaderChanged(gone[0])
        return GroupAppended(Appended.NEW, (1,) * len(group.batches))

    def done(self, seq: int, newest_us: int = 0) -> None:
        """Take note of nothing."""


def batch(name: str) -> RawBatch:
    return RawBatch(signals=[EncodedEntry("acme", streams.KIND_REFUSED, name.encode())])


def payloads(broker: Broker) -> list[list[bytes]]:
    return [[entry.payload for entry in each.entries] for each in broker.batches]


def run(broker: Broker, work: Callable[[GroupCommit], Awaitable[Any]], patience_s: float = 0.0) -> Any:
    """Run work beside the commit's own task."""

    async def main() -> Any:
        unread: Any = None
        commit = GroupCommit(broker, unread, CommitRules(1, 100, patience_s))
        task = asyncio.create_task(commit.run())
        try:
            return await asyncio.wait_for(work(commit), within(20))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            broker.held.set()
            commit.close()

    return asyncio.run(main())


def test_what_gathers_while_an_append_is_in_flight_is_one_append() -> None:
    broker = Broker()
    broker.held.clear()

    async def work(commit: GroupCommit) -> None:
        first = asyncio.create_task(commit.commit(batch("a")))
        while not broker.batches:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(commit.commit(batch(name))) for name in "bcd"]
        await asyncio.sleep(0)
        assert not first.done()
        broker.held.set()
        await asyncio.gather(first, *others)

    run(broker, work)
    assert payloads(broker) == [[b"a"], [b"b", b"c", b"d"]]
    assert [each.seq for each in broker.batches] == [42, 43]


def test_an_append_whose_answer_was_lost_is_repeated_under_its_number() -> None:
    broker = Broker(GONE, GONE, Appended.REPEATED)
    run(broker, lambda commit: commit.commit(batch("a")), patience_s=within(20))
    assert [each.seq for each in broker.batches] == [42, 42, 42]
    assert len(set(map(str, payloads(broker)))) == 1


@pytest.mark.parametrize(
    ("outcome", "error"), [(GONE, Unavailable), (Appended.BACKLOG_FULL, BacklogFull), (Appended.MEMORY_FULL, BacklogFull)]
)
def test_after_patience_a_request_is_refused_and_the_next_one_goes_on(
    outcome: Appended | Exception, error: type[Exception]
) -> None:
    broker = Broker(outcome)

    async def work(commit: GroupCommit) -> None:
        with pytest.raises(error):
            await commit.commit(batch("a"))
        await commit.commit(batch("b"))

    run(broker, work)
    assert [each.seq for each in broker.batches] == [42, 43]


def test_what_was_gathered_before_a_failure_fails_with_it_and_its_points_are_taken_again() -> None:
    broker = Broker(GONE)
    broker.held.clear()
    table = SeriesTable()
    zero = np.zeros(1, np.int64)
    slots = table.define(np.array([7], np.uint64), np.array([5]), Homes(zero, zero, zero, zero), 1)
    table.slots.time_us[slots] = 99

    async def work(commit: GroupCommit) -> list[Any]:
        judged = batch("a")
        judged.touched.append(Touched(table, table.generation, slots))
        first = asyncio.create_task(commit.commit(judged))
        while not broker.batches:
            await asyncio.sleep(0.001)
        repeated_only = asyncio.create_task(commit.commit(RawBatch()))
        await asyncio.sleep(0)
        broker.held.set()
        return await asyncio.gather(first, repeated_only, return_exceptions=True)

    answers = run(broker, work)
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert table.slots.time_us[slots].tolist() == [NEVER]


class Sender:
    """A tenant with one series; its pair is led by `a`."""

    def __init__(self, tenant: str) -> None:
        self.tenant, self.table, zero = tenant, SeriesTable(), np.zeros(1, np.int64)
        self.slots = self.table.define(np.array([7], np.uint64), np.array([5]), Homes(zero, zero, zero, zero), 1)
        self.election = ReplicaElection(30.0, shared=True)
        self.member = np.array([self.election.member("eu", "a")])
        self.term = LeaderTerm(tenant, "eu", 1, "a")

    def points(self, name: str, of_pair: bool = False) -> RawBatch:
        made = RawBatch(signals=[EncodedEntry(self.tenant, streams.KIND_REFUSED, name.encode())])
        made.touched.append(Touched(self.table, self.table.generation, self.slots))
        self.table.slots.time_us[self.slots] = 99
        if of_pair:
            self.election.note([Lead("eu", "a", 1e18, 1)])
            made.led.append(Led(self.election, self.election.terms(self.tenant, self.member)))
        return made


def test_a_pair_that_another_member_leads_by_now_is_no_matter_of_other_tenants() -> None:
    broker, acme, other, third = Broker(), Sender("acme"), Sender("other"), Sender("third")
    broker.changed = {acme.term, third.term}
    broker.held.clear()

    async def work(commit: GroupCommit) -> list[Any]:
        first = commit.gather(batch("first"))
        while not broker.batches:
            await asyncio.sleep(0.001)
        together = [acme.points("a1", True), other.points("b1", True), third.points("c1", True), acme.points("a2"), batch("log")]
        futures = [commit.gather(asked) for asked in together]
        broker.held.set()
        await first
        broker.held.clear()
        while not broker.groups:
            await asyncio.sleep(0.001)
        futures += [commit.gather(asked) for asked in (acme.points("a3"), other.points("b2"), other.points("b3", True))]
        broker.held.set()
        return await asyncio.gather(*futures, return_exceptions=True)

    answers = run(broker, work)
    refused = [type(answer) if answer is not None else None for answer in answers]
    assert refused == [LeaderChanged, None, LeaderChanged, LeaderChanged, None, LeaderChanged, None, None]
    groups = [[entry.payload for each in group.batches for entry in each.entries] for group in broker.groups]
    assert groups == [[b"a1", b"b1", b"c1", b"a2", b"log"], [b"b1", b"c1", b"log"], [b"b1", b"log"], [b"b2", b"b3"]]
    assert [group.seq for group in broker.groups] == [43, 44, 45, 46]
    times = [each.table.slots.time_us[each.slots].tolist() for each in (acme, other, third)]
    assert times == [[NEVER], [99], [NEVER]]
    assert (acme.election.leaders(), other.election.leaders()) == ({}, {"eu": "a"})


def test_a_change_of_a_leader_that_nobody_asked_of_refuses_the_whole_group() -> None:
    broker = Broker(LeaderChanged(LeaderTerm("acme", "eu", 1, "a")))
    with pytest.raises(LeaderChanged, match="HA pair eu"):
        run(broker, lambda commit: commit.commit(batch("a")))


def test_nearly_full_streams_press() -> None:
    broker = Broker(*[Appended.NEW] * 100)

    async def work(commit: GroupCommit) -> list[bool]:
        pressed = []
        for number in range(95):
            await commit.commit(batch(str(number)))
            pressed.append(commit.pressed)
        return pressed

    pressed = run(broker, work)
    assert (pressed[80], pressed[94]) == (False, True)


def test_further_streams_may_begin_while_lengths_are_looked_at() -> None:
    looking, go_on = threading.Event(), threading.Event()

    class Lengths:
        def length(self, stream: str) -> int:
            looking.set()
            assert go_on.wait(within(20))
            return 1

    async def main() -> bool:
        lengths: Any = Lengths()
        commit = GroupCommit(Broker(Appended.MEMORY_FULL), lengths, CommitRules(1, 100, 0.0))
        tasks = [asyncio.create_task(work) for work in (commit.run(), commit.watch())]
        try:
            with pytest.raises(BacklogFull):
                await commit.commit(batch("a"))
            await asyncio.to_thread(looking.wait, within(20))
            points = RawBatch()
            sample = PointArrays(np.array([1]), np.array([7]), np.array([1.0]), np.array([0]))
            points.share(Place("acme", 0)).points.append(sample)
            await commit.commit(points)
            go_on.set()
            while commit.pressed and not any(task.done() for task in tasks):
                await asyncio.sleep(0.01)
            return commit.pressed or any(task.done() for task in tasks)
        finally:
            go_on.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            commit.close()

    assert asyncio.run(asyncio.wait_for(main(), within(20))) is False


def test_a_producer_that_was_fenced_ends() -> None:
    broker = Broker(FencedError("taken"))

    async def main() -> None:
        unread: Any = None
        commit = GroupCommit(broker, unread, CommitRules(1, 100, 0.0))
        task = asyncio.create_task(commit.run())
        with pytest.raises(Unavailable, match="taken"):
            await commit.commit(batch("a"))
        with pytest.raises(FencedError):
            await task
        commit.close()

    asyncio.run(main())


def test_while_several_senders_wait_appends_begin_apart_and_hold_what_all_of_them_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_APART_S", within(0.3))
    broker = Broker()

    async def sender(commit: GroupCommit, number: int) -> None:
        for _ in range(3):
            await commit.commit(batch(str(number)))
            await asyncio.sleep(0.01 * number)

    run(broker, lambda commit: asyncio.gather(*[sender(commit, number) for number in range(4)]))
    assert [sorted(each) for each in payloads(broker)] == 3 * [[b"0", b"1", b"2", b"3"]]


def test_a_sender_alone_does_not_wait_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_APART_S", 3600.0)
    broker = Broker()

    async def alone(commit: GroupCommit) -> None:
        for number in range(3):
            await commit.commit(batch(str(number)))

    run(broker, alone)
    assert payloads(broker) == [[b"0"], [b"1"], [b"2"]]
