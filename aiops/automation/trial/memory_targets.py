"""Actions on targets in memory. They behave as real ones do, and count what was done.

A target is a service under a kind of action. Its state says how often it was changed, with which parameters last; so a step that
is repeated leaves a state that is neither its old nor its new one.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from aiops.automation.action import Action, ActionRequest, Outcome, PlainMapping, PlannedStep, Risk
from aiops.errors import StepRefused

REPLICAS: Final = 3


class ProcessKilled(BaseException):
    """The process that carries out a run is gone: nothing after it happens, and another one goes on."""


@dataclass(frozen=True, slots=True)
class MemoryKind:
    """A kind of action as it behaves in memory: its risk, and whether a step with these parameters can be taken back."""

    kind: str
    risk: Risk = Risk.LOW
    can_be_undone: Callable[[PlainMapping], bool] = lambda _: True


@dataclass(slots=True)
class MemoryTargets:
    """The targets, by name, and how often each was changed; made when first read. Not thread-safe.

    `kills`: who brings a target into its new state is killed right after it, before it can say so.
    """

    replicas: int = REPLICAS
    states: dict[str, PlainMapping] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    kills: bool = False

    def read(self, target: str) -> PlainMapping:
        """Return a target's state."""
        return self.states.setdefault(target, {"replicas": self.replicas, "changed": 0, "by": ""})

    def replace(self, target: str, expected: PlainMapping, into: PlainMapping) -> None:
        """Bring a target from one state into another, by compare-and-swap.

        Raises:
            StepRefused: it is in another state.
        """
        if self.read(target) != expected:
            raise StepRefused(f"{target} is in another state than planned; nothing was changed")
        self.states[target] = into
        self.changes[target] = self.changes.get(target, 0) + 1

    def disturb(self, target: str) -> None:
        """Change a target as somebody else would."""
        self.states[target] = {**self.read(target), "by": "somebody else"}


def memory_actions(kinds: Mapping[str, MemoryKind], targets: MemoryTargets) -> Mapping[str, Action]:
    """Return actions of some kinds on targets in memory, both halves."""
    return {name: Action(MemoryPlanner(kind, targets), MemoryRunner(targets)) for name, kind in kinds.items()}


@dataclass(frozen=True, slots=True)
class MemoryPlanner:
    """Implements `ActionPlanner`."""

    own: MemoryKind
    targets: MemoryTargets

    @property
    def kind(self) -> str:
        """Return the name in runbooks."""
        return self.own.kind

    @property
    def risk(self) -> Risk:
        """Return the risk."""
        return self.own.risk

    def plan(self, request: ActionRequest) -> PlannedStep:
        """Return the step that changes the target once more."""
        target = f"{self.kind} of {request.service}"
        before = self.targets.read(target)
        after = {**before, "changed": int(str(before["changed"])) + 1, "by": _digest(request.parameters)}
        return PlannedStep(
            number=0,
            action=self.kind,
            service=request.service,
            target=target,
            parameters=request.parameters,
            before=before,
            after=after,
            difference=f"{self.kind} on {request.service}",
            risk=self.risk,
            undo=f"puts {target} back" if self.own.can_be_undone(request.parameters) else "",
            replica_share=1.0 / max(1, self.targets.replicas),
            effect=f"{request.service} after {self.kind}",
        )

    def probe(self, step: PlannedStep, key: str = "") -> Outcome:
        """Compare the target with the step's states."""
        state = self.targets.read(step.target)
        return Outcome.OLD if state == step.before else Outcome.NEW if state == step.after else Outcome.OTHER


@dataclass(frozen=True, slots=True)
class MemoryRunner:
    """Implements `ActionRunner`."""

    targets: MemoryTargets

    def apply(self, step: PlannedStep, key: str) -> None:
        """Bring the target into its new state."""
        del key
        self.targets.replace(step.target, step.before, step.after)
        if self.targets.kills:
            raise ProcessKilled

    def undo(self, step: PlannedStep, key: str) -> None:
        """Bring the target back."""
        del key
        self.targets.replace(step.target, step.after, step.before)


def _digest(parameters: PlainMapping) -> str:
    return hashlib.sha256(msgspec.json.encode(parameters, order="deterministic")).hexdigest()[:12]
