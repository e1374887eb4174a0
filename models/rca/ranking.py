"""Ranking of root causes: how surprising a service's own evidence is, and how much of the symptom it explains.

Each kind of evidence gives log(1 + excess), the excess counted in spreads of the series while all was well, beyond 2; the
spread is the wider of MAD and the 95th percentile, so that a series with a heavy tail does not shout. Where the symptom is known
and impacts add up along calls, the share of the symptom that is a service's own counts most. Kinds add up; a service's
probability is its share of the exponentials, beside "none of these".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from aiops.errors import ContractError
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray, IntArray
from models.rca.baseline import fitted, medians_of
from models.rca.grid import SeriesGrid
from models.rca.signals import EvidenceSeries, best_series, evidence_of, is_call

BEYOND: Final = 2.0
MOST: Final = 100.0
"""Spreads beyond which more says no more: a series that never moved has next to no spread."""
SHARE_WEIGHT: Final = 4.0
UNKNOWN_WEIGHT: Final = 1.0
"""Score of "none of these": with no evidence at all every service is less likely than that."""
LEAST_SAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Symptom:
    """Where users see the incident: a service and a golden signal, latency or errors."""

    service: str
    signal: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks against a service. `excess` in spreads beyond the baseline; `score` is what it adds to the ranking.

    `words` say it where the metric's name and unit do not.
    """

    kind: str
    metric: str
    seen: float
    baseline: float
    excess: float
    score: float
    since_us: int
    words: str = ""

    def text(self) -> str:
        """Return the evidence in words."""
        return f"{self.kind}: {self.metric} {self.seen:.4g}, usually {self.baseline:.4g} ({self.excess:.1f} spreads beyond)"


