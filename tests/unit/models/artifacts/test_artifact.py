"""Artifacts: what is saved comes back, and whatever was touched is refused."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from aiops.errors import ArtifactError, ModelNotFound
from models.artifacts.artifact import Example, load_artifact, load_model, names_array, read_manifest, save_model
from models.artifacts.export import export_artifact, exported_version, load_exported, write_aliases
from models.detectors.isolation_forest import OUTSIDE_CALENDAR, ForestConfig, IsolationForest
from models.prediction.incident_predictor import IncidentPredictor, PredictorConfig

ROWS = np.random.default_rng(0).standard_normal((300, len(OUTSIDE_CALENDAR)))


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    forest = IsolationForest.fit(ROWS, ForestConfig(trees=5))
    save_model(forest, tmp_path / "model", Example(ROWS[:4], forest.score(ROWS[:4])))
    return tmp_path / "model"


def predictor() -> IncidentPredictor:
    config = PredictorConfig(rounds=3, min_child_weight=1.0)
    rows = np.random.default_rng(1).standard_normal((300, len(config.features)))
    labels = np.stack([rows[:, 0] > 2, rows[:, 0] > 1, rows[:, 0] > 0], axis=1).astype(np.float64)
    return IncidentPredictor.fit(rows, labels, config)


def test_model_and_example_come_back(artifact: Path) -> None:
    loaded = load_artifact(artifact)
    assert loaded.example is not None
    assert isinstance(loaded.model, IsolationForest)
    np.testing.assert_array_equal(loaded.model.score(loaded.example.rows), loaded.example.scores)
    assert loaded.manifest.model == "isolation-forest"
    assert loaded.manifest.features == OUTSIDE_CALENDAR
    assert loaded.manifest.thresholds == tuple(loaded.model.thresholds)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = predictor()
    first, second = (save_model(model, tmp_path / name) for name in ("a", "b"))
    assert first == second
    assert set(first.files) == {"arrays.npz", "p_5min.ubj", "p_15min.ubj", "p_60min.ubj"}
    assert load_artifact(tmp_path / "a").digest == load_artifact(tmp_path / "b").digest
    assert load_artifact(tmp_path / "a").example is None


@pytest.mark.parametrize("name", ["arrays.npz", "p_15min.ubj"])
def test_a_flipped_bit_is_found(tmp_path: Path, name: str) -> None:
    save_model(predictor(), tmp_path)
    payload = bytearray((tmp_path / name).read_bytes())
    payload[len(payload) // 2] ^= 1
    (tmp_path / name).write_bytes(payload)
    with pytest.raises(ArtifactError, match="sha256"):
        load_model(tmp_path)


def test_a_missing_file_and_a_missing_manifest_are_named(artifact: Path) -> None:
    (artifact / "arrays.npz").unlink()
    with pytest.raises(ArtifactError, match=r"arrays\.npz"):
        load_model(artifact)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        load_model(artifact / "nowhere")


def change_manifest(folder: Path, **fields: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format_version": 2}, "format_version is 2"),
        ({"model": "os:system"}, "not in the catalog"),
        ({"model": "robust-stream"}, "missing from the model state"),
        ({"features": ["a", "b"]}, "differ"),
        ({"files": {"../arrays.npz": "0" * 64}}, "plain name"),
        ({"files": {}}, "lacks"),
        ({"files": "x"}, "manifest"),
    ],
)
def test_a_manifest_that_lies_is_refused(artifact: Path, fields: dict[str, object], words: str) -> None:
    change_manifest(artifact, **fields)
    with pytest.raises(ArtifactError, match=words):
        load_model(artifact)


def test_nothing_is_unpickled(artifact: Path, tmp_path: Path) -> None:
    import hashlib

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    for payload in (pickle.dumps(Trap()), b"no archive"):
        (artifact / "arrays.npz").write_bytes(payload)
        change_manifest(artifact, files={"arrays.npz": hashlib.sha256(payload).hexdigest()})
        with pytest.raises(ArtifactError, match="plain arrays"):
            load_model(artifact)
    np.savez(artifact / "arrays.npz", features=np.array([Trap()], dtype=object))
    change_manifest(artifact, files={"arrays.npz": hashlib.sha256((artifact / "arrays.npz").read_bytes()).hexdigest()})
    with pytest.raises(ArtifactError, match="plain arrays"):
        load_model(artifact)
    assert not (tmp_path / "sprung").exists()


def test_names_must_be_texts(artifact: Path) -> None:
    state = dict(load_model(artifact).state())
    for payload in (b"\xff\xfe", b'{"a": 1}', b"[1, 2]"):
        with pytest.raises(ArtifactError, match="names"):
            IsolationForest.from_state({**state, "features": np.frombuffer(payload, dtype=np.uint8)})
    assert names_array(()).tobytes() == b"[]"


def test_an_export_is_whole_idempotent_and_named_by_aliases(artifact: Path, tmp_path: Path) -> None:
    root = tmp_path / "exported"
    with pytest.raises(ModelNotFound, match="no exported model"):
        load_exported(root, "isolation-forest", "champion")
    first = export_artifact(artifact, root, "isolation-forest", "3")
    before = (first / "manifest.json").stat().st_mtime_ns
    assert export_artifact(artifact, root, "isolation-forest", "3") == first == root / "isolation-forest" / "3"
    assert (first / "manifest.json").stat().st_mtime_ns == before
    write_aliases(root, "isolation-forest", {"champion": "3"})
    version, loaded = load_exported(root, "isolation-forest", "champion")
    assert version == "3"
    assert loaded.digest == read_manifest(artifact)[1]
    assert exported_version(root, "isolation-forest", "challenger") is None
    assert {entry.name for entry in (root / "isolation-forest").iterdir()} == {"3", "aliases.json"}


def test_a_damaged_artifact_is_not_exported(artifact: Path, tmp_path: Path) -> None:
    (artifact / "arrays.npz").write_bytes(b"")
    with pytest.raises(ArtifactError):
        export_artifact(artifact, tmp_path / "exported", "isolation-forest", "1")
    assert not (tmp_path / "exported").exists()
