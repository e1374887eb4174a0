"""`aiops series …`: received series by their catalogue, others by their points, and when the last point came."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from aiops.settings.tree import Settings
from data_contracts.schemas.telemetry_schemas import LAKE_TELEMETRY
from data_contracts.schemas.wire_schemas import SERIES_CATALOGUE
from data_contracts.series.key import SeriesKey, labels_text
from data_contracts.series.tenant import DEFAULT_TENANT
from orchestration.cli import run
from orchestration.workspace.workspace import Workspace
from tests.testing.signal_entries import START, catalogue

CART = SeriesKey(DEFAULT_TENANT, "cart", "http_requests_total", (("code", "500"),))
PART = SeriesKey(DEFAULT_TENANT, "cart", "latency_seconds_bucket", (("le", "0.5"),))
MEDIAN = SeriesKey(DEFAULT_TENANT, "cart", "latency_seconds_p50")
PULLED = SeriesKey(DEFAULT_TENANT, "web", "saturation_probe")
QUIET = SeriesKey(DEFAULT_TENANT, "web", "up")
FAMILY = 77


def stored(key: SeriesKey, minutes: range) -> pa.Table:
    rows = [
        {
            "timestamp": START + timedelta(minutes=minute),
            "series_id": key.series_id,
            "service": key.service,
            "metric": key.metric,
            "labels": labels_text(key.labels),
            "value": 1.0,
            "available_at": START,
        }
        for minute in minutes
    ]
    return pa.Table.from_pylist(rows, schema=LAKE_TELEMETRY)


def with_cells(rows: pa.Table, **cells: Any) -> pa.Table:
    return pa.Table.from_pylist([row | cells for row in rows.to_pylist()], schema=SERIES_CATALOGUE)


@pytest.fixture
def home_with_series(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    lake = Workspace.open(Settings(home=home)).lake
    lake.write("series", pa.concat_tables([catalogue([CART]), catalogue([QUIET], role="value")]), "a")
    lake.write("series", with_cells(catalogue([PART], role="bucket"), scored=False, family_id=FAMILY, bound=0.5), "b")
    lake.write("series", with_cells(catalogue([MEDIAN], role="value"), family_id=FAMILY, why="made of a histogram"), "c")
    points = [stored(CART, range(120)), stored(MEDIAN, range(60, 90)), stored(PULLED, range(0, 120, 2))]
    lake.write("telemetry", pa.concat_tables(points), "points-0-1")
    lake.write("telemetry", stored(CART, range(100, 120)), "points-0-2")


def answers(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["series", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("home_with_series")
def test_the_list_tells_kind_why_last_point_and_rate(capsys: pytest.CaptureFixture[str]) -> None:
    listed = {series["name"]: series for series in answers(capsys, "list")}
    assert list(listed) == [
        'cart|http_requests_total{code="500"}',
        'cart|latency_seconds_bucket{le="0.5"}',
        "cart|latency_seconds_p50",
        "web|saturation_probe",
        "web|up",
    ]
    assert [series["kind"] for series in listed.values()] == ["counter", "histogram", "gauge", "gauge", "gauge"]
    counter = listed['cart|http_requests_total{code="500"}']
    assert counter == {
        "series_id": str(CART.series_id),
        "name": 'cart|http_requests_total{code="500"}',
        "service": "cart",
        "metric": "http_requests_total",
        "labels": {"code": "500"},
        "kind": "counter",
        "role": "total",
        "unit": None,
        "why": "declared by the sender",
        "scored": True,
        "first_seen_at": "2026-01-01T00:00:00Z",
        "last_at": "2026-01-01T01:59:00Z",
        "points_per_minute": 1.0,
    }
    part, median = listed['cart|latency_seconds_bucket{le="0.5"}'], listed["cart|latency_seconds_p50"]
    assert (part["scored"], part["last_at"]) == (False, median["last_at"] == "2026-01-01T01:29:00Z" and median["last_at"])
    assert part["points_per_minute"] == median["points_per_minute"] == 0.5
    pulled = listed["web|saturation_probe"]
    assert (pulled["role"], pulled["first_seen_at"], pulled["points_per_minute"]) == ("value", None, 0.5)
    assert "delivered by a source" in pulled["why"]
    assert (listed["web|up"]["last_at"], listed["web|up"]["points_per_minute"]) == (None, 0.0)


def test_the_rate_of_a_home_that_is_minutes_old_is_over_these_minutes(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    lake = Workspace.open(Settings(home=home)).lake
    lake.write("telemetry", pa.concat_tables([stored(PULLED, range(21)), stored(QUIET, range(0, 21, 5))]), "points-0-1")
    rates = {series["name"]: series["points_per_minute"] for series in answers(capsys, "list")}
    assert rates == {"web|saturation_probe": 21 / 20, "web|up": 5 / 20}


@pytest.mark.usefixtures("home_with_series")
def test_filters_and_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert [series["metric"] for series in answers(capsys, "list", "--service", "w*")] == ["saturation_probe", "up"]
    assert [series["metric"] for series in answers(capsys, "list", "--metric", "latency*_p??")] == ["latency_seconds_p50"]
    assert answers(capsys, "list", "--service", "[x]") == []
    assert len(answers(capsys, "list", "--limit", "2")) == 2
    assert run(["series", "list", "--limit", "2"]) == 0
    assert "2 of 5 series" in capsys.readouterr().out
    recent = {series["name"]: series["last_at"] for series in answers(capsys, "list", "--hours", "0.25")}
    assert recent["cart|latency_seconds_p50"] is None
    assert run(["series", "list", "--hours", "0"]) == 2


@pytest.mark.usefixtures("home_with_series")
def test_one_series_by_text_or_id(capsys: pytest.CaptureFixture[str]) -> None:
    by_text = answers(capsys, "show", 'cart|http_requests_total{code="500"}')
    assert by_text == answers(capsys, "show", str(CART.series_id))
    assert by_text["labels"] == {"code": "500"}
    assert run(["series", "show", "cart|http_requests_total"]) == 2
    assert "aiops series list" in capsys.readouterr().err
    assert run(["series", "show", "nonsense"]) == 2
    assert run(["series", "show", "web|up"]) == 0
    assert "declared by the sender" in capsys.readouterr().out


def test_an_empty_lake_lists_nothing(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    assert answers(capsys, "list") == []
