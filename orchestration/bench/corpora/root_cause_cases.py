"""Incidents of public corpora as a root cause analysis is given them, each with the service that truly began it.

PetShop: a symptom at one service. Nezha: metrics and calls of each minute, and traces and logs where the day has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from aiops.errors import SourceError
from aiops.topology.graph import ServiceGraph
from data_contracts.values.moments import microseconds_of
from models.rca.explain import RcaInputs
from models.rca.grid import SeriesGrid
from models.rca.ranking import RootCauseRanker, Symptom
from orchestration.bench.corpora.nezha_days import accepted_batches
from orchestration.bench.corpora.nezha_windows import FaultRequests
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


@dataclass(frozen=True, slots=True, eq=False)
class RootCauseCase:
    """One incident: the part of the corpus that it is of, what its line of the output begins with, the true service."""

    part: str
    about: dict[str, object]
    root: str
    inputs: RcaInputs


def petshop_cases(dataset: Path) -> Iterator[RootCauseCase]:
    """Yield every issue of every scenario below `dataset`.

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
    for folder in scenarios:
        calm = PetShopSource(folder if folder in calm_folders else at_hand).calm()
        yield from _petshop_scenario(PetShopSource(folder), calm)


def _petshop_scenario(source: PetShopSource, calm: pa.Table) -> Iterator[RootCauseCase]:
    graph = ServiceGraph.from_edges(source.edges())
    calm_grid = SeriesGrid.of(calm, PETSHOP_STEP_S)
    ranker = RootCauseRanker.fit(calm_grid, graph)
    for issue in source.issues():
        window = SeriesGrid.of(issue.rows(), PETSHOP_STEP_S)
        about: dict[str, object] = {"scenario": source.folder.name, "split": issue.split, "issue": issue.name}
        symptom = Symptom(issue.symptom_service, issue.signal)
        inputs = RcaInputs(_LATER, window, calm_grid, graph, symptom=symptom, ranker=ranker)
        yield RootCauseCase(source.folder.name, about, issue.root, inputs)


def nezha_cases(root: Path) -> Iterator[RootCauseCase]:
    """Yield every fault of every day below `root`.

    What is usual comes from the hours without faults of the same day; a ranking sees metrics up to 4 minutes after its fault.

    Raises:
        SourceError: there is no day with a fault list.
    """
    days = sorted(path.parent for path in root.glob("rca_data/*/*-fault_list.json"))
    if not days:
        raise SourceError(f"{root}: holds no rca_data/DAY/DAY-fault_list.json; give the folder of the corpus")
    for folder in days:
        yield from _nezha_day(open_nezha(SourceOptions(path=folder)))


def _nezha_day(source: NezhaSource) -> Iterator[RootCauseCase]:
    grid = SeriesGrid.of(pa.Table.from_batches(accepted_batches(source)), NEZHA_STEP_S)
    split = source.split()
    calm = grid.between(microseconds_of(split.history_start), microseconds_of(split.history_end))
    graph = ServiceGraph.from_edges(source.edges())
    ranker = RootCauseRanker.fit(calm, graph)
    faults = source.incidents().to_pylist()
    requests = FaultRequests(source.folder, [microseconds_of(fault["starts_at"]) for fault in faults])
    for number, fault in enumerate(faults):
        minute = microseconds_of(fault["starts_at"].replace(second=0, microsecond=0))
        window = grid.between(minute + _MINUTE_US, minute + (AFTER_MIN + 1) * _MINUTE_US)
        before = grid.between(minute - BEFORE_MIN * _MINUTE_US, minute)
        around = requests.around(microseconds_of(fault["starts_at"]))
        inputs = RcaInputs(_LATER, window, calm, graph, before, ranker=ranker, requests=around)
        yield RootCauseCase(source.folder.name, {"day": source.folder.name, "fault": number}, fault["service"], inputs)
