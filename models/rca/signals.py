"""Evidence series: what of a service is its own, and not its callees' doing. One rule for history and for an incident.

Time is additive: what a service takes is its own work plus what it waits for. So the own share of latency is what is left of
it after the callees' latency, and a callee that explains its caller takes the blame. Errors add up in the same way.

- Where calls are measured at both ends (label `callee`; "source" or "client" = as the caller sees it, "destination" or
  "server" = as the callee does): own latency of B = at B's end minus what B's own calls take; network of B = caller's end minus
  B's end, averaged over its callers.
- Else, where a service has latency and traffic: requests x (latency above its usual), minus the same of its callees; errors
  likewise.
- Every other metric is evidence as it is: resources, system calls, traffic that is missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from aiops.signals.signal_sentences import SIGNAL_PREFIXES
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray
from data_contracts.schemas.metrics import base_name, spec_of
from models.rca.grid import SeriesGrid
from models.rca.metric_text import call_to

OWN_LATENCY: Final = "own latency"
OWN_ERRORS: Final = "own errors"
NETWORK: Final = "network"
_NEAR_END: Final = ("source", "client")
_FAR_END: Final = ("destination", "server")
_RESOURCES: Final = ("cpu", "memory", "disk", "conn", "queue", "heap", "pool")
_STATISTICS: Final = ("mean", "average", "avg", "p50", "p90", "p95", "p99")
"""Statistics of a latency, the most additive first."""
MOST_NAMES: Final = 1 << 16
"""Names of metrics whose meaning is remembered."""


@dataclass(frozen=True, slots=True)
class EvidenceSeries:
    """One series that can speak against a service. `weight` says how much, `sign` +1 = high is bad, -1 = low is bad.

    `impact` = in units that add up along calls (seconds or errors a step), so that a symptom can be divided into shares.
    """

    service: str
    kind: str
    metric: str
    weight: float
    sign: int = 1
    impact: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceGrid:
    """Evidence series and their values (times, series); NaN = not measured."""

    time_us: "np.typing.NDArray[np.int64]"
    series: tuple[EvidenceSeries, ...]
    values: FloatArray


def evidence_of(grid: SeriesGrid, graph: ServiceGraph, baseline: Mapping[tuple[str, str], float]) -> EvidenceGrid:
    """Return the evidence series of a grid; which they are depends on the names of its series and on the graph alone.

    `baseline` is the median of each series while all was well; a series without one is measured from 0.
    """
    made: list[tuple[EvidenceSeries, FloatArray]] = []
    calls = _Calls.of(grid)
    made += calls.own_latency()
    made += calls.network()
    made += _own_impact(grid, _Healthy(graph, baseline), OWN_LATENCY, calls.measured)
    made += _own_impact(grid, _Healthy(graph, baseline), OWN_ERRORS, frozenset())
    made += _plain(grid, {(series.service, series.metric) for series, _ in made})
    values = np.stack([column for _, column in made], axis=1) if made else np.empty((grid.time_us.size, 0))
    return EvidenceGrid(grid.time_us, tuple(series for series, _ in made), values)


@dataclass(frozen=True, slots=True)
class _Calls:
    """Latency of calls (caller, callee) at the near and at the far end, (times,) each."""

    near: Mapping[tuple[str, str], FloatArray]
    far: Mapping[tuple[str, str], FloatArray]

    @classmethod
    def of(cls, grid: SeriesGrid) -> "_Calls":
        near: dict[tuple[str, str], FloatArray] = {}
        far: dict[tuple[str, str], FloatArray] = {}
        for number, (service, metric) in enumerate(grid.series):
            if not is_call(metric):
                continue
            callee, end = _call_of(metric)
            if end:
                (far if end == "far" else near)[(service, callee)] = grid.values[:, number]
        return cls(near, far)

    @property
    def measured(self) -> frozenset[str]:
        """Return the services whose own latency is measured by calls."""
        return frozenset(callee for _, callee in self.far)

    def own_latency(self) -> Iterable[tuple[EvidenceSeries, FloatArray]]:
        waits: dict[str, list[FloatArray]] = defaultdict(list)
        for (caller, _), column in self.near.items():
            waits[caller].append(np.nan_to_num(column))
        for (caller, callee), column in self.far.items():
            waited = np.sum(waits[callee], axis=0) if callee in waits else 0.0
            yield EvidenceSeries(callee, OWN_LATENCY, f"latency of calls from {caller}", 1.0), column - waited

    def network(self) -> Iterable[tuple[EvidenceSeries, FloatArray]]:
        gaps: dict[str, list[FloatArray]] = defaultdict(list)
        for call, column in self.near.items():
            if call in self.far:
                gaps[call[1]].append(column - self.far[call])
        for callee, columns in gaps.items():
            yield EvidenceSeries(callee, NETWORK, "time between both ends of calls", 1.0), _mean(np.stack(columns))


@dataclass(frozen=True, slots=True, eq=False)
class _Healthy:
    """What is known while all is well: who calls whom, and the baseline of each series."""

    graph: ServiceGraph
    baseline: Mapping[tuple[str, str], float]


def _own_impact(
    grid: SeriesGrid, healthy: _Healthy, kind: str, measured_by_calls: frozenset[str]
) -> Iterable[tuple[EvidenceSeries, FloatArray]]:
    """Return requests x (amount - usual), minus the same of the callees, where requests and the amount are measured.

    A step without a sample of the amount adds nothing: nobody was served. A callee that was never called while all was well
    explains nothing: that it is called now is the caller's doing.
    """
    graph, baseline = healthy.graph, healthy.baseline
    amounts = best_series(grid, "latency" if kind == OWN_LATENCY else "errors")
    traffic = best_series(grid, "traffic")
    services = [service for service in amounts if service in traffic and service not in measured_by_calls]
    place = {service: number for number, service in enumerate(services)}
    columns = [amounts[service] for service in services]
    normal = np.array([baseline.get(grid.series[column], 0.0) for column in columns])
    requests = grid.values[:, [traffic[service] for service in services]]
    impact = (requests * np.nan_to_num(grid.values[:, columns] - normal)).T
    calls = [
        (number, place[callee])
        for number, service in enumerate(services)
        for callee in graph.callees(service)
        if callee in place and grid.series[amounts[callee]] in baseline
    ]
    explained = np.zeros_like(impact)
    if calls:
        callers, callees = np.array(calls).T
        np.add.at(explained, callers, np.nan_to_num(impact)[callees])
    for service, column, own in zip(services, columns, impact - explained, strict=True):
        yield EvidenceSeries(service, kind, grid.series[column][1], 0.3, impact=True), own


class _Choice(NamedTuple):
    """A series of a service, in the order in which one is preferred."""

    is_sampled: bool
    rank: int
    metric: str
    number: int


def best_series(grid: SeriesGrid, signal: str) -> dict[str, int]:
    """Return the number of a service's series of a golden signal: one that is measured before one made of sampled requests, of
    these the most additive statistic, then the first by name."""
    best: dict[str, _Choice] = {}
    for number, (service, metric) in enumerate(grid.series):
        kind, rank = _statistic_of(metric)
        if kind == signal:
            choice = _Choice(metric.startswith(SIGNAL_PREFIXES), rank, metric, number)
            best[service] = min(best.get(service, choice), choice)
    return {service: choice.number for service, choice in best.items()}


def _plain(grid: SeriesGrid, with_own_share: set[tuple[str, str]]) -> Iterable[tuple[EvidenceSeries, FloatArray]]:
    """Return every other series as it is; latency and errors only where a service's own share is unknown."""
    own = {service for service, metric in with_own_share}
    for number, (service, metric) in enumerate(grid.series):
        signal, kind, weight, sign = _plain_of(metric)
        if weight and not (service in own and signal in ("latency", "errors")):
            yield EvidenceSeries(service, kind, metric, weight, sign), grid.values[:, number]


