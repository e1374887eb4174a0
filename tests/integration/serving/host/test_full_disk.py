"""A disk that is full: people are still paged, and what was kept in memory is on disk once there is room, nothing twice."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from aiops.errors import DiskFull
from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.incident import IncidentState
from aiops.settings.responder_settings import ResponderSettings
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from data_contracts.series.tenant import DEFAULT_TENANT
from orchestration.suite.disk_watch import FULL, ROOM, DiskWatch
from serving.host.full_disk import is_full
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_transaction import Audience
from serving.incidents.notify.delivery import Attempt
from serving.incidents.notify.delivery import Outcome as Delivery
from serving.incidents.notify.dispatcher import Dispatcher
from serving.incidents.notify.escalation import Escalations
from serving.incidents.store import database
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import MessageState, OutboxMessage, PageRequest
from serving.stream.broker import EmbeddedBroker
from serving.stream.consumer.checkpoint import Checkpoint, CheckpointStore
from tests.testing.free_ports import free_port
from tests.testing.full_disk import fill, small_disk
from tests.testing.incident_api import running

START = datetime(2026, 3, 2, tzinfo=UTC)
RULES = ResponderSettings(settle_s=0.0, page_settle_s=0.0)
ALL = PageRequest(1000)


def after(second: float) -> datetime:
    return START + timedelta(seconds=second)


def alert(second: float, service: str) -> Alert:
    labels = {"service": service, "alertname": "Slow"}
    return Alert(f"{service}-{second}", fingerprint_of(labels), service, "Slow", Severity.CRITICAL, after(second), labels=labels)


@dataclass
class RecordingChannel:
    """A channel that keeps its messages."""

    name: str = "pager"
    messages: list[OutboxMessage] = field(default_factory=list)

    def deliver(self, message: OutboxMessage) -> Attempt:
        self.messages.append(message)
        return Attempt(Delivery.DELIVERED)

    def close(self) -> None:
        """Hold nothing."""


class OnCall:
    """A desk and a dispatcher over one store, one channel."""

    def __init__(self, store: IncidentStore) -> None:
        self.store, self.channel = store, RecordingChannel()
        self.desk = Desk(store, RULES, ServiceGraph.from_pairs([]), Audience(("pager",), "http://aiops.test"))
        escalations = Escalations(store, ("pager",), 900.0, lambda: START)
        self.dispatcher = Dispatcher(store, [self.channel], lambda: after(10_000), escalations)

    def take(self, second: float, *services: str) -> None:
        """Take alerts, once more where the first write finds no room, as the responder's loop does."""
        alerts = [alert(second, service) for service in services]
        try:
            self.desk.take(alerts, {}, after(second + 1))
        except DiskFull:
            self.desk.take(alerts, {}, after(second + 1))

    def page(self) -> list[str]:
        """Send what is due; return the services of all pages so far, by name."""
        while self.dispatcher.step("pager"):
            pass
        return sorted(message.payload["services"][0] for message in self.channel.messages if message.kind == "page")


def states(store: IncidentStore) -> dict[str, IncidentState]:
    from serving.incidents.store.records import IncidentFilter

    return {incident.anchor: incident.state for incident in store.cases(IncidentFilter(), ALL).items}


@contextmanager
def limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[OnCall, Callable[[bool], None]]]:
    """Open a store whose commits find no room where the disk is said to be full."""
    room = [1 << 40]

    def commit(connection: Connection) -> None:
        if not room[0] and connection.get_execution_options().get("aiops_writes"):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise OperationalError("COMMIT", None, error)

    def filled(full: bool) -> None:
        room[0] = 0 if full else 1 << 40

    monkeypatch.setattr(database, "free_bytes", lambda _folder: room[0])
    monkeypatch.setattr(database, "BACK_EVERY_S", 0.0)
    with closing(IncidentStore.open(f"sqlite:///{folder}/incidents.db", DEFAULT_TENANT, memory_copy=True)) as store:
        event.listen(Engine, "commit", commit)
        try:
            yield OnCall(store), filled
        finally:
            event.remove(Engine, "commit", commit)


def check_paging(on_call: OnCall, filled: Callable[[bool], None], folder: Path) -> None:
    """Page before, while and after the disk is full; every page goes out once, all is on disk at the end."""
    before = [f"before-{number}" for number in range(3)]
    on_call.take(0, *before)
    assert on_call.page() == before
    filled(True)
    during: list[str] = []
    for number in range(40):
        during.append(f"during-{number}")
        on_call.take(10 + number, during[-1])
    assert on_call.store.in_memory
    assert on_call.page() == sorted([*before, *during])
    first = next(item.incident_id for item in on_call.desk.open_incidents() if item.anchor == "before-0")
    on_call.desk.change(first, IncidentState.RESOLVED, after(60), "ann")
    on_call.page()
    with closing(sqlite3.connect(f"file:{folder}/incidents.db?mode=ro", uri=True)) as file:
        assert file.execute("SELECT count(*) FROM incidents").fetchone()[0] < len(before + during)
    filled(False)
    on_call.take(100, "after")
    assert not on_call.store.in_memory
    assert on_call.page() == sorted([*before, *during, "after"])
    on_call.store.close()
    with closing(IncidentStore.open(f"sqlite:///{folder}/incidents.db", DEFAULT_TENANT)) as again:
        states_on_disk = states(again)
        assert set(states_on_disk) == {*before, *during, "after"}
        assert states_on_disk["before-0"] is IncidentState.RESOLVED
        assert len(again.alerts(None, ALL).items) == len(states_on_disk)
        assert again.verify_audit().intact
        assert all(item.state is MessageState.DELIVERED for item in again.messages(first) if item.kind != "escalation")
        resumed = OnCall(again)
        resumed.take(120, "before-1")
        assert resumed.page() == [], "it goes on where it stood: a repetition pages nobody"


