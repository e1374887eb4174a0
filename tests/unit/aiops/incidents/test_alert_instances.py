"""One rule that fires for several instances is over when the last of them has ended, whatever the order of the messages."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aiops.incidents.alert import Alert, alert_of_plain, plain_alert
from aiops.incidents.correlation import firing
from aiops.incidents.correlation.correlator import Correlator
from aiops.incidents.correlation.firing import FOLLOWED, OVER
from aiops.incidents.incident import Incident, IncidentState
from aiops.topology.graph import ServiceGraph
from serving.incidents.intake import alert_webhook, alertmanager
from serving.incidents.intake.alert_sources import AlertSource

START = datetime(2026, 3, 2, tzinfo=UTC)
GRAPH = ServiceGraph.from_pairs([], ["node"])
NEVER = "0001-01-01T00:00:00Z"
SOURCE = AlertSource.model_validate(
    {"service": "host", "name": "check", "status": "state", "starts_at": "began", "labels": "tags", "identity": "id"}
)


def after(second: float) -> datetime:
    return START + timedelta(seconds=second)


def text(second: float | None) -> str:
    return NEVER if second is None else after(second).isoformat()


def sent(state: str, began: float | None, over: float | None = None, **labels: str) -> dict[str, Any]:
    """Return one alert of Alertmanager's payload."""
    named = {"alertname": "DiskFull", "job": "node", **labels}
    return {"status": state, "labels": named, "startsAt": text(began), "endsAt": text(over), "fingerprint": "ab"}


def read(at: float, *alerts: dict[str, Any]) -> tuple[Alert, ...]:
    payload = {"version": "4", "status": "firing", "groupKey": "{}:{}", "alerts": list(alerts)}
    received = alertmanager.alerts_of(json.dumps(payload).encode(), after(at))
    assert not received.refused
    return received.alerts


class Desk:
    """A correlator that receives webhooks one after the other."""

    def __init__(self) -> None:
        self.correlator = Correlator(GRAPH)
        self.reasons: list[str] = []
        self.states: list[IncidentState] = []

    def hear(self, at: float, *alerts: dict[str, Any]) -> None:
        self.take(at, read(at, *alerts))

    def take(self, at: float, alerts: tuple[Alert, ...]) -> None:
        self.correlator.add(alerts)
        outcome = self.correlator.advance(after(at + 3))
        self.reasons += [fate.reason for fate in outcome.fates]
        self.states += [incident.state for incident in outcome.incidents]

    @property
    def incident(self) -> Incident:
        (incident,) = self.correlator.open_incidents()
        return incident


@pytest.mark.parametrize("label", ["instance", "pod", "severity", "node"])
def test_an_incident_is_open_until_the_last_instance_of_a_rule_ends(label: str) -> None:
    desk = Desk()
    desk.hear(10, sent("firing", 0, **{label: "warning"}), sent("firing", 5, **{label: "critical"}))
    assert [entry.firing for entry in desk.incident.alerts] == [2]
    desk.hear(20, sent("firing", 0, **{label: "warning"}), sent("resolved", 5, 15, **{label: "critical"}))
    assert (desk.incident.state, desk.incident.alerts[0].firing) == (IncidentState.OPEN, 1)
    for repeated in range(1, 8):
        desk.hear(20 + 600 * repeated, sent("firing", 0, **{label: "warning"}))
    assert desk.incident.state is IncidentState.OPEN
    desk.hear(5000, sent("resolved", 0, 4990, **{label: "warning"}))
    assert (desk.incident.state, desk.incident.alerts[0].ended) == (IncidentState.MITIGATED, True)
    desk.take(6000, ())
    assert desk.states[-1] is IncidentState.RESOLVED


def test_what_is_read_after_its_end_opens_nothing_and_what_begins_later_does() -> None:
    desk = Desk()
    desk.hear(100, sent("resolved", 10, 90, instance="a"))
    desk.hear(104, sent("firing", 10, instance="a"))
    assert desk.correlator.open_incidents() == ()
    assert desk.reasons == ["ended: of no open incident", f"ended: {OVER}"]
    desk.hear(110, sent("firing", 10, instance="b"))
    desk.hear(120, sent("firing", 95, instance="a"))
    assert desk.incident.alerts[0].firing == 2


def test_late_messages_of_an_episode_that_is_over_change_nothing() -> None:
    desk = Desk()
    desk.hear(10, sent("firing", 0, instance="a"))
    desk.hear(30, sent("resolved", 0, 25, instance="a"))
    desk.hear(40, sent("firing", 0, instance="a"))
    assert desk.incident.state is IncidentState.MITIGATED
    desk.hear(60, sent("firing", 50, instance="a"))
    assert desk.incident.state is IncidentState.OPEN
    desk.hear(70, sent("resolved", 0, 25, instance="a"))
    assert desk.incident.state is IncidentState.OPEN
    assert desk.reasons == ["opened", "ended", f"ended: {OVER}", "repeated", f"ended: {FOLLOWED}"]


