"""The registry on a real MLflow SQLite store: versions, aliases, rollback, audit, exports, and a data scientist's view."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import ArtifactError, ModelNotFound, StateError
from aiops.features.engine import EngineConfig
from aiops.incidents.labels import horizon_labels
from aiops.settings.model_settings import ModelSettings
from aiops.settings.tree import Settings
from aiops.types import GateDecision, Scorecard
from models.artifacts.audit import AuditLog, Change
from models.artifacts.catalog import FittedModel
from models.artifacts.export import exported_version, load_exported
from models.artifacts.registry import Registry
from models.artifacts.tenant_models import own_name
from models.artifacts.training_run import Trained
from models.detectors.isolation_forest import IsolationForest
from models.prediction.incident_predictor import IncidentPredictor, PredictorConfig
from models.training.detector_training import train_robust_stream
from models.training.predictor_training import train_incident_predictor
from models.training.training_context import TrainingContext
from serving.scoring.slots.model_source import FolderModels, RegistryModels
from tests.testing.deadlines import within
from tests.testing.series_names import points_of_table
from tests.testing.service_frames import START, history
from tests.testing.trained_forest import trained_forest

NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
FOREST = "isolation-forest"
CONTEXT = TrainingContext("synthetic", "detection_v1", "0123abc")


def change(minute: int = 0, why: str = "test") -> Change:
    return Change("alice", NOW + timedelta(minutes=minute), why)


@cache
def forest() -> Trained[IsolationForest]:
    return trained_forest(history(days=4), CONTEXT)


@cache
def predictor() -> Trained[IncidentPredictor]:
    past = history(days=5)
    return train_incident_predictor(past.frame, horizon_labels(past.frame, past.incidents), CONTEXT, PredictorConfig(rounds=5))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with an empty MLflow store, made once: its tables take seconds."""
    home = tmp_path_factory.mktemp("empty")
    Registry(Settings(home=home)).versions(FOREST)
    return home / "mlflow"


@pytest.fixture
def registry(home: Path, store: Path) -> Registry:
    shutil.copytree(store, home / "mlflow")
    return Registry(Settings(home=home, models=ModelSettings(keep_versions=3)))


def test_a_training_is_recorded_in_full(registry: Registry, home: Path) -> None:
    import mlflow

    trained = predictor()
    version = registry.register(trained.model, trained.run, change())
    assert (version.name, version.version, version.aliases) == ("incident-predictor", "1", ())
    run = mlflow.MlflowClient().get_run(version.run_id)
    assert run.data.params["rounds"] == "5"
    assert run.data.metrics["pr_auc"] == pytest.approx(trained.run.metrics["pr_auc"])
    assert run.data.tags["mlflow.source.git.commit"] == "0123abc"
    assert run.data.tags["feature_service"] == "detection_v1"
    assert run.data.tags["dataset.sha256"] == trained.run.dataset.digest
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("synthetic", trained.run.dataset.digest[:32])
    figures = {Path(file.path).name for file in mlflow.MlflowClient().list_artifacts(version.run_id, "figures")}
    assert figures == set(trained.run.figures)
    signature = mlflow.models.get_model_info("models:/incident-predictor/1").signature
    assert signature.inputs.input_names() == list(trained.model.features)
    assert signature.outputs.input_names() == ["p_5min", "p_15min", "p_60min"]
    assert not [path for path in home.rglob("*") if path.suffix in {".pkl", ".pickle", ".joblib", ".cloudpickle"}]


def test_what_is_loaded_scores_its_example_as_before(registry: Registry) -> None:
    for trained in (forest(), predictor()):
        registry.register(trained.model, trained.run, change())
        registry.set_alias(trained.model.catalog_name, "champion", "1", change())
        loaded = registry.load(trained.model.catalog_name, "champion")
        assert loaded.version.aliases == ("champion",)
        assert loaded.example is not None
        np.testing.assert_array_equal(loaded.model.score(loaded.example.rows), loaded.example.scores)  # type: ignore[attr-defined]
        assert registry.load(trained.model.catalog_name, "1").digest == loaded.digest


