"""Both halves of the actions on a simulated application, by compare-and-swap on how a service stands."""

from collections.abc import Mapping
from typing import Final

from aiops.automation.action import Action, ActionRequest, Outcome, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused
from aiops.simulator.simulated_action import Standing
from orchestration.simulated_actions.acted_world import ActedWorld
from orchestration.simulated_actions.simulated_kinds import KINDS, SimulatedKind

_TOLERANCE: Final = 1e-9


def simulated_actions(world: ActedWorld) -> Mapping[str, Action]:
    """Return every kind of action on a world, by its name in runbooks."""
    return {name: Action(SimulatedPlanner(world, kind), SimulatedRunner(world, kind)) for name, kind in KINDS.items()}


class SimulatedPlanner:
    """The half that reads."""

    def __init__(self, world: ActedWorld, kind: SimulatedKind) -> None:
        self._world = world
        self._kind = kind

    @property
    def kind(self) -> str:
        """Return the name in runbooks."""
        return self._kind.name

    @property
    def risk(self) -> Risk:
        """Return the risk of each step of this kind."""
        return self._kind.risk

    def plan(self, request: ActionRequest) -> PlannedStep:
        """Return what would be done.

        Raises:
            ContractError: there is no such service, a parameter cannot be used, or the service stands so already.
        """
        kind = self._kind
        standing = self._world.standing(request.service)
        before = kind.read(standing)
        after = kind.wanted(request, before)
        if abs(after - before) < _TOLERANCE:
            raise ContractError(f"action {kind.name}: {kind.part} of {request.service} is {before:g} already: nothing to do")
        return PlannedStep(
            number=0,
            action=kind.name,
            service=request.service,
            target=f"simulated {request.service} {kind.part}",
            parameters=dict(request.parameters),
            before=_state(kind, standing, before),
            after=_state(kind, standing, after),
            difference=f"{kind.part} of {request.service}: {before:g} → {after:g}",
            risk=kind.risk,
            undo="" if kind.event_amount is not None else f"sets {kind.part} back to {before:g}",
            replica_share=kind.replica_share,
            effect=kind.effect,
        )

    def probe(self, step: PlannedStep, key: str = "") -> Outcome:
        """Return in which state the service is now."""
        try:
            now = _state_of(self._kind, self._world.standing(step.service))
        except ContractError:
            return Outcome.UNKNOWN
        if now == step.after:
            return Outcome.NEW
        return Outcome.OLD if now == step.before else Outcome.OTHER


class SimulatedRunner:
    """The half that acts."""

    def __init__(self, world: ActedWorld, kind: SimulatedKind) -> None:
        self._world = world
        self._kind = kind

    def apply(self, step: PlannedStep, key: str) -> None:
        """Bring the service into the state after the step.

        Raises:
            StepRefused: it is not in the state before it any more.
        """
        self._swap(step, step.before, step.after)

    def undo(self, step: PlannedStep, key: str) -> None:
        """Bring the service back into the state before the step.

        Raises:
            StepRefused: somebody else has changed it, or it cannot be undone.
        """
        if not step.undo:
            raise StepRefused(f"action {step.action}: {step.target} cannot be taken back")
        self._swap(step, step.after, step.before)

    def _swap(self, step: PlannedStep, origin: PlainMapping, into: PlainMapping) -> None:
        kind = self._kind
        amount = kind.event_amount if kind.event_amount is not None else float(str(into[kind.part]))
        self._world.act(step.service, kind.reaction, amount, lambda standing: _state_of(kind, standing) == origin)


def _state_of(kind: SimulatedKind, standing: Standing) -> PlainMapping:
    return _state(kind, standing, kind.read(standing))


def _state(kind: SimulatedKind, standing: Standing, value: float) -> PlainMapping:
    """Return what a plan holds of a service: the part that a kind changes, and the replicas that it touches in turn."""
    state = {kind.part: int(value) if float(value).is_integer() else round(value, 9)}
    return {**state, "replicas": standing.replicas} if kind.of_replicas else state
