"""Detections → incidents: findings that lie close in time and next to each other in the call graph are one incident."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiops.graph import ServiceGraph


@dataclass(frozen=True, slots=True)
class Finding:
    """One anomalous detection, as far as grouping needs it."""

    detection_id: str
    timestamp: datetime
    service: str


@dataclass(frozen=True, slots=True)
class OpenedIncident:
    """A group of findings; `services` in order of appearance, so the first one showed it first."""

    opened_at: datetime
    last_at: datetime
    services: tuple[str, ...]
    detection_ids: tuple[str, ...]


def correlate(findings: Iterable[Finding], graph: ServiceGraph, gap: timedelta = timedelta(minutes=15)) -> list[OpenedIncident]:
    """Group findings; one joins the newest open incident that holds its service or a neighbour of it and was fed within `gap`.

    Findings may come in any order: they are sorted by time, then id, so the same findings give the same incidents.
    Bound: O(findings x incidents open at once).
    """
    finished: list[OpenedIncident] = []
    active: list[OpenedIncident] = []
    for finding in sorted(findings, key=lambda item: (item.timestamp, item.detection_id)):
        finished += [incident for incident in active if finding.timestamp - incident.last_at > gap]
        active = [incident for incident in active if finding.timestamp - incident.last_at <= gap]
        near = {finding.service, *graph.callers(finding.service), *graph.callees(finding.service)}
        home = next((i for i in range(len(active) - 1, -1, -1) if near & set(active[i].services)), None)
        if home is None:
            active.append(OpenedIncident(finding.timestamp, finding.timestamp, (finding.service,), (finding.detection_id,)))
        else:
            active[home] = _joined(active[home], finding)
    return sorted([*finished, *active], key=lambda incident: (incident.opened_at, incident.services))


def _joined(incident: OpenedIncident, finding: Finding) -> OpenedIncident:
    services = incident.services if finding.service in incident.services else (*incident.services, finding.service)
    return OpenedIncident(incident.opened_at, finding.timestamp, services, (*incident.detection_ids, finding.detection_id))
