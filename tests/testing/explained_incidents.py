"""Made-up incidents with their analyses, for tests of runbooks: a shop whose cart was deployed badly."""

from datetime import UTC, datetime, timedelta

from aiops.automation.fact_names import IncidentView
from aiops.incidents.alert import Severity
from aiops.incidents.incident import AlertEntry, Incident, IncidentState
from aiops.incidents.root_cause import CauseEvidence, ChangeEvent, RootCause, RootCauseReport
from aiops.topology.graph import ServiceGraph

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOP = ServiceGraph.from_pairs([("web", "checkout"), ("checkout", "cart"), ("cart", "catalogue"), ("web", "mail")])


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def entry(service: str, name: str = "latency_p99_ms is unusual", minute: float = 0.0) -> AlertEntry:
    return AlertEntry(f"{service}-{name}", service, name, Severity.CRITICAL, at(minute), at(minute + 1))


def incident(*entries: AlertEntry, incident_id: str = "inc-1") -> Incident:
    alerts = entries or (entry("checkout"), entry("cart", minute=1.0))
    services = tuple(dict.fromkeys(alert.service for alert in alerts))
    times = START, at(2)
    return Incident(
        incident_id, IncidentState.OPEN, Severity.CRITICAL, *times, services[0], services, alerts, len(alerts), timeline=()
    )


def evidence(metric: str = "latency_p99_ms", seen: float = 800.0, baseline: float = 40.0, score: float = 3.0) -> CauseEvidence:
    return CauseEvidence("own latency", metric, seen, baseline, 12.0, score, at(0), f"{metric} {seen}")


def cause(service: str = "cart", probability: float = 0.9, *changes: ChangeEvent) -> RootCause:
    held = (evidence(), evidence("error_rate", 0.2, 0.01, 4.0))
    return RootCause(service, probability, f"{service} strays", 5.0, at(0), (service, "checkout"), held, changes)


def deployment(service: str = "cart", minute: float = -3.0) -> ChangeEvent:
    return ChangeEvent.of(at(minute), service, "deployment", "version 7", "argo")


def report(*causes: RootCause, minute: float = 3.0, decided: bool = True) -> RootCauseReport:
    named = causes or (cause("cart", 0.9, deployment()), cause("catalogue", 0.06))
    return RootCauseReport(at(minute), at(-20), at(minute), "checkout", named, decided, "it was cart", none_probability=0.02)


def view(of: RootCauseReport | None = None, minute: float = 4.0) -> IncidentView:
    return IncidentView(incident(), of or report(), at(minute))
