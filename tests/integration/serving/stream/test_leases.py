"""Leases against a real Valkey, by a clock of the test: members come, go, fall silent and are stopped, and partitions follow."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.stream.broker import EmbeddedBroker
from serving.stream.consumer.commit import Position
from serving.stream.ownership.checkpoint_place import CheckpointNote, CheckpointPlace, place_of
from serving.stream.ownership.leases import CHECKPOINT, LeaseGroup, Leases, Member, look
from serving.stream.ownership.ownership import LeasedOwnership, LeaseRules
from serving.stream.ownership.ownership_metrics import OwnershipMetrics
from serving.stream.streams import Streams
from tests.testing.free_ports import free_port
from tests.testing.metric_totals import total_of

GROUP = LeaseGroup("ingest", partitions=4, lease_s=5.0, position="stage1")
HERE = CheckpointPlace("folder-1", "host-1", "/data")
ELSEWHERE = CheckpointPlace("folder-2", "host-2", "/data")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(Settings(home=tmp_path_factory.mktemp("home"), broker=BrokerSettings(port=free_port()))) as running:
        yield running


@pytest.fixture
def world(server: EmbeddedBroker) -> "World":
    broker = Streams(server.client())
    broker.client.flushall()
    return World(broker)


class World:
    """Processes that share partitions, each with one stage, and their clock."""

    def __init__(self, broker: Streams) -> None:
        self.broker = broker
        self.now_ms = 1_000_000
        self.processes: dict[str, Process] = {}

    def start(self, name: str, place: CheckpointPlace = HERE, wait_s: float = 60.0) -> "Process":
        self.processes[name] = Process(self, name, place, wait_s)
        return self.processes[name]

    def turn(self, times: int = 1, stopped: str = "") -> None:
        """Let every process that is not stopped beat and work, half a second apart."""
        for _ in range(times):
            self.now_ms += 500
            for name, process in self.processes.items():
                if name not in stopped.split():
                    process.turn()

    def owners(self) -> dict[int, str]:
        return {number: name for name, process in self.processes.items() for number in sorted(process.working)}


class Process:
    """One process: gives a partition up in the turn after it was asked to."""

    def __init__(self, world: World, name: str, place: CheckpointPlace, wait_s: float) -> None:
        member = Member(name, world.now_ms, place)
        self.leases = Leases(world.broker, GROUP, member, lambda: world.now_ms)
        rules = LeaseRules(wait_s, lambda: world.now_ms / 1000)
        self.metrics = OwnershipMetrics(CollectorRegistry())
        self.ownership = LeasedOwnership(self.leases, self.metrics, rules)
        self.working: set[int] = set()

    def turn(self) -> None:
        self.ownership.beat()
        self.working = set(self.ownership.follow("stage 1", self.working))


def test_one_process_has_all_and_a_second_gets_half_without_a_moment_of_two_owners(world: World) -> None:
    world.start("a")
    world.turn()
    assert world.owners() == dict.fromkeys(range(4), "a")
    world.start("b")
    for _ in range(6):
        world.turn()
        held = [number for process in world.processes.values() for number in process.working]
        assert len(held) == len(set(held))
    assert world.owners() == {0: "a", 1: "a", 2: "b", 3: "b"}


def test_a_lease_is_freed_only_when_every_stage_has_let_go(world: World) -> None:
    first = world.start("a")
    world.turn()
    archiver = set(first.ownership.follow("archiver", ()))
    world.start("b")
    world.turn(4)
    assert world.owners() == {0: "a", 1: "a"}
    first.ownership.follow("archiver", archiver & set(world.owners()))
    world.turn(3)
    assert world.owners() == {0: "a", 1: "a", 2: "b", 3: "b"}


def test_what_falls_silent_is_taken_over_when_its_lease_ends_and_not_before(world: World) -> None:
    world.start("a")
    world.start("b")
    world.turn(6)
    silent = {number for number, name in world.owners().items() if name == "b"}
    del world.processes["b"]
    world.turn(9)
    assert not silent & set(world.owners())
    world.turn(2)
    assert world.owners() == dict.fromkeys(range(4), "a")


def test_one_that_was_stopped_lets_go_when_it_goes_on_and_gets_its_share_again(world: World) -> None:
    stopped = world.start("a")
    world.start("b")
    world.turn(6)
    world.turn(12, stopped="a")
    assert world.processes["b"].working == {0, 1, 2, 3}
    assert stopped.working == {0, 1}
    world.turn()
    assert stopped.working == set()
    assert total_of(stopped.metrics.expired) == 2
    world.turn(16)
    assert sorted(world.owners().values()) == ["a", "a", "b", "b"]


def test_one_that_leaves_hands_over_at_once(world: World) -> None:
    leaving = world.start("a")
    world.start("b")
    world.turn(6)
    leaving.ownership.retire()
    world.turn(3)
    assert world.owners() == dict.fromkeys(range(4), "b")


def test_the_last_one_keeps_its_partitions_until_its_stages_end(world: World) -> None:
    only = world.start("a")
    world.turn(2)
    only.ownership.retire()
    world.turn(4)
    assert world.owners() == dict.fromkeys(range(4), "a")
    only.leases.leave()
    assert {lease.owner for lease in look(world.broker, GROUP).leases.values()} == {""}


def test_an_outage_of_the_state_store_moves_nothing(world: World) -> None:
    world.start("a")
    world.start("b")
    world.turn(6)
    before = world.owners()
    world.now_ms += 60_000
    world.turn(30)
    assert world.owners() == before


def test_a_partition_that_another_process_took_by_its_epoch_is_left_to_it_for_a_lease(world: World) -> None:
    only = world.start("a")
    world.turn(2)
    only.ownership.lose(2)
    world.turn(4)
    assert 2 not in only.working
    world.turn(10)
    assert only.working == {0, 1, 2, 3}


def test_a_partition_goes_only_to_who_reaches_its_checkpoint(world: World) -> None:
    note_checkpoint(world.broker, 1, HERE)
    world.start("far", ELSEWHERE)
    world.turn(4)
    assert world.owners() == dict.fromkeys([0, 2, 3], "far")
    world.start("near", HERE)
    world.turn(6)
    assert world.owners()[1] == "near"
    assert sorted(world.owners().values()) == ["far", "far", "near", "near"]


def test_a_checkpoint_that_nobody_reaches_is_waited_for_and_then_given_up(world: World, caplog: pytest.LogCaptureFixture) -> None:
    note_checkpoint(world.broker, 1, HERE)
    world.start("far", ELSEWHERE, wait_s=20.0)
    world.turn(39)
    assert 1 not in world.owners()
    assert "no running consumer reaches" in caplog.text
    assert "AIOPS_CONSUMER__CHECKPOINT_FOLDER" in caplog.text
    world.turn(3)
    assert world.owners()[1] == "far"


def test_a_folder_keeps_its_id_and_a_copy_of_its_path_reaches_it(tmp_path: Path) -> None:
    first, again = place_of(tmp_path / "states"), place_of(tmp_path / "states")
    assert first == again
    assert first.reaches(again)
    assert not first.reaches(place_of(tmp_path / "others"))
    mounted = CheckpointPlace(first.folder_id, "another host", "/mnt/states")
    assert mounted.reaches(first)


def note_checkpoint(broker: Streams, number: int, place: CheckpointPlace) -> None:
    Position(broker, "stage1", number).write_field(CHECKPOINT, CheckpointNote("5-0", place).to_text())