@dataclass(frozen=True, slots=True)
class RankedCause:
    """A service, the probability that it began it, and its evidence, strongest first."""

    service: str
    probability: float
    score: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A ranking with what it was made from: `strayed` (steps, services), the strongest evidence of each service in spreads
    away from its level in the bad direction, NaN = not measured; `services` name its columns."""

    causes: tuple[RankedCause, ...]
    time_us: IntArray
    services: tuple[str, ...]
    strayed: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class RootCauseRanker:
    """The baseline of every evidence series; fitted on time without incidents. Immutable."""

    graph: ServiceGraph
    baseline: Mapping[tuple[str, str], float]
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
        baseline, width = fitted(calm.series, calm.values, 1)
        evidence = evidence_of(calm, graph, baseline)
        return cls(graph, baseline, width, *fitted(evidence.series, evidence.values, LEAST_SAMPLES))

    def rank(
        self, window: SeriesGrid, before: SeriesGrid | None = None, symptom: Symptom | None = None
    ) -> tuple[RankedCause, ...]:
        """Return all services of the window, the most probable first; equal ones by name. See `judge`."""
        return self.judge(window, before, symptom).causes

    def judge(self, window: SeriesGrid, before: SeriesGrid | None = None, symptom: Symptom | None = None) -> Judgement:
        """Return the ranking of all services of the window, and how each strayed over it.

        `before`: the minutes just before; a series that strayed as far there says nothing new. `symptom` limits the ranking to
        services that it can reach along calls, and lets it be divided into shares.
        """
        evidence = evidence_of(window, self.graph, self.baseline)
        known = np.array([number for number, series in enumerate(evidence.series) if series in self.centre], dtype=np.int64)
        series = [evidence.series[number] for number in known.tolist()]
        past = None if before is None else self._past(before, tuple(series))
        judged = _judge(
            series, evidence.values[:, known], self._normal(series, past, window), self._symptom_impact(window, symptom)
        )
        best: dict[str, dict[str, int]] = {evidence_series.service: {} for evidence_series in evidence.series}
        for number, (evidence_series, score) in enumerate(zip(series, judged.score.tolist(), strict=True)):
            best_of_kind = best[evidence_series.service]
            if score >= 0.0 and (
                evidence_series.kind not in best_of_kind or judged.score[best_of_kind[evidence_series.kind]] < score
            ):
                best_of_kind[evidence_series.kind] = number
        reachable = set(best) if symptom is None else reached_by(self.graph, symptom.service)
        best = {name: kinds for name, kinds in best.items() if name in reachable}
        return Judgement(_ranked(best, series, judged, evidence.time_us), evidence.time_us, tuple(best), _strongest(best, judged))

    def _normal(self, series: Sequence[EvidenceSeries], past: FloatArray | None, window: SeriesGrid) -> "_NormalLevels":
        """Return levels to stray from, the usual ones or those of `past` where they were worse already, and spreads."""
        centre, spread = (
            np.array([known[evidence_series] for evidence_series in series]) for known in (self.centre, self.spread)
        )
        busier = self._busier(window)
        spread = spread * np.array(
            [busier.get(evidence_series.service, 1.0) if evidence_series.impact else 1.0 for evidence_series in series]
        )
        if past is None:
            return _NormalLevels(centre, spread)
        later = np.where(
            np.array([evidence_series.sign for evidence_series in series]) > 0, np.maximum(centre, past), np.minimum(centre, past)
        )
        return _NormalLevels(np.where(np.isfinite(past), later, centre), spread)

    def _past(self, before: SeriesGrid, wanted: tuple[EvidenceSeries, ...]) -> FloatArray:
        past = evidence_of(before, self.graph, self.baseline)
        medians = dict(zip(past.series, medians_of(past.values).tolist(), strict=True))
        return np.array([medians.get(series, np.nan) for series in wanted])

    def _symptom_impact(self, window: SeriesGrid, symptom: Symptom | None) -> "_SymptomImpact":
        """Return the kind of the symptom and its greatest impact in the window; ("", nan) where it is unknown."""
        if symptom is None:
            return _SymptomImpact("", np.nan)
        alone = ServiceGraph.from_pairs((), self.graph.services[:0])
        kept = [number for number, (name, metric) in enumerate(window.series) if name == symptom.service or is_call(metric)]
        symptom_grid = SeriesGrid(window.time_us, tuple(window.series[number] for number in kept), window.values[:, kept])
        kind = f"own {symptom.signal}"
        total = evidence_of(symptom_grid, alone, self.baseline)
        for number, series in enumerate(total.series):
            if series.service == symptom.service and series.kind == kind and series.impact:
                column = total.values[:, number]
                return _SymptomImpact(kind, float(np.nanmax(column)) if np.isfinite(column).any() else np.nan)
        return _SymptomImpact("", np.nan)

    def _busier(self, window: SeriesGrid) -> dict[str, float]:
        """Return how many times its usual traffic a service has, at least 1: impacts, and their noise, grow with it."""
        traffic = best_series(window, "traffic")
        now = medians_of(window.values[:, list(traffic.values())]).tolist()
        times = {}
        for (service, number), seen in zip(traffic.items(), now, strict=True):
            baseline = self.baseline.get(window.series[number], np.nan)
            times[service] = max(1.0, seen / baseline) if baseline > 0 and np.isfinite(seen) else 1.0
        return times


@dataclass(frozen=True, slots=True, eq=False)
class _NormalLevels:
    """Levels that series stray from, and their spreads, (n,) each."""

    level: FloatArray
    spread: FloatArray


@dataclass(frozen=True, slots=True)
class _SymptomImpact:
    """Kind of evidence that the symptom is, and its greatest impact; NaN = unknown."""

    kind: str
    impact: float


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What series say (n,): `score` -1 = not measured; `began` is a step of the window."""

    level: FloatArray
    seen: FloatArray
    excess: FloatArray
    score: FloatArray
    began: IntArray
    strayed: FloatArray


def _strongest(best: Mapping[str, Mapping[str, int]], judged: _Judged) -> FloatArray:
    """Return (steps, services) the deviation of the series of each service with the highest score; NaN where none is known."""
    score = judged.score.tolist()
    chosen = [max(kinds.values(), key=lambda number: (score[number], -number), default=-1) for kinds in best.values()]
    deviation = judged.strayed[:, chosen] if judged.strayed.shape[1] else np.full((len(judged.strayed), len(chosen)), np.nan)
    return np.where(np.array(chosen, dtype=np.int64) >= 0, deviation, np.nan)


