"""Incidents, alerts and timelines of the store as the API answers them."""

from collections.abc import Mapping
from itertools import groupby
from typing import Final

from aiops.incidents.alert import Severity
from aiops.incidents.correlation.outcome import HeldBack
from aiops.incidents.incident import AlertEntry
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.verdict import Verdict
from serving.incidents.api.response_types import (
    AlertGroup,
    AlertPage,
    AlertView,
    HeldBackList,
    HeldBackView,
    IncidentLine,
    IncidentPage,
    IncidentView,
    SeverityName,
    Timeline,
    TimelineEntry,
)
from serving.incidents.desk.detection_alerts import FORESEEN_NAME
from serving.incidents.store.records import IncidentCase, IncidentGlance, IncidentSummary, Page, StoredAlert

_SHOWN_NAMES: Final = 5
_NAMES: Mapping[Severity, SeverityName] = {
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "critical",
}


def line_of(incident: IncidentSummary, glance: IncidentGlance) -> IncidentLine:
    """Return an incident in one line."""
    return IncidentLine(
        incident_id=incident.incident_id,
        state=incident.state,
        severity=_NAMES[incident.severity],
        opened_at=incident.opened_at,
        updated_at=incident.updated_at,
        anchor=incident.anchor,
        services=incident.services,
        alert_count=incident.alert_count,
        notified_at=incident.notified_at,
        merged_into=incident.merged_into,
        storm=incident.storm,
        statement=glance.statement,
        cause=glance.cause,
        probability=glance.probability,
        decided=glance.decided,
        foreseen=glance.alert_names == (FORESEEN_NAME,),
        alert_names=glance.alert_names[:_SHOWN_NAMES],
        different_alerts=glance.different_alerts,
        firing=glance.firing,
        acknowledged_at=glance.acknowledged_at,
        acknowledged_by=glance.acknowledged_by,
        plans_waiting=glance.plans_waiting,
    )


def lines_of(page: Page[IncidentSummary], total: int, glances: Mapping[str, IncidentGlance]) -> IncidentPage:
    """Return a page of incidents; one that retention has dropped meanwhile is left out."""
    lines = (line_of(row, glances[row.incident_id]) for row in page.items if row.incident_id in glances)
    return IncidentPage(tuple(lines), page.next_cursor, total)


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
    """Return what happened to an incident, with its verdicts and with each analysis that says something else than the last."""
    events = [TimelineEntry(event.at, "event", event.what, event.by) for event in case.incident.timeline]
    by_time = sorted(reports, key=lambda report: report.made_at)
    said = [next(run) for _, run in groupby(by_time, lambda report: report.statement)]
    events += [TimelineEntry(event.made_at, "analysis", event.statement, "responder") for event in said]
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