def test_two_alertmanagers_that_send_the_same_alert_are_one_sender() -> None:
    desk = Desk()
    for at in (10, 11):
        desk.hear(at, sent("firing", 0, instance="a"))
    assert desk.incident.alerts[0].firing == 1
    desk.hear(40, sent("resolved", 0, 35, instance="a"))
    desk.hear(44, sent("firing", 0, instance="a"))
    assert desk.incident.state is IncidentState.MITIGATED


def test_two_systems_that_send_the_same_alert_must_both_end_it() -> None:
    desk = Desk()
    (theirs,) = read(10, sent("firing", 0, instance="a"))
    (other,) = read(11, sent("firing", 0, instance="a"))
    desk.take(10, (theirs, replace(other, alert_id="o", source="zabbix", instance="elsewhere")))
    desk.hear(30, sent("resolved", 0, 25, instance="a"))
    assert desk.incident.state is IncidentState.OPEN


def test_zero_times_count_as_received() -> None:
    desk = Desk()
    desk.hear(10, sent("firing", None, instance="a"))
    desk.hear(20, sent("resolved", None, None, instance="a"))
    assert desk.incident.state is IncidentState.MITIGATED
    desk.hear(30, sent("firing", None, instance="a"))
    assert desk.incident.state is IncidentState.OPEN
    desk.hear(40, sent("resolved", None, 39, instance="a"))
    assert desk.incident.state is IncidentState.MITIGATED


def test_a_rule_without_data_is_an_alert_of_its_own() -> None:
    desk = Desk()
    desk.hear(10, sent("firing", 0, instance="a"), sent("firing", 5, alertname="DatasourceNoData", rulename="DiskFull"))
    desk.hear(20, sent("resolved", 0, 15, instance="a"))
    assert desk.incident.state is IncidentState.OPEN
    desk.hear(30, sent("resolved", 5, 25, alertname="DatasourceNoData", rulename="DiskFull"))
    assert desk.incident.state is IncidentState.MITIGATED


def test_a_webhook_ends_its_alert_though_what_it_measured_is_another_number_by_then() -> None:
    def event(at: float, **fields: Any) -> tuple[Alert, ...]:
        body = json.dumps({"host": "node", "check": "disk", "began": text(0), **fields}).encode()
        return alert_webhook.alerts_of("shop", SOURCE, body, after(at)).alerts

    desk = Desk()
    desk.take(10, event(10, state="bad", tags={"instance": "a", "value": "97"}))
    desk.take(20, event(20, state="bad", tags={"instance": "b", "value": "98"}))
    desk.take(30, event(30, state="ok", tags={"instance": "a", "value": "12"}))
    assert (desk.incident.state, desk.incident.alerts[0].firing) == (IncidentState.OPEN, 1)
    desk.take(40, event(40, state="ok", tags={"instance": "b", "value": "3"}))
    assert desk.incident.state is IncidentState.MITIGATED
    first, last = event(50, state="bad", id=7, tags={"zone": "x"}), event(60, state="ok", id=7, tags={"zone": "y"})
    assert first[0].instance == last[0].instance


def test_more_instances_than_are_distinguished_keep_the_incident_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firing, "MOST_INSTANCES", 3)
    desk = Desk()
    desk.hear(10, *(sent("firing", 0, instance=name) for name in "abcde"))
    desk.hear(20, *(sent("resolved", 0, 15, instance=name) for name in "abcde"))
    assert desk.incident.state is IncidentState.OPEN
    desk.take(20 + 7 * 3600, ())
    assert desk.states[-1] is IncidentState.RESOLVED


def test_ends_that_are_remembered_are_bounded_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firing, "MOST_ENDS", 2)
    ends = firing.Ends()
    first, two, three = (read(20, sent("resolved", 0, 10, instance=name))[0] for name in "abc")
    for alert in (first, two, first, three):
        ends.note(alert)
    kept = firing.Ends()
    kept.restore(json.loads(json.dumps(ends.snapshot())))
    assert [kept.cover(replace(alert, ends_at=None)) for alert in (first, two, three)] == [True, False, True]


def test_alerts_and_entries_of_before_are_read() -> None:
    (alert,) = read(10, sent("firing", 0, instance="a"))
    kept = alert_of_plain(plain_alert(alert)[:12])
    assert (kept.instance, kept.fingerprint, kept.until_ended) == ("", alert.fingerprint, True)
    fires = firing.Entry.of_plain(["f", "node", "DiskFull", 1, 5, 9, 3, False, True])
    over = firing.Entry.of_plain(["f", "node", "DiskFull", 1, 5, 9, 3, True, True])
    assert (fires.ended, fires.count, over.ended) == (False, 3, True)
    assert fires.ends(replace(alert, ends_at=after(20)), 20)
    assert fires.ended


def test_a_correlator_goes_on_from_a_snapshot_of_version_2() -> None:
    desk = Desk()
    desk.hear(10, sent("firing", 0, instance="a"))
    state = json.loads(json.dumps(desk.correlator.snapshot()))
    state["version"] = 2
    del state["ends"]
    (entry,) = state["incidents"][0]["entries"]
    state["incidents"][0]["entries"] = [[*entry[:7], False, True]]
    desk.correlator = Correlator(GRAPH).restore(state)
    desk.hear(30, sent("resolved", 0, 25, instance="a"))
    assert desk.incident.state is IncidentState.MITIGATED
