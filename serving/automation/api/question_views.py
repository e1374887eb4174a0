"""What a run asks a person now, as the API answers it. Texts below fields are their descriptions in /docs.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from aiops.automation.action import Plain
from aiops.automation.questions import answer_until, waiting_question
from aiops.automation.run_ledger import PlannedRun
from aiops.automation.step_tries import step_run


@dataclass(frozen=True, slots=True)
class QuestionFieldView:
    """One value that is asked for."""

    name: str
    """its name in an answer"""
    type: str
    """text, number, yes_no or choice"""
    label: str
    """what is meant, in words"""
    choices: tuple[str, ...]
    """what may be answered; empty = anything of its type"""


@dataclass(frozen=True, slots=True)
class QuestionView:
    """A step that waits for a person's answer."""

    step: int
    """its number in the plan"""
    question: str
    """what is asked"""
    fields: tuple[QuestionFieldView, ...]
    """values that are asked for; empty = only whether to go on"""
    until: datetime
    """until when it may be answered"""


def view_of_question(planned: PlannedRun) -> QuestionView | None:
    """Return what a run asks now; None where it asks nothing."""
    step = waiting_question(planned)
    if step is None:
        return None
    listed = step.parameters.get("fields")
    fields = tuple(map(_field, listed)) if isinstance(listed, list | tuple) else ()
    return QuestionView(
        step.number, str(step.parameters["question"]), fields, answer_until(planned, step_run(planned.run, step.number))
    )


def _field(field: Plain) -> QuestionFieldView:
    assert isinstance(field, Mapping)
    choices = field.get("choices")
    given = tuple(map(str, choices)) if isinstance(choices, list | tuple) else ()
    return QuestionFieldView(str(field["name"]), str(field.get("type", "text")), str(field.get("label", "")), given)
