"""Incidents: what a person is paged for. A state machine with a timeline; every change is a new value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from aiops.errors import ContractError
from aiops.incidents.alert import Severity

MOST_EVENTS: Final = 200
"""Events that a timeline keeps: the first one and the newest."""


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    MERGED = "merged"


NEXT_STATES: Final[Mapping[IncidentState, frozenset[IncidentState]]] = {
    IncidentState.OPEN: frozenset(IncidentState) - {IncidentState.OPEN},
    IncidentState.ACKNOWLEDGED: frozenset({IncidentState.MITIGATED, IncidentState.RESOLVED, IncidentState.MERGED}),
    IncidentState.MITIGATED: frozenset({IncidentState.OPEN, IncidentState.RESOLVED, IncidentState.MERGED}),
    IncidentState.RESOLVED: frozenset(),
    IncidentState.MERGED: frozenset(),
}
"""What may follow what; a mitigated incident opens again when one of its alerts does."""


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """Something that happened to an incident, by whom ("correlator" or a person).

    `became`: the state that it brought the incident into, None = it stayed in its state. `what` is for people.
    """

    at: datetime
    """when it happened"""
    what: str
    """what happened, in words"""
    by: str = "correlator"
    """who did it: "correlator" or a person"""
    became: IncidentState | None = None
    """the state that it brought the incident into; null = the state stayed"""


@dataclass(frozen=True, slots=True)
class AlertEntry:
    """All repetitions of one fingerprint in an incident; `firing` = instances of it that do, `ended` = there are none left."""

    fingerprint: str
    service: str
    name: str
    severity: Severity
    first_seen: datetime
    last_seen: datetime
    count: int = 1
    ended: bool = False
    firing: int = 0


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident at one moment. `services` in order of appearance; `anchor` showed it first; `alert_count` counts repetitions.

    `merged_into` names the incident that goes on in its place, "" otherwise; `storm` = opened or fed by the storm breaker.
    """

    incident_id: str
    state: IncidentState
    severity: Severity
    opened_at: datetime
    updated_at: datetime
    anchor: str
    services: tuple[str, ...]
    alerts: tuple[AlertEntry, ...]
    alert_count: int
    timeline: tuple[TimelineEvent, ...]
    notified_at: datetime | None = None
    merged_into: str = ""
    storm: bool = False


def may_follow(before: IncidentState, after: IncidentState, incident_id: str) -> None:
    """Check a transition.

    Raises:
        ContractError: the state cannot follow.
    """
    if after not in NEXT_STATES[before]:
        allowed = ", ".join(sorted(NEXT_STATES[before])) or "nothing: it is closed"
        raise ContractError(f"incident {incident_id}: state={after} cannot follow {before}; possible: {allowed}")


def worst_since(incident: Incident, at: datetime | None = None) -> datetime:
    """Return when the first of its worst alerts came, of those that came up to `at`; what was foreseen may begin much later."""
    known = [entry for entry in incident.alerts if at is None or entry.first_seen <= at]
    worst = max((entry.severity for entry in known), default=incident.severity)
    return min((entry.first_seen for entry in known if entry.severity == worst), default=incident.opened_at)


def kept_events(events: tuple[TimelineEvent, ...]) -> tuple[TimelineEvent, ...]:
    """Return at most `MOST_EVENTS` of a timeline: the first and the newest."""
    return events if len(events) <= MOST_EVENTS else (events[0], *events[-(MOST_EVENTS - 1) :])
