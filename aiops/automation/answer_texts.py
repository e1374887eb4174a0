"""Answers in the texts of steps, {answer.NAME}: which of them no earlier step asks for, or stand where none may."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aiops.automation.action import Plain

ASK: Final = "human.ask"
"""Kind of the step that asks."""
ANSWER: Final = re.compile(r"\{answer\.([a-z][a-z0-9_]{0,39})\}")
"""What stands for the answer to an earlier question: it is filled in just before the step acts."""
TAKES_ANSWERS: Final = frozenset({"dagster.job", "notify"})
"""Kinds of steps that may hold answers: what others do is approved for the very values of the plan."""
_RULE: Final = f"is approved for its very values; only {' and '.join(sorted(TAKES_ANSWERS))} take answers"


@dataclass(frozen=True, slots=True)
class AnswerFault:
    """What is wrong with a text, and its path from the list of steps."""

    path: tuple[int | str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class _AnswerAt:
    path: tuple[int | str, ...]
    name: str


def answer_faults(steps: Plain) -> Iterator[AnswerFault]:
    """Yield what is wrong with answers in steps as a file has them, whatever else is wrong with them."""
    asked: set[str] = set()
    for number, step in enumerate(steps if isinstance(steps, list | tuple) else ()):
        if not isinstance(step, Mapping):
            continue
        action, parameters = step.get("action"), step.get("with")
        for answer in _answers(parameters, (number, "with")):
            if action not in TAKES_ANSWERS:
                yield AnswerFault(answer.path, f"{{answer.{answer.name}}}: {action} {_RULE}")
            elif answer.name not in asked:
                known = ", ".join(sorted(asked)) or "none"
                yield AnswerFault(answer.path, f"{{answer.{answer.name}}}: no earlier step asks for it; asked for: {known}")
        if action == ASK and isinstance(parameters, Mapping):
            asked |= set(_names(parameters.get("fields")))


def _names(fields: Plain) -> Iterator[str]:
    for field in fields if isinstance(fields, list | tuple) else ():
        if isinstance(field, Mapping):
            yield str(field.get("name"))


def _answers(value: Plain, path: tuple[int | str, ...]) -> Iterator[_AnswerAt]:
    if isinstance(value, str):
        for name in ANSWER.findall(value):
            yield _AnswerAt(path, name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _answers(item, (*path, key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _answers(item, (*path, number))
