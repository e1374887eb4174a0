"""`aiops forecast`: limits given, catalogued and learnt; what it says of calm, filling, breached and short series; refusals."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import ConfigurationError, TrainingImpossible
from aiops.settings.tree import Settings
from data_contracts.schemas.telemetry_schemas import LAKE_TELEMETRY
from models.season.seasonal_choice import FitBudget, choose_bands
from orchestration.cli import run
from orchestration.pipeline.band_choice import all_rivals
from orchestration.pipeline.bands import season_config
from orchestration.pipeline.expected_courses import with_courses
from orchestration.pipeline.forecast import ForecastRequest, SeriesForecast, forecast, parse_limits, series_points
from orchestration.workspace.workspace import Workspace
from tests.testing.series_names import points_of_table

BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
ROWS = 1_200


def spiky(seed: int) -> list[float]:
    value = np.random.default_rng(seed).normal(20.0, 1.0, ROWS)
    value[30 + seed :: 90] += 15.0
    return [float(number) for number in value]


def telemetry(**extra: list[float]) -> pa.Table:
    """Spiky latency of four services every 5 minutes, and further series named service__metric."""
    series = {f"s{seed}__latency_p99_ms": spiky(seed) for seed in range(4)} | extra
    rows = [
        {
            "timestamp": BEGIN + timedelta(minutes=5 * place),
            "service": name.split("__")[0],
            "metric": name.split("__")[1],
            "value": value,
        }
        for name, values in series.items()
        for place, value in enumerate(values)
    ]
    schema = pa.schema([(name, LAKE_TELEMETRY.field(name).type) for name in rows[0]])
    return pa.Table.from_batches([points_of_table(pa.Table.from_pylist(rows, schema=schema)).table])


def by_series(forecasts: list[SeriesForecast]) -> dict[str, SeriesForecast]:
    return {forecast.series: forecast for forecast in forecasts}


def test_series_are_ranked_by_risk_and_say_why() -> None:
    noise = np.random.default_rng(5).normal(0.0, 0.002, ROWS)
    forecasts = forecast(
        telemetry(
            calm__memory_utilization=(0.3 + noise).tolist(),
            filling__disk_utilization=(np.linspace(0.2, 0.995, ROWS) + noise).clip(0, 1).tolist(),
            hot__queue_depth=[*spiky(9)[:-1], 90.0],
            young__latency_p99_ms=spiky(2)[:50],
        ),
        ForecastRequest(60.0, {"queue_depth": 80.0}),
    )
    known = by_series(forecasts)
    probabilities = [-1.0 if forecast.probability is None else forecast.probability for forecast in forecasts]
    assert probabilities == sorted(probabilities, reverse=True)
    hot, young = known["hot|queue_depth"], known["young|latency_p99_ms"]
    assert (hot.breached, hot.probability, hot.limit, hot.limit_from) == (True, 1.0, 80.0, "given")
    assert (young.probability, young.reasons) == (None, ("unknown: 50 rows of 300 s, it needs 200",))
    calm, filling = known["calm|memory_utilization"], known["filling|disk_utilization"]
    assert (calm.limit, calm.limit_from) == (1.0, "catalogue")
    assert calm.probability is not None
    assert filling.probability is not None
    assert filling.probability > calm.probability
    assert filling.trend_min == pytest.approx(0.005 / ((0.995 - 0.2) / ROWS) * 5, rel=0.8)
    assert "never exceeded 1" in filling.reasons[0]
    latency = known["s0|latency_p99_ms"]
    assert latency.limit_from == "98th percentile"
    assert all(reason[:2] in {"+ ", "- "} for reason in latency.reasons)
    assert latency.expected_min is not None
    assert latency.expected_min > 0


def test_a_series_with_sentinel_values_is_left_out_and_the_rest_is_forecast() -> None:
    marks = {
        "float64": 1.7976931348623157e308,
        "float32": -3.4028234663852886e38,
        "int64": 9223372036854775807.0,
        "other": -1e200,
    }
    extra = {f"{name}__queue_depth": [*spiky(5)[:600], mark, *spiky(6)[601:]] for name, mark in marks.items()}
    extra["ends__queue_depth"] = [*spiky(7)[:-1], 1.7976931348623157e308]
    forecasts = forecast(telemetry(**extra), ForecastRequest(60.0))
    alone = by_series(forecast(telemetry(), ForecastRequest(60.0)))
    known = by_series(forecasts)
    for name in (*marks, "ends"):
        series = known[f"{name}|queue_depth"]
        assert (series.probability, series.breached) == (None, False)
        assert series.reasons[0].startswith("left out: 1 of 1200 values (first ")
    assert {name: known[name].probability for name in alone} == {name: forecast.probability for name, forecast in alone.items()}
    assert [forecast.probability is None for forecast in forecasts] == sorted(
        forecast.probability is None for forecast in forecasts
    )


def test_a_series_that_ended_long_ago_does_not_head_the_table() -> None:
    ended = [*spiky(8)[:400], 99.0]
    rested = [*spiky(8)[: ROWS - 8], 99.0]
    forecasts = forecast(
        telemetry(retired__queue_depth=ended, resting__queue_depth=rested), ForecastRequest(60.0, {"queue_depth": 80.0})
    )
    known = by_series(forecasts)
    retired = known["retired|queue_depth"]
    assert (forecasts[-1], retired.probability, retired.breached) == (retired, None, False)
    assert retired.reasons == ("left out: it ended 66.6 h before the newest value of all; 60 min from then are over",)
    resting = known["resting|queue_depth"]
    assert (forecasts[0], resting.probability, resting.breached) == (resting, 1.0, True), (
        "what ended within the horizon still counts"
    )


def test_finer_series_are_read_in_twelfths_of_the_horizon_and_coarser_ones_in_their_own_steps() -> None:
    for horizon_min, expected_min in ((240.0, 240.0), (30.0, 60.0)):
        forecasts = by_series(forecast(telemetry(), ForecastRequest(horizon_min)))
        assert forecasts["s1|latency_p99_ms"].horizon_min == pytest.approx(expected_min)


def test_limits_are_parsed_and_wrong_ones_refused() -> None:
    assert parse_limits(["cpu=0.8", 'a|http{code="500"}=3']) == {"cpu": 0.8, 'a|http{code="500"}': 3.0}
    for text in ("cpu", "=3", "cpu=high", "cpu=nan"):
        with pytest.raises(ConfigurationError, match="is not METRIC=VALUE"):
            parse_limits([text])
    with pytest.raises(ConfigurationError, match="no series has this metric; metrics here: latency_p99_ms"):
        forecast(telemetry(), ForecastRequest(60.0, {"cpu": 1.0}))
    with pytest.raises(ConfigurationError, match="--horizon-min is 0"):
        forecast(telemetry(), ForecastRequest(0.0))
    with pytest.raises(TrainingImpossible, match="longer histories"):
        forecast(telemetry().slice(0, 150), ForecastRequest(60.0))


def test_the_command_reads_the_lake_or_a_source(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    assert run(["forecast"]) == 3
    assert "no telemetry in" in capsys.readouterr().err
    rows = telemetry().sort_by("timestamp")
    lines = [
        f"{row['timestamp']:%Y-%m-%dT%H:%M:%SZ},{row['service']},{row['metric']},{row['value']!r}" for row in rows.to_pylist()
    ]
    (tmp_path / "rows.csv").write_text("timestamp,service,metric,value\n" + "\n".join(lines))
    words = ["--source", "csv", "--path", str(tmp_path / "rows.csv")]
    assert run(["forecast", *words, "--json"]) == 0
    from_source = json.loads(capsys.readouterr().out)
    assert run(["ingest", *words]) == 0
    capsys.readouterr()
    assert run(["forecast", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == from_source
    assert Workspace.open().lake.count("telemetry") == rows.num_rows
    assert run(["forecast", "--limit", "latency_p99_ms=33"]) == 0
    shown = capsys.readouterr().out
    assert "Breaches of limits within 60 min: 4 of 4 series" in shown
    assert "Why" in shown
    assert "Expected at the end of the horizon" in shown
    assert all(entry["course"]["model"] and entry["course"]["status"] for entry in from_source)


def test_what_the_riskiest_are_expected_to_do_is_said_by_the_model_that_bands_would_have() -> None:
    rows = np.arange(ROWS)
    hours = rows / 12.0
    daily = 50.0 + 30.0 * np.sin(2 * np.pi * hours / 24.0) + np.random.default_rng(3).normal(0.0, 1.0, ROWS)
    table = telemetry(web__queue_depth=daily.tolist())
    forecasts = by_series(with_courses(table, forecast(table, ForecastRequest(60.0, {"queue_depth": 90.0})), Settings()))
    course = forecasts["web|queue_depth"].course
    assert course is not None
    points = {name.text: series for name, series in series_points(table)}["web|queue_depth"]
    config = replace(season_config(Settings()), horizon_s=4200)
    budget = FitBudget(1e6, 1e6)
    bands = choose_bands(points, int(points.time_us[-1]) + 1, config, all_rivals(Settings()), budget).bands
    assert (course.model, course.status) == (bands.model, "established")
    assert (course.lower or 0.0) < (course.expected or 0.0) < (course.upper or 0.0)
    assert course.expected == pytest.approx(50.0 + 30.0 * np.sin(2 * np.pi * (hours[-1] + 1.0) / 24.0), abs=3.0)
    assert course.crosses_min is None


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--limit cpu", 2, "is not METRIC=VALUE"),
        ("--path rows.csv", 2, "name it with --source"),
        ("--source nosuch", 2, "choose one of simulate, csv"),
        ("--source csv --path bad.csv", 3, "no row that the contract accepts"),
    ],
)
def test_refusals(
    words: str,
    code: int,
    says: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("timestamp,service,metric,value\n2025-03-01T00:00:00Z,cart,latency_p50_ms,nan\n")
    assert run(["forecast", *words.split()]) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""
