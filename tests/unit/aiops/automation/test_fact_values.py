"""Facts have the types that are declared, say what is known, and leave out what is not."""

from dataclasses import replace

import pytest

from aiops.automation.action import PlannedStep, Risk
from aiops.automation.fact_names import FACTS_OF, Facts, FactType, IncidentView, Scope
from aiops.automation.fact_values import ServiceView, callers_of, match_facts, need_facts, verify_facts
from aiops.automation.service_state import Judgement, ServiceState
from aiops.incidents.root_cause import MetricLevel
from tests.testing.explained_incidents import SHOP, at, cause, incident, report, view

TYPES = {FactType.STRING: str, FactType.DOUBLE: float, FactType.INT: int, FactType.BOOL: bool, FactType.STRINGS: tuple}
STATE = ServiceState(3.0, 4.0, 2, 1, 60)
STEP = PlannedStep(1, "a.b", "cart", "deployment/cart", {}, {"replicas": 3}, {}, "", Risk.HIGH, undo="back", replica_share=0.34)


def check_types(facts: Facts, scope: Scope) -> None:
    declared = {fact.name: fact.type for fact in FACTS_OF[scope]}
    assert {name: type(value) for name, value in facts.items()} == {name: TYPES[declared[name]] for name in facts}


def test_facts_of_a_full_view_are_all_that_are_declared() -> None:
    facts = match_facts(view())
    check_types(facts, Scope.MATCH)
    assert set(facts) == {fact.name for fact in FACTS_OF[Scope.MATCH]}
    assert facts["cause.service"] == "cart"
    assert facts["cause.metrics"] == ("error_rate", "latency_p99_ms")
    assert facts["cause.signals"] == ("errors", "latency")
    assert facts["cause.rising"] == facts["cause.metrics"]
    assert (facts["change.age_s"], facts["change.before_onset_s"], facts["cause.age_s"]) == (420.0, 180.0, 240.0)
    assert facts["incident.symptom"] == "checkout"


def test_what_is_not_known_is_absent() -> None:
    facts = match_facts(IncidentView(incident(), None, at(1)))
    assert facts["cause.exists"] is False
    assert facts["change.exists"] is False
    assert not {"cause.service", "cause.probability", "change.age_s", "change.kind"} & set(facts)
    without_onset = report(replace(cause(), onset=None))
    assert not {"cause.age_s", "change.before_onset_s"} & set(match_facts(view(without_onset)))
    assert "cause.probability" not in match_facts(view(report(cause("cart", float("nan")))))


def test_levels_say_what_is_nearly_exhausted_and_how_far_golden_signals_have_moved() -> None:
    levels = (
        MetricLevel("requests_per_second", 30.0, 10.0),
        MetricLevel("latency_p50_ms", 50.0, 20.0),
        MetricLevel("error_rate", 0.02, 0.0),
        MetricLevel('memory_utilization{pod="a"}', 0.92, 0.5, 1.0),
        MetricLevel("disk_utilization", 0.95, 0.94, 1.0),
        MetricLevel("connections_utilization", 0.89, 0.2, 1.0),
    )
    facts = match_facts(view(report(replace(cause(), levels=levels))))
    assert facts["cause.exhausted"] == ("memory_utilization",)
    assert (facts["cause.traffic_ratio"], facts["cause.latency_ratio"], facts["cause.error_ratio"]) == (3.0, 2.5, 20.0)


def test_what_is_not_measured_has_a_ratio_of_one() -> None:
    facts = match_facts(view())
    assert (facts["cause.traffic_ratio"], facts["cause.latency_ratio"], facts["cause.error_ratio"]) == (1.0, 1.0, 1.0)
    idle = match_facts(view(report(replace(cause(), levels=(MetricLevel("requests_per_second", 4.0, 0.0),)))))
    assert idle["cause.traffic_ratio"] == 1.0


def test_facts_of_a_service_and_its_plan() -> None:
    facts = need_facts(ServiceView("cart", "checkout", SHOP, STATE), [STEP])
    check_types(facts, Scope.NEEDS)
    assert (facts["service.callers"], facts["service.reach"], facts["service.callees"]) == (1, 2, 1)
    assert (facts["plan.risk"], facts["plan.reversible"], facts["service.replicas"]) == ("high", True, 3)
    bare = need_facts(ServiceView("cart", "checkout", SHOP, None), [])
    assert {name.partition(".")[0] for name in bare} == {"service"}
    assert "service.error_excess" not in bare


@pytest.mark.parametrize("points", [0, 60])
def test_a_look_without_telemetry_says_so(points: int) -> None:
    facts = verify_facts(Judgement(STATE, STATE, replace(STATE, points=points)))
    check_types(facts, Scope.VERIFY)
    assert ("after.error_excess" in facts) is (points > 0)
    assert facts["after.points"] == points


def test_callers_are_followed_in_a_ring() -> None:
    assert callers_of(SHOP, ["catalogue", "cart"]) == ("checkout", "web")
    ring = SHOP.from_pairs([("a", "b"), ("b", "c"), ("c", "a")])
    assert callers_of(ring, ["a"]) == ("b", "c")
