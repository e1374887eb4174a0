"""`aiops run` and `aiops up` as a user starts them: the command in a process of its own, a private home, free ports."""

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from tests.testing.deadlines import within

COMMAND: Final = (sys.executable, "-c", "from orchestration.cli import main; main()")
SMALL: Final = ("--source", "simulate", *(f"--set={pair}" for pair in ("hours=40", "services=4", "incidents_per_day=12")))
ANSWERS_WITHIN_S: Final = 5.0
"""The default of `serving.timeout_s`: what takes longer is refused, and no request of a run may be."""
KEYS: Final = frozenset(
    {
        "points_in",
        "points_scored",
        "rows_rejected",
        "points_warmup",
        "detections",
        "incidents",
        "responder",
        "predictor",
        "models",
        "swaps",
        "drift",
        "parity_max_abs_diff",
        "latency_ms",
        "seconds",
    }
)


def environment(home: Path, **settings: object) -> dict[str, str]:
    """Return our environment with that home and those settings and no other of ours; the service is given time like a test."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("AIOPS_", "MLFLOW_", "DAGSTER_"))}
    patient = {"AIOPS_SERVING__TIMEOUT_S": str(math.ceil(within(ANSWERS_WITHIN_S)))}
    return {**ours, **patient, "AIOPS_HOME": str(home), **{f"AIOPS_{name}": str(value) for name, value in settings.items()}}


def aiops(arguments: Sequence[str], env: dict[str, str], timeout_s: float = 120.0) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    command = [*COMMAND, *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=within(timeout_s), check=False)


def figures(file: Path) -> dict[str, Any]:
    """Return the figures that a run wrote."""
    read: dict[str, Any] = orjson.loads(file.read_bytes())
    return read


def check_figures(figures: dict[str, Any]) -> None:
    """Assert what holds for every run on any source."""
    assert figures.keys() >= KEYS
    assert figures["predictor"].keys() >= {"pr_auc", "base_rate", "lead_min"}
    assert figures["drift"].keys() >= {"checked", "drifted", "retrained"}
    assert figures["latency_ms"].keys() >= {"p50", "p99"}
    assert all(model.keys() >= {"name", "version", "alias"} for model in figures["models"])
    assert figures["points_in"] == figures["points_scored"] + figures["points_warmup"] + figures["rows_rejected"] > 0
    assert sum(figures["rejected_by_reason"].values()) == figures["rows_rejected"]
    assert figures["parity_max_abs_diff"] <= 1e-9
    assert figures["requests"]["sent"] > 0
    assert figures["requests"]["failed"] == 0
    responder = figures["responder"]
    assert figures["incidents"] >= responder["paged"] >= responder["false_pages"]
    assert responder["alerts"] >= figures["incidents"]
    page = Path(figures["report"]).read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "<script" not in page
