"""Alerts, incidents and reports for tests of the incident store; deterministic, small."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aiops.incidents.alert import Alert, Severity
from aiops.incidents.incident import AlertEntry, Incident, IncidentState, TimelineEvent
from aiops.incidents.root_cause import CauseEvidence, ChangeEvent, RootCause, RootCauseReport
from serving.incidents.store.records import MessageKind, OutboxMessage

BEGAN = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


def alert(name: str, service: str = "cart") -> Alert:
    return Alert(
        name,
        f"of-{service}",
        service,
        "HighLatency",
        Severity.WARNING,
        BEGAN,
        value=2.5,
        z=4.0,
        labels={"zone": "a"},
        score=0.9123456789,
    )


def incident(
    name: str, services: tuple[str, ...] = ("cart",), state: IncidentState = IncidentState.OPEN, opened: float = 0.0
) -> Incident:
    seen = (at(opened), at(opened))
    entries = tuple(AlertEntry(f"of-{service}", service, "HighLatency", Severity.WARNING, *seen) for service in services)
    timeline = (TimelineEvent(at(opened), "opened"),)
    head = (name, state, Severity.CRITICAL, at(opened), at(opened), services[0], services, entries)
    return Incident(*head, len(entries), timeline, notified_at=at(opened))


def report(made: float = 0.0) -> RootCauseReport:
    evidence = CauseEvidence("latency", "p99", float("nan"), 0.2, float("inf"), 1.5, at(made), "p99 rose")
    change = ChangeEvent("c1", at(made), "cart", "deployment", "v2")
    cause = RootCause("cart", 0.8, "cart began it", 1.5, at(made), ("cart", "shop"), (evidence,), (change,))
    return RootCauseReport(at(made), at(made - 5), at(made), "shop", (cause,), True, "cart began it", ("traces",))


def message(name: str, incident_id: str = "i-1", due: float = 0.0) -> OutboxMessage:
    return OutboxMessage(name, "slack", incident_id, MessageKind.PAGE, f"key-{name}", {"text": "cart is slow"}, at(due))


def transitioned(before: Incident, state: IncidentState, event: TimelineEvent) -> Incident:
    """Return an incident in its next state, as somebody else's word leaves it."""
    return replace(before, state=state, updated_at=event.at, timeline=(*before.timeline, replace(event, became=state)))
