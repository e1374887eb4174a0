"""What an incident does to its root service, and along the calls to others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.simulator.effects import CONNECTIONS, CPU, DISK, ERRORS, MEMORY, P50, P99, TRAFFIC, Effect, pulse
from aiops.simulator.schedule import PlannedIncident
from aiops.simulator.services import Topology, downstream, upstream
from aiops.simulator.simulation_config import GrayKind, IncidentKind
from aiops.simulator.streams import Stream, generator

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


def incident_effects(incident: PlannedIncident, topology: Topology, seed: int) -> list[Effect]:
    """Return all effects of one incident; they depend on (seed, its start, its service) and the graph only.

    Latency and errors reach the callers of the root, a surge of traffic its callees; each hop is later and weaker. A gray one
    has none.
    """
    if incident.is_gray:
        return []
    rng = generator(seed, Stream.IMPACT, incident.starts_s * len(topology.services) + incident.service)
    effects = _breach_effects(incident, topology, rng)
    if incident.kind in RESOURCE:
        effects.extend(_buildup_effects(incident, RESOURCE[incident.kind], _BUILDUPS[incident.kind], rng))
    return effects


def _breach_effects(incident: PlannedIncident, topology: Topology, rng: np.random.Generator) -> list[Effect]:
    breach = _BREACHES[incident.kind]
    latency, errors = float(rng.uniform(*breach.latency)), float(rng.uniform(*breach.errors))
    heights = {
        P50: latency,
        P99: latency * float(rng.uniform(1.1, 1.4)),
        ERRORS: errors,
        CPU: float(rng.uniform(*breach.cpu)),
        TRAFFIC: float(rng.uniform(*breach.traffic)),
    }
    rise_s, fall_s = float(rng.uniform(45, 120)), float(rng.uniform(60, 240))
    is_surge = incident.kind == "traffic_surge"
    reach = downstream(topology, incident.service) if is_surge else upstream(topology, incident.service)
    effects: list[Effect] = []
    for service in np.flatnonzero(reach.strength):
        delay_s, strength = float(reach.delay_s[service]), float(reach.strength[service])
        times_s = pulse(incident.starts_s + delay_s, incident.ends_s + delay_s, rise_s, fall_s)
        affected = heights if service == incident.service or is_surge else {key: heights[key] for key in (P50, P99, ERRORS)}
        for metric, height in affected.items():
            top = height * strength
            if top != 0.0:
                effects.append(Effect(int(service), metric, times_s, (0.0, top, top, 0.0)))
    return effects


def _buildup_effects(incident: PlannedIncident, resource: int, shape: _Buildup, rng: np.random.Generator) -> list[Effect]:
    service, onset_s, starts_s, ends_s = incident.service, incident.onset_s, incident.starts_s, incident.ends_s
    way = np.linspace(0.0, 1.0, _RAMP_POINTS)
    times = [float(onset_s + share * (starts_s - onset_s)) for share in way]
    uneven = rng.normal(0.0, _UNEVEN, _RAMP_POINTS) * way * (1.0 - way)
    strengths = [float(share) for share in way ** rng.uniform(*shape.power) + uneven]
    restart_s = float(rng.uniform(60, 120))
    filling = Effect(
        service,
        resource,
        (*times, float(ends_s), ends_s + restart_s),
        (*strengths, 1.0, 0.0),
        target=float(rng.uniform(*shape.full)),
    )
    relief = float(rng.uniform(*shape.relief))
    relieved = Effect(
        service,
        resource,
        (ends_s, ends_s + restart_s, ends_s + restart_s + shape.relief_min * 60),
        (0.0, relief, 0.0),
    )
    early_s = onset_s + shape.early_from * (starts_s - onset_s)
    latency, cpu = float(rng.uniform(*shape.early_latency)), float(rng.uniform(*shape.early_cpu))
    early = [
        Effect(service, metric, (early_s, starts_s, starts_s + 120.0), (0.0, height, 0.0))
        for metric, height in ((P50, 0.4 * latency), (P99, latency), (CPU, cpu))
    ]
    return [filling, relieved, *early]
