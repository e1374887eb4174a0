"""`aiops bench rca-scale`: seconds to explain one incident, on simulated graphs of 50 to 5,000 services.

A graph is made of the simulator's call graphs of 50 services, each entered from an earlier one, so all are one component. Every
service has latency, requests, errors and CPU. An incident slows one service down, and through it all that call it, directly or
not; its symptom is at the front, from which every service is reachable: nothing is left out of the ranking. Time is that of the
whole explanation, the window of telemetry at hand; fitting to calm time, which is done once and kept, is reported beside it.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from aiops.simulator.services import build_topology
from aiops.simulator.streams import Stream, generator
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray
from models.rca.explain import RcaInputs, explain
from models.rca.grid import SeriesGrid
from models.rca.ranking import RootCauseRanker, Symptom, loudest_first

SIZES: Final = (50, 100, 500, 1000, 2000, 5000)
CALM_STEPS: Final = 120
WINDOW_STEPS: Final = 5
INCIDENTS: Final = 5
METRICS: Final = ("cpu_usage_percent", "error_percent", "latency_mean_s", "requests_per_second")
_BLOCK: Final = 50
_STEP_US: Final = 60_000_000
_LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SizeFigures:
    """One size of graph: seconds are medians over the incidents; shares of incidents whose root is ranked first."""

    services: int
    edges: int
    series: int
    seconds_per_incident: float
    microseconds_per_edge: float
    fit_seconds: float
    top1: float
    loudest_top1: float


@dataclass(frozen=True, slots=True)
class ScaleFigures:
    """All sizes, and how time grows with edges between the smallest and the largest: exponent 1 = as fast as they do."""

    sizes: tuple[SizeFigures, ...]
    growth_exponent: float


@dataclass(frozen=True, slots=True)
class SimulatedSystem:
    """Services (numbered), calls (caller, callee) and the usual latency of each service's own work in seconds.

    `deepest_first`: the calls, those of a callee before those of its callers.
    """

    services: tuple[str, ...]
    calls: tuple[tuple[int, int], ...]
    deepest_first: tuple[tuple[int, int], ...]
    own_s: FloatArray
    seed: int

    @property
    def graph(self) -> ServiceGraph:
        """Return the call graph."""
        return ServiceGraph.from_pairs(((self.services[a], self.services[b]) for a, b in self.calls), self.services)


def bench_rca_scale(out: Path | None, say: Callable[[str], None], sizes: Sequence[int] = SIZES) -> ScaleFigures:
    """Rank `INCIDENTS` simulated incidents on a graph of each size; `out` takes one JSON object a size."""
    sizes_measured = []
    for size in sizes:
        sizes_measured.append(measured(system_of(size, seed=1)))
        say(f"{size} services, {sizes_measured[-1].edges} edges: {sizes_measured[-1].seconds_per_incident} s an incident")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(json.dumps(asdict(figures)) + "\n" for figures in sizes_measured), encoding="utf-8")
    first, last = sizes_measured[0], sizes_measured[-1]
    grown = (
        np.log(last.seconds_per_incident / first.seconds_per_incident) / np.log(last.edges / first.edges)
        if sizes_measured[1:]
        else 1.0
    )
    return ScaleFigures(tuple(sizes_measured), round(float(grown), 3))


def system_of(size: int, seed: int) -> SimulatedSystem:
    """Return a connected system of about `size` services: blocks of 50, each entered from a service of an earlier one."""
    rng = generator(seed, Stream.GRAPH, size)
    services: list[str] = []
    calls: list[tuple[int, int]] = []
    for block in range(max(1, size // _BLOCK)):
        topology = build_topology(seed * 1000 + block, min(size, _BLOCK))
        first = len(services)
        services += [f"{block:03}-{name}" for name in topology.services]
        calls += [(first + edge.caller, first + edge.callee) for edge in topology.edges]
        if block:
            calls.append((int(rng.integers(first)), first + topology.entries[0]))
    return SimulatedSystem(
        tuple(services), tuple(calls), _deepest_first(len(services), calls), rng.uniform(0.005, 0.05, len(services)), seed
    )


def _deepest_first(count: int, calls: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the calls ordered so that all calls made by a service come before the calls made to it."""
    made: list[list[int]] = [[] for _ in range(count)]
    waiting = np.zeros(count, dtype=np.int64)
    callers: list[list[int]] = [[] for _ in range(count)]
    for caller, callee in calls:
        made[caller].append(callee)
        callers[callee].append(caller)
        waiting[caller] += 1
    ready = [service for service in range(count) if not waiting[service]]
    ordered: list[tuple[int, int]] = []
    for service in ready:
        ordered += [(service, callee) for callee in made[service]]
        for caller in callers[service]:
            waiting[caller] -= 1
            if not waiting[caller]:
                ready.append(caller)
    return tuple(ordered)


def measured(system: SimulatedSystem) -> SizeFigures:
    """Return the figures of one system."""
    rng = generator(system.seed, Stream.INCIDENTS, len(system.services))
    graph = system.graph
    calm = telemetry(system, CALM_STEPS, None)
    began = time.perf_counter()
    ranker = RootCauseRanker.fit(calm, graph)
    fit_s = time.perf_counter() - began
    front = system.services[build_topology(system.seed * 1000, min(len(system.services), _BLOCK)).entries[0]]
    seconds, ours, loudest = [], 0, 0
    for root in rng.choice(len(system.services), INCIDENTS, replace=False).tolist():
        window = telemetry(system, WINDOW_STEPS, root)
        began = time.perf_counter()
        report = explain(RcaInputs(_LATER, window, calm, graph, symptom=Symptom(front, "latency"), ranker=ranker))
        seconds.append(time.perf_counter() - began)
        ours += report.causes[0].service == system.services[root]
        loudest += loudest_first(ranker, window)[0] == system.services[root]
    median = float(np.median(seconds))
    return SizeFigures(
        services=len(system.services),
        edges=len(system.calls),
        series=len(system.services) * len(METRICS),
        seconds_per_incident=round(median, 5),
        microseconds_per_edge=round(1e6 * median / len(system.calls), 2),
        fit_seconds=round(fit_s, 3),
        top1=ours / INCIDENTS,
        loudest_top1=loudest / INCIDENTS,
    )


def telemetry(system: SimulatedSystem, steps: int, root: int | None) -> SeriesGrid:
    """Return telemetry of some steps: calm, or with the work of `root` taking ten times as long."""
    count = len(system.services)
    rng = generator(system.seed, Stream.NOISE, steps if root is None else 1000 + root)
    own = system.own_s * np.exp(rng.normal(0.0, 0.05, (steps, count)))
    if root is not None:
        own[:, root] *= 10.0
    latency = own.copy()
    for caller, callee in system.deepest_first:
        latency[:, caller] += latency[:, callee]
    values = np.empty((steps, count, len(METRICS)))
    values[:, :, 0] = 30.0 * np.exp(rng.normal(0.0, 0.05, (steps, count)))
    values[:, :, 1] = rng.exponential(0.1, (steps, count))
    values[:, :, 2] = latency
    values[:, :, 3] = 100.0 * np.exp(rng.normal(0.0, 0.02, (steps, count)))
    series = tuple((service, metric) for service in system.services for metric in METRICS)
    return SeriesGrid(np.arange(steps, dtype=np.int64) * _STEP_US, series, values.reshape(steps, -1))
