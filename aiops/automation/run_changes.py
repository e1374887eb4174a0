"""What a change makes of a planned run: new values, and refusals. Run logs store what these return, whatever they store it in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from aiops.automation.approval import approval_lasts, approval_refusal, stale_approval
from aiops.automation.earning import EndedRun, Standing, actions_of
from aiops.automation.limits import BegunRun, Bounds, limit_refusals
from aiops.automation.plan import Plan, fingerprint_of
from aiops.automation.questions import answered
from aiops.automation.run import BEFORE_ACTING, SUITE, Answer, Approval, Run, RunEvent, RunState, StepRun, run_may_follow
from aiops.automation.run_ledger import PlannedRun, RunChange, Switch
from aiops.errors import ContractError, FencedError, RunRefused

MOST_TEXT: Final = 2000
"""Characters of a line of the run log."""
_SHOWN: Final = 5
_PLAN_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,80}")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a planned run becomes, and why what was wanted is refused; `refusal` "" = it is not."""

    planned: PlannedRun
    refusal: str = ""


def proposed(plan: Plan) -> PlannedRun:
    """Return a plan that waits.

    Raises:
        ContractError: it has no steps, numbers them twice, or its fingerprint is not that of its content.
    """
    if not _PLAN_ID.fullmatch(plan.plan_id):
        raise ContractError(f"plan_id={plan.plan_id[:80]!r} must be 1 to 80 of letters, digits and ._:-; use plan_id_of")
    numbers = [step.number for step in plan.steps]
    if not numbers or len(set(numbers)) < len(numbers):
        raise ContractError(f"plan {plan.plan_id}: steps={numbers} must be one or more with different numbers; plan it anew")
    if plan.fingerprint != content_fingerprint(plan):
        raise ContractError(f"plan {plan.plan_id}: its fingerprint is not that of its content; make it by fingerprint_of")
    steps = tuple(StepRun(number) for number in numbers)
    event = RunEvent(plan.made_at, RunState.WAITING, "planned", plan.requested_by)
    return PlannedRun(plan, Run(plan.plan_id, RunState.WAITING, plan.made_at, steps, events=(event,)), 1)


def content_fingerprint(plan: Plan) -> str:
    """Return the fingerprint that a plan's content has."""
    return fingerprint_of(plan.version, plan.subject, plan.steps, plan.needs)


def approved(planned: PlannedRun, approval: Approval, role: str, switch: Switch) -> Decision:
    """Return what a person's approval makes of a run; one that comes too late ends it."""
    refusal = "" if switch.on else off_text(switch)
    refusal = refusal or approval_refusal(planned, approval, role)
    return _approved(planned, replace(approval, earned=False), refusal)


def approved_by_standing(planned: PlannedRun, approval: Approval, standing: Standing, switch: Switch) -> Decision:
    """Return what becomes of a run whose runbook may have earned to run alone."""
    person = replace(approval, by="somebody")
    refusal = "" if switch.on else off_text(switch)
    refusal = refusal or approval_refusal(planned, person, planned.plan.terms.approve.role) or standing.refusal
    return _approved(planned, replace(approval, by=SUITE, earned=True, bound=False), refusal)


def begun(fresh: Plan, planned: PlannedRun, bounds: Bounds, switch: Switch, standing: Standing | None) -> Decision:
    """Return what becomes of a run that wants to act now: it acts, or it ends, with the reason.

    `standing` where nobody has approved it, else None: what was earned may be lost, or held back, meanwhile.

    Raises:
        ContractError: the run is not approved, so that there is nothing that could begin.
    """
    if planned.run.state is not RunState.APPROVED or planned.run.approval is None:
        raise ContractError(f"run {planned.run.run_id}: state={planned.run.state} cannot begin; it must be approved")
    at = bounds.at
    if at >= planned.run.approval.at + approval_lasts(planned):
        return _ended(planned, RunState.EXPIRED, at, "its approval has expired before it began")
    refusal = "" if switch.on else off_text(switch)
    refusal = refusal or _not_earned(planned.run.approval, standing)
    refusal = refusal or _stale(fresh, planned) or "; ".join(limit_refusals(fresh, bounds))
    if refusal:
        return _ended(planned, RunState.REFUSED, at, refusal)
    return Decision(_moved(planned, RunChange(RunState.ACTING, at, (), "begins")))


def rejected(planned: PlannedRun, by: str, at: datetime, note: str) -> Decision:
    """Return what a person's no makes of a run."""
    if planned.run.state not in BEFORE_ACTING:
        return Decision(planned, f"it cannot be rejected any more: state={planned.run.state}")
    what = f"rejected: {note}" if note else "rejected"
    return Decision(_moved(planned, RunChange(RunState.REFUSED, at, (), what, by)))


def after_answer(planned: PlannedRun, answer: Answer) -> RunChange:
    """Return what a person's answer makes of the run that asks.

    Raises:
        ContractError: it asks nothing now, or the answer does not fit the question.
    """
    step = answered(planned, answer)
    return RunChange(planned.run.state, answer.at, (step,), f"step {step.number}: {step.note}", answer.by)


def expired(planned: PlannedRun, at: datetime) -> PlannedRun | None:
    """Return the end of a plan that nobody has approved in time, or that has not begun in time; None where it is in time."""
    run, approval = planned.run, planned.run.approval
    if run.state is RunState.WAITING and at >= planned.plan.expires_at:
        return _moved(planned, RunChange(RunState.EXPIRED, at, (), "nobody has approved it in time"))
    if run.state is RunState.APPROVED and approval is not None and at >= approval.at + approval_lasts(planned):
        return _moved(planned, RunChange(RunState.EXPIRED, at, (), "it has not begun in time"))
    return None