def is_call(metric: str) -> bool:
    """Return whether a metric is about calls to one callee."""
    return call_to(metric) != ""


@lru_cache(maxsize=MOST_NAMES)
def _call_of(metric: str) -> tuple[str, str]:
    """Return the callee of a latency of calls and the end that measures it, "near" or "far"; ("", "") of any other metric."""
    callee = call_to(metric)
    if not callee or spec_of(metric).signal != "latency":
        return "", ""
    words = base_name(metric).lower()
    far, near = (any(word in words for word in ends) for ends in (_FAR_END, _NEAR_END))
    return callee, "far" if far else "near" if near else ""


@lru_cache(maxsize=MOST_NAMES)
def _statistic_of(metric: str) -> tuple[str, int]:
    """Return the golden signal that a metric measures of its service itself, and its statistic's rank; "" = none."""
    signal, name = spec_of(metric).signal, metric.lower()
    if call_to(metric) or (signal == "traffic" and "request" not in name):
        return "", 0
    return signal, next((place for place, word in enumerate(_STATISTICS) if word in name), len(_STATISTICS))


@lru_cache(maxsize=MOST_NAMES)
def _plain_of(metric: str) -> tuple[str, str, float, int]:
    """Return (golden signal, kind, weight, sign) of a metric as it is; weight 0 = no evidence."""
    name, signal = metric.lower(), spec_of(metric).signal
    if call_to(metric) or name.startswith("node_") or _repeats(name):
        return signal, "", 0.0, 1
    return (signal, *_plain_kind(name, signal))


def _plain_kind(name: str, signal: str) -> tuple[str, float, int]:
    """Return (kind, weight, sign) of a metric; weight 0 = what a client of others sees, which is no evidence against it."""
    resource = next((word for word in _RESOURCES if word in name), None)
    if resource is not None:
        return resource, 0.7, 1
    if signal == "latency":
        return "latency", 0.0 if "client" in name else 0.3, 1
    if signal == "errors":
        return "errors", 0.3, 1
    if "syscall" in name or "network" in name:
        return ("system calls" if "syscall" in name else "network bytes"), 0.3, 1
    return "traffic", 0.2, -1


def _repeats(name: str) -> bool:
    """Return whether a metric is another one of the same in percent of its limit."""
    return name.endswith("usage_percent")


def _mean(columns: FloatArray) -> FloatArray:
    """Return the mean over the first axis of what is known; NaN where nothing is."""
    known = np.isfinite(columns)
    count = known.sum(axis=0)
    mean = np.full(count.shape, np.nan)
    np.divide(np.where(known, columns, 0.0).sum(axis=0), count, out=mean, where=count > 0)
    return mean
