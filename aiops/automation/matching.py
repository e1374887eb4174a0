"""Which runbooks fit an incident, and which part of its expression keeps each of the others from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiops.automation.condition_parts import FactShown, FailedPart, failed_parts
from aiops.automation.expressions import condition
from aiops.automation.fact_names import Facts, Scope
from aiops.automation.runbook import Runbook
from aiops.automation.runbook_text import VersionedRunbook

_NAMED: Final = "name:"
_TARGET_FACTS: Final = {"cause": "cause.service", "symptom": "incident.symptom"}


@dataclass(frozen=True, slots=True)
class RunbookMatch:
    """Whether a runbook fits; `failed` says why it does not, `service` on whom it would act ("" = on nobody)."""

    runbook: VersionedRunbook
    service: str
    failed: tuple[FailedPart, ...]

    @property
    def fits(self) -> bool:
        """Return whether it does."""
        return not self.failed


def target_of(runbook: Runbook, facts: Facts) -> str:
    """Return the service that a runbook acts on, "" where the incident does not say whom."""
    chosen = runbook.target.service
    if chosen.startswith(_NAMED):
        return chosen.removeprefix(_NAMED)
    return str(facts.get(_TARGET_FACTS[chosen], ""))


def match_of(runbook: VersionedRunbook, facts: Facts) -> RunbookMatch:
    """Return whether a runbook fits the facts of an incident."""
    failed = failed_parts(runbook.runbook.match, Scope.MATCH, facts)
    service = target_of(runbook.runbook, facts)
    if not service:
        chosen = runbook.runbook.target.service
        name = _TARGET_FACTS[chosen]
        failed = (*failed, FailedPart(f"target.service: {chosen}", f"{name} is not known", (FactShown(name, None),)))
    return RunbookMatch(runbook, service, failed)


def matches(runbooks: Iterable[VersionedRunbook], facts: Facts) -> tuple[RunbookMatch, ...]:
    """Return what each runbook says to the facts: those that fit first, of them the one that asks for most facts first."""
    return tuple(sorted((match_of(runbook, facts) for runbook in runbooks), key=_order))


def _order(match: RunbookMatch) -> tuple[bool, int, str]:
    return not match.fits, -len(condition(match.runbook.runbook.match, Scope.MATCH).names), match.runbook.name
