"""What a root cause analysis is asked: which services were alerted and when, as of a moment, and what else is known."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aiops.incidents.incident import Incident

Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class RootCauseQuestion:
    """What is asked: which services were alerted and when first, as of `at`.

    `symptom` = the service where users met it, "" = taken from telemetry. `priors`: log odds of past verdicts. `masked`: other
    incidents, whose time is not calm. `worst_at`: when it became as bad as it is; None = at the first alert.
    """

    alerted: Mapping[str, datetime]
    at: datetime
    symptom: str = ""
    priors: Mapping[str, float] = field(default_factory=dict)
    masked: tuple[Interval, ...] = ()
    worst_at: datetime | None = None


def alerted_in(incident: Incident, at: datetime) -> dict[str, datetime]:
    """Return the services of an incident and when each was first alerted, as known at `at`."""
    first_seen: dict[str, datetime] = {}
    for entry in incident.alerts:
        if entry.first_seen <= at:
            first_seen[entry.service] = min(entry.first_seen, first_seen.get(entry.service, entry.first_seen))
    return first_seen or {incident.anchor: min(incident.opened_at, at)}


def masks_of(incidents: Iterable[Incident], but: str) -> tuple[Interval, ...]:
    """Return the times of incidents other than one, from the first alert to the last word, in order."""
    spans = (
        (min([incident.opened_at, *(entry.first_seen for entry in incident.alerts)]), incident.updated_at)
        for incident in incidents
        if incident.incident_id != but
    )
    return tuple(sorted(spans))
