"""What can be done to a simulated service, and how each service stands after what was done to it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, get_args

from aiops.errors import ConfigurationError

SimulatedActionKind = Literal["version", "restart", "replicas", "pool", "recycle", "free_disk", "weight", "circuit"]
ACTION_KINDS: Final[tuple[SimulatedActionKind, ...]] = get_args(SimulatedActionKind)
REPLICAS_AT_START: Final = 3


@dataclass(frozen=True, slots=True)
class _Allowed:
    low: float
    high: float
    meaning: str
    is_whole: bool = False


_AMOUNTS: Final[dict[SimulatedActionKind, _Allowed]] = {
    "version": _Allowed(1, 1e6, "number of the version that runs from then on", True),
    "restart": _Allowed(0.01, 1, "share of the replicas restarted at once"),
    "replicas": _Allowed(1, 100, "replicas from then on", True),
    "pool": _Allowed(0.1, 10, "size of the connection pool from then on, 1 = as at the start"),
    "recycle": _Allowed(0.01, 1, "share of the held connections that is closed"),
    "free_disk": _Allowed(0.01, 1, "share of what had filled up that is freed"),
    "weight": _Allowed(0, 1, "share of the calls that keep going to the slow replicas"),
    "circuit": _Allowed(0, 1, "1 = callers stop calling, 0 = they call", True),
}


@dataclass(frozen=True, slots=True)
class SimulatedAction:
    """Something done to a service at a time. `amount`, by kind, is the state from then on, or how much is done (`_AMOUNTS`).

    A rollback is the version before; a scale-out is a greater number of replicas.
    """

    at: datetime
    service: str
    kind: SimulatedActionKind
    amount: float

    def __post_init__(self) -> None:
        self._require(self.kind in ACTION_KINDS, "kind", f"be one of {', '.join(ACTION_KINDS)}")
        self._require(self.at.tzinfo is not None, "at", "be an aware time")
        allowed = _AMOUNTS[self.kind]
        inside = math.isfinite(self.amount) and allowed.low <= self.amount <= allowed.high
        rule = f"be {allowed.low:g} to {allowed.high:g} for {self.kind}: {allowed.meaning}"
        self._require(inside and not (allowed.is_whole and self.amount % 1), "amount", rule)

    def _require(self, holds: bool, name: str, rule: str) -> None:
        if not holds:
            raise ConfigurationError(f"simulated action: {name}={getattr(self, name)!r} must {rule}; change {name}")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a service stands. The last three count what has been done to it, which leaves no other trace."""

    version: int = 1
    newest_version: int = 1
    replicas: int = REPLICAS_AT_START
    pool: float = 1.0
    weight: float = 1.0
    circuit: bool = False
    restarts: int = 0
    recycles: int = 0
    cleanups: int = 0

    def deployed(self) -> "Standing":
        """Return it with a new version."""
        newest = self.newest_version + 1
        return replace(self, version=newest, newest_version=newest)

    def after(self, action: SimulatedAction) -> "Standing":
        """Return it after an action."""
        whole = int(action.amount)
        match action.kind:
            case "version":
                return replace(self, version=whole, newest_version=max(whole, self.newest_version))
            case "restart":
                return replace(self, restarts=self.restarts + 1)
            case "replicas":
                return replace(self, replicas=whole)
            case "pool":
                return replace(self, pool=action.amount)
            case "recycle":
                return replace(self, recycles=self.recycles + 1)
            case "free_disk":
                return replace(self, cleanups=self.cleanups + 1)
            case "weight":
                return replace(self, weight=action.amount)
            case "circuit":
                return replace(self, circuit=action.amount >= 1.0)


@dataclass(frozen=True, slots=True)
class Touch:
    """An action as its service met it: `at_s` seconds after the start, the standing before and after it."""

    at_s: float
    service: int
    action: SimulatedAction
    before: Standing
    after: Standing

    @property
    def renews(self) -> bool:
        """Return whether processes begin anew."""
        return self.action.kind == "restart" or self.before.version != self.after.version

    @property
    def lasts_s(self) -> float:
        """Return how long it takes until all replicas are through: a minute for each group."""
        at_once = self.action.amount if self.action.kind == "restart" else 1.0 / REPLICAS_AT_START
        return 60.0 * math.ceil(1.0 / at_once - 1e-9) if self.renews else 60.0


@dataclass(frozen=True, slots=True)
class Release:
    """A planned deployment of a service by its number."""

    at_s: float
    service: int


@dataclass(frozen=True, slots=True)
class ActionLog:
    """All that happens to the services by hand: planned releases and actions, both in order of time."""

    start: datetime
    services: tuple[str, ...]
    releases: tuple[Release, ...]
    actions: tuple[SimulatedAction, ...] = ()

    def touches(self) -> tuple[Touch, ...]:
        """Return the actions as their services met them, in order of time."""
        touches: list[Touch] = []
        for action in self.actions:
            at_s, service = self.seconds(action.at), self.services.index(action.service)
            before = self.standing(service, at_s, touches)
            touches.append(Touch(at_s, service, action, before, before.after(action)))
        return tuple(touches)

    def standing(self, service: int, at_s: float, touches: Sequence[Touch]) -> Standing:
        """Return how a service stands at a time, after the releases until then and the last of `touches` on it."""
        last = next((touch for touch in reversed(touches) if touch.service == service and touch.at_s <= at_s), None)
        now, since_s = (Standing(), -math.inf) if last is None else (last.after, last.at_s)
        for release in self.releases:
            if release.service == service and since_s < release.at_s <= at_s:
                now = now.deployed()
        return now

    def seconds(self, moment: datetime) -> float:
        """Return the seconds of a moment since the start."""
        return (moment - self.start).total_seconds()


def in_order(actions: Iterable[SimulatedAction]) -> tuple[SimulatedAction, ...]:
    """Return actions in order of time; those of one time in a fixed order, whatever the order they came in."""
    return tuple(sorted(actions, key=lambda action: (action.at, action.service, ACTION_KINDS.index(action.kind), action.amount)))
