"""The port to the run log: each method is one transaction, and refuses what the rules of the time do not allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aiops.automation.plan import Plan
from aiops.automation.run import Approval, Run, RunState, StepRun


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A plan with its run as it stands; `revision` grows with each change of the run."""

    plan: Plan
    run: Run
    revision: int


@dataclass(frozen=True, slots=True)
class Switch:
    """Whether anything may be begun: `on` False stops all that is new at once. Where it cannot be read, it is off."""

    on: bool
    changed_at: datetime | None = None
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunChange:
    """What a run becomes: a state, the steps that changed, and a line for its log; `what` "" = no line."""

    state: RunState
    at: datetime
    steps: Sequence[StepRun] = ()
    what: str = ""
    by: str = "suite"


class RunLedger(Protocol):
    """Plans and runs of one tenant, durable: what a method returned survives kill -9 of any process."""

    def propose(self, plan: Plan) -> PlannedRun:
        """Store a plan that waits; where an open plan of the incident has its fingerprint, that one is returned instead."""
        ...

    def approve(self, plan_id: str, approval: Approval, role: str) -> PlannedRun:
        """Approve a plan for what it is.

        Raises:
            RunRefused: it does not wait, has expired, is another fingerprint, the role is too low, the requester may not
                approve, or the switch is off.
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

    def open_runs(self) -> Sequence[PlannedRun]:
        """Return all that have not ended, the oldest first."""
        ...

    def switch(self) -> Switch:
        """Return whether anything may be begun; off where it cannot be read."""
        ...
