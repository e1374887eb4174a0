"""What happens without being an incident: deployments, decoys (unlabelled look-alikes that pass), and concept drift."""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from aiops.simulator.effects import CONNECTIONS, CPU, DISK, ERRORS, MEMORY, P50, P99, TRAFFIC, Effect, pulse
from aiops.simulator.impact import RESOURCE
from aiops.simulator.schedule import PlannedIncident
from aiops.simulator.services import Topology
from aiops.simulator.simulation_config import SimulationConfig
from aiops.simulator.streams import Stream, generator
from aiops.types import FloatArray

DecoyKind = Literal["buildup", "spike", "bump"]
_CLEARANCE_S: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment; harmful = the cause of a bad_deployment incident."""

    service: int
    deployed_s: int
    is_harmful: bool


@dataclass(frozen=True, slots=True)
class Decoy:
    """Something that looks like the beginning of an incident on one metric of one service and passes by itself."""

    kind: DecoyKind
    service: int
    metric: int
    starts_s: float
    ends_s: float
    effects: tuple[Effect, ...]


def _moments(rng: np.random.Generator, per_day: float, length_s: float) -> list[float]:
    """Return a Poisson process over the simulation, seconds, ascending."""
    moments: list[float] = []
    now_s = 0.0
    while per_day > 0:
        now_s += float(rng.exponential(86400 / per_day))
        if now_s >= length_s:
            break
        moments.append(now_s)
    return moments


def plan_deployments(
    config: SimulationConfig, topology: Topology, incidents: tuple[PlannedIncident, ...]
) -> tuple[Deployment, ...]:
    """Return harmless deployments and those that cause bad_deployment incidents, in order of time."""
    rng = generator(config.seed, Stream.DEPLOYMENTS)
    moments = _moments(rng, config.deployments_per_day, config.length_s)
    services = generator(config.seed, Stream.DEPLOYMENTS, 1).integers(len(topology.services), size=len(moments))
    harmless = [Deployment(int(service), round(moment), False) for service, moment in zip(services, moments, strict=True)]
    bad = (incident for incident in incidents if incident.kind == "bad_deployment")
    harmful = [Deployment(incident.service, incident.onset_s, True) for incident in bad]
    return tuple(sorted((*harmless, *harmful), key=lambda deployment: (deployment.deployed_s, deployment.service)))


def deployment_effects(deployment: Deployment, seed: int) -> list[Effect]:
    """Return the restart (cpu blip, fresh memory, a few errors) and small level changes that stay."""
    if deployment.is_harmful:
        return []
    service, start_s = deployment.service, float(deployment.deployed_s)
    rng = generator(seed, Stream.DEPLOYMENTS, 2 + deployment.deployed_s * 64 + service)
    blip_s = float(rng.uniform(60, 240))
    cpu, fresh = float(rng.uniform(0.06, 0.18)), float(rng.uniform(-0.08, -0.02))
    errors = float(rng.uniform(0, 0.004))
    short = pulse(start_s, start_s + blip_s, 30, 60)
    effects = [
        Effect(service, CPU, short, (0.0, cpu, cpu, 0.0)),
        Effect(service, ERRORS, short, (0.0, errors, errors, 0.0)),
        Effect(service, MEMORY, (start_s, start_s + 60, start_s + 7200), (0.0, fresh, 0.0)),
    ]
    for metric, spread in ((P50, 0.03), (P99, 0.03), (CPU, 0.01), (MEMORY, 0.012)):
        step = float(rng.normal(0, spread))
        effects.append(Effect(service, metric, (start_s, start_s + 60), (0.0, step)))
    return effects


def plan_decoys(config: SimulationConfig, topology: Topology, incidents: tuple[PlannedIncident, ...]) -> tuple[Decoy, ...]:
    """Return decoys in order of time; none on a service within half an hour of an incident of that service."""
    moments = _moments(generator(config.seed, Stream.DECOYS), config.decoys_per_day, config.length_s)
    decoys = [
        _draw_decoy(generator(config.seed, Stream.DECOYS, 1 + index), moment, len(topology.services))
        for index, moment in enumerate(moments)
    ]
    return tuple(
        decoy
        for decoy in decoys
        if not any(
            incident.service == decoy.service
            and decoy.starts_s < incident.ends_s + _CLEARANCE_S
            and incident.onset_s - _CLEARANCE_S < decoy.ends_s
            for incident in incidents
        )
    )


def _draw_decoy(rng: np.random.Generator, start_s: float, services: int) -> Decoy:
    service, which = int(rng.integers(services)), float(rng.random())
    if which < 0.6:
        return _buildup_decoy(rng, start_s, service)
    if which < 0.85:
        height, length_s = float(rng.uniform(0.4, 1.0)), float(rng.uniform(30, 150))
        times_s = pulse(start_s, start_s + length_s, 20, 30)
        pair = tuple(Effect(service, metric, times_s, (0.0, x, x, 0.0)) for metric, x in ((P50, height / 2), (P99, height)))
        return Decoy("spike", service, P99, start_s, times_s[-1], pair)
    height, length_s = float(rng.uniform(0.15, 0.4)), float(rng.uniform(300, 1200))
    times_s = pulse(start_s, start_s + length_s, 120, 180)
    return Decoy("bump", service, TRAFFIC, start_s, times_s[-1], (Effect(service, TRAFFIC, times_s, (0.0, height, height, 0.0)),))


def _buildup_decoy(rng: np.random.Generator, start_s: float, service: int) -> Decoy:
    """Return a resource that climbs part of the way to its limit at an incident's pace and then lets go."""
    metric = int(rng.choice(list(RESOURCE.values())))
    length_s, share = float(rng.uniform(30, 120)) * 60, float(rng.beta(2.0, 2.2)) * 0.85
    top_s = start_s + length_s * share
    end_s = top_s + float(rng.uniform(2, 12)) * 60
    effect = Effect(service, metric, (start_s, top_s, end_s), (0.0, share, 0.0), target=0.98)
    return Decoy("buildup", service, metric, start_s, end_s, (effect,))


