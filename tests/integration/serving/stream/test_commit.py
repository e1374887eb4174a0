"""The atomic commit against a real Valkey: all or nothing, idempotent, fenced, and retried through an outage."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiops.errors import FencedError, StateError, Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.ingest.producer_sequence import Appended, BatchPlace, ProducerSequence
from serving.stream.broker import EmbeddedBroker
from serving.stream.consumer.commit import Commit, Output, Position
from serving.stream.streams import Streams
from tests.testing.deadlines import within


@pytest.fixture
def server(home: Path, free_port: int) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(Settings(home=home, broker=BrokerSettings(port=free_port))) as running:
        yield running


@pytest.fixture
def broker(server: EmbeddedBroker) -> Streams:
    return Streams(server.client())


def commit(through: str, *payloads: bytes) -> Commit:
    outputs = [Output("out", b"v", payload, 5) for payload in payloads]
    return Commit(through, {"points_in": len(payloads), "points_scored": 0}, outputs)


def test_outputs_counters_and_position_move_together(broker: Streams) -> None:
    position = Position(broker, "stage1", 0)
    position.commit(commit("7-0", b"a", b"b"))
    position.commit(commit("8-0"))
    assert [(entry.kind, entry.payload, entry.produced_ns) for entry in broker.range("out")] == [(b"v", b"a", 5), (b"v", b"b", 5)]
    assert broker.hash_all("aiops:counts:0") == {"points_in": "2"}
    assert broker.hash_all("aiops:offset:stage1:0") == {"epoch": "1", "id": "8-0"}


def test_an_output_tells_since_when_its_rows_are_known_where_it_says_so(broker: Streams) -> None:
    outputs = [Output("out", b"w", b"a", 5, "acme", available_us=7), Output("out", b"v", b"b", 5)]
    Position(broker, "stage1", 0).commit(Commit("7-0", {}, outputs))
    entries = broker.range("out")
    assert [(entry.tenant, entry.available_us, entry.payload) for entry in entries] == [("acme", 7, b"a"), ("default", 0, b"b")]
    assert b"a" not in broker.client.xrange("out")[1][1]


def test_a_commit_repeated_after_a_lost_answer_changes_nothing(broker: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    position = Position(broker, "stage1", 0)
    evaluate = broker.evaluate

    def answer_lost(*arguments: Any) -> None:
        evaluate(*arguments)
        raise Unavailable("the connection broke before the answer came")

    with monkeypatch.context() as patch:
        patch.setattr(broker, "evaluate", answer_lost)
        with pytest.raises(Unavailable):
            position.commit(commit("1-0", b"a"))
    assert (broker.length("out"), position.through) == (1, "0-0")
    position.commit(commit("1-0", b"a"))
    assert broker.length("out") == 1
    assert broker.hash_all("aiops:counts:0") == {"points_in": "1"}
    assert position.through == "1-0"


def test_an_old_owner_is_fenced_and_writes_nothing(broker: Streams) -> None:
    old = Position(broker, "stage1", 0)
    old.commit(commit("1-0", b"a"))
    new = Position(broker, "stage1", 0)
    assert (new.through, new.epoch) == ("1-0", 2)
    with pytest.raises(FencedError, match="taken over"):
        old.commit(commit("2-0", b"stale"))
    new.commit(commit("2-0", b"b"))
    assert [entry.payload for entry in broker.range("out")] == [b"a", b"b"]


def test_a_position_that_moved_elsewhere_is_an_error(broker: Streams) -> None:
    position = Position(broker, "stage1", 0)
    broker.hash_set("aiops:offset:stage1:0", {"id": "3-0"})
    with pytest.raises(StateError, match="expected 0-0"):
        position.commit(commit("4-0", b"a"))
    assert broker.length("out") == 0


def test_a_commit_waits_for_a_killed_broker_and_lands_once(server: EmbeddedBroker, broker: Streams) -> None:
    position = Position(broker, "stage1", 0)
    position.commit(commit("1-0", b"a"))
    server.kill()
    with pytest.raises(Unavailable):
        position.commit(commit("2-0", b"b"))
    worker = threading.Thread(target=position.commit_until_done, args=(commit("2-0", b"b"), threading.Event().wait))
    worker.start()
    server.start()
    worker.join(within(10))
    assert not worker.is_alive()
    assert [entry.payload for entry in broker.range("out")] == [b"a", b"b"]


def test_giving_up_says_so(server: EmbeddedBroker, broker: Streams) -> None:
    position = Position(broker, "stage1", 0)
    server.kill()
    assert position.commit_until_done(commit("1-0"), lambda _delay_s: True) is False
    assert position.through == "0-0"


def test_commits_pass_on_a_full_broker_where_producers_wait(server: EmbeddedBroker, broker: Streams) -> None:
    position = Position(broker, "stage1", 0)
    client = server.client()
    client.config_set("maxmemory", "1mb")
    producer = ProducerSequence(broker, "test")
    assert producer.append(BatchPlace(0, 1, "sum"), 0, {"b": bytes(1000)}, 10) is Appended.MEMORY_FULL
    position.commit(commit("1-0", b"a"))
    assert broker.length("out") == 1
