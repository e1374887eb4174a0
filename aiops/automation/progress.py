"""What is to be done next with a run, from what is stored of it, the time and the switch alone. No clock and no I/O.

So a process that is killed at any point is followed by another that goes on from the same rows. With the switch off nothing
begins; what acts is finished, taken back or left, as the switch says. A switch that cannot be read holds back all that changes
something.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from aiops.automation.moves import Act, Become, Begin, Judge, Move, Probe, Wait
from aiops.automation.questions import SPEAKING, answer_until, is_question
from aiops.automation.run import RunState, StepRun, StepState
from aiops.automation.run_ledger import PlannedRun, Remainder, RunChange, Switch
from aiops.automation.runbook import AfterVerdict
from aiops.automation.service_state import Finding, Verdict
from aiops.automation.step_tries import planned_step, that_ran

HELD: Final = "held: the switch cannot be read"
_IN_FLIGHT: Final = frozenset({StepState.INTENDED, StepState.UNDO_INTENDED})
ESCALATED: Final = "escalated: nobody has approved it"
_EARLY: Final = 0.5
"""Share of the window after which harm is looked for already."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The switch as it can be read now, and how late telemetry may be when services are looked at."""

    switch: Switch
    telemetry_lag: timedelta = timedelta()


def next_move(planned: PlannedRun, at: datetime, conditions: Conditions) -> Move:
    """Return what is to be done next; `Wait(None)` where the run has ended."""
    if planned.run.has_ended:
        return Wait(None)
    return _switched_off(planned, at, conditions.switch) or _RULES[planned.run.state](planned, at, conditions)


def judged(planned: PlannedRun, finding: Finding, at: datetime, last: bool) -> Become | None:
    """Return what follows from a look at the services; None = it is looked at again: before the last look only harm counts."""
    if planned.run.state is RunState.CHECKING:
        return _checked(planned, finding, at)
    verify, verdict = planned.plan.terms.verify, finding.verdict
    if verdict is Verdict.WORSE:
        return _after(planned, verify.on_worse, finding, at)
    if not last:
        return None
    return _after(planned, verify.on_better if verdict is Verdict.BETTER else verify.on_unclear, finding, at)


def _waiting(planned: PlannedRun, at: datetime, conditions: Conditions) -> Move:
    plan = planned.plan
    escalates_at = plan.made_at + timedelta(seconds=plan.terms.escalate.after)
    if at >= plan.expires_at:
        return _becomes(planned, RunState.EXPIRED, at, "expired: nobody has approved it in time")
    if any(event.what.startswith(ESCALATED) for event in planned.run.events):
        return Wait(plan.expires_at)
    if at >= escalates_at:
        waits_s = (at - plan.made_at).total_seconds()
        return _becomes(planned, RunState.WAITING, at, f"{ESCALATED} for {waits_s / 60:.0f} min")
    return Wait(min(escalates_at, plan.expires_at))


def _approved(planned: PlannedRun, at: datetime, conditions: Conditions) -> Move:
    approval, expires = planned.run.approval, timedelta(seconds=planned.plan.terms.approve.expires)
    if not conditions.switch.on:
        return _becomes(planned, RunState.STOPPED, at, "stopped before it acted: the switch is off")
    if approval is not None and at >= approval.at + expires:
        return _becomes(planned, RunState.EXPIRED, at, "expired: it was approved and not begun in time")
    return Begin()


def _acting(planned: PlannedRun, at: datetime, conditions: Conditions) -> Move:
    for step in planned.run.steps:
        if step.state is StepState.INTENDED:
            return _asked(planned, step, at) if is_question(planned, step.number) else Probe(step.number)
        if step.state is StepState.UNKNOWN:
            return _lost(planned, step, at)
        if step.state is StepState.REFUSED:
            return _refused(planned, step, at)
        if step.state is StepState.PENDING:
            return _held(planned, at) if _is_unread(conditions.switch) else Act(step.number)
    return _becomes(planned, RunState.SETTLING, at, "all steps are done; whether it helped is looked at next")


def _settling(planned: PlannedRun, at: datetime, conditions: Conditions) -> Move:
    verify = planned.plan.terms.verify
    settled = _since(planned) + timedelta(seconds=verify.settle) + conditions.telemetry_lag
    early, end = settled + timedelta(seconds=_EARLY * verify.window), settled + timedelta(seconds=verify.window)
    if at < early:
        return Wait(early)
    return Judge(last=at >= end, until=end)


def _undoing(planned: PlannedRun, at: datetime, conditions: Conditions) -> Move:
    for step in reversed(planned.run.steps):
        if step.state in _IN_FLIGHT and not is_question(planned, step.number):
            return Probe(step.number)
        if step.state is StepState.UNKNOWN:
            return _lost(planned, step, at)
        if step.state is StepState.UNDO_FAILED:
            what = f"step {step.number} could not be taken back, {step.note}"
            return _becomes(planned, RunState.UNDO_FAILED, at, what)
        if step.state is StepState.DONE and planned_step(planned, step.number).undo:
            return _held(planned, at) if _is_unread(conditions.switch) else Act(step.number, undo=True)
    return _undone(planned, at)


def _checking(planned: PlannedRun, at: datetime, conditions: Conditions) -> Move:
    verify = planned.plan.terms.verify
    end = _since(planned) + timedelta(seconds=verify.settle + verify.window) + conditions.telemetry_lag
    return Judge(last=True, until=end) if at >= end else Wait(end)