def test_paging_goes_on_in_memory_where_the_database_finds_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with limited(tmp_path, monkeypatch) as (on_call, filled):
        check_paging(on_call, filled, tmp_path)


def test_paging_goes_on_in_memory_on_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BACK_EVERY_S", 0.0)
    with small_disk(tmp_path / "disk", 24) as disk:

        def filled(full: bool) -> None:
            fill(disk) if full else (disk / "ballast").unlink()

        with closing(IncidentStore.open(f"sqlite:///{disk}/incidents.db", DEFAULT_TENANT, memory_copy=True)) as store:
            check_paging(OnCall(store), filled, disk)


def test_without_a_memory_copy_a_full_disk_is_reported_in_a_sentence(tmp_path: Path) -> None:
    def write(store: IncidentStore) -> None:
        for number in range(200):
            with store.writing() as writer:
                writer.note(f"n{number}", "x" * 20_000)

    with small_disk(tmp_path / "disk", 16) as disk, IncidentStore.open(f"sqlite:///{disk}/incidents.db", DEFAULT_TENANT) as store:
        fill(disk)
        with pytest.raises(DiskFull, match="the disk is full; make room"):
            write(store)
        assert not store.in_memory


def test_webhooks_are_taken_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 24) as disk, running(disk, memory_copy=True) as api:
        fill(disk)
        began = datetime.now(UTC).isoformat()
        for number in range(60):
            labels = {"alertname": "DiskFull", "job": f"node-{number}", "text": "x" * 900}
            body = {"version": "4", "alerts": [{"status": "firing", "labels": labels, "startsAt": began}]}
            answer: httpx.Response = api.client.post("/alerts/alertmanager", json=body)
            assert (answer.status_code, json.loads(answer.content)["accepted"]) == (202, 1)
        assert api.store.in_memory
        api.desk.tick(datetime.now(UTC))
        assert len(api.desk.open_incidents()) == 60
        assert api.client.get("/incidents").json()["total"] == 60


def test_a_checkpoint_without_room_leaves_no_half_of_it_and_the_former_one(tmp_path: Path) -> None:
    import numpy as np

    with small_disk(tmp_path / "disk", 4) as disk:
        store = CheckpointStore(disk, 0)
        store.save(Checkpoint("1-0", {"a": np.arange(10)}))
        with pytest.raises(OSError, match="No space left") as raised:
            store.save(Checkpoint("2-0", {"a": np.random.default_rng(1).random(1 << 20)}))
        assert is_full(raised.value)
        kept, passed = store.load("9-9")
        assert kept is not None
        assert (kept.through, passed) == ("1-0", [])
        assert not list(disk.glob("*.tmp"))


def test_the_broker_goes_on_in_memory_and_back_to_the_disk(tmp_path: Path) -> None:
    lines: list[str] = []
    with small_disk(tmp_path / "disk", 96) as disk:
        settings = Settings(home=disk)
        with EmbeddedBroker(settings, free_port()) as broker, broker.client() as client:
            watch = DiskWatch(disk, broker, lines.append)
            client.xadd("s", {"n": 1})
            (disk / "most").write_bytes(bytes(96 * (1 << 20) - FULL - (4 << 20)))
            watch.look()
            assert lines == []
            (disk / "more").write_bytes(bytes(8 << 20))
            watch.look()
            watch.look()
            fill(disk)
            for number in range(200):
                client.xadd("s", {"n": number, "b": b"x" * 10_000})
            assert broker.running
            for name in ("ballast", "most", "more"):
                (disk / name).unlink()
            watch.look()
            client.xadd("s", {"n": "last"})
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            _wait(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0)
        with EmbeddedBroker(settings, free_port()) as again, again.client() as client:
            assert client.xlen("s") == 202
    assert [line.split(":")[0].split(" (")[0] for line in lines] == [
        f"the disk of AIOPS_HOME {disk} is full",
        f"there is room again on the disk of AIOPS_HOME {disk}; what waited in memory is written",
    ]


def test_the_watch_says_once_what_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from orchestration.suite import disk_watch

    lines: list[str] = []
    kept: list[bool] = []

    class Journal:
        def keep_on_disk(self, wanted: bool) -> None:
            kept.append(wanted)

    watch = DiskWatch(tmp_path, Journal(), lines.append)
    for free in (ROOM, FULL - 1, 0, FULL + 1, ROOM, ROOM):
        monkeypatch.setattr(disk_watch, "free_bytes", lambda _folder, free=free: free)
        watch.look()
    assert kept == [False, True]
    assert len(lines) == 2
    assert "make room" in lines[0]


def _wait(true: Callable[[], bool]) -> None:
    from tests.testing.stream_harness import wait_until

    assert wait_until(true, 30)
