"""What the bench of the tiers runs on: a home with simulated history, characters, bands and trained champions."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.simulator.simulation_config import SimulationConfig
from models.artifacts.audit import CHAMPION
from orchestration.pipeline import ingest as ingestion
from orchestration.pipeline.bands import Made, make_bands
from orchestration.pipeline.deployment import change, current_version
from orchestration.pipeline.features import Window, build_features
from orchestration.pipeline.scenario import Scenario
from orchestration.pipeline.series_character import measure_characters
from orchestration.pipeline.training import judge, train_candidate
from orchestration.pipeline.training_set import TrainingRequest, TrainingSet, build_training_set
from orchestration.rehearsal.live_replay import with_free_ports
from orchestration.workspace.workspace import Workspace
from serving.ingest.pull.simulate import SimulatedSource

Say = Callable[[str], None]
MODELS: Final = ("robust-stream", "service-ensemble")
"""Tier 1's levels and tier 3: the models that this bench asks."""
WHY: Final = "bench of the tiers: speed is measured, whatever the gate says"


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """How much is simulated: points of 8 metrics a service every minute."""

    seed: int = 11
    services: int = 10
    history_h: float = 144.0
    replay_h: float = 12.0


@dataclass(frozen=True, slots=True)
class World:
    """A home ready to be served."""

    workspace: Workspace
    scenario: Scenario
    bands: Made
    series: int


def prepare(home: Path, config: WorldConfig, say: Say) -> World:
    """Simulate, ingest, measure, make bands and train in `home`, which nothing else uses.

    Raises:
        TrainingImpossible: a model could not be trained on this history.
    """
    workspace = _workspace(home)
    scenario = _scenario(config)
    split = scenario.split
    ingestion.ingest_truth(workspace, scenario.source)
    ingestion.ingest(workspace, scenario.source.name, scenario.history(), split.history_end, say)
    build_features(workspace, Window(split.history_start, split.history_end), say)
    measured = measure_characters(workspace)
    bands = make_bands(workspace)
    say(bands.text)
    built = build_training_set(workspace, TrainingRequest(), say)
    for name in MODELS:
        _train(workspace, name, built, say)
    return World(workspace, scenario, bands, measured.series)


def _workspace(home: Path) -> Workspace:
    """Return a workspace of `home` whose broker, registry and ports are its own, whatever the environment says of them."""
    from aiops.settings.reading import read_settings

    chosen = read_settings()
    broker = chosen.broker.model_copy(update={"url": None, "partitions": 1})
    consumer = chosen.consumer.model_copy(update={"scoring_url": None, "tier1_path": None})
    own = {"home": home, "mlflow_tracking_uri": None, "broker": broker, "consumer": consumer}
    return Workspace.open(with_free_ports(chosen.model_copy(update=own)))


def _scenario(config: WorldConfig) -> Scenario:
    hours = config.history_h + config.replay_h
    simulation = SimulationConfig(seed=config.seed, services=config.services, hours=hours, chunk_h=1.0)
    source = SimulatedSource(simulation, history_share=config.history_h / hours)
    return Scenario(source, source.split(), ())


def _train(workspace: Workspace, name: str, built: TrainingSet, say: Say) -> None:
    from aiops.errors import TrainingImpossible

    began = time.monotonic()
    candidate = train_candidate(workspace, name, built, datetime.now(UTC))
    if not candidate.version:
        raise TrainingImpossible(candidate.text)
    judged = judge(workspace, name, datetime.now(UTC))
    if current_version(workspace, name) != candidate.version:
        workspace.registry.set_alias(name, CHAMPION, candidate.version, change(datetime.now(UTC), WHY))
    say(f"{name} trained in {time.monotonic() - began:.1f} s; the gate: {judged.reason}")


def ticks(scenario: Scenario, start: datetime, end: datetime) -> Iterator[pa.Table]:
    """Yield the points of each tick with start <= time < end as one table, in order of time."""
    for chunk in scenario.source.batches(start, end):
        rows = chunk.sort_by("timestamp")
        times = rows.column("timestamp").cast(pa.int64()).to_numpy()
        starts = np.flatnonzero(np.diff(times, prepend=times[:1] - 1))
        for first, last in zip(starts.tolist(), [*starts[1:].tolist(), rows.num_rows], strict=True):
            yield rows.slice(first, last - first)


def warm_start(scenario: Scenario) -> datetime:
    """Return where to begin so that every series is warm when the replay starts."""
    return scenario.split.replay_start - timedelta(hours=2)
