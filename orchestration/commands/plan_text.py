"""A plan as a person reads it before deciding: what, where, the difference, the way back, who is touched, what is against it."""

from collections.abc import Iterator

from aiops.automation.earning import Standing
from aiops.automation.limits import Bounds, limit_refusals, rates_left
from aiops.automation.questions import answer_until, is_question
from aiops.automation.run import RunState, StepState
from aiops.automation.run_ledger import PlannedRun


def plan_text(planned: PlannedRun, standing: Standing, bounds: Bounds) -> str:
    """Return a plan in lines, the decision first."""
    return "\n".join((*_head(planned), *_steps(planned), *_around(planned, standing, bounds), *_log(planned)))


def _head(planned: PlannedRun) -> Iterator[str]:
    plan, run, subject = planned.plan, planned.run, planned.plan.subject
    yield f"{plan.title}: {', '.join(plan.services)}"
    yield f"  plan {plan.plan_id}, {run.state}; runbook {plan.runbook}, asked for by {plan.requested_by}"
    cause = f"cause {subject.service} ({subject.probability:.0%}), it shows at {subject.symptom}"
    yield f"  for incident {subject.incident_id}: {cause}"
    if run.approval is not None:
        by = "nobody: it has earned to run alone" if run.approval.earned else run.approval.by
        yield f"  approved by {by} at {run.approval.at:%Y-%m-%d %H:%M:%S} UTC"
    elif not run.has_ended:
        who = plan.terms.approve.role + (", not who asked for it" if plan.terms.approve.not_requester else "")
        yield f"  may be approved until {plan.expires_at:%Y-%m-%d %H:%M:%S} UTC ({who})"


def _steps(planned: PlannedRun) -> Iterator[str]:
    states = {step.number: step for step in planned.run.steps}
    for step in planned.plan.steps:
        risk = f"{step.risk} risk, {step.replica_share:.0%} of replicas at once"
        yield f"\nStep {step.number}: {step.action} on {step.service} ({step.target}), {risk}"
        yield from (f"    {line}" for line in step.difference.splitlines())
        yield f"  undo: {step.undo or 'it cannot be undone'}"
        if step.effect:
            yield f"  effect: {step.effect}"
        run = states[step.number]
        if planned.run.state is RunState.ACTING and run.state is StepState.INTENDED and is_question(planned, step.number):
            yield f"  waits for an answer until {answer_until(planned, run):%Y-%m-%d %H:%M:%S} UTC"
        elif run.state is not StepState.PENDING:
            yield f"  came to: {run.state}, {run.tries} tries{f'; {run.note}' if run.note else ''}"


def _around(planned: PlannedRun, standing: Standing, bounds: Bounds) -> Iterator[str]:
    plan = planned.plan
    yield f"\nExpected: {plan.expected}"
    yield f"Reach: {', '.join(plan.reach) or 'no service'} call what is acted on"
    for need in plan.needs:
        yield f"Needs: {need.that}: {'holds' if need.holds else 'DOES NOT HOLD, ' + need.why}"
    others = Bounds(bounds.at, [run for run in bounds.begun if run.run_id != plan.plan_id], bounds.suite, bounds.application)
    if not planned.run.has_ended:
        yield from (f"Against it now: {refusal}" for refusal in limit_refusals(plan, others))
    yield f"Bounds: {rates_left(plan, bounds)} further runs of {plan.runbook} are left now"
    counts = f"{standing.cures} times in {standing.runs} runs (lower 95 % bound {standing.lower:.2f})"
    yield f"Before: cured {standing.service} {counts}"
    if standing.refusal:
        yield f"Alone: no, {standing.refusal}"


def _log(planned: PlannedRun) -> Iterator[str]:
    yield "\nLog:"
    for event in planned.run.events:
        yield f"  {event.at:%Y-%m-%d %H:%M:%S} {event.state}: {event.what} ({event.by})"
