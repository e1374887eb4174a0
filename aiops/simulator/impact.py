"""What an incident does to its root service, and along the calls to others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from aiops.simulator.effects import CONNECTIONS, CPU, DISK, ERRORS, MEMORY, P50, P99, TRAFFIC, Effect, pulse
from aiops.simulator.incident_course import Course, Episode
from aiops.simulator.schedule import PlannedIncident
from aiops.simulator.services import Topology, downstream, upstream
from aiops.simulator.simulation_config import GrayKind, IncidentKind
from aiops.simulator.streams import Stream, generator
from aiops.types import FloatArray

RESOURCE: Final[Mapping[IncidentKind | GrayKind, int]] = {
    "memory_leak": MEMORY,
    "connection_exhaustion": CONNECTIONS,
    "disk_fill": DISK,
}
"""The metric that rises while a kind builds up."""

_Span = tuple[float, float]
_RAMP_POINTS: Final = 9
_UNEVEN: Final = 0.15


@dataclass(frozen=True, slots=True)
class _Breach:
    """What users feel, as ranges to draw from: log latency, errors (ratio), cpu (ratio), log traffic."""

    latency: _Span
    errors: _Span
    cpu: _Span = (0.0, 0.0)
    traffic: _Span = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Buildup:
    """How a resource fills: power of the curve, level at the start of the incident, and what shows before it."""

    power: _Span
    full: _Span
    early_from: float
    early_latency: _Span
    early_cpu: _Span
    relief: _Span
    relief_min: float


_BREACHES: Final[Mapping[IncidentKind | GrayKind, _Breach]] = {
    "memory_leak": _Breach((0.7, 1.3), (0.03, 0.15), cpu=(0.05, 0.15)),
    "connection_exhaustion": _Breach((0.9, 1.6), (0.06, 0.25), cpu=(-0.05, 0.02)),
    "disk_fill": _Breach((0.4, 0.9), (0.1, 0.4)),
    "slow_dependency": _Breach((1.0, 1.8), (0.005, 0.04), cpu=(-0.04, 0.04)),
    "traffic_surge": _Breach((0.4, 0.8), (0.02, 0.1), cpu=(0.0, 0.1), traffic=(0.7, 1.2)),
    "bad_deployment": _Breach((0.15, 0.6), (0.06, 0.3), cpu=(0.0, 0.15)),
}
_BUILDUPS: Final[Mapping[IncidentKind | GrayKind, _Buildup]] = {
    "memory_leak": _Buildup((0.8, 1.3), (0.955, 0.99), 0.6, (0.1, 0.3), (0.02, 0.08), (-0.1, -0.04), 90.0),
    "connection_exhaustion": _Buildup((1.0, 1.8), (0.97, 1.0), 0.7, (0.15, 0.4), (0.0, 0.02), (-0.04, 0.0), 20.0),
    "disk_fill": _Buildup((0.9, 1.2), (0.97, 0.995), 0.85, (0.0, 0.12), (0.0, 0.02), (-0.15, -0.05), 720.0),
}


@dataclass(frozen=True, slots=True)
class _Breaching:
    """What users feel of one incident: strength by metric, and how fast it comes and goes."""

    heights: Mapping[int, float]
    rise_s: float
    fall_s: float


@dataclass(frozen=True, slots=True)
class _Filling:
    """How the resource of one incident fills: `curve` = strength at `way`, both (9,); what follows the end, and shows early."""

    way: FloatArray
    curve: FloatArray
    restart_s: float
    full: float
    relief: float
    relief_s: float
    early_from: float
    early_latency: float
    early_cpu: float

    def strength(self, share: float) -> float:
        """Return the strength where so much is filled, 0..1."""
        return float(np.interp(share, self.way, self.curve))


def traffic_growth(incident: PlannedIncident, topology: Topology, seed: int) -> float:
    """Return the log of the growth of traffic that an incident brings; 0 for most kinds."""
    return 0.0 if incident.is_gray else _breaching(incident, _generator(incident, topology, seed)).heights[TRAFFIC]


def incident_effects(course: Course, topology: Topology, seed: int) -> list[Effect]:
    """Return all effects of one incident; they depend on (seed, its start, its service), its course and the graph only.

    Latency and errors reach the callers of the root, a surge of traffic its callees; each hop is later and weaker. A gray one
    has none.
    """
    incident = course.incident
    if incident.is_gray:
        return []
    rng = _generator(incident, topology, seed)
    breaching = _breaching(incident, rng)
    effects = [
        effect
        for episode in course.episodes
        if episode.is_full
        for effect in _breach_effects(course, episode, breaching, topology)
    ]
    if incident.kind in RESOURCE:
        effects.extend(_buildup_effects(course, RESOURCE[incident.kind], _filling(_BUILDUPS[incident.kind], rng)))
    return effects


def _generator(incident: PlannedIncident, topology: Topology, seed: int) -> np.random.Generator:
    return generator(seed, Stream.IMPACT, incident.starts_s * len(topology.services) + incident.service)


def _breaching(incident: PlannedIncident, rng: np.random.Generator) -> _Breaching:
    breach = _BREACHES[incident.kind]
    latency, errors = float(rng.uniform(*breach.latency)), float(rng.uniform(*breach.errors))
    heights = {
        P50: latency,
        P99: latency * float(rng.uniform(1.1, 1.4)),
        ERRORS: errors,
        CPU: float(rng.uniform(*breach.cpu)),
        TRAFFIC: float(rng.uniform(*breach.traffic)),
    }
    return _Breaching(heights, float(rng.uniform(45, 120)), float(rng.uniform(60, 240)))


def _breach_effects(course: Course, episode: Episode, breaching: _Breaching, topology: Topology) -> list[Effect]:
    incident, heights = course.incident, breaching.heights
    is_surge = incident.kind == "traffic_surge"
    reach = downstream(topology, incident.service) if is_surge else upstream(topology, incident.service)
    gate = tuple(knot.factor for knot in course.strength)
    effects: list[Effect] = []
    for service in np.flatnonzero(reach.strength):
        delay_s, strength = float(reach.delay_s[service]), float(reach.strength[service])
        times_s = pulse(episode.starts_s + delay_s, episode.ends_s + delay_s, breaching.rise_s, breaching.fall_s)
        gate_s = tuple(knot.at_s + delay_s for knot in course.strength)
        affected = heights if service == incident.service or is_surge else {key: heights[key] for key in (P50, P99, ERRORS)}
        for metric, height in affected.items():
            top = height * strength
            if top != 0.0:
                effect = Effect(int(service), metric, times_s, (0.0, top, top, 0.0))
                # more replicas do not make users ask less
                effects.append(effect if metric == TRAFFIC else replace(effect, gate_s=gate_s, gate=gate))
    return effects


def _filling(shape: _Buildup, rng: np.random.Generator) -> _Filling:
    way = np.linspace(0.0, 1.0, _RAMP_POINTS)
    uneven = rng.normal(0.0, _UNEVEN, _RAMP_POINTS) * way * (1.0 - way)
    curve = way ** rng.uniform(*shape.power) + uneven
    restart_s, full, relief = float(rng.uniform(60, 120)), float(rng.uniform(*shape.full)), float(rng.uniform(*shape.relief))
    latency, cpu = float(rng.uniform(*shape.early_latency)), float(rng.uniform(*shape.early_cpu))
    return _Filling(way, curve, restart_s, full, relief, shape.relief_min * 60, shape.early_from, latency, cpu)


def _buildup_effects(course: Course, resource: int, filling: _Filling) -> list[Effect]:
    service, end_s = course.incident.service, float(course.incident.ends_s)
    times_s, strengths = _filled(course.episodes, filling)
    effects = [Effect(service, resource, (*times_s, end_s + filling.restart_s), (*strengths, 0.0), target=filling.full)]
    restarted_s = end_s + filling.restart_s
    relieved = (end_s, restarted_s, restarted_s + filling.relief_s)
    effects.append(Effect(service, resource, relieved, (0.0, filling.relief, 0.0)))
    for episode in course.episodes:
        effects.extend(_early_effects(service, episode, filling))
    return effects


def _filled(episodes: tuple[Episode, ...], filling: _Filling) -> tuple[list[float], list[float]]:
    """Return times and strengths of the resource until the incident ends: a polyline through all episodes."""
    times_s: list[float] = []
    strengths: list[float] = []
    for number, episode in enumerate(episodes):
        dropped_s = filling.restart_s if number else 0.0
        if number:  # falls to where the new episode begins
            times_s.append(episode.onset_s + dropped_s)
            strengths.append(filling.strength(episode.share_at(episode.onset_s + dropped_s)))
        for share, strength in zip(filling.way.tolist(), filling.curve.tolist(), strict=True):
            at_s = episode.onset_s + (share - episode.share) * episode.fills_s
            if episode.onset_s + dropped_s <= at_s < episode.ends_s and (not times_s or at_s > times_s[-1]):
                times_s.append(at_s)
                strengths.append(strength)
        if not times_s or episode.ends_s > times_s[-1]:
            times_s.append(episode.ends_s)
            strengths.append(filling.strength(episode.share_at(episode.ends_s)))
    return times_s, strengths


def _early_effects(service: int, episode: Episode, filling: _Filling) -> list[Effect]:
    """Return what shows before the resource is full; cut where the episode ends before."""
    early_s = max(episode.onset_s, episode.onset_s + (filling.early_from - episode.share) * episode.fills_s)
    top_s = min(episode.starts_s, episode.ends_s)
    if early_s >= top_s:
        return []
    reached = min(1.0, (episode.share_at(top_s) - filling.early_from) / (1.0 - filling.early_from))
    heights = ((P50, 0.4 * filling.early_latency), (P99, filling.early_latency), (CPU, filling.early_cpu))
    return [Effect(service, metric, (early_s, top_s, top_s + 120.0), (0.0, reached * height, 0.0)) for metric, height in heights]
