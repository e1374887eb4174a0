"""A registered model answers where this suite is not installed: it carries its code, and asks for no package of nobody's."""

import json
import os
import stat
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import mlflow.artifacts
import numpy as np
import pytest

from aiops.settings.tree import Settings
from models.artifacts.audit import Change
from models.artifacts.mlflow_log import carried_code
from models.artifacts.registry import Registry
from models.training.training_context import TrainingContext
from tests.testing.service_frames import history
from tests.testing.trained_forest import trained_forest

ROOT = Path(__file__).parents[4]
ASK = """
import json, sys
root, model = sys.argv[1:]
sys.path = [path for path in sys.path if path not in ("", root)]
try:
    import serving
    sys.exit("the suite is importable, so this proves nothing")
except ModuleNotFoundError:
    pass
import mlflow.pyfunc, pandas as pd
loaded = mlflow.pyfunc.load_model(model)
scores = loaded.predict(loaded.input_example).to_numpy()[:, 0].tolist()
import models.artifacts.artifact
loaded = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps({"scores": scores, "code": models.artifacts.artifact.__file__, "loaded": loaded}))
"""


@dataclass(frozen=True)
class Registered:
    """A registered forest: its folder as anyone would download it, and the scores of its example."""

    folder: Path
    scores: np.ndarray


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    registry = Registry(Settings(home=tmp_path_factory.mktemp("home")))
    trained = trained_forest(history(days=4), TrainingContext("a"), trees=10)
    version = registry.register(trained.model, trained.run, Change("me", datetime.now(UTC), "test"))
    folder = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{version.name}/{version.version}")
    assert trained.run.example is not None
    return Registered(Path(folder), trained.run.example.scores[:, 0])


def test_it_asks_for_released_packages_only(registered: Registered) -> None:
    folder = registered.folder
    asked = (folder / "requirements.txt").read_text().split()
    pinned = dict(line.split("==") for line in asked)
    assert not [name for name in pinned if "aiops" in name]
    constrained = (ROOT / "constraints.txt").read_text()
    assert [f"{name}=={number}" for name, number in pinned.items() if f"{name}=={number}" not in constrained] == []
    assert {path.suffix for path in (folder / "code").rglob("*") if path.is_file()} == {".py"}


def test_the_code_is_its_owners_alone_whatever_the_rights_of_the_checkout(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        folders = carried_code(tmp_path)
    finally:
        os.umask(before)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in files} == {"0o600"}


def test_it_scores_where_the_suite_is_not_importable(registered: Registered, tmp_path: Path) -> None:
    folder, scores = registered.folder, registered.scores
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-c", ASK, str(ROOT), str(folder)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert np.allclose(answer["scores"], scores, rtol=0, atol=1e-12)
    assert Path(answer["code"]).is_relative_to(folder), "its own code answered"
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    libraries = {text.split(">")[0].split("[")[0].replace("-", "_") for text in ours}
    asked = {line.split("==")[0].replace("-", "_") for line in (folder / "requirements.txt").read_text().split()}
    assert {name for name in answer["loaded"] if name in libraries} <= asked | of_mlflow(), "what it imports it asks for"


def of_mlflow() -> set[str]:
    """Return the libraries that MLflow brings along by itself."""
    code = "import sys, mlflow.pyfunc; print(*{name.split('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
