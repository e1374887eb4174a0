"""Placeholders in the parameters of steps: {service}, {incident}, {symptom} and the identifiers among the facts."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aiops.automation.action import Plain
from aiops.automation.answer_texts import ANSWER
from aiops.automation.fact_names import FILLABLE, Facts
from aiops.errors import ContractError, legible

_BRACE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_IDENTIFIER: Final = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._:/@-]{0,252}")
SAMPLE: Final[Mapping[str, str]] = dict.fromkeys(FILLABLE, "name")
"""Something for each placeholder, for checks of what does not depend on it."""


@dataclass(frozen=True, slots=True)
class PlaceholderFault:
    """What is wrong with a text, and at which of its characters, from 0."""

    message: str
    offset: int


def placeholder_faults(text: str) -> Iterator[PlaceholderFault]:
    """Yield what cannot be filled in.

    >>> [fault.message for fault in placeholder_faults("{service} {{as it is}} {colour}")]
    ['{colour} cannot be filled in; known: {service}, {incident}, {symptom}, {incident.id}, {incident.symptom}, {cause.service}, \
{change.id}, {change.service}; a brace itself is written twice']
    """
    known = ", ".join(f"{{{name}}}" for name in FILLABLE)
    for match in _BRACE.finditer(text):
        if match[0] not in ("{{", "}}") and match[1] not in FILLABLE and not ANSWER.fullmatch(match[0]):
            rule = f"cannot be filled in; known: {known}; a brace itself is written twice"
            yield PlaceholderFault(f"{legible(match[0])} {rule}", match.start())


def fillings(service: str, facts: Facts) -> Mapping[str, str]:
    """Return what placeholders stand for, for a plan that acts on a service; those that are not known are absent."""
    values = {name: str(facts[name]) for name in FILLABLE if name in facts}
    for name, fact in (("incident", "incident.id"), ("symptom", "incident.symptom")):
        if fact in facts:
            values[name] = str(facts[fact])
    return values | {"service": service}


def filled(value: Plain, values: Mapping[str, str]) -> Plain:
    """Return a parameter with its texts filled in, keys as they are, and what stands for answers, too.

    Raises:
        ContractError: a placeholder is not known here, or what it stands for is more than a name.
    """
    if isinstance(value, str):
        return _BRACE.sub(lambda match: _filling(match, values), value)
    if isinstance(value, Mapping):
        return {name: filled(item, values) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, values) for item in value]
    return value


def _filling(match: re.Match[str], values: Mapping[str, str]) -> str:
    if match[0] in ("{{", "}}"):
        return match[0][0]
    if ANSWER.fullmatch(match[0]):
        return match[0]
    name = match[1]
    if name not in values:
        raise ContractError(f"{legible(match[0])}: the incident does not say it; make it part of the runbook's match")
    if not _IDENTIFIER.fullmatch(values[name]):
        raise ContractError(
            f"{match[0]} = {legible(values[name])!r}: only letters, digits and ._:/@- are filled into a parameter, no .. and no"
            " sign in front; rename it, or write the parameter out"
        )
    return values[name]
