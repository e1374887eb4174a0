"""Clocks do not mix: alerts of now join no incident of a story that ran ahead, and a story takes in no alert of another time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.incident import IncidentState
from aiops.settings.responder_settings import ResponderSettings
from aiops.topology.graph import ServiceGraph
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.incidents.desk.desk import CLOCK, Desk
from serving.incidents.desk.desk_transaction import Audience
from serving.incidents.desk.detection_alerts import DETECTED
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentFilter, MessageKind, PageRequest
from serving.stream.streams import DETECTIONS
from tests.testing.empty_store import empty_store

NOW = datetime(2026, 3, 2, tzinfo=UTC)
AHEAD = NOW + timedelta(hours=10)
GRAPH = ServiceGraph.from_pairs([("web", "cart")])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IncidentStore]:
    with empty_store(tmp_path, DEFAULT_TENANT) as opened:
        yield opened


def desk_by(clock: str, store: IncidentStore) -> Desk:
    rules = ResponderSettings.model_validate({"clock": clock, "settle_s": 0.0, "page_settle_s": 0.0})
    return Desk(store, rules, GRAPH, Audience(("log",), "http://aiops.test"))


def alert(service: str, at: datetime, source: str = "alertmanager") -> Alert:
    labels = {"service": service, "alertname": "Slow"}
    name = f"{service}-{at.isoformat()}-{source}"
    return Alert(name, fingerprint_of(labels), service, "Slow", Severity.CRITICAL, at, labels=labels, source=source)


def test_an_alert_of_now_joins_no_incident_of_a_clock_that_ran_ahead(store: IncidentStore) -> None:
    desk_by("event", store).take([alert("cart", AHEAD, DETECTED)], {DETECTIONS: "5-0"}, AHEAD + timedelta(seconds=5))
    live = desk_by("wall", store)
    step = live.take([alert("web", NOW)], {}, NOW + timedelta(seconds=5))
    (incident,) = live.open_incidents()
    assert (incident.services, incident.opened_at) == (("web",), NOW)
    assert [page.incident_id for page in step.outcome.pages] == [incident.incident_id]
    cases = {incident.anchor: incident for incident in store.cases(IncidentFilter(), PageRequest()).items}
    assert (cases["cart"].state, cases["web"].state) == (IncidentState.RESOLVED, IncidentState.OPEN)
    kinds = [message.kind for message in store.messages(cases["cart"].incident_id)]
    assert sorted(kinds) == [MessageKind.PAGE, MessageKind.RESOLVED], "whoever was paged hears that it is over"
    assert store.clock() == NOW + timedelta(seconds=5)
    lines = store.audit(PageRequest()).items
    assert [(line.by, line.what) for line in lines] == [(CLOCK, "clock set back")]
    live.tick(NOW + timedelta(seconds=20))
    assert len(store.audit(PageRequest()).items) == 1, "once"


def test_a_clock_that_is_a_little_ahead_is_left_alone(store: IncidentStore) -> None:
    desk_by("event", store).take([alert("cart", NOW, DETECTED)], {DETECTIONS: "5-0"}, NOW + timedelta(minutes=4))
    live = desk_by("wall", store)
    live.take([alert("web", NOW)], {}, NOW + timedelta(seconds=5))
    (incident,) = live.open_incidents()
    assert set(incident.services) == {"cart", "web"}


def test_a_recorded_story_that_is_followed_by_live_use_is_over(store: IncidentStore) -> None:
    past = NOW - timedelta(days=300)
    desk_by("event", store).take([alert("cart", past, DETECTED)], {DETECTIONS: "5-0"}, past + timedelta(seconds=5))
    live = desk_by("wall", store)
    live.take([alert("web", NOW)], {}, NOW + timedelta(seconds=5))
    assert [incident.services for incident in live.open_incidents()] == [("web",)]


def test_a_story_takes_in_no_alert_of_another_time(store: IncidentStore) -> None:
    story = desk_by("event", store)
    story.take([alert("cart", AHEAD, DETECTED)], {DETECTIONS: "5-0"}, AHEAD + timedelta(seconds=5))
    with store.writing() as writer:
        writer.inbox_add([alert("web", NOW), alert("web", AHEAD + timedelta(seconds=2))], NOW)
    story.tick(AHEAD + timedelta(seconds=20))
    (incident,) = story.open_incidents()
    assert incident.alert_count == 2
    (left_out,) = [alert for alert in store.alerts(None, PageRequest()).items if alert.alert.starts_at == NOW]
    assert left_out.incident_id == ""
    assert "clocks do not mix" in str(left_out.fate)
