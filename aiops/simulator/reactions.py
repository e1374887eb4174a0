"""How a simulated application reacts to what is done to it: what becomes of its incidents, and what each action costs by itself.

Whether an action helps is decided by its kind and the incident's alone (`incident_course`, `incident_strength`); what it costs
comes on top, and reaches the callers: a restart is felt, also where it cures.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from aiops.simulator.effects import CONNECTIONS, CPU, DISK, ERRORS, MEMORY, P50, P99, TRAFFIC, Effect, pulse
from aiops.simulator.impact import traffic_growth
from aiops.simulator.incident_course import Course, course_of
from aiops.simulator.incident_strength import Surroundings
from aiops.simulator.schedule import PlannedIncident
from aiops.simulator.services import Topology, upstream
from aiops.simulator.simulated_action import ActionLog, SimulatedActionKind, Touch
from aiops.simulator.streams import Stream, generator

_RISE_S: Final = 30.0
_FALL_S: Final = 45.0
_LASTING_S: Final = 60.0
_FRESH_S: Final = 7200.0
_VERSION_SPREADS: Final = ((P50, 0.03), (P99, 0.03), (CPU, 0.01), (MEMORY, 0.012))


def courses_of(incidents: Sequence[PlannedIncident], log: ActionLog, topology: Topology, seed: int) -> tuple[Course, ...]:
    """Return what becomes of each incident under the actions of a log."""
    touches = log.touches()
    if not touches:
        return tuple(Course.undisturbed(incident) for incident in incidents)
    courses = []
    for incident in incidents:
        callers = frozenset(edge.caller for edge in topology.edges if edge.callee == incident.service)
        earlier = [touch for touch in touches if touch.at_s < incident.onset_s]
        at_onset = log.standing(incident.service, incident.onset_s, earlier)
        around = Surroundings(at_onset, callers, traffic_growth(incident, topology, seed))
        courses.append(course_of(incident, touches, around))
    return tuple(courses)


def action_effects(touch: Touch, topology: Topology, seed: int) -> list[Effect]:
    """Return what an action does by itself, to its service and to those that wait for this."""
    rng = generator(seed, Stream.REACTIONS, round(touch.at_s) * 64 + touch.service)
    return _COSTS[touch.action.kind](touch, topology, rng)


def _renewal(touch: Touch, topology: Topology, rng: np.random.Generator) -> list[Effect]:
    """Return a restart: errors and slowness while replicas are away, as many as are away at once; then fresh memory."""
    at_once = touch.action.amount if touch.action.kind == "restart" else 1.0 / 3.0
    short = pulse(touch.at_s, touch.at_s + touch.lasts_s, _RISE_S, _FALL_S)
    slow, errors, cpu = (float(rng.uniform(*span)) for span in ((0.2, 0.4), (0.02, 0.05), (0.06, 0.15)))
    heights = {P50: 0.4 * slow * at_once, P99: slow * at_once, ERRORS: errors * at_once**2}
    effects = _spread(touch.service, short, heights, topology)
    effects.append(Effect(touch.service, CPU, short, (0.0, cpu, cpu, 0.0)))
    fresh = (touch.at_s, touch.at_s + touch.lasts_s, touch.at_s + _FRESH_S)
    effects.append(Effect(touch.service, MEMORY, fresh, (0.0, -float(rng.uniform(0.02, 0.05)), 0.0)))
    return effects


def _version(touch: Touch, topology: Topology, rng: np.random.Generator) -> list[Effect]:
    if touch.before.version == touch.after.version:
        return []
    effects = _renewal(touch, topology, rng)
    for metric, spread in _VERSION_SPREADS:
        lasting = (touch.at_s, touch.at_s + touch.lasts_s)
        effects.append(Effect(touch.service, metric, lasting, (0.0, float(rng.normal(0, spread)))))
    return effects


def _replicas(touch: Touch, _: Topology, __: np.random.Generator) -> list[Effect]:
    """Return what more replicas do to a service: less load on each; from then on."""
    growth = math.log(touch.after.replicas / touch.before.replicas)
    heights = ((CPU, -0.12 * growth), (P50, -0.04 * growth), (P99, -0.05 * growth))
    return [_step(touch, metric, height) for metric, height in heights if height]


def _pool(touch: Touch, _: Topology, __: np.random.Generator) -> list[Effect]:
    """Return the share in use of a pool of another size."""
    return [_step(touch, CONNECTIONS, 0.25 * (touch.before.pool / touch.after.pool - 1.0))]


def _recycle(touch: Touch, topology: Topology, rng: np.random.Generator) -> list[Effect]:
    """Return a minute in which connections are opened anew."""
    short = pulse(touch.at_s, touch.at_s + touch.lasts_s, _RISE_S, _FALL_S)
    slow, errors = float(rng.uniform(0.1, 0.25)), float(rng.uniform(0.002, 0.008))
    heights = {P99: slow * touch.action.amount, ERRORS: errors * touch.action.amount}
    return _spread(touch.service, short, heights, topology)


def _free_disk(touch: Touch, _: Topology, rng: np.random.Generator) -> list[Effect]:
    """Return the work of a clean-up, and the space that it makes for half a day."""
    short = pulse(touch.at_s, touch.at_s + 120.0, _RISE_S, _FALL_S)
    busy, freed = float(rng.uniform(0.02, 0.06)), -0.08 * touch.action.amount
    return [
        Effect(touch.service, CPU, short, (0.0, busy, busy, 0.0)),
        Effect(touch.service, DISK, (touch.at_s, touch.at_s + 120.0, touch.at_s + 43_200.0), (0.0, freed, 0.0)),
    ]


def _weight(touch: Touch, _: Topology, __: np.random.Generator) -> list[Effect]:
    """Return what the replicas that get the calls instead feel: a little more in the tail."""
    return [_step(touch, P99, 0.08 * (touch.before.weight - touch.after.weight))]


def _circuit(touch: Touch, topology: Topology, _: np.random.Generator) -> list[Effect]:
    """Return an open circuit: the service is called by few, its callers answer without it, some of them wrongly."""
    turned = int(touch.after.circuit) - int(touch.before.circuit)
    if not turned:
        return []
    effects = [_step(touch, TRAFFIC, -1.6 * turned)]
    for edge in topology.edges:
        if edge.callee == touch.service:
            lasting = (touch.at_s, touch.at_s + _LASTING_S)
            effects.append(Effect(edge.caller, ERRORS, lasting, (0.0, 0.006 * edge.weight * turned)))
    return effects


_COSTS: Final[Mapping[SimulatedActionKind, Callable[[Touch, Topology, np.random.Generator], list[Effect]]]] = {
    "version": _version,
    "restart": _renewal,
    "replicas": _replicas,
    "pool": _pool,
    "recycle": _recycle,
    "free_disk": _free_disk,
    "weight": _weight,
    "circuit": _circuit,
}


def _step(touch: Touch, metric: int, height: float) -> Effect:
    return Effect(touch.service, metric, (touch.at_s, touch.at_s + _LASTING_S), (0.0, height))


def _spread(root: int, times_s: tuple[float, ...], heights: Mapping[int, float], topology: Topology) -> list[Effect]:
    """Return effects on a service and, weaker and later, on all that call it."""
    reach = upstream(topology, root)
    effects = []
    for service in np.flatnonzero(reach.strength):
        delay_s, strength = float(reach.delay_s[service]), float(reach.strength[service])
        for metric, height in heights.items():
            top = height * strength
            effects.append(Effect(int(service), metric, tuple(at_s + delay_s for at_s in times_s), (0.0, top, top, 0.0)))
    return effects
