"""Models that MLflow logged before the rooms had packages load as they are: they name `models.pyfunc`, which leads on.

The two models below `logged_before_packages` were trained on a small synthetic history and logged by version 0.1, then reduced to
what MLflow reads. `scores.json` holds rows, and what that version answered.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

STORED = Path(__file__).with_name("logged_before_packages")
ROOT = Path(__file__).parents[4]
PREDICT = """
import importlib, json, sys
model, stored, *first = sys.argv[1:]
for name in first:
    importlib.import_module(name)
import mlflow.pyfunc, pandas as pd
rows = pd.DataFrame(json.loads(open(stored).read())["rows"])
if "timestamp" in rows:
    rows["timestamp"] = pd.to_datetime(rows["timestamp"])
answer = mlflow.pyfunc.load_model(model).predict(rows)
print(json.dumps(answer["score"].tolist()))
"""
CARRIED = """
import pandas as pd

class Carried:
    def predict(self, frame, params=None):
        return pd.DataFrame({"score": [-1.0] * len(frame)})

def _load_pyfunc(path):
    return Carried()
"""


def stored_scores(name: str) -> list[float]:
    """Return what was answered then; null = unknown."""
    scores = json.loads((STORED / name / "scores.json").read_text(encoding="utf-8"))["scores"]
    return [float("nan") if score is None else score for score in scores]


def predicted(model: Path, stored: Path, *imported_first: str) -> list[float]:
    """Return the scores of the stored rows by a model, loaded in a process of its own."""
    command = [sys.executable, "-c", PREDICT, str(model), str(stored / "scores.json"), *imported_first]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    scores: list[float] = json.loads(answer.stdout.splitlines()[-1])
    return scores


def with_carried_code(name: str, folder: Path) -> Path:
    """Return a copy of a stored model that carries code: a loader that answers -1, under the name that it had then."""
    model = folder / name
    shutil.copytree(STORED / name, model)
    package = model / "code" / "models"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "pyfunc.py").write_text(CARRIED)
    described = yaml.safe_load((model / "MLmodel").read_text(encoding="utf-8"))
    described["flavors"]["python_function"]["code"] = "code"
    (model / "MLmodel").write_text(yaml.safe_dump(described), encoding="utf-8")
    return model


@pytest.mark.parametrize("name", ["isolation-forest", "robust-stream"])
def test_a_model_of_before_loads_and_scores_as_it_did(name: str) -> None:
    described = yaml.safe_load((STORED / name / "MLmodel").read_text(encoding="utf-8"))
    assert described["flavors"]["python_function"]["loader_module"] == "models.pyfunc"
    assert predicted(STORED / name, STORED / name) == pytest.approx(stored_scores(name), rel=1e-12, nan_ok=True)


def test_code_that_a_model_carries_is_used_where_the_present_one_is_not_loaded(tmp_path: Path) -> None:
    model = with_carried_code("isolation-forest", tmp_path)
    assert predicted(model, STORED / "isolation-forest") == [-1.0] * len(stored_scores("isolation-forest"))


def test_a_model_that_carries_code_loads_beside_the_present_code(tmp_path: Path) -> None:
    model = with_carried_code("isolation-forest", tmp_path)
    scores = predicted(model, STORED / "isolation-forest", "models.artifacts.registry")
    assert scores == pytest.approx(stored_scores("isolation-forest"), rel=1e-12)


def test_nothing_of_the_machine_that_logged_them_is_in_the_files() -> None:
    texts = [path.read_text(encoding="utf-8") for path in STORED.rglob("*") if path.suffix in {"", ".json"} and path.is_file()]
    assert len(texts) == 6
    assert not [text for text in texts if "file://" in text or "/tmp" in text or "/home" in text]
