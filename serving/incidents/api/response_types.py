"""What the API answers, as types, from which /docs.json is made. Times are RFC 3339 in UTC; null = not known."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from aiops.incidents.alert import Severity
from aiops.incidents.correlation.outcome import HeldBack
from aiops.incidents.incident import AlertEntry, Incident, IncidentState, TimelineEvent
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.verdict import Verdict
from serving.incidents.store.records import IncidentCase, IncidentSummary, Page, StoredAlert

SeverityName = Literal["info", "warning", "critical"]
_NAMES: Mapping[Severity, SeverityName] = {
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "critical",
}


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """An incident in one line of a list. `merged_into` "" = not merged."""

    incident_id: str
    state: IncidentState
    severity: SeverityName
    opened_at: datetime
    updated_at: datetime
    anchor: str
    services: tuple[str, ...]
    alert_count: int
    notified_at: datetime | None
    merged_into: str
    storm: bool


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """A page of incidents, the newest first; `next_cursor` "" = there are no more; `total` = those on all pages together."""

    items: tuple[IncidentLine, ...]
    next_cursor: str
    total: int


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """All repetitions of one alert in an incident; `firing` = instances (pods, hosts, levels) of it that are not over."""

    fingerprint: str
    service: str
    name: str
    severity: SeverityName
    first_seen: datetime
    last_seen: datetime
    count: int
    ended: bool
    firing: int


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident with what is known of it. `root_cause` is the newest analysis; `merged` names incidents that go on in it."""

    incident_id: str
    state: IncidentState
    severity: SeverityName
    opened_at: datetime
    updated_at: datetime
    anchor: str
    services: tuple[str, ...]
    alerts: tuple[AlertGroup, ...]
    alert_count: int
    timeline: tuple[TimelineEvent, ...]
    notified_at: datetime | None
    merged_into: str
    storm: bool
    root_cause: RootCauseReport | None
    verdicts: tuple[Verdict, ...]
    merged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert as it arrived, and what became of it: `fate` "" = not decided yet, `incident_id` "" = in no incident.

    `score`: of what the suite found itself, 0..1.
    """

    alert_id: str
    fingerprint: str
    service: str
    name: str
    severity: SeverityName
    starts_at: datetime
    ends_at: datetime | None
    value: float | None
    z: float | None
    score: float | None
    labels: Mapping[str, str]
    source: str
    incident_id: str
    fate: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class AlertPage:
    """A page of alerts, the newest first; `next_cursor` "" = there are no more."""

    items: tuple[AlertView, ...]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class ReportList:
    """All analyses of an incident, the newest first."""

    items: tuple[RootCauseReport, ...]


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened to an incident: a change of it, an analysis, or a verdict."""

    at: datetime
    kind: Literal["event", "analysis", "verdict"]
    what: str
    by: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to an incident, the oldest first."""

    items: tuple[TimelineEntry, ...]


@dataclass(frozen=True, slots=True)
class HeldBackView:
    """An incident whose page waits."""

    incident_id: str
    since: datetime
    severity: SeverityName


@dataclass(frozen=True, slots=True)
class HeldBackList:
    """Incidents that deserve a page which waits, the worst first."""

    items: tuple[HeldBackView, ...]


@dataclass(frozen=True, slots=True)
class AuditView:
    """One line of the audit log; `digest` covers it and all before it."""

    seq: int
    at: datetime
    by: str
    what: str
    subject: str
    detail: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of the audit log, the newest first."""

    items: tuple[AuditView, ...]
    next_cursor: str


def line_of(incident: Incident | IncidentSummary) -> IncidentLine:
    """Return an incident in one line."""
    return IncidentLine(
        incident.incident_id,
        incident.state,
        _NAMES[incident.severity],
        incident.opened_at,
        incident.updated_at,
        incident.anchor,
        incident.services,
        incident.alert_count,
        incident.notified_at,
        incident.merged_into,
        incident.storm,
    )


def lines_of(page: Page[IncidentSummary], total: int) -> IncidentPage:
    """Return a page of incidents."""
    return IncidentPage(tuple(line_of(incident) for incident in page.items), page.next_cursor, total)


def view_of(case: IncidentCase) -> IncidentView:
    """Return an incident with what is known of it."""
    incident = case.incident
    return IncidentView(
        incident_id=incident.incident_id,
        state=incident.state,
        severity=_NAMES[incident.severity],
        opened_at=incident.opened_at,
        updated_at=incident.updated_at,
        anchor=incident.anchor,
        services=incident.services,
        alerts=tuple(_group(entry) for entry in incident.alerts),
        alert_count=incident.alert_count,
        timeline=incident.timeline,
        notified_at=incident.notified_at,
        merged_into=incident.merged_into,
        storm=incident.storm,
        root_cause=case.report,
        verdicts=case.verdicts,
        merged=case.merged,
    )


def alerts_of_page(page: Page[StoredAlert]) -> AlertPage:
    """Return a page of alerts."""
    return AlertPage(tuple(_alert(stored) for stored in page.items), page.next_cursor)


def timeline_of(case: IncidentCase, reports: tuple[RootCauseReport, ...]) -> Timeline:
    """Return what happened to an incident, with its analyses and verdicts."""
    events = [TimelineEntry(event.at, "event", event.what, event.by) for event in case.incident.timeline]
    events += [TimelineEntry(event.made_at, "analysis", event.statement, "responder") for event in reports]
    events += [TimelineEntry(event.given_at, "verdict", _verdict_words(event), event.by) for event in case.verdicts]
    return Timeline(tuple(sorted(events, key=lambda event: event.at)))


def held_back_of(waiting: tuple[HeldBack, ...]) -> HeldBackList:
    """Return the incidents whose page waits."""
    return HeldBackList(tuple(HeldBackView(held.incident_id, held.since, _NAMES[held.severity]) for held in waiting))


def _group(entry: AlertEntry) -> AlertGroup:
    seen = (entry.first_seen, entry.last_seen, entry.count, entry.ended, entry.firing)
    return AlertGroup(entry.fingerprint, entry.service, entry.name, _NAMES[entry.severity], *seen)


def _alert(stored: StoredAlert) -> AlertView:
    alert = stored.alert
    names = (alert.alert_id, alert.fingerprint, alert.service, alert.name, _NAMES[alert.severity], alert.starts_at, alert.ends_at)
    values = (_number(alert.value), _number(alert.z), _number(alert.score), alert.labels, alert.source)
    return AlertView(*names, *values, stored.incident_id, stored.fate, stored.received_at)


def _number(value: float) -> float | None:
    return value if value == value else None  # noqa: PLR0124


def _verdict_words(verdict: Verdict) -> str:
    named = verdict.right_cause or verdict.duplicate_of
    return verdict.kind.value.replace("_", " ") + (f": {named}" if named else "") + (f" ({verdict.note})" if verdict.note else "")
