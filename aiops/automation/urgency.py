"""Who has to know of a line of the run log. The same line has the same urgency, whoever reads it and when."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from aiops.automation.progress import ESCALATED, HELD
from aiops.automation.questions import ASKS
from aiops.automation.run import RunEvent, RunState
from aiops.automation.run_ledger import PlannedRun
from aiops.automation.runbook import AfterVerdict, Verify
from aiops.automation.service_state import Verdict


class Urgency(IntEnum):
    """Who has to know: nobody, the channels, who is on call, and who is on call before everything else."""

    NONE = 0
    NOTICE = 1
    PAGE = 2
    ALARM = 3


_ACTING: Final = frozenset({RunState.ACTING, RunState.SETTLING, RunState.UNDOING})
_OF_STATES: Final = {RunState.UNDO_FAILED: Urgency.ALARM, RunState.UNCLEAR: Urgency.PAGE, RunState.UNDONE: Urgency.PAGE}


def urgencies(planned: PlannedRun) -> Iterator[tuple[RunEvent, Urgency]]:
    """Yield the lines of a run log, the oldest first, each with its urgency."""
    before: RunState | None = None
    for event in planned.run.events:
        yield event, _urgency(event, before, planned.plan.terms.verify)
        before = event.state


def _urgency(event: RunEvent, before: RunState | None, verify: Verify) -> Urgency:
    if event.what.startswith((ESCALATED, ASKS)):
        return Urgency.PAGE
    if event.what.startswith(HELD):
        return Urgency.NOTICE
    if event.state is RunState.STOPPED and before in _ACTING:
        return Urgency.PAGE
    if event.state is before:
        return Urgency.NONE
    follows = _follows(event, verify)
    if follows is not None and event.state in (RunState.CURED, RunState.UNCLEAR):
        return Urgency.PAGE if follows == "page" else Urgency.NOTICE
    return _OF_STATES.get(event.state, Urgency.NOTICE)


def _follows(event: RunEvent, verify: Verify) -> AfterVerdict | None:
    """Return what the runbook says is to follow from the verdict that a line gives; None where it gives none that it says."""
    after_verdicts = {Verdict.BETTER: verify.on_better, Verdict.WORSE: verify.on_worse, Verdict.UNCLEAR: verify.on_unclear}
    follows = next((after for verdict, after in after_verdicts.items() if event.what.startswith(f"{verdict}: ")), None)
    return None if follows == "undo" else follows
