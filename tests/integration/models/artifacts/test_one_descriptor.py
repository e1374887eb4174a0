"""A model is added by one descriptor: generic code trains, judges, exports, serves and shows it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from anyio import run
from prometheus_client import CollectorRegistry

from aiops.settings.serving_settings import ServingSettings
from aiops.settings.tree import Settings
from models.artifacts.catalog import CATALOG, served_models, trained_models
from models.artifacts.export import load_exported
from orchestration.dagster.assets import model_assets
from orchestration.pipeline import deployment, training
from orchestration.pipeline.training_set import LABELS, MINUTES_TO_START, remembered_training_set
from orchestration.workspace.workspace import Workspace
from serving.http.request_gate import Gate
from serving.lake.opening import open_lake
from serving.online.seasonal_bands import MemoryBands
from serving.scoring.adapters import models_of
from serving.scoring.answers.memory_features import MemoryFeatures
from serving.scoring.http_api.access import Access, gate_rules
from serving.scoring.http_api.http_app import create_app
from serving.scoring.http_api.runtime_holder import RuntimeHolder
from serving.scoring.http_api.scoring_openapi import openapi
from serving.scoring.runtime import Adapters, Runtime
from tests.testing.fakes_catalog import DESCRIPTOR, NAME
from tests.testing.service_frames import START, history

DAYS = 2
AT = START + timedelta(days=DAYS)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the descriptor: the only thing that makes the model known."""
    monkeypatch.setitem(CATALOG, NAME, DESCRIPTOR)


@pytest.fixture
def workspace(home: Path) -> Workspace:
    """Return a home with a stored training set and nothing else; the lake labels no incident."""
    frame = history(days=DAYS, every_h=1000.0).frame
    nothing = pa.array(np.zeros(frame.num_rows))
    for name in LABELS:
        frame = frame.append_column(name, nothing)
    frame = frame.append_column(MINUTES_TO_START, pa.array(np.full(frame.num_rows, np.inf)))
    folder = home / "training"
    folder.mkdir()
    pq.write_table(frame, folder / "set.parquet")
    facts = {"path": str(folder / "set.parquet"), "at": AT.isoformat(), "start": START.isoformat(), "recent_from": ""}
    (folder / "latest.json").write_text(json.dumps({**facts, "rows": frame.num_rows, "positives": 0, "step_s": 300}))
    return Workspace.open(Settings(home=home))


def promoted(workspace: Workspace) -> training.Judged:
    candidate = training.train_candidate(workspace, NAME, remembered_training_set(workspace), AT)
    assert candidate.version == "1", candidate.text
    return training.judge(workspace, NAME, AT)


@pytest.mark.usefixtures("known")
def test_one_descriptor_is_trained_judged_exported_and_listed(workspace: Workspace) -> None:
    judged = promoted(workspace)
    assert judged.promoted, judged.reason
    version, artifact = load_exported(workspace.registry.export_root, NAME, "champion")
    assert (version, artifact.model.catalog_name) == ("1", NAME)
    assert NAME in trained_models()
    assert NAME in {entry.name for entry in deployment.list_models(workspace) if entry.gate == "passed"}
    assert "score_over_time.svg" in workspace.registry.figures(NAME)
    assert model_assets.candidate_of(NAME).key.to_user_string() == "loudest_error_candidate"


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("models_from", ["export", "registry"])
def test_one_descriptor_is_served(workspace: Workspace, models_from: str) -> None:
    assert promoted(workspace).promoted
    serving = ServingSettings.model_validate({"models_from": models_from})
    settings = Settings(home=workspace.settings.home, serving=serving)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731
    adapters = Adapters(models_of(settings), MemoryFeatures(timedelta(hours=2)), open_lake(settings), clock, MemoryBands())
    runtime = Runtime(serving, adapters, CollectorRegistry())
    runtime.start()
    try:
        answer = run(asked, runtime)
    finally:
        runtime.stop()
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == NAME
    assert [(row["score"], row["anomalous"]) for row in answer.json()["rows"]] == [(1.0, True), (0.1, False)]
    assert DESCRIPTOR.endpoint is not None
    assert DESCRIPTOR.endpoint.path in openapi()["paths"]


async def asked(runtime: Runtime) -> httpx.Response:
    """Return what the application answers to two rows."""
    holder = RuntimeHolder(runtime)
    transport = httpx.ASGITransport(Gate(Access(create_app(holder), holder), gate_rules(holder)))
    rows = [{"service": "s0", "errors_worst": 1.0}, {"service": "s1", "errors_worst": 0.1}]
    assert DESCRIPTOR.endpoint is not None
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.post(DESCRIPTOR.endpoint.path, json={"rows": rows})


def test_without_its_descriptor_nobody_knows_it() -> None:
    assert NAME not in (*trained_models(), *served_models())