def _judge(series: Sequence[EvidenceSeries], values: FloatArray, normal: _NormalLevels, whole: _SymptomImpact) -> _Judged:
    """Return what each series (steps, n) says against its service."""
    level, spread = normal.level, normal.spread
    strayed = np.array([evidence_series.sign for evidence_series in series]) * (values - level)
    rows = np.arange(len(series))
    worst = np.argmax(np.where(np.isnan(strayed), -np.inf, strayed), axis=0) if len(values) else np.zeros(len(series), np.int64)
    measured = np.isfinite(strayed).any(axis=0)
    if not measured.any():
        nothing = np.zeros(len(series))
        return _Judged(level, nothing, nothing, nothing - 1.0, worst, strayed)
    most = strayed[worst, rows]
    excess = most / spread
    weight = np.array([evidence_series.weight for evidence_series in series])
    score = weight * np.log1p(np.maximum(0.0, np.minimum(excess, MOST) - BEYOND))
    if np.isfinite(whole.impact):
        of_symptom = np.array(
            [evidence_series.impact and evidence_series.kind == whole.kind for evidence_series in series], dtype=np.bool_
        )
        share = (most - BEYOND * spread) / np.maximum(whole.impact, spread)
        score = np.where(of_symptom, score + SHARE_WEIGHT * np.clip(share, 0.0, 1.5), score)
    began = np.where(excess > BEYOND, np.argmax(strayed > BEYOND * spread, axis=0), worst)
    return _Judged(level, values[worst, rows], excess, np.where(measured, score, -1.0), began, strayed / spread)


def loudest_first(ranker: RootCauseRanker, window: SeriesGrid) -> tuple[str, ...]:
    """Return the services by the greatest deviation of any of their series from its baseline: the trivial baseline."""
    loudest: dict[str, float] = {}
    for number, (service, metric) in enumerate(window.series):
        centre = ranker.baseline.get((service, metric))
        width = ranker.width.get((service, metric))
        column = window.values[:, number]
        if centre is not None and width is not None and np.isfinite(column).any():
            loudest[service] = max(loudest.get(service, 0.0), float(np.nanmax(np.abs(column - centre))) / width)
    return tuple(sorted(loudest, key=lambda service: (-loudest[service], service)))


def _ranked(
    best: Mapping[str, Mapping[str, int]], series: Sequence[EvidenceSeries], judged: _Judged, time_us: IntArray
) -> tuple[RankedCause, ...]:
    """Return the causes of services, of each the number of its best series of a kind."""
    score = judged.score.tolist()
    scores = {service: sum(score[number] for number in kinds.values()) for service, kinds in best.items()}
    peak = max([UNKNOWN_WEIGHT, *scores.values()])
    total = np.exp(UNKNOWN_WEIGHT - peak) + sum(np.exp(score - peak) for score in scores.values())
    causes = []
    for service, kinds in best.items():
        shown = sorted((number for number in kinds.values() if score[number] > 0), key=lambda n: (-score[n], series[n].kind))
        evidence = tuple(_evidence(series[number], number, judged, time_us) for number in shown)
        causes.append(RankedCause(service, float(np.exp(scores[service] - peak) / total), scores[service], evidence))
    return tuple(sorted(causes, key=lambda cause: (-cause.score, cause.service)))


def _evidence(source: EvidenceSeries, number: int, judged: _Judged, time_us: IntArray) -> Evidence:
    seen, level = float(judged.seen[number]), float(judged.level[number])
    excess, score = float(judged.excess[number]), float(judged.score[number])
    return Evidence(source.kind, source.metric, seen, level, excess, score, int(time_us[judged.began[number]]))


def reached_by(graph: ServiceGraph, service: str) -> set[str]:
    """Return the service and all that it calls, directly or not."""
    seen, waiting = {service}, [service]
    while waiting:
        for callee in graph.callees(waiting.pop()):
            if callee not in seen:
                seen.add(callee)
                waiting.append(callee)
    return seen
