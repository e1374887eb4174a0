"""Plans: made by reading only, for the target alone, with the same fingerprint while nothing has changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from aiops.automation.action import ActionPlanner, ActionRequest, Outcome, PlannedStep, Risk
from aiops.automation.fact_names import Facts
from aiops.automation.fact_values import match_facts
from aiops.automation.planner import PlanningGround, PlanQuestion, plan_of, planned_again
from aiops.automation.runbook_text import VersionedRunbook, read_runbook
from aiops.automation.trial.memory_targets import MemoryKind, MemoryTargets, memory_actions
from aiops.errors import ContractError
from tests.testing.explained_incidents import SHOP, at, cause, deployment, report, view
from tests.testing.runbook_texts import KINDS, ROLL_BACK


def runbook(text: str = ROLL_BACK) -> VersionedRunbook:
    return read_runbook(text, "rb.yaml")


def planners(targets: MemoryTargets) -> Mapping[str, ActionPlanner]:
    return {kind: action.planner for kind, action in memory_actions({kind: MemoryKind(kind) for kind in KINDS}, targets).items()}


def question(text: str = ROLL_BACK, facts: Facts | None = None, minute: float = 4.0) -> PlanQuestion:
    return PlanQuestion(runbook(text), facts or match_facts(view(minute=minute)), at(minute))


def ground(targets: MemoryTargets | None = None) -> PlanningGround:
    return PlanningGround(planners(targets or MemoryTargets()), SHOP)


def test_a_plan_says_what_would_be_done_to_whom() -> None:
    targets = MemoryTargets()
    plan = plan_of(question(), ground(targets))
    (step,) = plan.steps
    assert (step.number, step.service, step.parameters) == (1, "cart", {"deployment": "cart", "namespace": "shop"})
    assert (step.timeout_s, plan.reach, plan.services) == (120.0, ("checkout", "web"), ("cart",))
    assert (plan.subject.began_at, plan.subject.symptom, plan.subject.probability) == (at(0), "checkout", 0.9)
    assert plan.is_possible
    assert plan.expected == "cart after kubernetes.rollback"
    assert targets.changes == {}


def test_a_need_that_does_not_hold_is_in_the_plan() -> None:
    plan = plan_of(question(ROLL_BACK.replace("service.reach < 50", "service.reach < 2")), ground())
    assert (plan.needs[0].that, plan.needs[0].holds) == ("service.reach < 2", False)
    assert not plan.is_possible


def test_a_need_that_is_not_known_does_not_hold_and_says_why() -> None:
    plan = plan_of(question(ROLL_BACK.replace("service.reach < 50", "service.error_excess > 1.0")), ground())
    assert plan.needs[0].why == "too many callers (service.error_excess is not known)"
    assert not plan.is_possible


def test_more_replicas_at_once_than_the_limits_say_is_no_possible_plan() -> None:
    plan = plan_of(question(), ground(MemoryTargets(replicas=2)))
    assert [(need.that, need.holds) for need in plan.needs][-1] == ("plan.replica_share <= 0.34", False)


def test_a_plan_made_anew_has_the_same_fingerprint_until_something_changes() -> None:
    targets = MemoryTargets()
    plan = plan_of(question(), ground(targets))
    newer = match_facts(view(report(cause("cart", 0.97, deployment()), minute=6), minute=7))
    again = planned_again(plan, question(facts=newer, minute=7), ground(targets))
    assert again.fingerprint == plan.fingerprint
    assert again.plan_id != plan.plan_id
    other_cause = match_facts(view(report(cause("catalogue", 0.97, deployment("catalogue")), minute=6), minute=7))
    assert planned_again(plan, question(facts=other_cause, minute=7), ground(targets)).fingerprint != plan.fingerprint
    other_text = question(ROLL_BACK.replace("2m", "3m"), minute=7)
    assert planned_again(plan, other_text, ground(targets)).fingerprint != plan.fingerprint
    targets.disturb("kubernetes.rollback of cart")
    assert planned_again(plan, question(minute=7), ground(targets)).fingerprint != plan.fingerprint


def test_what_is_not_to_be_undone_cannot_be() -> None:
    plan = plan_of(question(ROLL_BACK.replace("    timeout: 2m", "    undo: false")), ground())
    assert plan.steps[0].undo == ""


@dataclass(frozen=True)
class Stray:
    """A planner that would act on another service."""

    kind: str = "kubernetes.rollback"
    risk: Risk = Risk.LOW

    def plan(self, request: ActionRequest) -> PlannedStep:
        return PlannedStep(0, self.kind, "mail", "x", request.parameters, {}, {}, "", Risk.LOW)

    def probe(self, step: PlannedStep, key: str = "") -> Outcome:
        return Outcome.UNKNOWN


def test_an_action_on_another_service_is_refused() -> None:
    astray = replace(ground(), planners={"kubernetes.rollback": Stray()})
    with pytest.raises(ContractError, match="would act on mail, the target is cart"):
        plan_of(question(), astray)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ROLL_BACK.replace("kubernetes.rollback", "kubernetes.fly"), "there is no such action here"),
        (ROLL_BACK.replace("do:", "do:\n  - {action: kubernetes.rollback}"), "several steps act on"),
        (ROLL_BACK.replace("{service}", "{change.service}") + "target: {service: 'name:mail'}\n", "the incident does not say it"),
    ],
)
def test_what_cannot_be_planned_is_refused(text: str, said: str) -> None:
    facts = {name: value for name, value in match_facts(view()).items() if not name.startswith("change.")}
    with pytest.raises(ContractError, match=said):
        plan_of(question(text, facts), ground())


@pytest.mark.parametrize("name", ["cart; rm -rf /", "--all", "../etc", "a b", "", "cart\n", "$(x)", "a" * 300])
def test_only_names_are_filled_in(name: str) -> None:
    facts = {**match_facts(view()), "cause.service": name}
    with pytest.raises(ContractError, match=r"only letters, digits|names none"):
        plan_of(question(facts=facts), ground())
