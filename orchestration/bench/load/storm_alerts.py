"""A simulated alert storm: many applications, some with an incident at one service that spreads to its callers, and noise.

Each application is a call graph of the simulator of its own. From an incident's start its root fires critical alerts, and so
do its callers, one after another and the less the farther; every firing service repeats its alerts from several pods. A tenth of
all alerts is noise: warnings and infos of any service. Alerts arrive up to `MOST_DELAY_S` late, so out of order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.simulator.services import Topology, build_topology, upstream
from aiops.simulator.streams import Stream, generator
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
MOST_DELAY_S: Final = 1.5
NAMES: Final = ("HighLatency", "HighErrorRate", "LowTraffic", "HighCpu", "HighMemory", "SlowQueries")
PODS: Final = 5
FASTER: Final = 10.0
"""Alerts follow calls at once, where the simulator's metrics take minutes to stray: its delays are divided by this."""


@dataclass(frozen=True, slots=True)
class StormConfig:
    """Size of a storm; `noise` = share of alerts that belong to no incident."""

    seed: int = 1
    applications: int = 40
    services: int = 25
    incidents: int = 30
    per_minute: int = 10_000
    minutes: int = 5
    noise: float = 0.1


@dataclass(frozen=True, slots=True)
class TrueIncident:
    """One incident as it was made: start in seconds, root, and (services of its application,) strength and delay."""

    start_s: float
    application: int
    root: str
    strength: FloatArray
    delay_s: FloatArray


@dataclass(frozen=True, slots=True)
class Storm:
    """Applications, the graph of all, and the incidents in order of their start."""

    config: StormConfig
    topologies: tuple[Topology, ...]
    graph: ServiceGraph
    incidents: tuple[TrueIncident, ...]


def storm_of(config: StormConfig) -> Storm:
    """Return a storm; at most one incident an application, the first at second 0, the others before its last minute."""
    rng = generator(config.seed, Stream.INCIDENTS)
    topologies = tuple(build_topology(config.seed * 1000 + number, config.services) for number in range(config.applications))
    pairs = [
        (_name(number, topology.services[edge.caller]), _name(number, topology.services[edge.callee]))
        for number, topology in enumerate(topologies)
        for edge in topology.edges
    ]
    chosen = rng.permutation(config.applications)[: config.incidents].tolist()
    starts = np.sort(rng.uniform(0.0, max(1.0, (config.minutes - 1) * 60.0), len(chosen)))
    starts[:1] = 0.0
    incidents = []
    for start, application in zip(starts.tolist(), chosen, strict=True):
        root = int(rng.integers(config.services))
        reach = upstream(topologies[application], root)
        name = _name(application, topologies[application].services[root])
        incidents.append(TrueIncident(start, application, name, reach.strength, reach.delay_s / FASTER))
    return Storm(config, topologies, ServiceGraph.from_pairs(pairs), tuple(incidents))


def arrivals(storm: Storm) -> Iterator[list[tuple[float, Alert]]]:
    """Yield the alerts of each second with their arrival times in seconds; numbered from 0 in order of their own times."""
    rng = generator(storm.config.seed, Stream.NOISE)
    number = 0
    for second in range(storm.config.minutes * 60):
        count = storm.config.per_minute * (second + 1) // 60 - storm.config.per_minute * second // 60
        noisy = rng.random(count) < storm.config.noise
        services = _of_incidents(storm, float(second), rng, count)
        made = []
        for place in range(count):
            alert_kind = services[place]
            if noisy[place] or alert_kind is None:
                application = int(rng.integers(storm.config.applications))
                name = _name(application, storm.topologies[application].services[int(rng.integers(storm.config.services))])
                severity = Severity.WARNING if rng.random() < 0.5 else Severity.INFO
            else:
                name, severity = alert_kind
            at = second + (place + 0.5) / count
            made.append((at + float(rng.uniform(0.0, MOST_DELAY_S)), _alert(number, at, name, severity, rng)))
            number += 1
        yield made


def _of_incidents(storm: Storm, second: float, rng: np.random.Generator, count: int) -> list[tuple[str, Severity] | None]:
    """Return services that fire because of an incident, drawn by how strongly it reaches them; the root is always critical."""
    names: list[tuple[str, Severity]] = []
    weights: list[float] = []
    for incident in storm.incidents:
        firing = (
            np.flatnonzero((incident.strength > 0.0) & (incident.start_s + incident.delay_s <= second))
            if incident.start_s <= second
            else ()
        )
        for place in (int(number) for number in firing):
            name = _name(incident.application, storm.topologies[incident.application].services[place])
            names.append((name, Severity.CRITICAL if incident.strength[place] > 0.5 else Severity.WARNING))
            weights.append(float(incident.strength[place]))
    if not names:
        return [None] * count
    shares = np.array(weights) / sum(weights)
    return [names[place] for place in rng.choice(len(names), count, p=shares).tolist()]


def _alert(number: int, at_s: float, service: str, severity: Severity, rng: np.random.Generator) -> Alert:
    name, pod = NAMES[int(rng.integers(len(NAMES)))], f"{service}-{int(rng.integers(PODS))}"
    labels = {"service": service, "alertname": name, "pod": pod}
    return Alert(str(number), fingerprint_of(labels), service, name, severity, START + timedelta(seconds=at_s), labels=labels)


def _name(application: int, service: str) -> str:
    return f"app{application:03}-{service}"
