"""How hard an incident strikes once somebody has acted: a factor over time on what it does, 1 = as if nobody had."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from aiops.simulator.schedule import PlannedIncident
from aiops.simulator.simulated_action import REPLICAS_AT_START, Standing, Touch
from aiops.simulator.simulation_config import GrayKind, IncidentKind

COLD_S: Final = 600.0
_COLD: Final[Mapping[IncidentKind | GrayKind, float]] = {"traffic_surge": 1.5, "slow_dependency": 1.25}
"""Kinds that strike a renewed process harder, for ten minutes: fewer replicas under the load, empty caches."""
_LEFT: Final = 0.12
_SHED: Final = 0.4
_MORE_CONNECTIONS: Final = 1.35
_MORE_CALLERS: Final = 1.15
_CROWDED: Final = 0.15


@dataclass(frozen=True, slots=True)
class Knot:
    """A point of a polyline: a factor at a time in seconds after the start."""

    at_s: float
    factor: float


@dataclass(frozen=True, slots=True)
class _Situation:
    """What decides the factor: the service at the onset and now, whether it was renewed since; `surge` log growth of traffic."""

    at_onset: Standing
    now: Standing
    renewed: bool
    surge: float

    @property
    def growth(self) -> float:
        """Return the log of how many times as many replicas it has as at the start."""
        return math.log(self.now.replicas / REPLICAS_AT_START)


def _bad_version(situation: _Situation) -> float:
    return float(situation.now.version >= situation.at_onset.version)


def _surge(situation: _Situation) -> float:
    left = (situation.surge - situation.growth) / situation.surge
    return min(2.0, max(0.0, left)) * (_SHED if situation.now.circuit else 1.0)


def _slow(situation: _Situation) -> float:
    now = situation.now
    return (_LEFT if now.circuit else max(_LEFT, now.weight)) * (1.0 + _CROWDED * max(0.0, situation.growth))


def _leak(situation: _Situation) -> float:
    return min(1.0, math.exp(-situation.growth))


def _exhausted(situation: _Situation) -> float:
    return (_SHED if situation.now.circuit else 1.0) * (_MORE_CONNECTIONS if situation.growth > 0 else 1.0)


def _unmoved(_: _Situation) -> float:
    return 1.0


_FACTORS: Final[Mapping[IncidentKind | GrayKind, Callable[[_Situation], float]]] = {
    "memory_leak": _leak,
    "connection_exhaustion": _exhausted,
    "disk_fill": _unmoved,
    "slow_dependency": _slow,
    "traffic_surge": _surge,
    "bad_deployment": _bad_version,
    "skipped_step": _bad_version,
    "handled_exception": _bad_version,
    "wrong_parameter": _bad_version,
    "stopped_job": lambda situation: 0.0 if situation.renewed else 1.0,
    "slow_network": _slow,
}
_HURT_BY_CALLERS: Final = ("slow_dependency", "connection_exhaustion")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an incident meets: how its service stood at its onset, who calls that directly, `surge` log growth of its traffic."""

    at_onset: Standing
    callers: frozenset[int]
    surge: float = 1.0


@dataclass(frozen=True, slots=True)
class _Turn:
    """From `at_s` on the factor moves to `factor`, which it reaches after `takes_s`."""

    at_s: float
    factor: float
    takes_s: float


def strength_of(incident: PlannedIncident, touches: Sequence[Touch], around: Surroundings) -> tuple[Knot, ...]:
    """Return the factor over time as a polyline, () = 1 always; `touches` (all services) in order of time."""
    met = [touch for touch in touches if incident.onset_s <= touch.at_s < incident.ends_s]
    own = [touch for touch in met if touch.service == incident.service]
    near = [touch for touch in met if touch.service in around.callers and touch.action.kind == "replicas"]
    turns = _turns(incident, own, near, around)
    if all(turn.factor == 1.0 for turn in turns):
        return ()
    return _polyline(turns)


def _turns(incident: PlannedIncident, own: Sequence[Touch], near: Sequence[Touch], around: Surroundings) -> list[_Turn]:
    """Return the factor after each action and after each time of cold processes."""
    cold = _COLD.get(incident.kind, 1.0)
    renewals = [touch.at_s for touch in own if touch.renews]
    moments: dict[float, float] = {float(incident.onset_s): 0.0}
    if cold != 1.0:
        moments |= {at_s + COLD_S: 60.0 for at_s in renewals}
    moments |= {touch.at_s: touch.lasts_s for touch in (*own, *near)}
    turns = []
    for at_s, takes_s in sorted(moments.items()):
        now = next((touch.after for touch in reversed(own) if touch.at_s <= at_s), around.at_onset)
        situation = _Situation(around.at_onset, now, any(renewed <= at_s for renewed in renewals), around.surge)
        factor = _FACTORS[incident.kind](situation)
        if any(renewed <= at_s < renewed + COLD_S for renewed in renewals):
            factor *= cold
        if incident.kind in _HURT_BY_CALLERS and _crowd(near, at_s):
            factor *= _MORE_CALLERS
        turns.append(_Turn(at_s, factor, takes_s))
    return turns


def _crowd(near: Sequence[Touch], at_s: float) -> bool:
    """Return whether a caller has more replicas than before the incident."""
    latest = {touch.service: touch for touch in near if touch.at_s <= at_s}
    first: dict[int, Touch] = {}
    for touch in near:
        first.setdefault(touch.service, touch)
    return any(touch.after.replicas > first[service].before.replicas for service, touch in latest.items())


def _polyline(turns: Sequence[_Turn]) -> tuple[Knot, ...]:
    """Return the turns as a polyline; one that begins before another is through starts from where that one is."""
    knots = [Knot(turns[0].at_s, turns[0].factor)]
    for turn in turns[1:]:
        here = factor_at(knots, turn.at_s)
        knots = [knot for knot in knots if knot.at_s < turn.at_s]
        knots.append(Knot(turn.at_s, here))
        knots.append(Knot(turn.at_s + max(1.0, turn.takes_s), turn.factor))
    return tuple(knots)


def factor_at(knots: Sequence[Knot], at_s: float) -> float:
    """Return the factor at a time; 1 without knots, before the first and after the last as there."""
    if not knots:
        return 1.0
    return float(np.interp(at_s, [knot.at_s for knot in knots], [knot.factor for knot in knots]))


def crossings(knots: Sequence[Knot], level: float) -> list[float]:
    """Return when the factor crosses a level."""
    times = []
    for left, right in pairwise(knots):
        if (left.factor - level) * (right.factor - level) < 0:
            share = (level - left.factor) / (right.factor - left.factor)
            times.append(left.at_s + share * (right.at_s - left.at_s))
    return times
