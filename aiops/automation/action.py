"""Actions as values: what a step would change, on what, from which state into which, and how it is taken back.

Reading and acting are two ports: who plans holds an `ActionPlanner` and has no way to act, only a runner holds an `ActionRunner`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Plain = str | int | float | bool | None | Sequence["Plain"] | Mapping[str, "Plain"]
"""What JSON can say."""
PlainMapping = Mapping[str, Plain]


class Risk(StrEnum):
    """What an action may cost: `low` is reversible and small, `high` takes a person each time, `destructive` loses something."""

    LOW = "low"
    HIGH = "high"
    DESTRUCTIVE = "destructive"


class Outcome(StrEnum):
    """In which state a target is: as before the step, as after it, as neither of them, or it cannot be said."""

    OLD = "old"
    NEW = "new"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """A step of a runbook with its texts filled in: which action, for which service, with which parameters.

    Secrets stand in `parameters` as references (`env:NAME`, `file:PATH`), never as values.
    """

    action: str
    service: str
    parameters: PlainMapping


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a plan. `before` is the state read when it was planned, `after` the one that it leads to.

    `target` names what is touched, the same for the same thing in all runbooks: at most one run acts on a target at a time.
    `undo` says in words how it is taken back, "" = it cannot be. `replica_share`: part of the service's replicas that it touches
    at once, 0..1. `effect` says what it is expected to bring.
    """

    number: int
    action: str
    service: str
    target: str
    parameters: PlainMapping
    before: PlainMapping
    after: PlainMapping
    difference: str
    risk: Risk
    undo: str = ""
    replica_share: float = 1.0
    timeout_s: float = 60.0
    retries: int = 0
    effect: str = ""


class ActionPlanner(Protocol):
    """The half of an action that only reads."""

    @property
    def kind(self) -> str:
        """Name in runbooks, for example kubernetes.rollback."""
        ...

    @property
    def risk(self) -> Risk:
        """Least risk of any step of this kind."""
        ...

    def plan(self, request: ActionRequest) -> PlannedStep:
        """Read the target and return what the action would do, as step number 0.

        Raises:
            ContractError: a parameter is missing, unknown or of the wrong type; the message names it.
            Unavailable: the target does not answer.
        """
        ...

    def probe(self, step: PlannedStep, key: str = "") -> Outcome:
        """Read in which state the target is now; `UNKNOWN` where it does not answer or does not say.

        `key`: that of the step's tries (see `ActionRunner`), by which a target may know what it was told; "" = none was made.
        """
        ...


class ActionRunner(Protocol):
    """The half of an action that changes something. `key` is the same for each try of a step, and for no other step.

    Both methods return when the target has been told; whether the state is reached is asked by `ActionPlanner.probe`.
    """

    def apply(self, step: PlannedStep, key: str) -> None:
        """Bring the target from `before` into `after`.

        Raises:
            StepRefused: surely nothing was changed: the target refuses, or is not in the state `before` any more.
            Unavailable: it is not known whether something was changed.
        """
        ...

    def undo(self, step: PlannedStep, key: str) -> None:
        """Bring the target from `after` back into `before`, by compare-and-swap.

        Raises:
            StepRefused: surely nothing was changed: somebody else has changed the target, or it cannot be undone.
            Unavailable: it is not known whether something was changed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Action:
    """Both halves of one kind of action; `runner` None = it can be planned and probed only."""

    planner: ActionPlanner
    runner: ActionRunner | None
