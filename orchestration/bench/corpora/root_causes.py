"""Root cause ranking on public corpora: PetShop (symptom at one service) and Nezha (metrics and calls of each minute).

Only the names of services and calls, and telemetry, are read for a ranking; the truth is read for the figures printed at the end.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import SourceError
from aiops.topology.graph import ServiceGraph
from data_contracts.values.moments import microseconds_of
from models.rca.explain import RcaInputs, explain
from models.rca.grid import SeriesGrid
from models.rca.ranking import RootCauseRanker, Symptom, loudest_first
from orchestration.bench.corpora.nezha_days import accepted_batches
from serving.ingest.pull.nezha import NezhaSource, open_nezha
from serving.ingest.pull.petshop import PetShopSource
from serving.ingest.pull.source_options import SourceOptions

PETSHOP_STEP_S: Final = 300
NEZHA_STEP_S: Final = 60
AFTER_MIN: Final = 4
"""Minutes after the one of the injection that a ranking may see."""
BEFORE_MIN: Final = 3
"""Minutes just before the injection that a series is compared with, beside its calm time."""
_LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)
_MINUTE_US: Final = 60_000_000
_CALM_AT_HAND: Final = "low_traffic"
"""The scenario whose calm time serves those that come without one: the application is the same."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """One ranked case; `baseline` ranks by the greatest deviation of any series of a service, `explained` by the posterior.

    `seconds` = of the whole explanation, ranking included.
    """

    case: dict[str, object]
    root: str
    ranking: tuple[str, ...]
    baseline: tuple[str, ...]
    explained: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class RootCauseFigures:
    """Shares of cases whose root is ranked first, and among the first three; beside them those of the loudest service.

    `explained_top1` and `explained_top3`: the same by probability, for which onsets in the few steps there count too.
    """

    cases: int
    top1: float
    top3: float
    loudest_top1: float
    loudest_top3: float
    explained_top1: float
    explained_top3: float
    seconds_per_case: float


def bench_petshop(dataset: Path, out: Path, say: Callable[[str], None]) -> RootCauseFigures:
    """Rank every issue of every scenario below `dataset` and write one JSON object a line.

    Raises:
        SourceError: there is no scenario, or none with a time without an issue.
    """
    scenarios = sorted(path.parent for path in dataset.glob("*/graph.csv"))
    calm_folders = sorted(path.parents[1] for path in dataset.glob("*/noissue/metrics.csv"))
    if not scenarios or not calm_folders:
        raise SourceError(
            f"{dataset}: holds no scenario with graph.csv and noissue/metrics.csv; give the corpus's folder dataset"
        )
    at_hand = dataset / _CALM_AT_HAND if dataset / _CALM_AT_HAND in calm_folders else calm_folders[0]
    rankings: list[Ranking] = []
    for folder in scenarios:
        calm = PetShopSource(folder if folder in calm_folders else at_hand).calm()
        rankings += _petshop_scenario(PetShopSource(folder), calm)
        say(f"{folder.name}: {sum(ranking.case['scenario'] == folder.name for ranking in rankings)} issues ranked")
    return _written(rankings, out)


def _petshop_scenario(source: PetShopSource, calm: pa.Table) -> Iterator[Ranking]:
    graph = ServiceGraph.from_edges(source.edges())
    calm_grid = SeriesGrid.of(calm, PETSHOP_STEP_S)
    ranker = RootCauseRanker.fit(calm_grid, graph)
    for issue in source.issues():
        window = SeriesGrid.of(issue.rows(), PETSHOP_STEP_S)
        case: dict[str, object] = {"scenario": source.folder.name, "split": issue.split, "issue": issue.name}
        symptom = Symptom(issue.symptom_service, issue.signal)
        yield _ranked(case, issue.root, RcaInputs(_LATER, window, calm_grid, graph, symptom=symptom, ranker=ranker))


def _ranked(case: dict[str, object], root: str, inputs: RcaInputs) -> Ranking:
    """Return a case, ranked by magnitude, and explained."""
    ranker = inputs.ranker or RootCauseRanker.fit(inputs.calm, inputs.graph)
    causes = ranker.rank(inputs.window, inputs.before, inputs.symptom)
    began = time.perf_counter()
    report = explain(inputs)
    seconds = time.perf_counter() - began
    explained = tuple(cause.service for cause in report.causes)
    ranking = tuple(cause.service for cause in causes)
    return Ranking(case, root, ranking, loudest_first(ranker, inputs.window), explained, seconds)


def bench_nezha(root: Path, out: Path, say: Callable[[str], None]) -> RootCauseFigures:
    """Rank every fault of every day below `root` and write one JSON object a line.

    What is usual comes from the hours without faults of the same day; a ranking sees metrics up to 4 minutes after its fault.

    Raises:
        SourceError: there is no day with a fault list.
    """
    days = sorted(path.parent for path in root.glob("rca_data/*/*-fault_list.json"))
    if not days:
        raise SourceError(f"{root}: holds no rca_data/DAY/DAY-fault_list.json; give the folder of the corpus")
    rankings: list[Ranking] = []
    for folder in days:
        rankings += _nezha_day(open_nezha(SourceOptions(path=folder)))
        say(f"{folder.name}: {sum(ranking.case['day'] == folder.name for ranking in rankings)} faults ranked")
    return _written(rankings, out)


def _nezha_day(source: NezhaSource) -> Iterator[Ranking]:
    grid = SeriesGrid.of(pa.Table.from_batches(accepted_batches(source)), NEZHA_STEP_S)
    split = source.split()
    calm = grid.between(microseconds_of(split.history_start), microseconds_of(split.history_end))
    graph = ServiceGraph.from_edges(source.edges())
    ranker = RootCauseRanker.fit(calm, graph)
    for number, fault in enumerate(source.incidents().to_pylist()):
        minute = microseconds_of(fault["starts_at"].replace(second=0, microsecond=0))
        window = grid.between(minute + _MINUTE_US, minute + (AFTER_MIN + 1) * _MINUTE_US)
        before = grid.between(minute - BEFORE_MIN * _MINUTE_US, minute)
        case: dict[str, object] = {"day": source.folder.name, "fault": number}
        yield _ranked(case, fault["service"], RcaInputs(_LATER, window, calm, graph, before, ranker=ranker))


def _written(ranked: Sequence[Ranking], out: Path) -> RootCauseFigures:
    lines = [json.dumps({**case.case, "ranking": case.ranking, "seconds": round(case.seconds, 6)}) for case in ranked]
    out.write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    def share(first: int, rankings: Sequence[tuple[str, ...]]) -> float:
        return float(np.mean([case.root in ranking[:first] for case, ranking in zip(ranked, rankings, strict=True)]))

    ours, loudest, explained = (
        (share(1, rankings), share(3, rankings))
        for rankings in (
            [case.ranking for case in ranked],
            [case.baseline for case in ranked],
            [case.explained for case in ranked],
        )
    )
    return RootCauseFigures(len(ranked), *ours, *loudest, *explained, float(np.mean([case.seconds for case in ranked])))
