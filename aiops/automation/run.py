"""Runs: the state machine from a plan that waits to an end, and what each step of it has come to. Every change is a new value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from aiops.errors import ContractError

SUITE: Final = "suite"
"""Who asks for plans and acts where no person does."""


class RunState(StrEnum):
    """Where a run stands."""

    WAITING = "waiting"
    """planned; nobody has approved it"""
    APPROVED = "approved"
    ACTING = "acting"
    SETTLING = "settling"
    """all steps are done; whether it helped is not known yet"""
    UNDOING = "undoing"
    CHECKING = "checking"
    """undone; verified again"""
    CURED = "cured"
    UNDONE = "undone"
    UNCLEAR = "unclear"
    """nobody can say whether it helped, or what a step has done: a person is paged"""
    UNDO_FAILED = "undo_failed"
    FAILED = "failed"
    """a step was refused, and what ran before it was taken back"""
    REFUSED = "refused"
    """a person said no, or a bound or a need did when it was to begin"""
    EXPIRED = "expired"
    STOPPED = "stopped"
    """ended by the kill switch"""


ENDED: Final = frozenset(
    {
        RunState.CURED,
        RunState.UNDONE,
        RunState.UNCLEAR,
        RunState.UNDO_FAILED,
        RunState.FAILED,
        RunState.REFUSED,
        RunState.EXPIRED,
        RunState.STOPPED,
    }
)
BEFORE_ACTING: Final = frozenset({RunState.WAITING, RunState.APPROVED})
"""Nothing is changed yet."""
_ENDS_BEFORE_ACTING: Final = frozenset({RunState.REFUSED, RunState.EXPIRED, RunState.STOPPED})
NEXT_STATES: Final[Mapping[RunState, frozenset[RunState]]] = {
    RunState.WAITING: _ENDS_BEFORE_ACTING | {RunState.APPROVED},
    RunState.APPROVED: _ENDS_BEFORE_ACTING | {RunState.ACTING},
    RunState.ACTING: frozenset({RunState.SETTLING, RunState.UNDOING, RunState.FAILED, RunState.UNCLEAR, RunState.STOPPED}),
    RunState.SETTLING: frozenset({RunState.CURED, RunState.UNDOING, RunState.UNCLEAR, RunState.STOPPED}),
    RunState.UNDOING: frozenset({RunState.CHECKING, RunState.UNDO_FAILED, RunState.UNCLEAR, RunState.FAILED, RunState.STOPPED}),
    RunState.CHECKING: frozenset({RunState.UNDONE, RunState.UNCLEAR}),
} | {state: frozenset() for state in ENDED}
"""What may follow what."""


class StepState(StrEnum):
    """Where a step stands. The intended states are committed before the effect: after a kill they are probed, never repeated."""

    PENDING = "pending"
    INTENDED = "intended"
    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    UNDO_INTENDED = "undo_intended"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of a run: `tries` counts effects that were intended; `note` says what came of it, in words.

    `answers`: what a person said to a question, by the names of its fields.
    """

    number: int
    state: StepState = StepState.PENDING
    tries: int = 0
    at: datetime | None = None
    note: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person says to a question: a value for each field, or no at all (`declined`)."""

    by: str
    at: datetime
    values: Mapping[str, str]
    declined: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """Who said yes, to which fingerprint, when; `earned` = nobody: the runbook has earned to run alone on this service.

    `bound`: a token that was checked says that it is `by`; without it a name is only what somebody has typed.
    """

    by: str
    at: datetime
    fingerprint: str
    earned: bool = False
    note: str = ""
    bound: bool = False


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A line of the run log."""

    at: datetime
    state: RunState
    what: str
    by: str = SUITE


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a plan; `run_id` is the plan's id: a plan runs once at most. `events` are its log, the oldest first."""

    run_id: str
    state: RunState
    changed_at: datetime
    steps: tuple[StepRun, ...]
    approval: Approval | None = None
    events: tuple[RunEvent, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Return whether nothing follows."""
        return self.state in ENDED

    @property
    def began_at(self) -> datetime | None:
        """Return when it began to act, None where it has not."""
        return next((event.at for event in self.events if event.state is RunState.ACTING), None)


def run_may_follow(run: Run, after: RunState) -> None:
    """Check a transition.

    Raises:
        ContractError: the state cannot follow.
    """
    if after not in NEXT_STATES[run.state]:
        allowed = ", ".join(sorted(NEXT_STATES[run.state])) or "nothing: it has ended"
        raise ContractError(f"run {run.run_id}: state={after} cannot follow {run.state}; possible: {allowed}")
