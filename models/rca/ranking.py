"""Ranking of root causes: how surprising a service's own evidence is, and how much of the symptom it explains.

Each kind of evidence gives log(1 + excess), the excess counted in spreads of the series while all was well, beyond 2; the
spread is the wider of MAD and the 95th percentile, so that a series with a heavy tail does not shout. Where the symptom is told
and impacts add up along calls, the share of the symptom that is a service's own counts most. Kinds add up; a service's
probability is its share of the exponentials, beside "none of these".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from aiops.errors import ContractError
from aiops.graph import ServiceGraph
from aiops.types import FloatArray, IntArray
from models.rca.grid import SeriesGrid
from models.rca.signals import EvidenceSeries, best_series, evidence_of

BEYOND: Final = 2.0
MOST: Final = 100.0
"""Spreads beyond which more says no more: a series that never moved has next to no spread."""
SHARE_WEIGHT: Final = 4.0
UNKNOWN_WEIGHT: Final = 1.0
"""Score of "none of these": with no evidence at all every service is less likely than that."""
LEAST_SAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Symptom:
    """Where the trouble was felt: a service and a golden signal, latency or errors."""

    service: str
    signal: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks against a service. `excess` in spreads beyond the usual; `score` is what it adds to the ranking."""

    kind: str
    metric: str
    seen: float
    usual: float
    excess: float
    score: float
    since_us: int

    def text(self) -> str:
        """Return the evidence in words."""
        return f"{self.kind}: {self.metric} {self.seen:.4g}, usually {self.usual:.4g} ({self.excess:.1f} spreads beyond)"


@dataclass(frozen=True, slots=True)
class RankedCause:
    """A service, the probability that it began it, and its evidence, strongest first."""

    service: str
    probability: float
    score: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RootCauseRanker:
    """What is usual for every evidence series; fitted on time without incidents. Immutable."""

    graph: ServiceGraph
    usual: Mapping[tuple[str, str], float]
    width: Mapping[tuple[str, str], float]
    centre: Mapping[EvidenceSeries, float]
    spread: Mapping[EvidenceSeries, float]

    @classmethod
    def fit(cls, calm: SeriesGrid, graph: ServiceGraph) -> Self:
        """Return the ranker fitted to a grid without incidents. O(steps x series).

        Raises:
            ContractError: the grid has no step.
        """
        if not calm.time_us.size:
            raise ContractError("the calm time has 0 steps; give telemetry from before the incident")
        usual = {series: _median(calm.values[:, number]) for number, series in enumerate(calm.series)}
        usual = {series: value for series, value in usual.items() if np.isfinite(value)}
        columns = {series: calm.values[:, number] for number, series in enumerate(calm.series)}
        width = {series: _spread(columns[series][np.isfinite(columns[series])], value) for series, value in usual.items()}
        evidence = evidence_of(calm, graph, usual)
        centre, spread = {}, {}
        for number, series in enumerate(evidence.series):
            column = evidence.values[:, number]
            column = column[np.isfinite(column)]
            if column.size >= LEAST_SAMPLES:
                centre[series] = float(np.median(column))
                spread[series] = _spread(column, centre[series])
        return cls(graph, usual, width, centre, spread)

    def rank(
        self, window: SeriesGrid, before: SeriesGrid | None = None, symptom: Symptom | None = None
    ) -> tuple[RankedCause, ...]:
        """Return all services of the window, the most probable first; equal ones by name.

        `before`: the minutes just before; a series that strayed as far there says nothing new. `symptom` limits the ranking to
        services that it can reach along calls, and lets shares of it be told.
        """
        evidence = evidence_of(window, self.graph, self.usual)
        past = None if before is None else self._past(before, evidence.series)
        whole, busier = self._whole(window, symptom), self._busier(window)
        found: dict[str, dict[str, Evidence]] = {}
        for number, series in enumerate(evidence.series):
            mine = found.setdefault(series.service, {})
            if series not in self.centre:
                continue
            level = self.centre[series] if past is None else _later(series.sign, self.centre[series], past[number])
            spread = self.spread[series] * (busier.get(series.service, 1.0) if series.impact else 1.0)
            one = _evidence(series, (evidence.time_us, evidence.values[:, number]), (level, spread), whole)
            if one is not None and (series.kind not in mine or mine[series.kind].score < one.score):
                mine[series.kind] = one
        reachable = set(found) if symptom is None else _reachable(self.graph, symptom.service)
        return _ranked({service: kinds for service, kinds in found.items() if service in reachable})

    def _past(self, before: SeriesGrid, wanted: tuple[EvidenceSeries, ...]) -> FloatArray:
        past = evidence_of(before, self.graph, self.usual)
        medians = {series: _median(past.values[:, number]) for number, series in enumerate(past.series)}
        return np.array([medians.get(series, np.nan) for series in wanted])

    def _whole(self, window: SeriesGrid, symptom: Symptom | None) -> tuple[str, float]:
        """Return the kind of the symptom and its greatest impact in the window; ("", nan) where it cannot be told."""
        if symptom is None:
            return "", np.nan
        alone = ServiceGraph.from_pairs((), self.graph.services)
        kind = f"own {symptom.signal}"
        total = evidence_of(window, alone, self.usual)
        for number, series in enumerate(total.series):
            if series.service == symptom.service and series.kind == kind and series.impact:
                column = total.values[:, number]
                return kind, float(np.nanmax(column)) if np.isfinite(column).any() else np.nan
        return "", np.nan

    def _busier(self, window: SeriesGrid) -> dict[str, float]:
        """Return how many times its usual traffic a service has, at least 1: impacts, and their noise, grow with it."""
        times = {}
        for service, number in best_series(window, "traffic").items():
            usual, now = self.usual.get(window.series[number], np.nan), _median(window.values[:, number])
            times[service] = max(1.0, now / usual) if usual > 0 and np.isfinite(now) else 1.0
        return times


