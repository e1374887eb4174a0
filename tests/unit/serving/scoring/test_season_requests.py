"""/season: JSON and Arrow give the same points, a bad one is a 400 that names its place; verdicts from bands in memory."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from aiops.errors import Unavailable
from aiops.features.bands import NO_BAND
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from serving.http.problem import ProblemError
from serving.online.seasonal_bands import MemoryBands
from serving.scoring.answers.request_origin import RequestOrigin
from serving.scoring.answers.scoring_metrics import ScoringMetrics
from serving.scoring.answers.season_answers import Season, SeasonAnswer, season_arrow, season_json
from serving.scoring.http_api.scoring_openapi import openapi
from serving.scoring.requests.season_rows import COLUMNS, parse_season_arrow, parse_season_json
from tests.testing.season_bands import flat_bands
from tests.testing.series_names import rows_of_bands

NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
LIMIT = 100
POINT = {"service": "cart", "metric": "requests", "timestamp": "2025-03-10T13:00:00Z", "value": 140.0}


def stream(table: pa.Table | pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue().to_pybytes()


def points(**changes: Any) -> pa.RecordBatch:
    columns: dict[str, Any] = {
        "service": ["cart", "cart", "cart", "cart", "new", "cart"],
        "metric": ["requests", "requests", "requests", "requests", "requests", "orders"],
        "timestamp": [NOW + timedelta(hours=1)] * 3 + [NOW + timedelta(hours=49)] + [NOW + timedelta(hours=1)] * 2,
        "value": [140.0, 100.0, None, 100.0, 1.0, 1.0],
    } | changes
    return pa.RecordBatch.from_pydict(columns, schema=pa.schema(list(COLUMNS.items())))


@pytest.fixture
def season() -> Season:
    bands = MemoryBands()
    unknown = flat_bands("cart|orders", NOW).without_band("season not established: 0.9 days of history, 3 needed")
    assert bands.write_bands(rows_of_bands([flat_bands("cart|requests", NOW), unknown], NOW)) == 2
    assert bands.write_bands(rows_of_bands([flat_bands("cart|requests", NOW - timedelta(days=1))], NOW)) == 0  # older
    return Season(bands, ScoringMetrics(CollectorRegistry()), lambda: NOW + timedelta(hours=1))


def answered(season: Season) -> SeasonAnswer:
    return season.answer(parse_season_arrow(stream(points()), LIMIT), RequestOrigin("id"))


def test_verdicts_are_in_order_and_unknown_says_why(season: Season) -> None:
    rows = orjson.loads(season_json(answered(season)))["rows"]
    assert [row["score"] for row in rows] == [0.5, 0.0, None, None, None, None]
    assert [row["anomalous"] for row in rows] == [True, False, None, None, None, None]
    assert [row["expected"] for row in rows[:3]] == [100.0] * 3
    assert (rows[0]["lower"], rows[0]["upper"]) == (80.0, 140.0)
    assert [row["status"] for row in rows[:3]] == ["established"] * 3
    assert rows[3]["status"] == "bands are stale: made for 2025-03-10T12:00Z and 48 h"
    assert (rows[4]["status"], rows[4]["model_version"]) == (NO_BAND, "")
    assert rows[5]["status"] == "season not established: 0.9 days of history, 3 needed"
    assert rows[0]["words"].startswith("140 is within the seasonal band 80 to 140, expected 100; ")
    assert rows[2]["words"] == "the value is not a finite number"
    assert rows[0]["model_version"] == "seasonal-profile 2025-03-10T12:00Z"


def test_arrow_says_the_same_as_json(season: Season) -> None:
    answer = answered(season)
    table = pa.ipc.open_stream(season_arrow(answer)).read_all()
    rows = orjson.loads(season_json(answer))["rows"]
    for name in ("service", "metric", "value", "expected", "lower", "upper", "score", "rarity", "anomalous", "status", "words"):
        assert table[name].to_pylist() == [row[name] for row in rows], name
    assert table["model_version"].to_pylist() == [row["model_version"] for row in rows]
    assert table["timestamp"].equals(pa.chunked_array([points().column("timestamp")]))


def test_json_and_arrow_give_the_same_points() -> None:
    by_arrow = parse_season_arrow(stream(points()), LIMIT)
    records = [{**row, "timestamp": row["timestamp"].isoformat()} for row in points().to_pylist()]
    by_json = parse_season_json(orjson.dumps({"rows": records}), LIMIT)
    np.testing.assert_array_equal(by_json.time_us, by_arrow.time_us)
    np.testing.assert_array_equal(by_json.value, by_arrow.value)
    assert by_json.series()[0] == by_arrow.series()[0] == ["cart|requests", "new|requests", "cart|orders"]
    np.testing.assert_array_equal(by_json.series()[1], by_arrow.series()[1])


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"service": ""}, "rows[0].service", "length"),
        ({"metric": "a\u0007"}, "rows[0].metric", "printable"),
        ({"metric": "m" * 4097}, "rows[0].metric", "4096"),
        ({"timestamp": "2025-03-10T13:00:00"}, "rows[0].timestamp", "timezone"),
        ({"timestamp": "1960-03-10T13:00:00Z"}, "rows[0].timestamp", "1970 to 2199"),
        ({"value": "high"}, "rows[0].value", "float"),
        ({"level": 1.0}, "rows[0].level", "no such field"),
    ],
)
def test_a_bad_row_is_named(change: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(ProblemError) as refused:
        parse_season_json(orjson.dumps({"rows": [POINT | change]}), LIMIT)
    problem = refused.value.problem
    assert problem.status == 400
    assert problem.field == field
    assert rule in problem.rule
    assert problem.fix


def test_bodies_that_are_no_rows_are_refused() -> None:
    for body, kind in ((b"{", "not-json"), (b'{"rows": []}', "row-limit"), (b'{"rows": [{"value": NaN}]}', "not-finite")):
        with pytest.raises(ProblemError) as refused:
            parse_season_json(body, LIMIT)
        assert refused.value.problem.kind == kind
    with pytest.raises(ProblemError, match="1 to 5 rows"):
        parse_season_arrow(stream(points()), 5)
    with pytest.raises(ProblemError, match="the columns are service, metric, timestamp, value"):
        parse_season_arrow(stream(points().drop_columns(["value"])), LIMIT)
    wrong = pa.table({**{name: points().column(name) for name in list(COLUMNS)[:3]}, "value": [1] * 6})
    with pytest.raises(ProblemError, match="the column's type is double"):
        parse_season_arrow(stream(wrong), LIMIT)
    with pytest.raises(ProblemError, match=r"rows\[1\].timestamp = null"):
        parse_season_arrow(stream(points(timestamp=[NOW, None, NOW, NOW, NOW, NOW])), LIMIT)
    with pytest.raises(ProblemError, match=r"rows\[0\].value = inf: numbers are finite"):
        parse_season_arrow(stream(points(value=[float("inf")] * 6)), LIMIT)


def test_a_store_that_does_not_answer_is_a_503() -> None:
    class Silent(MemoryBands):
        def read_bands(self, series: Any, now: datetime) -> Any:
            raise Unavailable("no broker")

    season = Season(Silent(), ScoringMetrics(CollectorRegistry()), lambda: NOW)
    with pytest.raises(ProblemError) as refused:
        season.answer(parse_season_arrow(stream(points()), LIMIT), RequestOrigin("id"))
    assert (refused.value.problem.status, refused.value.problem.kind) == (503, "bands-unavailable")


def test_stale_missing_and_unknown_are_counted(season: Season) -> None:
    registry = CollectorRegistry()
    bands = MemoryBands()
    bands.write_bands(rows_of_bands([flat_bands("cart|requests", NOW)], NOW))
    old = Season(bands, ScoringMetrics(registry), lambda: NOW + timedelta(days=3))
    answer = answered(old)
    assert answer.judged.status[0] == "bands are stale: made for 2025-03-10T12:00Z and 48 h"
    assert np.isnan(answer.judged.score).all()
    count = registry.get_sample_value
    assert count("aiops_feature_view_stale_total", {"view": "seasonal_bands"}) == 1
    assert count("aiops_feature_view_missing_total", {"view": "seasonal_bands"}) == 2
    assert count("aiops_season_unknown_rows_total") == 6
    assert count("aiops_feature_view_freshness_seconds", {"view": "seasonal_bands"}) == 3 * 86400


def test_the_description_lists_the_endpoint() -> None:
    description = openapi()
    assert "application/vnd.apache.arrow.stream" in description["paths"]["/season"]["post"]["requestBody"]["content"]
    answer = description["components"]["schemas"]["SeasonResponse"]["properties"]["rows"]["items"]
    assert {"expected", "lower", "upper", "score", "status"} <= set(answer["required"])
    assert TIMESTAMP.tz == "UTC"
