"""The real service in its own process: seasonal bands are looked up, never fitted; root causes are told; scoring goes on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pyarrow as pa
import pytest

from aiops.errors import ContractError
from serving.scoring.requests.season_rows import COLUMNS
from serving.stream.consumer.scoring_client import ScoringClient
from tests.testing.serving_harness import GOOD, Service, fresh, post, start


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start(tmp_path_factory.mktemp("season"), fresh(max_rows=2000))
    yield running
    running.stop()


def test_seasonal_bands_are_looked_up_over_http(service: Service) -> None:
    now = datetime.now(UTC)
    names = ["known", "stale", "nobody"]
    columns: dict[str, list[object]] = {
        "service": [*names],
        "metric": ["requests"] * 3,
        "timestamp": [now] * 3,
        "value": [180.0] * 3,
    }
    batch = pa.RecordBatch.from_pydict(columns, schema=pa.schema(list(COLUMNS.items())))
    with ScoringClient(service.url) as client:
        answer = client.season(batch)
        rows = answer.rows.to_pylist()
        assert [row["score"] for row in rows] == [0.75, None, None]  # two distances of the bound above 100
        assert [row["anomalous"] for row in rows] == [True, None, None]
        assert [row["status"].split(":")[0] for row in rows] == ["established", "bands are stale", "no band for this series"]
        assert answer.model_version.startswith("seasonal-profile 20")
        with pytest.raises(ContractError, match="the columns are service, metric, timestamp, value"):
            client.season(batch.drop_columns(["value"]))
    body = {"rows": [{**row, "timestamp": row["timestamp"].isoformat()} for row in batch.to_pylist()]}
    by_json = post(service, "/season", body)
    assert by_json.status_code == 200, by_json.text
    assert [row["score"] for row in by_json.json()["rows"]] == [0.75, None, None]
    assert by_json.headers["x-model-name"] == "seasonal-bands"
    assert post(service, "/season", {"rows": []}).status_code == 400
    metrics = httpx.get(f"{service.url}/metrics").text
    assert "aiops_feature_view_stale_total{" in metrics


def test_root_causes_over_http(service: Service) -> None:
    began = datetime(2026, 3, 2, tzinfo=UTC)
    rows = [
        {
            "service": name,
            "metric": "latency_mean_s",
            "timestamp": (began + timedelta(minutes=minute)).isoformat(),
            "value": level * (1 + 0.02 * (minute % 3)) + (0.5 if minute >= 60 and name != "other" else 0.0),
        }
        for minute in range(65)
        for name, level in (("web", 0.1), ("db", 0.02), ("other", 0.1))
    ]
    question = {"rows": rows, "edges": [["web", "db"]], "window_start": (began + timedelta(hours=1)).isoformat()}
    answer = post(service, "/root_cause", question)
    assert answer.status_code == 200, answer.text
    assert answer.json()["causes"][0]["service"] == "db"
    assert answer.headers["x-model-name"] == answer.json()["model"] == "root-cause"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    looked_up = post(service, "/root_cause", {"service": "web", "at": began.isoformat()})
    assert looked_up.status_code == 200, looked_up.text
    assert "no telemetry of web" in looked_up.json()["statement"]
    refused = post(service, "/root_cause", {"service": "web"})
    assert (refused.status_code, refused.json()["field"]) == (400, "at")
    with ThreadPoolExecutor(8) as pool:
        analyses = [pool.submit(post, service, "/root_cause", question) for _ in range(24)]
        scored = [post(service, "/score", GOOD) for _ in range(10)]
        codes = {analysis.result().status_code for analysis in analyses}
    assert 200 in codes
    assert codes <= {200, 429}
    assert {analysis.status_code for analysis in scored} == {200}
    metrics = httpx.get(f"{service.url}/metrics").text
    assert "aiops_root_causes_total{outcome=" in metrics
