"""Partitions of a topic in one process: in order, each message once, whatever is refused, lost, removed, or taken by others."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from aiops.errors import FencedError, Unavailable
from aiops.settings.topic_settings import TopicSettings
from serving.ingest.receive.group_commit import BacklogFull
from serving.ingest.receive.topics import read_place, topic_session
from serving.ingest.receive.topics.topic_intake import RunTaken
from serving.ingest.receive.topics.topic_messages import TopicFault, TopicRun
from serving.ingest.receive.topics.topic_metrics import TopicMetrics
from serving.ingest.receive.topics.topic_reader import TopicReader
from serving.ingest.receive.topics.topic_session import TopicParts
from serving.ingest.topic_positions import Claimed, TopicPlace
from tests.testing.deadlines import Deadline, within
from tests.testing.fake_topic import FakeTopic, GivenOwnership


@dataclass
class Store:
    """Positions and what was appended, which move together as the state store moves them."""

    following: dict[int, int] = field(default_factory=dict)
    owner: dict[int, str] = field(default_factory=dict)
    taken: dict[int, list[bytes]] = field(default_factory=dict)

    def claim(self, place: TopicPlace, token: str, tenant: str) -> Claimed:
        self.owner[place.partition] = token
        return Claimed(self.following.get(place.partition), "", 0)

    def move(self, place: TopicPlace, token: str, offset: int) -> None:
        self.current(place, token, known=False)
        self.following[place.partition] = offset

    def current(self, place: TopicPlace, token: str, known: bool = True) -> int:
        if self.owner[place.partition] != token:
            raise FencedError(f"{place}: another process reads it now")
        return self.following[place.partition] if known else 0

    def note(self, place: TopicPlace, token: str, high: int) -> None:
        self.current(place, token)

    def append(self, run: TopicRun) -> None:
        advance = run.advance
        if self.owner[advance.place.partition] != advance.token or self.following[advance.place.partition] != advance.begin:
            raise Unavailable("lost")
        self.following[advance.place.partition] = advance.end
        self.taken.setdefault(advance.place.partition, []).extend(message.content for message in run.messages)


class Intake:
    """Appends at most `most` messages of a run; `outcomes` come first, and are given after the append where `late` is set."""

    def __init__(self, store: Store, most: int = 1000) -> None:
        self.store, self.most = store, most
        self.outcomes: list[Exception | None] = []
        self.late = False
        self.gate = threading.Event()
        self.gate.set()

    async def take(self, run: TopicRun) -> RunTaken:
        while not self.gate.is_set():
            await asyncio.sleep(0.001)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None and not self.late:
            raise outcome
        part = run.first(min(self.most, len(run.messages)))
        self.store.append(part)
        if outcome is not None:
            raise outcome
        return RunTaken(len(part.messages), 0)


@dataclass
class Reading:
    """A reader in a thread, over fakes."""

    topic: FakeTopic
    ownership: GivenOwnership
    store: Store = field(default_factory=Store)
    intake: Intake = field(init=False)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    shares: list[int] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.intake = Intake(self.store)

    def __enter__(self) -> "Reading":
        self.loop = asyncio.new_event_loop()
        self._looping = threading.Thread(target=self.loop.run_forever)
        self._looping.start()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.intake.gate.set()
        self.stop.set()
        self._thread.join()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._looping.join()
        self.loop.close()

    def _run(self) -> None:
        settings = TopicSettings(topic="t", encoding="otlp_proto", start="earliest")
        unchecked: Any = (self.topic, self.store, self.intake, TopicMetrics(self.registry), self._share, self.loop)
        try:
            TopicReader(TopicParts(settings, *unchecked)).run(self.stop)
        except BaseException as error:
            self.failures.append(error)
            raise

    def _share(self, topic: str, partitions: int) -> GivenOwnership:
        self.shares.append(partitions)
        return self.ownership

    def counted(self, name: str) -> float:
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == f"aiops_ingest_{name}"
        )


def until(condition: Callable[[], bool]) -> None:
    deadline = Deadline(10)
    while not condition():
        assert not deadline.passed
        threading.Event().wait(0.002)


def contents(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait for long."""
    for name in ("_RETRY_S", "_NOTE_S", "_LOOK_S"):
        monkeypatch.setattr(topic_session, name, 0.01)
    monkeypatch.setattr(read_place, "_RETRY_S", 0.01)
    monkeypatch.setattr(read_place, "BACKLOG_RETRY_S", 0.05)


def test_runs_that_end_early_go_on_where_they_ended() -> None:
    topic = FakeTopic({0: contents(500), 1: contents(3)})
    reading = Reading(topic, GivenOwnership(0, 1))
    reading.intake.most = 7
    with reading:
        until(lambda: reading.store.following == {0: 500, 1: 3})
        until(lambda: reading.counted("topic_messages_total") == 503)
    assert reading.store.taken == {0: contents(500), 1: contents(3)}
    assert reading.ownership.ended


