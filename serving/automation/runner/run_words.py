"""A line of the run log as people read it in the timeline of an incident and in notifications."""

from typing import Final

from aiops.automation.run import SUITE, RunEvent, RunState
from aiops.automation.run_ledger import PlannedRun

_WORDS: Final = {
    RunState.WAITING: "plan waits",
    RunState.APPROVED: "plan approved",
    RunState.ACTING: "acts",
    RunState.SETTLING: "acted",
    RunState.UNDOING: "takes back",
    RunState.CHECKING: "taken back",
    RunState.CURED: "cured",
    RunState.UNDONE: "undone",
    RunState.UNCLEAR: "unclear, please look",
    RunState.UNDO_FAILED: "UNDO FAILED, act at once",
    RunState.FAILED: "failed",
    RunState.REFUSED: "plan refused",
    RunState.EXPIRED: "plan expired",
    RunState.STOPPED: "stopped",
}


def timeline_words(planned: PlannedRun, event: RunEvent) -> str:
    """Return a line for the timeline of the incident: what became of the run, then what the run log says of it."""
    plan = planned.plan
    return f"{_WORDS[event.state]}: {plan.runbook} on {', '.join(plan.services)}: {event.what}"


def headline(planned: PlannedRun, event: RunEvent) -> str:
    """Return the one line of a notification."""
    plan = planned.plan
    by = f" by {event.by}" if event.by != SUITE else ""
    return f"{_WORDS[event.state]}{by}: {plan.title} ({', '.join(plan.services)}): {event.what}"
