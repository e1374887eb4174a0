"""The incidents that the responder opened during a replay, as the report of a run needs them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiops.incidents.incident import Incident, IncidentState
from aiops.incidents.root_cause import RootCauseReport
from aiops.topology.graph import ServiceGraph
from serving.incidents.desk.incident_facts import every
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentFilter

AFTERMATH = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class OpenedIncident:
    """An incident with its newest analysis, None = none; `first` = the service that alerted first."""

    incident_id: str
    opened_at: datetime
    last_at: datetime
    services: tuple[str, ...]
    alerts: int
    paged: bool
    first: str
    report: RootCauseReport | None = None

    @property
    def causes(self) -> tuple[str, ...]:
        """Return the services that may have begun it, the most probable first."""
        return () if self.report is None else tuple(cause.service for cause in self.report.causes)

    def touches(self, label: Mapping[str, object], graph: ServiceGraph) -> bool:
        """Return whether a labelled incident (schema `INCIDENTS`) is what this one is about: near in time and by calls."""
        return self.overlaps(label) and bool(near(str(label["service"]), graph) & set(self.services))

    def overlaps(self, label: Mapping[str, object]) -> bool:
        """Return whether it was open while a labelled incident built up, lasted or had just ended."""
        onset, ends = label["onset_at"], label["ends_at"]
        assert isinstance(onset, datetime)
        assert isinstance(ends, datetime)
        return self.opened_at <= ends + AFTERMATH and self.last_at >= onset


@dataclass(frozen=True, slots=True)
class RootFigures:
    """Root causes of labelled incidents: how many were analysed, and how often the true service was first or among three.

    `alerted_first` = how often it was the service that alerted first: the trivial rule.
    """

    judged: int
    first: int
    among_three: int
    alerted_first: int


def near(service: str, graph: ServiceGraph) -> set[str]:
    """Return a service with its callers and callees."""
    return {service, *graph.callers(service), *graph.callees(service)}


def opened_incidents(store: IncidentStore, since: datetime, until: datetime) -> tuple[OpenedIncident, ...]:
    """Return the incidents opened in since <= t < until, the oldest first; merged ones are part of those that they went on in."""
    opened = [incident for incident in _opened(store, since) if incident.opened_at < until]
    return tuple(sorted(opened, key=lambda incident: (incident.opened_at, incident.incident_id)))


def _opened(store: IncidentStore, since: datetime) -> Iterator[OpenedIncident]:
    incident_filter = IncidentFilter(since=since)
    for incident in every(lambda request: store.incidents(incident_filter, request)):
        if incident.state is not IncidentState.MERGED:
            yield _as_opened(incident, store.case(incident.incident_id).report)


def _as_opened(incident: Incident, report: RootCauseReport | None) -> OpenedIncident:
    last = max((alert.last_seen for alert in incident.alerts), default=incident.opened_at)
    return OpenedIncident(
        incident.incident_id,
        incident.opened_at,
        last,
        incident.services,
        incident.alert_count,
        incident.notified_at is not None,
        incident.anchor,
        report,
    )


def root_figures(matches: Mapping[str, OpenedIncident], roots: Mapping[str, str]) -> RootFigures:
    """Return how well the analyses name the roots; `matches` and `roots` are by the id of the labelled incident."""
    judged = [(matches[name], root) for name, root in roots.items() if name in matches and matches[name].causes]
    return RootFigures(
        len(judged),
        sum(incident.causes[0] == root for incident, root in judged),
        sum(root in incident.causes[:3] for incident, root in judged),
        sum(incident.first == root for incident, root in judged),
    )