@pytest.mark.parametrize("late", [False, True], ids=["nothing was in", "its answer was lost"])
def test_a_run_that_is_refused_is_taken_again_unless_it_was_in(late: bool) -> None:
    reading = Reading(FakeTopic({0: contents(300)}), GivenOwnership(0))
    reading.intake.late = late
    reading.intake.outcomes = [Unavailable("gone"), Unavailable("gone")] if late else [Unavailable("gone"), BacklogFull("full")]
    with reading:
        until(lambda: reading.store.following == {0: 300})
        if not late:
            until(lambda: reading.counted("topic_retries_total") == 2)
    assert reading.store.taken == {0: contents(300)}


def test_a_partition_that_another_process_took_is_dropped_and_the_others_go_on() -> None:
    reading = Reading(FakeTopic({0: contents(10), 1: contents(10)}), GivenOwnership(0, 1))
    with reading:
        until(lambda: reading.store.following == {0: 10, 1: 10})
        reading.store.owner[0] = "another"
        until(lambda: reading.ownership.lost == [0])
        reading.topic.messages[0].append(b"not ours")
        reading.topic.messages[1].append(b"more")
        until(lambda: reading.store.following[1] == 11)
    assert reading.store.following[0] == 10
    assert reading.topic.reads[-1] == {1: 10}


def test_a_partition_is_given_up_when_its_run_is_over() -> None:
    reading = Reading(FakeTopic({0: contents(10)}), GivenOwnership(0))
    reading.intake.gate.clear()
    with reading:
        until(lambda: bool(reading.store.owner))
        until(lambda: reading.topic.at == {0: 10})
        reading.ownership.assigned = frozenset()
        threading.Event().wait(within(0.05))
        assert reading.store.following == {0: 0}
        reading.intake.gate.set()
        until(lambda: reading.store.following == {0: 10})


@pytest.mark.parametrize(("at", "low", "expected", "gone"), [(2, 6, contents(10)[6:], 4), (50, 3, contents(10)[3:], 0)])
def test_what_was_removed_is_counted_and_a_topic_made_anew_is_read_from_its_beginning(
    at: int, low: int, expected: list[bytes], gone: int
) -> None:
    reading = Reading(FakeTopic({0: contents(10)}, low={0: low}), GivenOwnership(0), Store({0: at}))
    with reading:
        until(lambda: reading.store.following == {0: 10})
        until(lambda: reading.counted("topic_gone_total") == gone)
    assert reading.store.taken == {0: expected}


def test_messages_that_are_removed_while_it_reads_are_passed_over() -> None:
    reading = Reading(FakeTopic({0: contents(10)}), GivenOwnership(0))
    with reading:
        until(lambda: reading.store.following == {0: 10})
        reading.topic.away = True
        reading.topic.messages[0] += contents(10)
        reading.topic.low[0] = 15
        reading.topic.away = False
        until(lambda: reading.store.following == {0: 20})
    assert reading.store.taken == {0: [*contents(10), *contents(10)[5:]]}
    assert reading.counted("topic_gone_total") == 5


def test_partitions_that_are_added_are_found() -> None:
    reading = Reading(FakeTopic({0: contents(10)}), GivenOwnership(0, 1))
    reading.ownership.assigned = frozenset({0})
    with reading:
        until(lambda: reading.store.following == {0: 10})
        reading.topic.messages[1] = contents(4)
        until(lambda: reading.shares == [1, 2])
        reading.ownership.assigned = frozenset({0, 1})
        until(lambda: reading.store.following == {0: 10, 1: 4})
    assert reading.store.taken == {0: contents(10), 1: contents(4)}


def test_what_is_not_taken_yet_holds_fetching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_place, "MOST_FETCHED", 100)
    monkeypatch.setattr(read_place, "RUN_MESSAGES", 10)
    monkeypatch.setattr(topic_session, "POLLED", 10)
    reading = Reading(FakeTopic({0: [b"x" * 10] * 1000, 1: contents(5)}), GivenOwnership(0, 1))
    reading.intake.gate.clear()
    with reading:
        until(lambda: reading.topic.held == frozenset({0}))
        until(lambda: reading.counted("topic_held") == 1)
        assert reading.topic.at[0] < 100
        reading.intake.gate.set()
        until(lambda: reading.store.following == {0: 1000, 1: 5})


def test_a_cluster_that_is_away_or_complains_is_waited_for() -> None:
    topic = FakeTopic({0: contents(10)}, away=True, faults=[TopicFault("all brokers are down")])
    reading = Reading(topic, GivenOwnership(0))
    with reading:
        threading.Event().wait(within(0.05))
        assert reading.shares == []
        topic.away = False
        until(lambda: reading.store.following == {0: 10})
    assert reading.counted("topic_faults_total") == 1


def test_a_failure_that_is_nobodys_refusal_ends_the_reader() -> None:
    reading = Reading(FakeTopic({0: contents(10)}), GivenOwnership(0))
    reading.intake.outcomes = [ZeroDivisionError()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda _: None)
        with reading:
            until(lambda: bool(reading.failures))
    assert isinstance(reading.failures[0], ZeroDivisionError)