def drifting_services(config: SimulationConfig, topology: Topology) -> tuple[int, ...]:
    """Return the numbers of the services that drift, ascending."""
    if config.drift is None:
        return ()
    count = math.ceil(config.drift.share * len(topology.services))
    drawn = generator(config.seed, Stream.DRIFT).permutation(len(topology.services))[:count]
    return tuple(sorted(int(service) for service in drawn))


def level_drift_effects(config: SimulationConfig, services: tuple[int, ...]) -> list[Effect]:
    """Return the lasting shifts of a drift of kind level; empty for other kinds."""
    drift = config.drift
    if drift is None or drift.kind != "level":
        return []
    start_s = drift.start_h * 3600
    times_s = (start_s, start_s + drift.ramp_min * 60)
    grown = math.log1p(drift.magnitude)
    heights = (
        (P50, grown),
        (P99, grown),
        (TRAFFIC, 0.5 * grown),
        (CPU, 0.12 * drift.magnitude),
        (MEMORY, 0.1 * drift.magnitude),
        (CONNECTIONS, 0.05 * drift.magnitude),
        (DISK, 0.05 * drift.magnitude),
    )
    return [Effect(service, metric, times_s, (0.0, height)) for service in services for metric, height in heights]


def drift_share(config: SimulationConfig, seconds: FloatArray) -> FloatArray:
    """Return how much of the drift is in force at each second, 0..1 (0 without a drift)."""
    if config.drift is None:
        return np.zeros_like(seconds)
    start_s = config.drift.start_h * 3600
    return np.clip((seconds - start_s) / max(config.drift.ramp_min * 60, 1e-3), 0.0, 1.0)
