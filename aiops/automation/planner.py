"""Planning: a runbook and the facts of an incident to a plan. It holds `ActionPlanner`s only, so it has no way to act."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aiops.automation.action import ActionPlanner, ActionRequest, PlannedStep
from aiops.automation.expressions import condition
from aiops.automation.fact_names import Facts, Scope
from aiops.automation.fact_values import ServiceView, callers_of, need_facts
from aiops.automation.matching import target_of
from aiops.automation.placeholders import filled, fillings
from aiops.automation.plan import NeedCheck, Plan, PlanSubject, RunTerms, fingerprint_of, plan_id_of
from aiops.automation.runbook import Runbook, Step
from aiops.automation.runbook_text import VersionedRunbook
from aiops.automation.service_state import ServiceState
from aiops.errors import ContractError
from aiops.topology.graph import ServiceGraph


@dataclass(frozen=True, slots=True)
class PlanningGround:
    """What planning reads: actions by kind, the call graph, and how the service is now (None = not known)."""

    planners: Mapping[str, ActionPlanner]
    graph: ServiceGraph
    state: ServiceState | None = None


@dataclass(frozen=True, slots=True)
class PlanQuestion:
    """What is to be planned: a runbook for an incident with its facts (`match_facts`) as of `at`, asked for by somebody."""

    runbook: VersionedRunbook
    facts: Facts
    at: datetime
    requested_by: str = "suite"


def subject_of(question: PlanQuestion) -> PlanSubject:
    """Return what a plan is for.

    Raises:
        ContractError: the incident does not say on whom the runbook acts.
    """
    facts = question.facts
    service = target_of(question.runbook.runbook, facts)
    if not service:
        chosen = question.runbook.runbook.target.service
        raise ContractError(
            f"runbook {question.runbook.name}: target.service={chosen}: the incident names none; add cause.exists to its match"
        )
    age_s = float(str(facts.get("cause.age_s", facts.get("incident.age_s", 0.0))))
    is_cause = facts.get("cause.service") == service
    return PlanSubject(
        str(facts.get("incident.id", "")),
        service,
        str(facts.get("incident.symptom", "")),
        question.at - timedelta(seconds=age_s),
        float(str(facts.get("cause.probability", 0.0))) if is_cause else 0.0,
    )


def plan_of(question: PlanQuestion, ground: PlanningGround) -> Plan:
    """Return what a runbook would do now; whether it fits is asked by `matching`.

    Raises:
        ContractError: the incident does not say what the runbook needs, an action is not there or refuses its parameters, or an
            action would touch another service than the target.
        Unavailable: a target does not answer.
    """
    return _planned(question, ground, subject_of(question))


def planned_again(plan: Plan, question: PlanQuestion, ground: PlanningGround) -> Plan:
    """Return a plan made anew just before it acts: equal in fingerprint while runbook, service, state and needs are.

    How probable the cause is, and since when it strays, stay as they were approved: a newer analysis that names the same service
    makes no plan stale.

    Raises:
        ContractError, Unavailable: as `plan_of`.
    """
    now = subject_of(question)
    same = (now.incident_id, now.service) == (plan.subject.incident_id, plan.subject.service)
    return _planned(question, ground, plan.subject if same else now)


def _planned(question: PlanQuestion, ground: PlanningGround, subject: PlanSubject) -> Plan:
    runbook = question.runbook.runbook
    values = fillings(subject.service, question.facts)
    steps = tuple(
        _step(number, step, _request(runbook, step, subject.service, values), ground)
        for number, step in enumerate(runbook.steps, start=1)
    )
    _check_targets(runbook, steps)
    view = ServiceView(subject.service, subject.symptom, ground.graph, ground.state)
    needs = tuple(_needs(runbook, {**need_facts(view, steps), **question.facts}))
    fingerprint = fingerprint_of(question.runbook.version, subject, steps, needs)
    return Plan(
        plan_id_of(subject.incident_id, runbook.runbook, fingerprint, question.at),
        runbook.runbook,
        question.runbook.version,
        runbook.title,
        subject,
        question.at,
        question.requested_by,
        steps,
        needs,
        callers_of(ground.graph, [subject.service]),
        _expected(runbook, steps),
        RunTerms(runbook.limits, runbook.verify, runbook.approve, runbook.earn, runbook.escalate),
        fingerprint,
    )


def _request(runbook: Runbook, step: Step, service: str, values: Mapping[str, str]) -> ActionRequest:
    try:
        parameters = filled(step.parameters, values)
    except ContractError as error:
        raise ContractError(f"runbook {runbook.runbook}, {step.action}: {error}") from error
    assert isinstance(parameters, Mapping)
    return ActionRequest(step.action, service, parameters)


def _step(number: int, step: Step, request: ActionRequest, ground: PlanningGround) -> PlannedStep:
    planner = ground.planners.get(step.action)
    if planner is None:
        known = ", ".join(sorted(ground.planners)) or "none is set up"
        raise ContractError(f"action={step.action}: there is no such action here; known: {known}")
    planned = planner.plan(request)
    if planned.service != request.service:
        raise ContractError(
            f"action={step.action} would act on {planned.service}, the target is {request.service}; it acts on that only"
        )
    return replace(
        planned,
        number=number,
        undo=planned.undo if step.undo else "",
        timeout_s=step.timeout,
        retries=step.retries,
    )


def _check_targets(runbook: Runbook, steps: Sequence[PlannedStep]) -> None:
    """Refuse two steps on one target: the state before the second is not known when it is planned."""
    targets = [step.target for step in steps]
    twice = sorted({target for target in targets if targets.count(target) > 1})
    if twice:
        raise ContractError(f"runbook {runbook.runbook}: several steps act on {', '.join(twice)}; a run changes a target once")


def _needs(runbook: Runbook, facts: Facts) -> Iterator[NeedCheck]:
    """Yield what the runbook needs, then what its limits say of the steps themselves."""
    for need in runbook.needs:
        answer = condition(need.that, Scope.NEEDS).answer(facts)
        yield NeedCheck(need.that, answer.holds, need.why if not answer.unknown else f"{need.why} ({answer.unknown})")
    share = runbook.limits.replica_share
    text = f"plan.replica_share <= {share!r}"
    yield NeedCheck(text, condition(text, Scope.NEEDS).answer(facts).holds, "limits.replica_share bounds what is touched at once")


def _expected(runbook: Runbook, steps: Sequence[PlannedStep]) -> str:
    effects = [step.effect or step.difference for step in steps]
    return "; then ".join(effect for effect in effects if effect) or runbook.title
