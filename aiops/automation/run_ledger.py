"""The port to the run log: each method is one transaction, and refuses what the rules of the time do not allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from aiops.automation.earning import Hold, Standing
from aiops.automation.plan import Plan
from aiops.automation.run import SUITE, Answer, Approval, Run, RunState, StepRun


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A plan with its run as it stands; `revision` grows with each change of the run."""

    plan: Plan
    run: Run
    revision: int


class Remainder(StrEnum):
    """What becomes of runs that act when the switch is turned off."""

    FINISH = "finish"
    """they go on to their end, with verification and undo"""
    UNDO = "undo"
    """what they did is taken back"""
    STOP = "stop"
    """everything is left as it is, and a person is paged"""


@dataclass(frozen=True, slots=True)
class Switch:
    """Whether anything may be begun: `on` False stops all that is new at once. Where it cannot be read, it is off.

    `remainder`: what becomes of runs that act while it is off.
    """

    on: bool
    changed_at: datetime | None = None
    by: str = ""
    note: str = ""
    remainder: Remainder = Remainder.FINISH


@dataclass(frozen=True, slots=True)
class RunChange:
    """What a run becomes: a state, the steps that changed, and a line for its log; `what` "" = no line."""

    state: RunState
    at: datetime
    steps: Sequence[StepRun] = ()
    what: str = ""
    by: str = SUITE


class RunLedger(Protocol):
    """Plans and runs of one tenant, durable: what a method returned survives kill -9 of any process."""

    def propose(self, plan: Plan) -> PlannedRun:
        """Store a plan that waits; where an open plan of the incident has its fingerprint, that one is returned instead."""
        ...

    def approve(self, plan_id: str, approval: Approval, role: str) -> PlannedRun:
        """Approve a plan for what it is. `approval.earned`: nobody approves, the runbook has earned it; `role` does not count.

        Raises:
            RunRefused: it does not wait, has expired, is another fingerprint, the role is too low, the requester may not
                approve, nothing is earned, or the switch is off.
            ContractError: no such plan.
        """
        ...

    def begin(self, fresh: Plan, planned: PlannedRun, at: datetime) -> PlannedRun:
        """Let an approved run act, with all bounds counted in the same transaction; `fresh` is the plan made anew just now.

        Raises:
            RunRefused: the fingerprint differs, a need does not hold, a bound is reached, a target is taken or the switch is off.
                What the run has become is stored.
            FencedError: another process has changed the run.
        """
        ...

    def change(self, planned: PlannedRun, change: RunChange) -> PlannedRun:
        """Store what a run becomes.

        Raises:
            FencedError: another process has changed the run since `planned` was read.
            ContractError: the state cannot follow.
        """
        ...

    def get(self, plan_id: str) -> PlannedRun:
        """Return a plan with its run, named by its id or a unique beginning of it.

        Raises:
            ContractError: none, or several, are named so.
        """
        ...

    def reject(self, plan_id: str, by: str, at: datetime, note: str = "") -> PlannedRun:
        """End a plan that waits, or that was approved and has not begun, because a person says no.

        Raises:
            RunRefused: it acts already, or has ended.
            ContractError: no such plan.
        """
        ...

    def answer(self, plan_id: str, answer: Answer) -> PlannedRun:
        """Store a person's answer to what a run asks; it goes on, or takes back what it did where the person declines.

        Raises:
            ContractError: no such plan, it asks nothing now, or the answer does not fit the question.
        """
        ...

    def standing(self, plan: Plan) -> Standing:
        """Return what the plan's runbook has earned on its service, and why the plan may not run alone, where it may not."""
        ...

    def standings(self) -> Sequence[Standing]:
        """Return what each runbook has earned on each service where it ran, or where people hold it back."""
        ...

    def hold(self, hold: Hold, held: bool) -> None:
        """Hold a runbook back on a service, so that a person approves each run, whatever it has earned; or no longer."""
        ...

    def open_runs(self) -> Sequence[PlannedRun]:
        """Return all that have not ended, the oldest first."""
        ...

    def switch(self) -> Switch:
        """Return whether anything may be begun; off where it cannot be read."""
        ...

    def turn(self, switch: Switch) -> None:
        """Turn the switch. Who acts looks at it before each step and does with what runs as it says.

        Raises:
            ContractError: it does not say who turns it, and when.
        """
        ...
