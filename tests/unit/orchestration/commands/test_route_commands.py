"""`aiops route …` and the measurement behind it, on a small lake."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aiops.settings.routing_settings import RoutingSettings
from aiops.settings.tree import Settings
from data_contracts.series.tenant import DEFAULT_TENANT
from orchestration.cli import run
from orchestration.pipeline.series_character import measure_characters
from orchestration.workspace.workspace import Workspace
from serving.lake.opening import open_lake
from serving.stream.consumer.routing_source import RoutingSource
from tests.testing.series_names import lake_rows
from tests.testing.stream_harness import START

STEPS = 4 * 288


def fill(home: Path) -> Workspace:
    """Write four days of two series: requests with a season, and errors that are nearly always 0."""
    times = [START + timedelta(minutes=5 * step) for step in range(STEPS)]
    hours = np.arange(STEPS) / 12
    busy = 800 + 300 * np.sin(2 * np.pi * hours / 24) + np.random.default_rng(2).normal(0, 5, STEPS)
    rare = np.where(np.arange(STEPS) % 97 == 0, 0.2, 0.0)
    tables = [
        pa.table(
            {"timestamp": times, "service": ["cart"] * STEPS, "metric": [name] * STEPS, "value": values, "available_at": times}
        )
        for name, values in (("cpu_utilization", busy / 2000), ("error_rate", rare))
    ]
    workspace = Workspace.open(Settings(home=home))
    workspace.lake.write("telemetry", lake_rows(pa.concat_tables(tables)), "history")
    return workspace


def test_routes_follow_what_was_measured(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    assert run(["route", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["route", "explain", "cart|cpu_utilization", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert (before["tier"], before["measured"], before["confirmed_by"]) == (1, None, [3, 2])
    measured = measure_characters(fill(home))
    assert (measured.series, measured.points) == (2, 2 * (STEPS - 1)), "the newest tick is not before itself"
    assert run(["route", "explain", "cart|cpu_utilization", "--json"]) == 0
    route = json.loads(capsys.readouterr().out)
    assert (route["tier"], route["confirmed_by"]) == (2, [2, 3])
    assert route["measured"]["seasonality"] > 0.9
    assert "with a strong season (strength" in route["reason"]
    assert route["routing_version"] != before["routing_version"]
    assert run(["route", "list", "--json"]) == 0
    listed = {forecast["series"]: forecast["tier"] for forecast in json.loads(capsys.readouterr().out)}
    assert listed == {"cart|cpu_utilization": 2, "cart|error_rate": 1}
    assert run(["route", "explain", "cart|error_rate"]) == 0
    assert "intermittent" in capsys.readouterr().out
    assert run(["route", "list"]) == 0
    assert "2 routes" in capsys.readouterr().out


def test_measuring_uses_only_points_before_its_time(home: Path) -> None:
    workspace = fill(home)
    at = START + timedelta(days=3)
    first = measure_characters(workspace, at)
    rows = open_lake(workspace.settings.lake_path).for_tenant(DEFAULT_TENANT).read("series_character").to_pylist()
    moment = at + timedelta(minutes=1)
    row = {"timestamp": moment, "service": "cart", "metric": "error_rate", "value": 9.0, "available_at": at}
    late = lake_rows(pa.Table.from_pylist([row]))
    workspace.lake.write("telemetry", late, "later")
    assert measure_characters(workspace, at) == first
    assert open_lake(workspace.settings.lake_path).for_tenant(DEFAULT_TENANT).read("series_character").to_pylist() == rows


def test_the_consumer_reads_the_table_again_and_survives_a_damaged_table(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    settings = Settings(home=home, routing=RoutingSettings(refresh_s=60.0))
    source = RoutingSource(settings, lambda: now[0])
    bare = source.router().version
    measure_characters(fill(home))
    assert source.router().version == bare, "not yet time to read again"
    now[0] = 60.0
    assert source.router().version != bare
    kept = source.router()
    for path in (open_lake(settings).for_tenant(DEFAULT_TENANT).folder("series_character")).glob("*.parquet"):
        path.write_bytes(b"junk")
    now[0] = 120.0
    assert source.router() is kept
    assert "routing stays at version" in caplog.text
