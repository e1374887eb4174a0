"""Steps that ask a human: a form whose answer a run waits for. The answer is stored with the step, and later texts may hold it.

What a run does to its targets is approved as it stands in the plan, so answers go only into a message or the config of a job that
is launched (`TAKES_ANSWERS`).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from aiops.automation.action import Plain, PlannedStep
from aiops.automation.answer_texts import ANSWER, ASK, TAKES_ANSWERS
from aiops.automation.run import Answer, Run, RunState, StepRun, StepState
from aiops.automation.run_ledger import PlannedRun
from aiops.errors import ContractError, legible

SPEAKING: Final = frozenset({ASK, "notify"})
"""Kinds that change no target: nothing of them is to be taken back."""
ASKS: Final = "asks: "
"""Beginning of the line of the run log that asks."""
MOST_ANSWER: Final = 500
"""Characters of an answer at most."""


def is_question(planned: PlannedRun, number: int) -> bool:
    """Return whether a step asks a human."""
    return any(step.number == number and step.action == ASK for step in planned.plan.steps)


def waiting_question(planned: PlannedRun) -> PlannedStep | None:
    """Return the step that waits for an answer; None where none does."""
    if planned.run.state is not RunState.ACTING:
        return None
    waiting = {step.number for step in planned.run.steps if step.state is StepState.INTENDED}
    return next((step for step in planned.plan.steps if step.action == ASK and step.number in waiting), None)


def answer_until(planned: PlannedRun, step: StepRun) -> datetime:
    """Return until when a question may be answered: the step's timeout after it was asked."""
    timeout_s = next(planned_step.timeout_s for planned_step in planned.plan.steps if planned_step.number == step.number)
    return (step.at or planned.run.changed_at) + timedelta(seconds=timeout_s)


def answered(planned: PlannedRun, answer: Answer) -> StepRun:
    """Return the step that waits as the answer leaves it: done, with the values; or refused, where a person declines.

    Raises:
        ContractError: nothing is asked now, it is too late, or a value is missing, unknown or of another type than its field.
    """
    question = waiting_question(planned)
    if question is None:
        raise ContractError(
            f"run {planned.run.run_id}: asks nothing now (state={planned.run.state}); look at it with `aiops runs show`"
        )
    step = next(step for step in planned.run.steps if step.number == question.number)
    if answer.at >= answer_until(planned, step):
        raise ContractError(f"run {planned.run.run_id}: step {step.number} could be answered until {answer_until(planned, step)}")
    note = f": {legible(answer.note, MOST_ANSWER)}" if answer.note else ""
    if answer.declined:
        return replace(step, state=StepState.REFUSED, at=answer.at, note=f"declined by {answer.by}{note}")
    values = _checked(question.parameters, answer.values)
    said = ", ".join(f"{name}={value}" for name, value in values.items())
    return replace(step, state=StepState.DONE, at=answer.at, note=f"answered by {answer.by}: {said}{note}", answers=values)


def with_answers(step: PlannedStep, run: Run) -> PlannedStep:
    """Return a step with the answers given so far in its texts; of kinds that take none it is returned as it is.

    Raises:
        ContractError: an answer that a text holds was not given.
    """
    if step.action not in TAKES_ANSWERS:
        return step
    given = {name: value for done in run.steps if done.state is StepState.DONE for name, value in done.answers.items()}
    return replace(step, parameters={name: _filled(value, given) for name, value in step.parameters.items()})


def _filled(value: Plain, given: Mapping[str, str]) -> Plain:
    if isinstance(value, str):
        return ANSWER.sub(lambda match: _given(match, given), value)
    if isinstance(value, Mapping):
        return {name: _filled(item, given) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, given) for item in value]
    return value


def _given(match: re.Match[str], given: Mapping[str, str]) -> str:
    if match[1] not in given:
        raise ContractError(f"{match[0]}: was not answered; ask for it in an earlier step")
    return given[match[1]]


def _checked(form: Mapping[str, Plain], values: Mapping[str, str]) -> Mapping[str, str]:
    """Return the values by field, in the order of the form."""
    fields = form.get("fields")
    known = (
        {str(field["name"]): field for field in fields if isinstance(field, Mapping)} if isinstance(fields, list | tuple) else {}
    )
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        raise ContractError(f"answers.{unknown[0]}: the question has no such field; it has: {', '.join(known) or 'none'}")
    missing = [name for name in known if name not in values]
    if missing:
        raise ContractError(f"answers.{missing[0]} is missing; the question asks for: {', '.join(known)}")
    return {name: _value(name, field, values[name]) for name, field in known.items()}


def _value(name: str, field: Mapping[str, Plain], value: str) -> str:
    kind, choices = field.get("type", "text"), field.get("choices")
    if not value.strip() or len(value) > MOST_ANSWER or not value.isprintable():
        raise ContractError(f"answers.{name}: must be 1 to {MOST_ANSWER} printable characters in one line; mend it")
    if kind == "yes_no" and value not in ("yes", "no"):
        raise ContractError(f"answers.{name}={value!r}: must be yes or no")
    if kind == "number" and not _is_number(value):
        raise ContractError(f"answers.{name}={value!r}: must be a number, such as 12 or 0.5")
    if kind == "choice" and isinstance(choices, list | tuple) and value not in choices:
        raise ContractError(f"answers.{name}={value!r}: is no choice; give one of: {', '.join(map(str, choices))}")
    return value


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
