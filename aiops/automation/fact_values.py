"""Values of facts: of an incident with its analysis, of the service that a plan would act on, of three looks at services."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiops.automation.action import PlannedStep, Risk
from aiops.automation.fact_names import Facts, FactValue, IncidentView
from aiops.automation.service_state import Judgement, ServiceState
from aiops.incidents.root_cause import CauseEvidence, ChangeEvent, MetricLevel, RootCause
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.metrics import base_name, spec_of

RISKS: Final = (Risk.LOW, Risk.HIGH, Risk.DESTRUCTIVE)
"""From the least to the worst."""
NEAR_LIMIT: Final = 0.9
"""Share of its limit from which a resource counts as exhausted: there is little time left."""
LEAST_BASELINE_ERRORS: Final = 0.001


def match_facts(view: IncidentView) -> Facts:
    """Return incident.*, cause.* and change.* as known at the view's time."""
    return _known({**_incident(view), **_cause(view), **_change(view)})


@dataclass(frozen=True, slots=True)
class ServiceView:
    """The service that a plan would act on: its place in the call graph, and how it is now (None = not known)."""

    service: str
    symptom: str
    graph: ServiceGraph
    state: ServiceState | None


def need_facts(view: ServiceView, steps: Sequence[PlannedStep]) -> Facts:
    """Return service.* and plan.*; those of `plan` only where there are steps."""
    service, graph, state = view.service, view.graph, view.state
    facts: dict[str, FactValue] = {
        "service.name": service,
        "service.is_symptom": service == view.symptom,
        "service.callers": len(graph.callers(service)),
        "service.callees": len(graph.callees(service)),
        "service.reach": len(callers_of(graph, [service])),
    }
    if state is not None and state.points > 0:
        facts |= {
            "service.error_excess": state.error_excess,
            "service.latency_excess": state.latency_excess,
            "service.alerts_firing": state.alerts_firing,
            "service.points": state.points,
        }
    replicas = [step.before["replicas"] for step in steps if isinstance(step.before.get("replicas"), int)]
    if replicas:
        facts["service.replicas"] = min(int(str(count)) for count in replicas)
    if steps:
        facts |= {
            "plan.steps": len(steps),
            "plan.replica_share": max(step.replica_share for step in steps),
            "plan.reversible": all(step.undo for step in steps),
            "plan.risk": str(max((step.risk for step in steps), key=RISKS.index)),
        }
    return _known(facts)


def verify_facts(looks: Judgement) -> Facts:
    """Return before.*, peak.* and after.*; a look without telemetry gives its `points` only."""
    facts: dict[str, FactValue] = {}
    for look, state in (("before", looks.before), ("peak", looks.peak), ("after", looks.after)):
        facts[f"{look}.points"] = state.points
        if state.points > 0:
            facts |= {
                f"{look}.error_excess": state.error_excess,
                f"{look}.latency_excess": state.latency_excess,
                f"{look}.alerts_firing": state.alerts_firing,
                f"{look}.new_services": state.new_services,
            }
    return _known(facts)


def callers_of(graph: ServiceGraph, services: Sequence[str]) -> tuple[str, ...]:
    """Return the services that call some, directly or not, by name and without these; O(calls)."""
    reached: set[str] = set()
    waiting = list(services)
    while waiting:
        for caller in graph.callers(waiting.pop()):
            if caller not in reached:
                reached.add(caller)
                waiting.append(caller)
    return tuple(sorted(reached - set(services)))


def _known(facts: Mapping[str, FactValue]) -> Facts:
    """Return facts without numbers that are none: unknown is absent."""
    return {name: value for name, value in facts.items() if not (isinstance(value, float) and math.isnan(value))}


