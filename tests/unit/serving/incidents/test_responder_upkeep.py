"""What the responder does beside its desk: it follows the call graph, drops what is old, and stops as a whole."""

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from aiops.errors import ConfigurationError
from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.incident import IncidentState
from aiops.settings.tree import Settings
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.http.server import bound
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_factory import desk_of
from serving.incidents.responder.responder_loop import DeskLoop
from serving.incidents.responder.responder_process import ResponderProcess, _readiness
from serving.incidents.responder.upkeep import Upkeep, UpkeepParts
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.opening import open_lake
from serving.tables.graph_store import GraphStore

START = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    plain = Settings(home=tmp_path)
    return plain.model_copy(update={"responder": plain.responder.model_copy(update={"clock": "event"})})


@pytest.fixture
def store(settings: Settings) -> Iterator[IncidentStore]:
    with IncidentStore.open(settings.incident_store_url, "default") as opened:
        yield opened


def alert(second: float, service: str) -> Alert:
    labels = {"service": service}
    at = START + timedelta(seconds=second)
    return Alert(f"{service}-{second}", fingerprint_of(labels), service, "slow", Severity.CRITICAL, at, labels=labels)


def upkeep_of(settings: Settings, store: IncidentStore, desk: Desk, days: int = 0) -> Upkeep:
    lake = open_lake(settings).for_tenant(DEFAULT_TENANT)
    parts = UpkeepParts(store, desk, lake, GraphStore(lake), timedelta(days=90), lambda: START + timedelta(days=days))
    return Upkeep(parts)


def services(desk: Desk) -> list[set[str]]:
    return sorted((set(incident.services) for incident in desk.open_incidents()), key=sorted)


def test_a_call_that_is_no_more_splits_what_only_it_held_together(settings: Settings, store: IncidentStore) -> None:
    graphs = GraphStore(open_lake(settings).for_tenant(DEFAULT_TENANT))
    graphs.replace_configured([("web", "cart")], START - timedelta(days=1))
    desk = desk_of(settings, store)
    upkeep = upkeep_of(settings, store, desk)
    desk.take([alert(0, "web"), alert(1, "cart")], {}, START + timedelta(seconds=10))
    assert services(desk) == [{"web", "cart"}]
    assert not upkeep.follow_graph()
    graphs.replace_configured([("web", "search")], START)
    assert upkeep.follow_graph()
    desk.tick(START + timedelta(seconds=30))
    assert services(desk) == [{"cart"}, {"web"}]
    assert not upkeep.follow_graph()


def test_a_damaged_call_graph_does_not_keep_alerts_from_becoming_incidents(
    settings: Settings, store: IncidentStore, caplog: pytest.LogCaptureFixture
) -> None:
    graphs = GraphStore(open_lake(settings).for_tenant(DEFAULT_TENANT))
    graphs.replace_configured([("web", "cart")], START - timedelta(days=1))
    (part,) = (open_lake(settings).for_tenant(DEFAULT_TENANT).folder("edges")).glob("*.parquet")
    whole = part.read_bytes()
    part.write_bytes(b"no Parquet")
    desk = desk_of(settings, store)
    assert "call graph" in caplog.text
    upkeep = upkeep_of(settings, store, desk)
    desk.take([alert(0, "web")], {}, START + timedelta(seconds=10))
    assert services(desk) == [{"web"}]
    part.write_bytes(whole)
    os.utime(part, ns=(0, 1))
    assert upkeep.follow_graph(), "once it can be read, it counts"
    desk.take([alert(11, "cart")], {}, START + timedelta(seconds=20))
    assert services(desk) == [{"web", "cart"}]


def test_closed_incidents_are_dropped_when_they_are_old_enough(settings: Settings, store: IncidentStore) -> None:
    desk = desk_of(settings, store)
    desk.take([alert(0, "web"), alert(1, "alone")], {}, START + timedelta(seconds=10))
    first = desk.open_incidents()[0].incident_id
    desk.change(first, IncidentState.RESOLVED, START, "ann")
    assert [upkeep_of(settings, store, desk, days).retain() for days in (80, 91)] == [0, 1]
    assert [incident.incident_id for incident in desk.open_incidents()] != [first]
    assert store.counts()["incidents"] == 1


def test_what_fails_does_not_end_upkeep(
    settings: Settings, store: IncidentStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr("serving.incidents.responder.upkeep.reconcile", full)
    upkeep_of(settings, store, desk_of(settings, store)).look()
    assert "no space left" in caplog.text


def test_a_port_that_is_taken_stops_the_process_before_it_begins(settings: Settings) -> None:
    with bound("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        settings = settings.model_copy(update={"responder": settings.responder.model_copy(update={"port": port})})
        with pytest.raises(ConfigurationError, match=r"responder\.port"):
            ResponderProcess(settings, threading.Event()).run()


def test_readiness_tells_no_address() -> None:
    class Loop:
        def health(self) -> dict[str, str]:
            return {
                "desk": "no step for 40 s",
                "database": "incident store postgresql://ann@10.1.2.3 does not answer",
                "broker": "ok",
            }

    readiness = _readiness(cast("DeskLoop", Loop()))
    assert not readiness.ready
    assert readiness.parts == {"desk": "no step for 40 s", "database": "no answer; the log says why", "broker": "ok"}


def test_the_first_failure_of_any_part_stops_all_and_is_raised(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: object, _stop: threading.Event) -> None:
        raise ConfigurationError("notifier: it cannot go on")

    monkeypatch.setattr("serving.incidents.notify.dispatcher.Dispatcher.run", broken)
    settings = settings.model_copy(update={"responder": settings.responder.model_copy(update={"port": 0})})
    with pytest.raises(ConfigurationError, match="it cannot go on"):
        ResponderProcess(settings, threading.Event()).run()
