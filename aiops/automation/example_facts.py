"""The example incident that tests of runbooks start from: a cart that strays after its deployment, shown at the checkout."""

from collections.abc import Mapping
from typing import Final

from aiops.automation.action import Plain
from aiops.automation.fact_names import FACTS_OF, Facts, FactType, FactValue, Scope

_CHANGE: Final = "change."
EXAMPLE: Final[Facts] = {
    "incident.id": "example",
    "incident.severity": "critical",
    "incident.state": "open",
    "incident.symptom": "checkout",
    "incident.services": ("checkout", "cart"),
    "incident.service_count": 2,
    "incident.alerts": ("error_rate is unusual", "latency_p99_ms is unusual"),
    "incident.alert_count": 3,
    "incident.firing": 3,
    "incident.age_s": 180.0,
    "incident.storm": False,
    "cause.exists": True,
    "cause.service": "cart",
    "cause.probability": 0.92,
    "cause.decided": True,
    "cause.runner_up": 0.04,
    "cause.none_probability": 0.02,
    "cause.age_s": 240.0,
    "cause.metrics": ("error_rate", "latency_p99_ms"),
    "cause.rising": ("error_rate", "latency_p99_ms"),
    "cause.falling": (),
    "cause.signals": ("errors", "latency"),
    "cause.evidence": ("own errors", "own latency"),
    "change.exists": True,
    "change.id": "example-change",
    "change.kind": "deployment",
    "change.service": "cart",
    "change.what": "version 7",
    "change.source": "example",
    "change.age_s": 420.0,
    "change.before_onset_s": 180.0,
    "change.count": 1,
}


def example_with(differing: Mapping[str, Plain]) -> Facts:
    """Return the example's facts with others in place of them; null = not known, no change = nothing known of it."""
    declared = {fact.name: fact.type for fact in FACTS_OF[Scope.NEEDS]}
    kept = {
        name: value
        for name, value in EXAMPLE.items()
        if not (differing.get("change.exists") is False and name.startswith(_CHANGE)) and name not in differing
    }
    given = {name: _typed(value, declared[name]) for name, value in differing.items() if value is not None}
    return {**kept, **given}


def _typed(value: Plain, kind: FactType) -> FactValue:
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    assert isinstance(value, str | int | float)
    return float(value) if kind is FactType.DOUBLE else value
