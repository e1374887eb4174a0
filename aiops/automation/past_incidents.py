"""Past incidents: how they stood at a time, how they ended, and what people said of them."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from aiops.incidents.incident import AlertEntry, Incident, IncidentState
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.verdict import Verdict, VerdictKind

_OVER: Final = (IncidentState.MITIGATED, IncidentState.RESOLVED)


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An incident with all its analyses and verdicts, each the oldest first."""

    incident: Incident
    reports: tuple[RootCauseReport, ...]
    verdicts: tuple[Verdict, ...] = ()

    @property
    def ended_at(self) -> datetime | None:
        """Return when it was first mitigated or resolved, None = not yet, or nobody knows."""
        return next((event.at for event in self.incident.timeline if event.became in _OVER), None)


class Judged(StrEnum):
    """What an action on a service would have been, by what people said of the incident."""

    RIGHT = "right"
    WRONG_SERVICE = "wrong_service"
    FALSE_ALARM = "false_alarm"
    UNJUDGED = "unjudged"
    """nobody said which service began it"""


def judged(past: PastIncident, service: str) -> Judged:
    """Return what an action on a service would have been; the newest verdict counts."""
    verdict = past.verdicts[-1] if past.verdicts else None
    if verdict is None:
        return Judged.UNJUDGED
    if verdict.kind is VerdictKind.FALSE_ALARM:
        return Judged.FALSE_ALARM
    cause = _confirmed(past, verdict)
    if not cause:
        return Judged.UNJUDGED
    return Judged.RIGHT if cause == service else Judged.WRONG_SERVICE


def incident_as_of(incident: Incident, at: datetime) -> Incident:
    """Return an incident as it was known at a time: nothing later is in it.

    Alerts count once each, their severity is the worst that they ever had: how they grew is not stored.
    """
    alerts = tuple(_entry_as_of(entry, at) for entry in incident.alerts if entry.first_seen <= at)
    services = tuple(service for service in incident.services if any(entry.service == service for entry in alerts))
    events = tuple(event for event in incident.timeline if event.at <= at)
    states = [event.became for event in events if event.became is not None]
    return replace(
        incident,
        state=states[-1] if states else IncidentState.OPEN,
        severity=max((entry.severity for entry in alerts), default=incident.severity),
        updated_at=min(incident.updated_at, at),
        services=services,
        alerts=alerts,
        alert_count=len(alerts),
        timeline=events,
        merged_into="",
    )


def _entry_as_of(entry: AlertEntry, at: datetime) -> AlertEntry:
    has_ended = entry.ended and entry.last_seen <= at
    return replace(entry, last_seen=min(entry.last_seen, at), count=1, ended=has_ended, firing=0 if has_ended else 1)


def _confirmed(past: PastIncident, verdict: Verdict) -> str:
    """Return the service that began it as people know it, "" = not said."""
    if verdict.kind is VerdictKind.WRONG_CAUSE:
        return verdict.right_cause
    if verdict.kind is VerdictKind.TRUE:
        shown = [report for report in past.reports if report.made_at <= verdict.given_at and report.causes]
        return shown[-1].causes[0].service if shown else ""
    return ""
