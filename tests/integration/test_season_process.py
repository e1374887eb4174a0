"""The real service in its own process: seasonal bands are looked up, never fitted, over HTTP in JSON and Arrow."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pyarrow as pa
import pytest

from aiops.errors import ContractError
from serving.bento.season_rows import COLUMNS
from serving.scoring_client import ScoringClient
from tests.checks.serving_harness import Service, fresh, post, start


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
