"""HA pairs over several receivers: one leader for all of them, by the state store's clock; a stopped receiver decides nothing."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.ingest.receive.replica_election import Claim, Lead, ReplicaElection
from serving.ingest.receive.replica_leases import MOST_PAIRS, ReplicaLeases
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker
from serving.stream.streams import Streams
from tests.testing.deadlines import Deadline
from tests.testing.free_ports import free_port, free_ports
from tests.testing.receiver_harness import Receiver, Sent, receiver_settings, write_1

SILENT_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(Settings(home=tmp_path_factory.mktemp("home"), broker=BrokerSettings(port=free_port()))) as running:
        yield running


@dataclass(slots=True)
class Store:
    """The state store with a clock of the test's."""

    broker: Streams
    now_s: float = 1000.0
    receivers: int = 0

    def receiver(self) -> "ReceiverOfPairs":
        self.receivers += 1
        return ReceiverOfPairs(self)


@dataclass(slots=True)
class ReceiverOfPairs:
    """A receiver with a clock that shows other numbers than the store's, and goes equally fast."""

    store: Store
    election: ReplicaElection = field(init=False)
    ahead_s: float = 0.0

    def __post_init__(self) -> None:
        self.ahead_s = 5000.0 * self.store.receivers
        self.election = ReplicaElection(SILENT_S, lambda: self.store.now_s + self.ahead_s, shared=True)

    def takes(self, pair: str, replica: str) -> bool:
        """Return whether a body of this replica is taken now; ask the store where that is needed."""
        present = np.array([self.election.member(pair, replica)])
        leases = ReplicaLeases(self.store.broker, SILENT_S, lambda: int(self.store.now_s * 1000))
        for claims in (self.election.undecided(present), self.election.renewable(present)):
            if claims:
                self.election.note(leases.elect("acme", claims, self.election.clock()))
        return bool(self.election.answering(present)[present[0]])


@pytest.fixture
def store(server: EmbeddedBroker) -> Store:
    broker = Streams(server.client())
    broker.client.flushall()
    return Store(broker)


def test_two_receivers_agree_and_the_other_member_takes_over_when_the_leader_is_silent(store: Store) -> None:
    left, right = store.receiver(), store.receiver()
    assert left.takes("eu", "a")
    assert not right.takes("eu", "b"), "b asks another receiver and is not taken either"
    for _ in range(10):
        store.now_s += 14
        assert left.takes("eu", "a")
        assert not right.takes("eu", "b")
    store.now_s += SILENT_S + 0.1
    assert right.takes("eu", "b")
    assert not left.takes("eu", "a"), "a comes back and finds b"


def test_a_leader_may_send_to_any_receiver(store: Store) -> None:
    left, right = store.receiver(), store.receiver()
    assert left.takes("eu", "a")
    store.now_s += 20
    assert right.takes("eu", "a")
    store.now_s += 20
    assert not left.takes("eu", "b"), "what the other receiver heard of a counts here"


def test_a_receiver_that_was_stopped_takes_nothing_by_what_it_knew(store: Store) -> None:
    left, right = store.receiver(), store.receiver()
    assert left.takes("eu", "a")
    store.now_s += 2 * SILENT_S
    assert right.takes("eu", "b")
    assert left.election.undecided(np.array([left.election.member("eu", "a")])) == [Claim("eu", "a")]
    assert not left.takes("eu", "a")


def test_pairs_are_led_each_by_its_own_and_ended_ones_are_forgotten(store: Store) -> None:
    receiver = store.receiver()
    assert receiver.takes("eu", "a")
    assert receiver.takes("us", "b")
    leases = ReplicaLeases(store.broker, SILENT_S, lambda: int(store.now_s * 1000))
    leases.elect("acme", [Claim(f"pair-{number}", "x") for number in range(MOST_PAIRS)], 0.0)
    store.now_s += SILENT_S + 1
    assert leases.elect("acme", [Claim("new", "x")], 7.0) == [Lead("new", "x", 7.0 + SILENT_S, changes=1)]
    assert store.broker.client.hlen("aiops:replicas:acme") == 1
    assert leases.elect("beta", [Claim("eu", "z")], 0.0)[0].leader == "z", "tenants have pairs of their own"


def test_two_receiver_processes_store_the_points_of_one_member(tmp_path: Path) -> None:
    settings = receiver_settings(tmp_path, replica_silent_s=2.0)
    http, grpc = free_ports(2)
    second = settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"port": http, "grpc_port": grpc})})
    with Receiver(settings) as left:
        right = replace(left, settings=second, process=None)
        right.start()
        try:
            sent = {}
            for number in range(4):
                for receiver, replica, value in ((left, "a", 1.0), (right, "b", 2.0)):
                    sent[replica] = send_point(receiver, replica, value + 10 * number)
                    assert sent[replica] == 204
            assert {row["value"] for row in left.rows(streams.KIND_POINTS)} == {1.0, 11.0, 21.0, 31.0}
            deadline = Deadline(20.0)
            while 99.0 not in {row["value"] for row in left.rows(streams.KIND_POINTS)} and not deadline.passed:
                send_point(right, "b", 99.0)
                time.sleep(0.2)
            values = [row["value"] for row in left.rows(streams.KIND_POINTS)]
            assert 99.0 in values, right.log()
            send_point(left, "a", 41.0)
            assert 41.0 not in [row["value"] for row in left.rows(streams.KIND_POINTS)]
        finally:
            right.kill()


def send_point(receiver: Receiver, replica: str, value: float) -> int:
    """Send a point of one member; return the answer's status."""
    labels = {"__name__": "up", "job": "shop", "prometheus": "main", "__replica__": replica}
    return receiver.write(write_1([Sent(labels, [(value, int(time.time() * 1000))])])).status_code
