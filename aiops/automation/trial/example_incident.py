"""The example incident that tests of runbooks begin with: a service strays soon after it was deployed, and its caller with it."""

from collections.abc import Mapping
from typing import Final

from aiops.automation.fact_names import Facts, FactValue
from aiops.topology.graph import ServiceGraph

SYMPTOM: Final = "checkout"
CAUSE: Final = "cart"
GRAPH: Final = ServiceGraph.from_pairs([("web", SYMPTOM), (SYMPTOM, CAUSE), (CAUSE, "database")])
_METRICS: Final = ("error_rate", "latency_p99_ms")
EXAMPLE: Final[Facts] = {
    "incident.id": "example",
    "incident.severity": "critical",
    "incident.state": "open",
    "incident.symptom": SYMPTOM,
    "incident.services": (SYMPTOM, CAUSE),
    "incident.service_count": 2,
    "incident.alerts": ("latency_p99_ms is unusual",),
    "incident.alert_count": 2,
    "incident.firing": 2,
    "incident.age_s": 240.0,
    "incident.storm": False,
    "cause.exists": True,
    "cause.service": CAUSE,
    "cause.probability": 0.9,
    "cause.decided": True,
    "cause.runner_up": 0.06,
    "cause.none_probability": 0.02,
    "cause.age_s": 240.0,
    "cause.metrics": _METRICS,
    "cause.rising": _METRICS,
    "cause.falling": (),
    "cause.signals": ("errors", "latency"),
    "cause.evidence": ("own errors", "own latency"),
    "cause.exhausted": (),
    "cause.traffic_ratio": 1.0,
    "cause.latency_ratio": 8.0,
    "cause.error_ratio": 20.0,
    "cause.above": (),
    "change.exists": True,
    "change.id": "release-7",
    "change.kind": "deployment",
    "change.service": CAUSE,
    "change.what": "version 7",
    "change.source": "pipeline",
    "change.age_s": 420.0,
    "change.before_onset_s": 180.0,
    "change.count": 1,
}
"""Every fact that `match` may name, but for those of no meaning here."""
_EXISTS: Final = {"cause": "cause.exists", "change": "change.exists"}


def example_facts(differing: Mapping[str, object]) -> Facts:
    """Return the facts of the example with those that a test gives; null = not known.

    Where a test says that there is no cause or no change, nothing is known of it but what the test gives.
    """
    facts = {name: value for name, value in EXAMPLE.items() if not _is_gone(name, differing)}
    facts |= {name: _value(name, value) for name, value in differing.items() if value is not None}
    return {name: value for name, value in facts.items() if differing.get(name, value) is not None}


def _is_gone(name: str, differing: Mapping[str, object]) -> bool:
    exists = _EXISTS.get(name.partition(".")[0])
    return exists is not None and name != exists and differing.get(exists) is False


def _value(name: str, value: object) -> FactValue:
    if isinstance(value, list):
        return tuple(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(EXAMPLE.get(name), float):
        return float(value)
    assert isinstance(value, str | int | float | bool)
    return value