def changed(current: PlannedRun, known: PlannedRun, change: RunChange) -> PlannedRun:
    """Return what a run becomes while it acts.

    Raises:
        FencedError: it has changed since `known` was read.
        ContractError: the state cannot follow, a step is unknown, or it would act without approval and bounds.
    """
    run_is_current(current, known)
    run = current.run
    if change.state is not run.state:
        run_may_follow(run, change.state)
    elif run.has_ended:
        raise ContractError(f"run {run.run_id}: it has ended ({run.state}); nothing of it can change")
    if change.state is not run.state and run.state in BEFORE_ACTING and change.state in (RunState.APPROVED, RunState.ACTING):
        raise ContractError(f"run {run.run_id}: state={change.state} is given by approve and begin only, which count bounds")
    if change.steps and run.state in BEFORE_ACTING:
        raise ContractError(f"run {run.run_id}: state={run.state} has no steps that run; begin it first")
    return _moved(current, change)


def run_is_current(current: PlannedRun, known: PlannedRun) -> None:
    """Check that a run is as somebody knows it.

    Raises:
        FencedError: it has changed.
    """
    if current.revision != known.revision:
        changes = f"revision={current.revision} is not {known.revision}"
        raise FencedError(f"run {current.run.run_id}: {changes}: another process has changed it; read it again")


def begun_run_of(planned: PlannedRun) -> BegunRun | None:
    """Return what counts of a run for bounds, None where it has not begun to act."""
    began_at = planned.run.began_at
    if began_at is None:
        return None
    ended_at = planned.run.changed_at if planned.run.has_ended else None
    plan = planned.plan
    return BegunRun(plan.plan_id, plan.runbook, plan.services, plan.targets, began_at, ended_at)


def ended_run_of(planned: PlannedRun) -> EndedRun:
    """Return what counts of a run that has begun and ended for what its runbook has earned."""
    plan, run = planned.plan, planned.run
    return EndedRun(plan.runbook, plan.subject.service, actions_of(plan), run.state, run.changed_at)


def only_name(beginning: str, names: Sequence[str]) -> str:
    """Return the only plan's id that begins so.

    Raises:
        ContractError: none, or several, do.
    """
    if len(names) == 1:
        return names[0]
    if not names:
        raise ContractError(f"plan={beginning[:80]!r} is not known; list them with `aiops plans`")
    listed = ", ".join(sorted(names)[:_SHOWN])
    raise ContractError(f"plan={beginning[:80]!r} begins {len(names)} ids ({listed}); give more of it")


def refused(planned: PlannedRun, refusal: str) -> RunRefused:
    """Return the error of a refusal, which names the plan."""
    return RunRefused(f"plan {planned.plan.plan_id} ({planned.plan.runbook}): {refusal}")


def turned(switch: Switch) -> Switch:
    """Return a switch as it may be stored.

    Raises:
        ContractError: it does not say who turns it, and when.
    """
    if switch.changed_at is None or not switch.by.strip():
        raise ContractError(f"switch on={switch.on}: changed_at and by must say when it is turned and by whom")
    return replace(switch, by=switch.by[:MOST_TEXT], note=switch.note[:MOST_TEXT])


def off_text(switch: Switch) -> str:
    """Return why nothing may begin, in words."""
    by = f" by {switch.by}" if switch.by else ""
    note = f" ({switch.note})" if switch.note else ""
    return f"automation is switched off{by}{note}; turn it on first"


def _not_earned(approval: Approval, standing: Standing | None) -> str:
    if not approval.earned:
        return ""
    return "nobody can say what its runbook has earned" if standing is None else standing.refusal


def _stale(fresh: Plan, planned: PlannedRun) -> str:
    refusal = stale_approval(planned, fresh.fingerprint)
    if not refusal and content_fingerprint(fresh) != fresh.fingerprint:
        refusal = "the fingerprint of the plan made anew is not that of its content"
    if not refusal and (fresh.runbook, fresh.terms) != (planned.plan.runbook, planned.plan.terms):
        refusal = "the runbook's terms have changed since it was approved"
    if not refusal and not fresh.is_possible:
        refusal = "; ".join(need.why for need in fresh.needs if not need.holds)
    return refusal


def _approved(planned: PlannedRun, approval: Approval, refusal: str) -> Decision:
    late = expired(planned, approval.at) if planned.run.state is RunState.WAITING else None
    if refusal:
        return Decision(late or planned, refusal)
    words = "approved: the runbook has earned to run alone here" if approval.earned else f"approved by {approval.by}"
    what = f"{words}: {approval.note}" if approval.note else words
    moved = _moved(planned, RunChange(RunState.APPROVED, approval.at, (), what, approval.by))
    return Decision(replace(moved, run=replace(moved.run, approval=approval)))


def _ended(planned: PlannedRun, state: RunState, at: datetime, why: str) -> Decision:
    return Decision(_moved(planned, RunChange(state, at, (), why)), why)


def _moved(planned: PlannedRun, change: RunChange) -> PlannedRun:
    run = planned.run
    steps = _with_steps(run, change.steps)
    line = (RunEvent(change.at, change.state, change.what[:MOST_TEXT], change.by),) if change.what else ()
    moved = replace(run, state=change.state, changed_at=change.at, steps=steps, events=(*run.events, *line))
    return PlannedRun(planned.plan, moved, planned.revision + 1)


def _with_steps(run: Run, changes: Sequence[StepRun]) -> tuple[StepRun, ...]:
    by_number = {step.number: step for step in changes}
    unknown = sorted(by_number.keys() - {step.number for step in run.steps})
    if unknown:
        raise ContractError(f"run {run.run_id}: step {unknown[0]} is none of its plan's; steps are numbered as in the plan")
    return tuple(by_number.get(step.number, step) for step in run.steps)