def _evidence(
    series: EvidenceSeries, column: tuple[IntArray, FloatArray], normal: tuple[float, float], whole: tuple[str, float]
) -> Evidence | None:
    """Return what a series says against its service; None where it was not measured. `normal` = (level, spread)."""
    (time_us, values), (level, spread) = column, normal
    strayed = series.sign * (values - level)
    if not np.isfinite(strayed).any():
        return None
    worst = int(np.nanargmax(strayed))
    excess = float(strayed[worst]) / spread
    score = series.weight * float(np.log1p(max(0.0, min(excess, MOST) - BEYOND)))
    if series.impact and series.kind == whole[0] and np.isfinite(whole[1]):
        share = (float(strayed[worst]) - BEYOND * spread) / max(whole[1], spread)
        score += SHARE_WEIGHT * float(np.clip(share, 0.0, 1.5))
    began = int(np.argmax(strayed > BEYOND * spread)) if excess > BEYOND else worst
    return Evidence(series.kind, series.metric, float(values[worst]), level, excess, score, int(time_us[began]))


def loudest_first(ranker: RootCauseRanker, window: SeriesGrid) -> tuple[str, ...]:
    """Return the services by the greatest deviation of any of their series from its usual: the trivial baseline."""
    loudest: dict[str, float] = {}
    for number, (service, metric) in enumerate(window.series):
        centre = ranker.usual.get((service, metric))
        width = ranker.width.get((service, metric))
        column = window.values[:, number]
        if centre is not None and width is not None and np.isfinite(column).any():
            loudest[service] = max(loudest.get(service, 0.0), float(np.nanmax(np.abs(column - centre))) / width)
    return tuple(sorted(loudest, key=lambda service: (-loudest[service], service)))


def _ranked(found: Mapping[str, Mapping[str, Evidence]]) -> tuple[RankedCause, ...]:
    scores = {service: sum(one.score for one in kinds.values()) for service, kinds in found.items()}
    peak = max([UNKNOWN_WEIGHT, *scores.values()])
    total = np.exp(UNKNOWN_WEIGHT - peak) + sum(np.exp(score - peak) for score in scores.values())
    causes = [
        RankedCause(
            service,
            float(np.exp(scores[service] - peak) / total),
            scores[service],
            tuple(sorted((one for one in kinds.values() if one.score > 0), key=lambda one: (-one.score, one.kind))),
        )
        for service, kinds in found.items()
    ]
    return tuple(sorted(causes, key=lambda cause: (-cause.score, cause.service)))


def _reachable(graph: ServiceGraph, service: str) -> set[str]:
    """Return the service and all that it calls, directly or not."""
    seen, waiting = {service}, [service]
    while waiting:
        for callee in graph.callees(waiting.pop()):
            if callee not in seen:
                seen.add(callee)
                waiting.append(callee)
    return seen


def _later(sign: int, centre: float, past: float) -> float:
    """Return the level to stray from: the usual one, or that of the minutes before where it was worse already."""
    return centre if not np.isfinite(past) else (max(centre, past) if sign > 0 else min(centre, past))


def _median(column: FloatArray) -> float:
    known = column[np.isfinite(column)]
    return float(np.median(known)) if known.size else np.nan


def _spread(column: FloatArray, centre: float) -> float:
    """Return the wider of the MAD and the 95th percentile (in units of a normal's deviation), and at least 2 % of the level."""
    away = np.abs(column - centre)
    return float(max(1.4826 * np.median(away), np.percentile(away, 95) / 1.96, 0.02 * abs(centre), 1e-9))
