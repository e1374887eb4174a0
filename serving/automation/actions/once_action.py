"""Actions that bring something about once, such as a launched job or a message: it bears the step's key and is found by it."""

from typing import Protocol

from aiops.automation.action import Action, ActionRequest, Outcome, PlannedStep
from aiops.errors import ConfigurationError, ContractError, StepRefused, Unavailable
from serving.automation.actions.action_kind import ActionKind, KindPlanner
from serving.automation.actions.state_action import StateChange, step_of

UNDONE_NEVER = "it cannot be taken back"


class OnceKind(ActionKind, Protocol):
    """One kind of thing that is brought about once; its change has no undo."""

    def change(self, request: ActionRequest) -> StateChange:
        """Return what the request comes to, reading only.

        Raises:
            ContractError: the parameters cannot be used, or what they name is not there.
            Unavailable: a system does not answer.
        """
        ...

    def is_done(self, step: PlannedStep, key: str) -> bool:
        """Return whether what bears this key is there.

        Raises:
            Unavailable: that cannot be said now.
        """
        ...

    def bring_about(self, step: PlannedStep, key: str) -> None:
        """Do it, with the key on it.

        Raises:
            StepRefused: surely nothing was done.
            Unavailable: it is not known whether it was done.
        """
        ...


class OncePlanner(KindPlanner[OnceKind]):
    """The half that reads."""

    def plan(self, request: ActionRequest) -> PlannedStep:
        """Return what would be done; see `ActionPlanner.plan`."""
        return step_of(request, self._kind.change(request))

    def probe(self, step: PlannedStep, key: str = "") -> Outcome:
        """Return whether it is done; without a key nothing was told to do it."""
        if not key:
            return Outcome.OLD
        try:
            return Outcome.NEW if self._kind.is_done(step, key) else Outcome.OLD
        except (Unavailable, ContractError, ConfigurationError):
            return Outcome.UNKNOWN


class OnceRunner:
    """The half that acts."""

    def __init__(self, kind: OnceKind) -> None:
        self._kind = kind

    def apply(self, step: PlannedStep, key: str) -> None:
        """Do it where nothing bears the key yet; see `ActionRunner.apply`.

        Raises:
            StepRefused: surely nothing was done.
            Unavailable: it is not known whether it was done.
        """
        if not self._kind.is_done(step, key):
            self._kind.bring_about(step, key)

    def undo(self, step: PlannedStep, key: str) -> None:
        """Refuse: it cannot be taken back.

        Raises:
            StepRefused: always.
        """
        raise StepRefused(f"action {step.action}: {step.target} {UNDONE_NEVER}")


def once_action(kind: OnceKind) -> Action:
    """Return both halves of the actions of a kind."""
    return Action(OncePlanner(kind), OnceRunner(kind))