def _incident(view: IncidentView) -> dict[str, FactValue]:
    incident = view.incident
    return {
        "incident.id": incident.incident_id,
        "incident.severity": incident.severity.name.lower(),
        "incident.state": str(incident.state),
        "incident.symptom": view.symptom,
        "incident.services": incident.services,
        "incident.service_count": len(incident.services),
        "incident.alerts": tuple(sorted({entry.name for entry in incident.alerts})),
        "incident.alert_count": len(incident.alerts),
        "incident.firing": sum(not entry.ended for entry in incident.alerts),
        "incident.age_s": _seconds(incident.opened_at, view.at),
        "incident.storm": incident.storm,
    }


def _cause(view: IncidentView) -> dict[str, FactValue]:
    report = view.report
    causes = () if report is None else report.causes
    facts: dict[str, FactValue] = {"cause.exists": bool(causes), "cause.decided": report is not None and report.decided}
    if report is not None:
        facts["cause.none_probability"] = report.none_probability
    if causes:
        facts |= (
            _evidence(causes[0])
            | _levels(causes[0].levels)
            | {
                "cause.above": view.above,
                "cause.service": causes[0].service,
                "cause.probability": causes[0].probability,
                "cause.runner_up": causes[1].probability if len(causes) > 1 else 0.0,
            }
        )
        if causes[0].onset is not None:
            facts["cause.age_s"] = _seconds(causes[0].onset, view.at)
    return facts


def _evidence(cause: RootCause) -> dict[str, FactValue]:
    strongest = sorted(cause.evidence, key=lambda evidence: -evidence.score)
    return {
        "cause.metrics": _each_once(base_name(evidence.metric) for evidence in strongest),
        "cause.rising": _each_once(base_name(evidence.metric) for evidence in strongest if _is_above(evidence)),
        "cause.falling": _each_once(base_name(evidence.metric) for evidence in strongest if _is_below(evidence)),
        "cause.signals": _each_once(spec_of(evidence.metric).signal for evidence in strongest),
        "cause.evidence": _each_once(evidence.kind for evidence in strongest),
    }


def _levels(levels: Sequence[MetricLevel]) -> dict[str, FactValue]:
    return {
        "cause.exhausted": _each_once(base_name(level.metric) for level in levels if _is_exhausted(level)),
        "cause.traffic_ratio": _ratio(levels, "traffic", 0.0),
        "cause.latency_ratio": _ratio(levels, "latency", 0.0),
        "cause.error_ratio": _ratio(levels, "errors", LEAST_BASELINE_ERRORS),
    }


def _is_exhausted(level: MetricLevel) -> bool:
    return level.limit is not None and level.now >= NEAR_LIMIT * level.limit > level.usual


def _ratio(levels: Sequence[MetricLevel], signal: str, least_baseline: float) -> float:
    """Return now over usual of a golden signal, 1 where that is not known."""
    of_signal = (level for level in levels if level.limit is None and spec_of(level.metric).signal == signal)
    return next((level.now / baseline for level in of_signal if (baseline := max(level.usual, least_baseline)) > 0.0), 1.0)


def _change(view: IncidentView) -> dict[str, FactValue]:
    cause = view.report.causes[0] if view.report is not None and view.report.causes else None
    changes = () if cause is None else cause.changes
    facts: dict[str, FactValue] = {"change.exists": bool(changes), "change.count": len(changes)}
    if cause is None or not changes:
        return facts
    change: ChangeEvent = max(changes, key=lambda event: (event.at, event.change_id))
    if cause.onset is not None:
        facts["change.before_onset_s"] = _seconds(change.at, cause.onset)
    return facts | {
        "change.id": change.change_id,
        "change.kind": change.kind,
        "change.service": change.service,
        "change.what": change.what,
        "change.source": change.source,
        "change.age_s": _seconds(change.at, view.at),
    }


def _is_above(evidence: CauseEvidence) -> bool:
    return evidence.seen > evidence.usual


def _is_below(evidence: CauseEvidence) -> bool:
    return evidence.seen < evidence.usual


def _each_once(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _seconds(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds()
