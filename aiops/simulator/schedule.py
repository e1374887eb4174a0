"""When incidents happen, where and of which kind: the truth, before any effect."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.errors import ConfigurationError
from aiops.simulator.services import Topology
from aiops.simulator.simulation_config import (
    BUILDUP_KINDS,
    GRAY_KINDS,
    SUDDEN_KINDS,
    GrayKind,
    IncidentKind,
    ScriptedIncident,
    SimulationConfig,
)
from aiops.simulator.streams import Stream, generator

BUILDUP_MIN: Final = (30.0, 120.0)
DURATION_MIN: Final = (10.0, 40.0)
LABEL_DELAY_MIN: Final = (5.0, 45.0)
QUIET_START_MIN: Final = 60.0
_STORE_KINDS: Final = ("connection_exhaustion", "disk_fill", "slow_dependency")


@dataclass(frozen=True, slots=True)
class PlannedIncident:
    """One incident; times are whole seconds since the start of the simulation, `service` a number of the topology."""

    kind: IncidentKind | GrayKind
    service: int
    onset_s: int
    starts_s: int
    ends_s: int
    known_s: int

    @property
    def is_gray(self) -> bool:
        """Return whether metrics do not show it."""
        return self.kind in GRAY_KINDS


def plan_incidents(config: SimulationConfig, topology: Topology) -> tuple[PlannedIncident, ...]:
    """Return scripted and random incidents in order of their start; random ones keep clear of each other and of scripted ones,
    gray ones of all others: with or without them the others are the same.

    Raises:
        ConfigurationError: a scripted incident names an unknown service, or two of one service overlap.
    """
    scripted = [_script(config, topology, index) for index in range(len(config.scripted))]
    _refuse_overlap(scripted, topology)
    loud = [incident for incident in scripted if not incident.is_gray]
    loud += _clear_of(loud, _random_incidents(config, topology), config.spacing_min)
    gray = [incident for incident in scripted if incident.is_gray]
    gray += _clear_of([*loud, *gray], _gray_incidents(config, topology), config.spacing_min)
    return tuple(sorted((*loud, *gray), key=lambda incident: (incident.starts_s, incident.service)))


def _clear_of(taken: list[PlannedIncident], free: list[PlannedIncident], spacing_min: float) -> list[PlannedIncident]:
    """Return those of `free` that are at least `spacing_min` away from all of `taken`."""
    spacing_s = spacing_min * 60
    return [
        incident
        for incident in free
        if all(incident.onset_s > other.ends_s + spacing_s or incident.ends_s < other.onset_s - spacing_s for other in taken)
    ]


def _gray_incidents(config: SimulationConfig, topology: Topology) -> list[PlannedIncident]:
    """Return a renewal process of gray incidents, as that of the others."""
    planned: list[PlannedIncident] = []
    if config.gray_per_day == 0:
        return planned
    rng = generator(config.seed, Stream.GRAY)
    idle_min = max(0.0, 1440 / config.gray_per_day - sum(DURATION_MIN) / 2 - config.spacing_min)
    cursor_min = QUIET_START_MIN + float(rng.exponential(idle_min))
    while cursor_min * 60 < config.length_s:
        request = ScriptedIncident(GRAY_KINDS[int(rng.integers(len(GRAY_KINDS)))], 0.0)
        incident = _place(request, cursor_min, None, topology, rng)
        if incident.ends_s < config.length_s:
            planned.append(incident)
        cursor_min = incident.ends_s / 60 + config.spacing_min + float(rng.exponential(idle_min))
    return planned


def _random_incidents(config: SimulationConfig, topology: Topology) -> list[PlannedIncident]:
    """Return a renewal process: quiet time is `spacing_min` plus an exponential one; the last incident ends before the end."""
    planned: list[PlannedIncident] = []
    if config.incidents_per_day == 0:
        return planned
    rng = generator(config.seed, Stream.INCIDENTS)
    busy_min = config.buildup_share * sum(BUILDUP_MIN) / 2 + sum(DURATION_MIN) / 2
    idle_min = max(0.0, 1440 / config.incidents_per_day - busy_min - config.spacing_min)
    cursor_min = QUIET_START_MIN + float(rng.exponential(idle_min))
    while cursor_min * 60 < config.length_s:
        kinds = BUILDUP_KINDS if rng.random() < config.buildup_share else SUDDEN_KINDS
        request = ScriptedIncident(kinds[int(rng.integers(len(kinds)))], 0.0)
        incident = _place(request, cursor_min, None, topology, rng)
        if incident.ends_s < config.length_s:
            planned.append(incident)
        cursor_min = incident.ends_s / 60 + config.spacing_min + float(rng.exponential(idle_min))
    return planned


def _script(config: SimulationConfig, topology: Topology, index: int) -> PlannedIncident:
    scripted = config.scripted[index]
    if scripted.service is not None and scripted.service not in topology.services:
        known = ", ".join(topology.services)
        raise ConfigurationError(f"simulation: scripted.service={scripted.service!r} does not exist. Use one of {known}.")
    rng = generator(config.seed, Stream.INCIDENTS, 1 + index)
    return _place(scripted, None, scripted.start_min, topology, rng)


def _place(
    request: ScriptedIncident, onset_min: float | None, starts_min: float | None, topology: Topology, rng: np.random.Generator
) -> PlannedIncident:
    """Return the incident with its open choices drawn; either its onset or its start is given. Draws are the same in number."""
    service = int(rng.choice(len(topology.services), p=_root_shares(request.kind, topology)))
    drawn_buildup, drawn_duration, label_delay = (
        float(rng.uniform(*span)) for span in (BUILDUP_MIN, DURATION_MIN, LABEL_DELAY_MIN)
    )
    buildup_min = (request.buildup_min or drawn_buildup) if request.kind in BUILDUP_KINDS else 0.0
    if starts_min is None:
        starts_min = (onset_min or 0.0) + buildup_min
    ends_min = starts_min + (request.duration_min or drawn_duration)
    return PlannedIncident(
        kind=request.kind,
        service=service if request.service is None else topology.services.index(request.service),
        onset_s=round(max(0.0, starts_min - buildup_min) * 60),
        starts_s=round(starts_min * 60),
        ends_s=round(ends_min * 60),
        known_s=round((ends_min + label_delay) * 60),
    )


def _root_shares(kind: IncidentKind | GrayKind, topology: Topology) -> list[float]:
    """Return how likely each service is the root: stores fill up and slow down, code is deployed, traffic comes in at the top."""
    weights = np.ones(len(topology.services))
    if kind in _STORE_KINDS:
        weights[list(topology.stores)] = 2.5
    elif kind == "traffic_surge":
        weights[list(topology.entries)] = 4.0
        weights[list(topology.stores)] = 0.3
    else:
        weights[list(topology.stores)] = 0.3
    return [float(weight) for weight in weights / weights.sum()]


def _refuse_overlap(scripted: list[PlannedIncident], topology: Topology) -> None:
    for index, incident in enumerate(scripted):
        for other in scripted[:index]:
            if incident.service == other.service and incident.onset_s <= other.ends_s and other.onset_s <= incident.ends_s:
                name = topology.services[incident.service]
                raise ConfigurationError(
                    f"simulation: scripted incidents of {name} at {other.starts_s / 60:g} and {incident.starts_s / 60:g} min "
                    "overlap (build-up included). Move one of them or give it another service."
                )
