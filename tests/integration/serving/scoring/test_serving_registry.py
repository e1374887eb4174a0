"""The service's model source follows the real registry: what MLflow's champion names is loaded, proved and swapped in."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from prometheus_client import CollectorRegistry

from aiops.settings.tree import Settings
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES, TIMESTAMP
from models.artifacts.artifact import Example
from models.artifacts.audit import Change
from models.artifacts.registry import Registry
from models.artifacts.training_run import DatasetFacts, TrainingRun
from models.detectors.isolation_forest import ForestConfig, IsolationForest
from serving.scoring.answers.scoring import score_rows
from serving.scoring.answers.scoring_metrics import ScoringMetrics
from serving.scoring.requests.vector_rows import RequestRows
from serving.scoring.slots.model_slot import ModelSlot
from serving.scoring.slots.model_source import FolderModels, RegistryModels

NOW = datetime(2025, 3, 1, tzinfo=UTC)
FOREST = "isolation-forest"
CHANGE = Change("test", NOW, "serving")


def forest(seed: int) -> tuple[IsolationForest, TrainingRun]:
    config = ForestConfig(trees=20, seed=seed)
    rows = np.random.default_rng(seed).normal(0, 1, (400, len(config.features)))
    model = IsolationForest.fit(rows, config)
    facts = DatasetFacts("rows", "0" * 64, len(rows), config.features, NOW, NOW)
    return model, TrainingRun({}, {}, facts, Example(rows[:4], model.score(rows[:4])))


def test_the_champion_of_the_registry_is_followed_without_a_restart(home: Path) -> None:
    settings = Settings(home=home)
    source = RegistryModels(settings)
    assert source.version_of(FOREST, "champion") is None
    assert not (home / "mlflow").exists()
    registry = Registry(settings)
    slot = ModelSlot(FOREST, "champion", source, ScoringMetrics(CollectorRegistry()))
    features = np.random.default_rng(9).normal(0, 1, (50, len(SERVICE_FEATURES)))
    names, times = pa.array(["cart"] * 50), pa.nulls(50, TIMESTAMP)
    rows = RequestRows(names, times, features, np.zeros(50, dtype=np.bool_))
    for seed, version in ((1, "1"), (2, "2")):
        model, run = forest(seed)
        registry.register(model, run, CHANGE)
        slot.poll(0.0)
        assert slot.status.version == (None if version == "1" else "1")
        registry.set_alias(FOREST, "champion", version, CHANGE)
        assert slot.poll(0.0)
        served = slot.current
        assert served is not None
        assert served.version == version
        expected = model.score(np.ascontiguousarray(features[:, [SERVICE_FEATURES.index(name) for name in model.features]]))
        assert np.array_equal(score_rows(served, rows)[0], expected)
    assert not slot.poll(0.0)
    registry.rollback(FOREST, CHANGE)
    assert slot.poll(0.0)
    assert slot.status.version == "1"
    assert slot.status.failures == 0
    exported = FolderModels(home / "models")
    assert exported.version_of(FOREST, "champion") == "1"
    assert np.array_equal(score_rows(exported.load(FOREST, "1"), rows)[0], score_rows(slot.current, rows)[0])
