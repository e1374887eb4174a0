"""What each kind of action means in the simulator: which part of a service it reads, what that becomes, and by which reaction.

A call over HTTP is the clean-up of a disk, a feature flag cuts callers off: what the library of runbooks uses them for.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiops.automation.action import ActionRequest, Plain, Risk
from aiops.errors import ContractError
from aiops.simulator.simulated_action import REPLICAS_AT_START, SimulatedActionKind, Standing

_AT_ONCE: Final = 1.0 / REPLICAS_AT_START
_MOST_REPLICAS: Final = 100


@dataclass(frozen=True, slots=True)
class SimulatedKind:
    """One kind. `read`: the part of the standing that it changes; `wanted`: what that becomes under a request.

    `reaction` is what is done to the simulator. Where `event_amount` is given, `part` is only a count of what was done, so much
    each time, and it cannot be taken back; else the amount is the state wanted. `of_replicas`: the state says how many there
    are, too.
    """

    name: str
    part: str
    reaction: SimulatedActionKind
    read: Callable[[Standing], float]
    wanted: Callable[[ActionRequest, float], float]
    effect: str
    risk: Risk = Risk.LOW
    replica_share: float = 1.0
    event_amount: float | None = None
    of_replicas: bool = False


def _earlier(request: ActionRequest, version: float) -> float:
    if version <= 1:
        raise ContractError(f"action {request.action}: {request.service} has no earlier version than {version:g}")
    return version - 1


def _once_more(_: ActionRequest, count: float) -> float:
    return count + 1


def _scaled(request: ActionRequest, replicas: float) -> float:
    wanted = number_in(request, "replicas")
    factor = number_in(request, "factor")
    if (wanted is None) == (factor is None):
        raise ContractError(f"action {request.action}: give with.replicas or with.factor, one of them")
    number = wanted if wanted is not None else math.ceil(replicas * (factor or 1.0))
    most = number_in(request, "most") or _MOST_REPLICAS
    if not 1 <= number <= most:
        raise ContractError(f"action {request.action}: {request.service} would have {number:g} replicas; 1 to {most:g} may be")
    return float(number)


def _weighed(request: ActionRequest, _: float) -> float:
    weight = number_in(request, "weight")
    if weight is None or not 0 <= weight <= 100:
        raise ContractError(f"action {request.action}: with.weight={weight} must be 0 to 100, in percent of the usual weight")
    return weight / 100.0


def number_in(request: ActionRequest, name: str) -> float | None:
    """Return a parameter that is a number; None where it is not given.

    Raises:
        ContractError: it is something else.
    """
    value: Plain = request.parameters.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ContractError(f"action {request.action}: with.{name}={value!r} must be a number")
    return float(value)


def _sized(request: ActionRequest, size: float) -> float:
    factor = number_in(request, "factor")
    if factor is None or not 0.1 <= size * factor <= 10:
        raise ContractError(f"action {request.action}: with.factor={factor} must leave a pool of .1 to 10 times its first size")
    return size * factor


def _opened(_: ActionRequest, __: float) -> float:
    return 1.0


KINDS: Final[Mapping[str, SimulatedKind]] = {
    kind.name: kind
    for kind in (
        SimulatedKind(
            "kubernetes.rollback",
            "version",
            "version",
            lambda standing: standing.version,
            _earlier,
            "it runs as it did before its last release",
            replica_share=_AT_ONCE,
            of_replicas=True,
        ),
        SimulatedKind(
            "kubernetes.restart",
            "restarts",
            "restart",
            lambda standing: standing.restarts,
            _once_more,
            "what its processes hold is gone: it ends a leak until it has grown again",
            replica_share=_AT_ONCE,
            event_amount=_AT_ONCE,
            of_replicas=True,
        ),
        SimulatedKind(
            "kubernetes.scale",
            "replicas",
            "replicas",
            lambda standing: standing.replicas,
            _scaled,
            "each replica gets a smaller part of the requests",
            replica_share=0.0,
        ),
        SimulatedKind(
            "haproxy.weight",
            "weight",
            "weight",
            lambda standing: standing.weight,
            _weighed,
            "the slow replica gets fewer of the requests",
            replica_share=_AT_ONCE,
        ),
        SimulatedKind(
            "simulated.pool",
            "pool",
            "pool",
            lambda standing: standing.pool,
            _sized,
            "there are connections left; they run out later where the cause goes on",
            replica_share=0.0,
        ),
        SimulatedKind(
            "simulated.recycle",
            "recycles",
            "recycle",
            lambda standing: standing.recycles,
            _once_more,
            "connections that nobody uses are free again",
            replica_share=0.0,
            event_amount=1.0,
        ),
        SimulatedKind(
            "http.call",
            "cleanups",
            "free_disk",
            lambda standing: standing.cleanups,
            _once_more,
            "there is space until it has filled up again; what was removed is gone",
            Risk.DESTRUCTIVE,
            replica_share=0.0,
            event_amount=0.9,
        ),
        SimulatedKind(
            "feature_flag.file",
            "circuit",
            "circuit",
            lambda standing: float(standing.circuit),
            _opened,
            "callers answer without it, some of them wrongly",
            Risk.HIGH,
        ),
    )
}
"""Kinds by their name in runbooks."""