_RULES: Final[Mapping[RunState, Callable[[PlannedRun, datetime, Conditions], Move]]] = {
    RunState.WAITING: _waiting,
    RunState.APPROVED: _approved,
    RunState.ACTING: _acting,
    RunState.SETTLING: _settling,
    RunState.UNDOING: _undoing,
    RunState.CHECKING: _checking,
}


def _asked(planned: PlannedRun, step: StepRun, at: datetime) -> Become | Wait:
    """Return that a run waits for a person's answer, and what it becomes where none has come in time."""
    until = answer_until(planned, step)
    if at < until:
        return Wait(until)
    late = replace(step, state=StepState.REFUSED, at=at, note="not answered in time")
    return Become(RunChange(planned.run.state, at, (late,), f"step {step.number}: {late.note}"))


def _ran(planned: PlannedRun) -> Sequence[StepRun]:
    """Return the steps in effect on some target, the newest first."""
    return [step for step in that_ran(planned.run) if planned_step(planned, step.number).action not in SPEAKING]


def _lost(planned: PlannedRun, step: StepRun, at: datetime) -> Become:
    what = f"nobody can say what step {step.number} has done: {step.note}; nothing is repeated or taken back"
    return _becomes(planned, RunState.UNCLEAR, at, what)


def _refused(planned: PlannedRun, step: StepRun, at: datetime) -> Become:
    ran = _ran(planned)
    words = f"step {step.number} was {step.note}"
    if not ran:
        return _becomes(planned, RunState.FAILED, at, words)
    return _take_back(planned, at, words)


def _take_back(planned: PlannedRun, at: datetime, why: str) -> Become:
    """Return the way back; where nothing of it can be taken back, a person has to look."""
    if any(planned_step(planned, step.number).undo for step in _ran(planned)):
        return _becomes(planned, RunState.UNDOING, at, f"{why}; what ran is taken back, the newest step first")
    return _becomes(planned, RunState.UNCLEAR, at, f"{why}; nothing of what ran can be taken back")


def _undone(planned: PlannedRun, at: datetime) -> Become:
    """Return what follows when all that can be taken back is."""
    if not any(step.state is StepState.REFUSED for step in planned.run.steps):
        return _becomes(planned, RunState.CHECKING, at, "taken back; how the services are is looked at next")
    remains = [str(step.number) for step in reversed(_ran(planned))]
    if remains:
        what = f"step {', '.join(remains)} ran before the refused one and cannot be taken back"
        return _becomes(planned, RunState.UNCLEAR, at, what)
    what = "a step was refused, and what ran before it is taken back"
    return _becomes(planned, RunState.FAILED, at, what)


def _checked(planned: PlannedRun, finding: Finding, at: datetime) -> Become:
    if finding.verdict is Verdict.WORSE or not finding.known:
        what = f"taken back, and still not well: {finding.why}"
        return _becomes(planned, RunState.UNCLEAR, at, what)
    return _becomes(planned, RunState.UNDONE, at, f"undone, the incident goes on: {finding.why}")


def _after(planned: PlannedRun, follows: AfterVerdict, finding: Finding, at: datetime) -> Become:
    if follows == "undo":
        return _take_back(planned, at, f"{finding.verdict}: {finding.why}")
    state = RunState.CURED if finding.verdict is Verdict.BETTER else RunState.UNCLEAR
    return _becomes(planned, state, at, f"{finding.verdict}: {finding.why}")


def _is_unread(switch: Switch) -> bool:
    """Return whether nobody can say how the switch is, which counts as off."""
    return not switch.on and switch.changed_at is None


def _switched_off(planned: PlannedRun, at: datetime, switch: Switch) -> Become | None:
    """Return what a person who turned the switch off wants of a run that acts; None where it goes on.

    A try of unknown outcome is read first, so that the log says in which state everything is left.
    """
    acts = planned.run.state in (RunState.ACTING, RunState.SETTLING, RunState.UNDOING)
    known = not any(step.state in _IN_FLIGHT and not is_question(planned, step.number) for step in planned.run.steps)
    if switch.on or _is_unread(switch) or switch.remainder is Remainder.FINISH or not (acts and known):
        return None
    by = f"the switch was turned off by {switch.by}"
    if switch.remainder is Remainder.STOP or not _ran(planned):
        ran = ", ".join(str(step.number) for step in reversed(_ran(planned))) or "none"
        return _becomes(planned, RunState.STOPPED, at, f"stopped as it is, {by}; steps in effect: {ran}")
    return None if planned.run.state is RunState.UNDOING else _take_back(planned, at, by)


def _held(planned: PlannedRun, at: datetime) -> Become | Wait:
    """Return that a run waits for a switch that can be read, said once."""
    events = planned.run.events
    if events and events[-1].what.startswith(HELD):
        return Wait(None)
    return _becomes(planned, planned.run.state, at, f"{HELD}; the run goes on when it can")


def _since(planned: PlannedRun) -> datetime:
    """Return since when the run is in its state."""
    since = planned.run.changed_at
    for event in reversed(planned.run.events):
        if event.state is not planned.run.state:
            break
        since = event.at
    return since


def _becomes(planned: PlannedRun, state: RunState, at: datetime, what: str) -> Become:
    return Become(RunChange(state, at, (), what))