def test_a_data_scientist_loads_it_with_mlflow(registry: Registry) -> None:
    import mlflow.pyfunc
    import pandas as pd

    trained = forest()
    registry.register(trained.model, trained.run, change())
    registry.set_alias(FOREST, "champion", "1", change())
    rows = np.random.default_rng(0).standard_normal((5, len(trained.model.features)))
    frame = pd.DataFrame(rows, columns=list(trained.model.features))
    answer = mlflow.pyfunc.load_model(f"models:/{FOREST}@champion").predict(frame)
    assert list(answer.columns) == ["score"]
    np.testing.assert_array_equal(answer.to_numpy(), trained.model.score(rows))


def test_tier_1_is_a_pyfunc_of_points(registry: Registry) -> None:
    import mlflow.pyfunc

    minutes = [START + timedelta(minutes=minute) for minute in range(60)]
    points = {
        "timestamp": minutes,
        "service": ["web"] * 60,
        "metric": ["latency_p50_ms"] * 60,
        "value": [50.0 + n % 3 for n in range(60)],
    }
    table = pa.table(points)
    history = pa.Table.from_batches([points_of_table(table).table])
    trained = train_robust_stream(history, None, CONTEXT, EngineConfig())
    registry.register(trained.model, trained.run, change())
    frame = table.to_pandas()
    frame["timestamp"] = frame["timestamp"].dt.tz_localize(None)
    answer = mlflow.pyfunc.load_model("models:/robust-stream/1").predict(frame)
    assert np.isnan(answer["score"].to_numpy()[:15]).all()
    assert (answer["score"].to_numpy()[20:] < 0.5).all()


def test_rollback_walks_back_through_the_champions(registry: Registry) -> None:
    for minute in range(3):
        registry.register(forest().model, forest().run, change(minute))
    with pytest.raises(ModelNotFound, match="no alias 'champion'"):
        registry.rollback(FOREST, change())
    for minute, version in enumerate(("1", "2", "3")):
        registry.set_alias(FOREST, "champion", version, change(minute))
    assert registry.rollback(FOREST, change(10, "too many pages")).version == "2"
    assert registry.rollback(FOREST, change(11)).version == "1"
    with pytest.raises(ModelNotFound, match="no champion before version 1"):
        registry.rollback(FOREST, change(12))
    registry.set_alias(FOREST, "champion", "3", change(13))
    assert registry.rollback(FOREST, change(14)).version == "1"
    assert registry.get(FOREST, "champion").version == "1"
    entry = next(logged for logged in registry.audit(FOREST) if logged.action == "rollback")
    assert (entry.who, entry.version, entry.why, entry.alias) == ("alice", "2", "too many pages", "champion")
    assert entry.at == "2025-03-10T12:10:00+00:00"


def test_exports_follow_the_aliases(registry: Registry) -> None:
    for _ in range(2):
        registry.register(forest().model, forest().run, change())
    root = registry.export_root
    registry.set_alias(FOREST, "challenger", "2", change())
    assert exported_version(root, FOREST, "challenger") == "2"
    registry.set_alias(FOREST, "champion", "1", change())
    assert exported_version(root, FOREST, "champion") == "1"
    registry.set_alias(FOREST, "champion", "2", change())
    assert exported_version(root, FOREST, "challenger") is None
    version, artifact = load_exported(root, FOREST, "champion")
    assert version == "2"
    assert artifact.digest == registry.load(FOREST, "2").digest
    registry.rollback(FOREST, change())
    assert exported_version(root, FOREST, "champion") == "1"


def test_the_gate_decision_is_kept_with_the_version(registry: Registry) -> None:
    registry.register(forest().model, forest().run, change())
    cards = [Scorecard(FOREST, version, {"recall_at_budget": recall}) for version, recall in (("1", 0.9), ("0", 0.8))]
    decision = GateDecision(True, "promoted: recall 0.9 (0.8)", cards[0], cards[1], {"deterministic": True})
    registry.record_decision(FOREST, "1", decision, change(5))
    tags = registry.get(FOREST, "1").tags
    assert tags["gate.promoted"] == "true"
    assert tags["gate.reason"] == decision.reason
    assert json.loads(tags["gate.checks"]) == {"deterministic": True}
    assert json.loads(tags["gate.champion"])["metrics"] == {"recall_at_budget": 0.8}
    assert registry.audit(FOREST)[-1].why == decision.reason


