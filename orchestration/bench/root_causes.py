"""Root cause ranking on public corpora: PetShop (felt at one service) and Nezha (metrics and calls of each minute).

Only the names of services and calls, and telemetry, are read for a ranking; the truth is read for the figures printed at the end.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import SourceError
from aiops.graph import ServiceGraph
from models.rca.grid import SeriesGrid
from models.rca.ranking import RootCauseRanker, Symptom, loudest_first
from orchestration.bench.nezha_days import accepted_batches
from serving.sources.nezha import NezhaSource, open_nezha
from serving.sources.options import SourceOptions
from serving.sources.petshop import PetShopSource
from serving.streams import to_us

PETSHOP_STEP_S: Final = 300
NEZHA_STEP_S: Final = 60
AFTER_MIN: Final = 4
"""Minutes after the one of the injection that a ranking may see."""
BEFORE_MIN: Final = 3
"""Minutes just before the injection that a series is compared with, beside its calm time."""
_MINUTE_US: Final = 60_000_000
_CALM_AT_HAND: Final = "low_traffic"
"""The scenario whose calm time serves those that come without one: the application is the same."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """One ranked case; `baseline` ranks by the greatest deviation of any series of a service."""

    case: dict[str, object]
    root: str
    ranking: tuple[str, ...]
    baseline: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class RootCauseFigures:
    """Shares of cases whose root is ranked first, and among the first three; beside them those of the loudest service."""

    cases: int
    top1: float
    top3: float
    loudest_top1: float
    loudest_top3: float
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
    found: list[Ranking] = []
    for folder in scenarios:
        calm = PetShopSource(folder if folder in calm_folders else at_hand).calm()
        found += _petshop_scenario(PetShopSource(folder), calm)
        say(f"{folder.name}: {sum(one.case['scenario'] == folder.name for one in found)} issues ranked")
    return _written(found, out)


def _petshop_scenario(source: PetShopSource, calm: pa.Table) -> Iterator[Ranking]:
    graph = ServiceGraph.from_edges(source.edges())
    ranker = RootCauseRanker.fit(SeriesGrid.of(calm, PETSHOP_STEP_S), graph)
    for issue in source.issues():
        window = SeriesGrid.of(issue.rows(), PETSHOP_STEP_S)
        began = time.perf_counter()
        causes = ranker.rank(window, symptom=Symptom(issue.felt_at, issue.signal))
        seconds = time.perf_counter() - began
        case: dict[str, object] = {"scenario": source.folder.name, "split": issue.split, "issue": issue.name}
        yield Ranking(case, issue.root, tuple(cause.service for cause in causes), loudest_first(ranker, window), seconds)


def bench_nezha(root: Path, out: Path, say: Callable[[str], None]) -> RootCauseFigures:
    """Rank every fault of every day below `root` and write one JSON object a line.

    What is usual comes from the hours without faults of the same day; a ranking sees metrics up to 4 minutes after its fault.

    Raises:
        SourceError: there is no day with a fault list.
    """
    days = sorted(path.parent for path in root.glob("rca_data/*/*-fault_list.json"))
    if not days:
        raise SourceError(f"{root}: holds no rca_data/DAY/DAY-fault_list.json; give the folder of the corpus")
    found: list[Ranking] = []
    for folder in days:
        found += _nezha_day(open_nezha(SourceOptions(path=folder)))
        say(f"{folder.name}: {sum(one.case['day'] == folder.name for one in found)} faults ranked")
    return _written(found, out)


def _nezha_day(source: NezhaSource) -> Iterator[Ranking]:
    grid = SeriesGrid.of(pa.Table.from_batches(accepted_batches(source)), NEZHA_STEP_S)
    split = source.split()
    calm = grid.between(to_us(split.history_start), to_us(split.history_end))
    ranker = RootCauseRanker.fit(calm, ServiceGraph.from_edges(source.edges()))
    for number, fault in enumerate(source.incidents().to_pylist()):
        minute = to_us(fault["starts_at"].replace(second=0, microsecond=0))
        window = grid.between(minute + _MINUTE_US, minute + (AFTER_MIN + 1) * _MINUTE_US)
        before = grid.between(minute - BEFORE_MIN * _MINUTE_US, minute)
        began = time.perf_counter()
        causes = ranker.rank(window, before)
        seconds = time.perf_counter() - began
        case: dict[str, object] = {"day": source.folder.name, "fault": number}
        yield Ranking(case, fault["service"], tuple(cause.service for cause in causes), loudest_first(ranker, window), seconds)


def _written(found: Sequence[Ranking], out: Path) -> RootCauseFigures:
    lines = [json.dumps({**one.case, "ranking": one.ranking, "seconds": round(one.seconds, 6)}) for one in found]
    out.write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    def share(first: int, rankings: Sequence[tuple[str, ...]]) -> float:
        return float(np.mean([one.root in ranking[:first] for one, ranking in zip(found, rankings, strict=True)]))

    ours, loudest = [one.ranking for one in found], [one.baseline for one in found]
    seconds = float(np.mean([one.seconds for one in found]))
    return RootCauseFigures(len(found), share(1, ours), share(3, ours), share(1, loudest), share(3, loudest), seconds)
