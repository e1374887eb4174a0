"""Actions on a target whose state can be read: both halves of them, made of the little that a kind has to say.

The state is a few plain values. A plan holds the state read and the one wanted; acting is compare-and-swap from the first to the
second, undoing from the second to the first; a probe reads and compares. So no kind has rules of its own for what a kill left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiops.automation.action import Action, ActionRequest, Outcome, PlainMapping, PlannedStep, Risk
from aiops.errors import ConfigurationError, ContractError, StepRefused, Unavailable
from serving.automation.actions.action_kind import ActionKind, KindPlanner


@dataclass(frozen=True, slots=True)
class StateChange:
    """What a request comes to, from the state `before` that was read; `undo` in words, "" = it cannot be taken back.

    `parameters`: what acting needs, with all that was left open filled in; no secrets, only references.
    """

    target: str
    parameters: PlainMapping
    before: PlainMapping
    after: PlainMapping
    difference: str
    effect: str
    undo: str = ""
    risk: Risk = Risk.LOW
    replica_share: float = 1.0


class StateKind(ActionKind, Protocol):
    """One kind of target."""

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return the state of the target.

        Raises:
            ContractError: the parameters cannot be used, or there is no such target.
            Unavailable: it does not answer.
        """
        ...

    def change(self, request: ActionRequest) -> StateChange:
        """Read the target and return what the request comes to.

        Raises:
            ContractError: the parameters cannot be used, on this state or at all, or there is no such target.
            Unavailable: it does not answer.
        """
        ...

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Bring the target from the other of the step's two states `into` this one.

        Raises:
            StepRefused: surely nothing was changed.
            Unavailable: it is not known whether something was changed.
        """
        ...

    def outcome(self, step: PlannedStep, now: PlainMapping) -> Outcome:
        """Return in which of the step's states the target is; for most kinds this is `compared`."""
        ...


def compared(step: PlannedStep, now: PlainMapping) -> Outcome:
    """Return the outcome where states are equal or not."""
    if now == step.after:
        return Outcome.NEW
    return Outcome.OLD if now == step.before else Outcome.OTHER


Rehearsal = Callable[[PlannedStep], None]
"""Asks a target whether it would take a step, with no effect; raises ContractError where it would not."""


def state_action(kind: StateKind, rehearsal: Rehearsal | None = None) -> Action:
    """Return both halves of the actions of a kind."""
    return Action(StatePlanner(kind, rehearsal), StateRunner(kind))


class StatePlanner(KindPlanner[StateKind]):
    """The half that reads."""

    def __init__(self, kind: StateKind, rehearsal: Rehearsal | None) -> None:
        super().__init__(kind)
        self._rehearsal = rehearsal

    def plan(self, request: ActionRequest) -> PlannedStep:
        """Return what would be done; see `ActionPlanner.plan`.

        Raises:
            ContractError: the parameters cannot be used, or the target is in the wanted state already.
            Unavailable: the target does not answer.
        """
        change = self._kind.change(request)
        if change.after == change.before:
            raise ContractError(f"action {request.action}: {change.target} is so already ({change.difference}): nothing to do")
        step = step_of(request, change)
        if self._rehearsal is not None:
            self._rehearsal(step)
        return step

    def probe(self, step: PlannedStep, key: str = "") -> Outcome:
        """Return in which state the target is now; see `ActionPlanner.probe`."""
        try:
            return self._kind.outcome(step, self._kind.read(request_of(step)))
        except (Unavailable, ContractError, ConfigurationError):
            return Outcome.UNKNOWN


class StateRunner:
    """The half that acts."""

    def __init__(self, kind: StateKind) -> None:
        self._kind = kind

    def apply(self, step: PlannedStep, key: str) -> None:
        """Bring the target into the state after the step; see `ActionRunner.apply`.

        Raises:
            StepRefused: surely nothing was changed.
            Unavailable: it is not known whether something was changed.
        """
        self._kind.swap(step, step.after, key)

    def undo(self, step: PlannedStep, key: str) -> None:
        """Bring the target back; see `ActionRunner.undo`.

        Raises:
            StepRefused: surely nothing was changed.
            Unavailable: it is not known whether something was changed.
        """
        if not step.undo:
            raise StepRefused(f"action {step.action}: {step.target} cannot be taken back; bring it into order by hand")
        self._kind.swap(step, step.before, key)


def step_of(request: ActionRequest, change: StateChange) -> PlannedStep:
    """Return what a request comes to, as step number 0."""
    return PlannedStep(
        number=0,
        action=request.action,
        service=request.service,
        target=change.target,
        parameters=change.parameters,
        before=change.before,
        after=change.after,
        difference=change.difference,
        risk=change.risk,
        undo=change.undo,
        replica_share=change.replica_share,
        effect=change.effect,
    )


def request_of(step: PlannedStep) -> ActionRequest:
    """Return the request that a planned step answers, with what was left open filled in."""
    return ActionRequest(step.action, step.service, step.parameters)


def refuse_changed(step: PlannedStep, into: PlainMapping, now: PlainMapping) -> None:
    """Check that the target is in the state that a swap starts from.

    Raises:
        StepRefused: somebody else has changed it.
    """
    expected = origin(step, into)
    if now != expected:
        raise StepRefused(
            f"{step.target} is {dict(now)}, not {dict(expected)} as planned: somebody else has changed it; make a new plan"
        )


def origin(step: PlannedStep, into: PlainMapping) -> PlainMapping:
    """Return the state that a swap starts from."""
    return step.before if into == step.after else step.after
