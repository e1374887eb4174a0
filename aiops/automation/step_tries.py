"""One try of a step: its intent, and what it has come to. A try that may have changed something is read, never repeated.

That a target is in its old state says something only when the try cannot act any more: after the step's timeout, counted from
its intent. A step and its undo together have 2 x (retries + 1) tries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from aiops.automation.action import Outcome, PlannedStep
from aiops.automation.answer_texts import ASK
from aiops.automation.moves import Become, Wait
from aiops.automation.run import Run, StepRun, StepState
from aiops.automation.run_ledger import PlannedRun, RunChange


class Call(StrEnum):
    """What is known of the call that was to bring a step into effect."""

    UNSEEN = "unseen"
    """made by a process that has died, or not made at all"""
    RETURNED = "returned"
    """the target has taken the order"""
    REFUSED = "refused"
    """the target has surely not been changed by it"""
    BROKEN = "broken"
    """it has ended, and whether it changed something is not known"""
    HANGING = "hanging"
    """it has not come back yet, and may still change something"""


@dataclass(frozen=True, slots=True)
class TryReading:
    """What is known of a try: of its call, and of the state of the target now. `why` is what the target said."""

    call: Call
    target: Outcome
    why: str = ""


def planned_step(planned: PlannedRun, number: int) -> PlannedStep:
    """Return a step of a plan by its number."""
    return next(step for step in planned.plan.steps if step.number == number)


def step_run(run: Run, number: int) -> StepRun:
    """Return how a step stands, by its number."""
    return next(step for step in run.steps if step.number == number)


def intent(planned: PlannedRun, number: int, undo: bool, at: datetime) -> RunChange:
    """Return the change that is committed before a step is brought into effect or taken back."""
    before = step_run(planned.run, number)
    state = StepState.UNDO_INTENDED if undo else StepState.INTENDED
    step = replace(before, state=state, tries=before.tries + 1, at=at, note="")
    target = planned_step(planned, number)
    words = f"takes back step {number}: {target.undo}" if undo else f"step {number}: {target.difference}"
    if target.action == ASK:
        words = f"{target.difference}; answer with `aiops runs answer {planned.run.run_id}`"
    return RunChange(planned.run.state, at, (step,), words)


def before_undo(planned: PlannedRun, number: int, target: Outcome, at: datetime) -> Become | Wait | None:
    """Return what follows from the state in which a target is before its undo; None = it may be taken back.

    What is not as the step left it was changed by somebody else and is not touched.
    """
    if target is Outcome.NEW:
        return None
    if target is Outcome.OLD:
        return _becomes(planned, number, StepState.UNDONE, "it is in its old state already", at)
    if target is Outcome.UNKNOWN and at < (until := planned.run.changed_at + _timeout(planned, number)):
        return Wait(until)
    why = "somebody else has changed it since" if target is Outcome.OTHER else "its state cannot be read"
    return _becomes(planned, number, StepState.UNDO_FAILED, f"{why}: it is not touched", at)


def learned(planned: PlannedRun, number: int, reading: TryReading, at: datetime) -> Become | Wait:
    """Return what a step has come to; `Wait` = until then its try may still act, or the target still change."""
    if reading.call is Call.HANGING and at < _until(planned, number):
        return Wait(_until(planned, number))
    if step_run(planned.run, number).state is StepState.UNDO_INTENDED:
        return _learned_of_undo(planned, number, reading, at)
    if reading.call is Call.REFUSED:
        return _refused(planned, number, reading, at)
    if reading.target is Outcome.NEW:
        return _becomes(planned, number, StepState.DONE, "done", at)
    return Wait(_until(planned, number)) if at < _until(planned, number) else _overdue(planned, number, reading, at)


def _refused(planned: PlannedRun, number: int, reading: TryReading, at: datetime) -> Become:
    """Return what a refused try has come to; an earlier one of unknown outcome may have changed the target."""
    if step_run(planned.run, number).tries > 1 and reading.target is not Outcome.OLD:
        if reading.target is Outcome.NEW:
            return _becomes(planned, number, StepState.DONE, "done, by an earlier try", at)
        return _becomes(planned, number, StepState.UNKNOWN, f"an earlier try may have changed it: {reading.why}", at)
    return _becomes(planned, number, StepState.REFUSED, f"refused, nothing was changed: {reading.why}", at)


def _overdue(planned: PlannedRun, number: int, reading: TryReading, at: datetime) -> Become:
    """Return what a try has come to that has not shown its effect in its time."""
    if reading.target is not Outcome.OLD:
        return _becomes(planned, number, StepState.UNKNOWN, _unknown(reading), at)
    if reading.call in (Call.RETURNED, Call.HANGING):
        return _becomes(planned, number, StepState.UNKNOWN, _no_effect(reading), at)
    because = f": {reading.why}" if reading.why else ""
    if step_run(planned.run, number).tries <= planned_step(planned, number).retries:
        return _becomes(planned, number, StepState.PENDING, f"nothing was changed, it may be tried again{because}", at)
    return _becomes(planned, number, StepState.REFUSED, f"without effect, nothing was changed{because}", at)


def _learned_of_undo(planned: PlannedRun, number: int, reading: TryReading, at: datetime) -> Become | Wait:
    step, target = step_run(planned.run, number), reading.target
    if target is Outcome.OLD:
        return _becomes(planned, number, StepState.UNDONE, "taken back", at)
    if reading.call is Call.REFUSED:
        return _becomes(planned, number, StepState.UNDO_FAILED, f"cannot be taken back: {reading.why}", at)
    until = _until(planned, number)
    if at < until:
        return Wait(until)
    again = target is Outcome.NEW and reading.call in (Call.UNSEEN, Call.BROKEN)
    if again and step.tries < 2 * (planned_step(planned, number).retries + 1):
        return _becomes(planned, number, StepState.DONE, "the undo changed nothing, it may be tried again", at)
    why = _no_effect(reading) if target is Outcome.NEW and not again else _unknown(reading)
    return _becomes(planned, number, StepState.UNDO_FAILED, why, at)


def _unknown(reading: TryReading) -> str:
    state = {
        Outcome.OTHER: "the target is neither as before nor as planned",
        Outcome.UNKNOWN: "the state of the target cannot be read",
    }.get(reading.target, "nothing was changed")
    return f"{state}: {reading.why}" if reading.why else state


def _no_effect(reading: TryReading) -> str:
    if reading.call is Call.HANGING:
        return "the call has not come back and may still act"
    return "the target took the order, and nothing of it shows"


def _becomes(planned: PlannedRun, number: int, state: StepState, note: str, at: datetime) -> Become:
    step = replace(step_run(planned.run, number), state=state, at=at, note=note)
    return Become(RunChange(planned.run.state, at, (step,), f"step {number}: {note}"))


def _until(planned: PlannedRun, number: int) -> datetime:
    """Return until when the present try may act."""
    began = step_run(planned.run, number).at or planned.run.changed_at
    return began + _timeout(planned, number)


def _timeout(planned: PlannedRun, number: int) -> timedelta:
    return timedelta(seconds=planned_step(planned, number).timeout_s)


def that_ran(run: Run) -> Sequence[StepRun]:
    """Return the steps in effect, the newest first."""
    return [step for step in reversed(run.steps) if step.state is StepState.DONE]
