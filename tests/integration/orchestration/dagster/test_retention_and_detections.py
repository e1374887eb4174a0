"""Retention by a Dagster job, and the list of detections that verdicts need."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from aiops.errors import StateError
from aiops.settings.tree import Settings
from data_contracts.schemas.telemetry_schemas import DETECTIONS
from data_contracts.schemas.wire_schemas import LOGS
from orchestration.dagster.job_runs import run_job
from orchestration.pipeline.verdicts import newest_detections
from orchestration.workspace.workspace import Workspace
from tests.testing.series_names import lake_rows

NEWEST = datetime(2025, 3, 31, 12, tzinfo=UTC)


@pytest.fixture
def workspace(home: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    return Workspace.open(Settings(home=home))


def point(at: datetime) -> pa.Table:
    row = {"timestamp": at, "service": "cart", "metric": "error_rate", "value": 0.1, "available_at": at}
    return lake_rows(pa.Table.from_pylist([row]))


def test_retention_deletes_days_older_than_the_newest_telemetry_allows(workspace: Workspace) -> None:
    days = workspace.settings.telemetry.retention_days
    ages = (0, days - 1, days + 1, days + 20)
    for age in ages:
        workspace.lake.write("telemetry", point(NEWEST - timedelta(days=age)), key=f"age-{age}")
    run_job(workspace, "retention", {})
    kept = [(NEWEST - timedelta(days=age)).date() for age in ages if age <= days]
    assert workspace.lake.days("telemetry") == sorted(kept)


def test_logs_go_by_their_own_setting_also_where_there_is_no_telemetry(workspace: Workspace) -> None:
    days = workspace.settings.telemetry.signals_retention_days
    assert days < workspace.settings.telemetry.retention_days
    for age in (0, days, days + 1):
        row = {field.name: None if field.nullable else "x" for field in LOGS} | {"timestamp": NEWEST - timedelta(days=age)}
        row |= {"log_id": age, "severity_number": 9, "available_at": NEWEST}
        workspace.lake.write("logs", pa.Table.from_pylist([row], schema=LOGS), key=f"age-{age}")
    run_job(workspace, "retention", {})
    assert workspace.lake.days("logs") == [(NEWEST - timedelta(days=age)).date() for age in (days, 0)]


def detection(number: int, revision: int, anomalous: bool) -> dict[str, object]:
    times = {"timestamp": NEWEST + timedelta(minutes=number)}
    texts = {"detection_id": f"d{number}", "service": "cart", "metric": "error_rate", "model_version": "1", "reason": "high"}
    figures = {"value": 0.5, "score": 0.9, "expected": 0.1, "lower": 0.0, "upper": 0.2, "tier": 3}
    return {**times, **texts, **figures, "revision": revision, "anomalous": anomalous}


def test_detections_are_listed_newest_first_in_their_last_revision(workspace: Workspace) -> None:
    rows = [detection(1, 0, True), detection(2, 0, True), detection(2, 1, False), detection(3, 0, True)]
    workspace.lake.write("detections", pa.Table.from_pylist(rows, schema=DETECTIONS), key="some")
    assert [row["detection_id"] for row in newest_detections(workspace, 10)] == ["d3", "d1"]
    assert [row["detection_id"] for row in newest_detections(workspace, 2, everything=True)] == ["d3", "d2"]


def test_listing_detections_opens_no_more_days_than_hold_them(workspace: Workspace) -> None:
    for days in range(4):
        row = detection(days, 0, True) | {"timestamp": NEWEST - timedelta(days=days)}
        workspace.lake.write("detections", pa.Table.from_pylist([row], schema=DETECTIONS), key=f"age-{days}")
    oldest = (NEWEST - timedelta(days=3)).date()
    for path in (workspace.lake.folder("detections") / f"day={oldest}").glob("*.parquet"):
        path.write_bytes(b"damaged: reading it raises")
    assert [row["detection_id"] for row in newest_detections(workspace, 3)] == ["d0", "d1", "d2"]
    with pytest.raises(StateError):
        newest_detections(workspace, 4)
