"""Facts: what the expressions of runbooks may name, as flat names with a type and a meaning.

A fact that is not known (no cause yet, no change, no telemetry) is absent from what an expression is asked with: an expression
that depends on it is unknown, which is not true.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from aiops.incidents.incident import Incident
from aiops.incidents.root_cause import RootCauseReport

FactValue = str | float | int | bool | tuple[str, ...]
Facts = Mapping[str, FactValue]


class FactType(StrEnum):
    """Types of facts, as CEL calls them."""

    STRING = "string"
    DOUBLE = "double"
    INT = "int"
    BOOL = "bool"
    STRINGS = "list(string)"


@dataclass(frozen=True, slots=True)
class Fact:
    """A name that expressions know. `fills`: it is an identifier, so `{name}` may stand in parameters of a step."""

    name: str
    type: FactType
    meaning: str
    fills: bool = False


class Scope(StrEnum):
    """Where an expression stands."""

    MATCH = "match"
    NEEDS = "needs"
    VERIFY = "verify"


_S, _D, _I, _B, _L = FactType
INCIDENT: Final = (
    Fact("incident.id", _S, "id of the incident", fills=True),
    Fact("incident.severity", _S, "info, warning or critical: the worst of its alerts"),
    Fact("incident.state", _S, "open, acknowledged, mitigated, resolved or merged"),
    Fact("incident.symptom", _S, "the service where it showed", fills=True),
    Fact("incident.services", _L, "services with an alert, in order of appearance"),
    Fact("incident.service_count", _I, "how many services have an alert"),
    Fact("incident.alerts", _L, "names of its alerts, each once, by name"),
    Fact("incident.alert_count", _I, "how many alerts it has, repetitions not counted"),
    Fact("incident.firing", _I, "how many of them have not ended"),
    Fact("incident.age_s", _D, "seconds since it opened"),
    Fact("incident.storm", _B, "whether it came in a storm of alerts"),
)
CAUSE: Final = (
    Fact("cause.exists", _B, "whether an analysis names a service"),
    Fact("cause.service", _S, "the most probable cause", fills=True),
    Fact("cause.probability", _D, "calibrated probability that it began the trouble, 0..1"),
    Fact("cause.decided", _B, "whether it is probable enough to be named alone"),
    Fact("cause.runner_up", _D, "probability of the second cause, 0 where there is none"),
    Fact("cause.none_probability", _D, "probability that it was none of the services looked at, 0..1"),
    Fact("cause.age_s", _D, "seconds since it began to stray"),
    Fact("cause.metrics", _L, "metrics that speak against it, without labels, the strongest first"),
    Fact("cause.rising", _L, "those of them that lie above their baseline"),
    Fact("cause.falling", _L, "those of them that lie below their baseline"),
    Fact("cause.signals", _L, "golden signals of these metrics: latency, errors, saturation, traffic"),
    Fact("cause.evidence", _L, "kinds of evidence against it, in words"),
    Fact("cause.exhausted", _L, "its resources within a tenth of their limit now that are usually below that"),
    Fact("cause.traffic_ratio", _D, "its traffic now over the usual; 1 where that is not measured"),
    Fact("cause.latency_ratio", _D, "its latency now over the usual; 1 where that is not measured"),
    Fact("cause.error_ratio", _D, "its errors now over the usual, at least one in a thousand; 1 where not measured"),
    Fact(
        "cause.above",
        _L,
        "services that call it, directly or not, and are the cause of an older incident that goes on",
    ),
)
CHANGE: Final = (
    Fact("change.exists", _B, "whether the cause was changed just before it began to stray"),
    Fact("change.id", _S, "id of the newest such change", fills=True),
    Fact("change.kind", _S, "deployment, config, scaling or another word"),
    Fact("change.service", _S, "the service that was changed", fills=True),
    Fact("change.what", _S, "what was changed, in words of who reported it"),
    Fact("change.source", _S, "who or what reported it"),
    Fact("change.age_s", _D, "seconds since it was made"),
    Fact("change.before_onset_s", _D, "seconds from the change to the onset"),
    Fact("change.count", _I, "how many such changes there were"),
)
SERVICE: Final = (
    Fact("service.name", _S, "the service that would be acted on"),
    Fact("service.is_symptom", _B, "whether it is where the incident showed"),
    Fact("service.callers", _I, "services that call it"),
    Fact("service.callees", _I, "services that it calls"),
    Fact("service.reach", _I, "services that call it, directly or not"),
    Fact("service.error_excess", _D, "errors now: distance from the baseline in spreads of calm time, 0 = none"),
    Fact("service.latency_excess", _D, "latency now: distance from the baseline in spreads of calm time, 0 = none"),
    Fact("service.alerts_firing", _I, "alerts of the incident that fire now"),
    Fact("service.points", _I, "points of telemetry that these three rest on"),
    Fact("service.replicas", _I, "replicas, where the target of a step says how many"),
)
PLAN: Final = (
    Fact("plan.steps", _I, "how many steps the plan has"),
    Fact("plan.replica_share", _D, "greatest share of replicas that a step touches at once, 0..1"),
    Fact("plan.reversible", _B, "whether each step can be taken back"),
    Fact("plan.risk", _S, "low, high or destructive: the worst of the steps"),
)
_LOOKS: Final = {
    "before": "before the trouble began",
    "peak": "at its worst, before the action",
    "after": "after the action has settled",
}
LOOKS: Final = tuple(
    Fact(f"{look}.{name}", kind, f"{meaning}, {when}")
    for look, when in _LOOKS.items()
    for name, kind, meaning in (
        ("error_excess", _D, "errors as distance from the baseline in spreads of calm time"),
        ("latency_excess", _D, "latency as distance from the baseline in spreads of calm time"),
        ("alerts_firing", _I, "alerts of the incident that fire"),
        ("new_services", _I, "services that stray and were well before"),
        ("points", _I, "points of telemetry that this rests on"),
    )
)
FACTS_OF: Final[Mapping[Scope, tuple[Fact, ...]]] = {
    Scope.MATCH: (*INCIDENT, *CAUSE, *CHANGE),
    Scope.NEEDS: (*INCIDENT, *CAUSE, *CHANGE, *SERVICE, *PLAN),
    Scope.VERIFY: LOOKS,
}
"""What each kind of expression may name."""
FILLABLE: Final = ("service", "incident", "symptom", *(fact.name for fact in FACTS_OF[Scope.MATCH] if fact.fills))
"""What may stand in braces in the parameters of a step."""


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident with its newest analysis, as of `at`; `report` None = there is none yet.

    `above`: services that call its cause, directly or not, and are the cause of an incident that opened before and goes on.
    """

    incident: Incident
    report: RootCauseReport | None
    at: datetime
    above: tuple[str, ...] = ()

    @property
    def symptom(self) -> str:
        """Return the service where it showed."""
        return (self.report.symptom if self.report is not None else "") or self.incident.anchor