def test_old_versions_go_but_never_one_that_is_named_or_rolled_back_to(registry: Registry) -> None:
    for number in range(1, 8):
        registry.register(forest().model, replace(forest().run, figures={}), change(number))
        if number == 1:
            registry.set_alias(FOREST, "champion", "1", change(number))
        if number == 2:
            registry.set_alias(FOREST, "champion", "2", change(number))
    assert [version.version for version in registry.versions(FOREST)] == ["7", "6", "5", "2", "1"]
    assert [version.version for version in registry.audit(FOREST) if version.action == "delete"] == ["3", "4"]
    assert registry.rollback(FOREST, change(20)).version == "1"


def test_what_is_not_there_is_named(registry: Registry) -> None:
    assert registry.versions("incident-predictor") == ()
    with pytest.raises(ModelNotFound, match="no alias 'champion'"):
        registry.get(FOREST, "champion")
    registry.register(forest().model, forest().run, change())
    with pytest.raises(ModelNotFound, match="no version 9"):
        registry.set_alias(FOREST, "champion", "9", change())
    assert [entry.action for entry in registry.audit()] == ["register"]


def test_a_damaged_artifact_is_neither_loaded_nor_exported(registry: Registry, home: Path) -> None:
    registry.register(forest().model, forest().run, change())
    arrays = next((home / "mlflow").rglob("arrays.npz"))
    arrays.write_bytes(arrays.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="sha256"):
        registry.load(FOREST, "1")
    with pytest.raises(ArtifactError, match="sha256"):
        registry.export(FOREST, "1")
    assert not (registry.export_root / FOREST / "1").exists()


def test_calls_are_quick(registry: Registry) -> None:
    """Bounds are ten times what was measured: they catch inferred requirements (seconds), not a busy machine."""
    import time

    model: FittedModel = forest().model
    registry.register(model, forest().run, change())
    begin = time.perf_counter()
    registry.register(model, forest().run, change())
    registered = time.perf_counter()
    registry.set_alias(FOREST, "champion", "2", change())
    registry.load(FOREST, "champion")
    loaded = time.perf_counter()
    assert registered - begin < within(3.0)
    assert loaded - registered < within(2.0)


def test_an_audit_line_cut_off_by_a_crash_is_skipped_and_a_damaged_one_reported(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "deep" / "audit.jsonl")
    assert list(log.entries()) == []
    log.append("alias", FOREST, "1", change(), "champion")
    with log.path.open("ab") as file:
        file.write(b'{"at": "2025')
    assert [entry.version for entry in log.entries()] == ["1"]
    with log.path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(StateError, match="line 2"):
        list(log.entries())


def test_a_tenant_that_trains_its_own_leaves_the_shared_models_alone(registry: Registry, home: Path) -> None:
    acme, beta = (Registry(Settings(home=home, tenant=tenant)) for tenant in ("acme", "beta"))
    trained = forest()
    registry.register(trained.model, trained.run, change())
    registry.set_alias(FOREST, "champion", "1", change())
    assert acme.get(FOREST, "champion").name == FOREST, "the shared one, until it has one of its own"
    for _ in range(2):
        acme.register(trained.model, trained.run, change())
    assert acme.get(FOREST, "champion").name == FOREST, "a candidate alone answers nobody"
    assert acme.get(FOREST, "2").name == own_name(FOREST, "acme")
    acme.set_alias(FOREST, "champion", "1", change())
    acme.set_alias(FOREST, "champion", "2", change())
    assert (acme.get(FOREST, "champion").name, acme.get(FOREST, "champion").version) == (own_name(FOREST, "acme"), "2")
    assert acme.load(FOREST, "champion").version.name == own_name(FOREST, "acme")
    assert acme.rollback(FOREST, change()).version == "1"
    for other in (registry, beta):
        assert (other.get(FOREST, "champion").name, other.get(FOREST, "champion").version) == (FOREST, "1")
        assert [version.version for version in other.versions(FOREST)] == ["1"]
    assert {path.parent.name for path in (home / "models").glob("*/aliases.json")} == {FOREST, own_name(FOREST, "acme")}
    source = RegistryModels(Settings(home=home, tenant="beta"))
    assert source.tenants_with(FOREST) == FolderModels(home / "models").tenants_with(FOREST) == {"acme"}
    assert source.version_of(FOREST, "champion") == "1"
    assert source.version_of(own_name(FOREST, "acme"), "champion") == "1"
