"""The application of the receivers in this process: who takes a tenant's place, and what OTLP counts as rejected."""

import asyncio
import json
import time

import pytest

from data_contracts.series.key import SeriesKey
from serving.ingest.receive import series_growth
from serving.ingest.receive.series_growth import WINDOW_S, SeriesGrowth
from tests.testing.receiver_harness import VERSION_1, Sent, compressed, write_1
from tests.testing.receivers_in_process import ReceiversInProcess

JSON = {"content-type": "application/json"}
NOW_NS = time.time_ns()


def test_bodies_that_cannot_be_read_take_no_tenants_place() -> None:
    async def statuses() -> list[int]:
        good = write_1([Sent({"__name__": "up", "job": "cart"}, [(1.0, NOW_NS // 10**6)])])
        async with ReceiversInProcess() as app:
            for number in range(40):
                tenant = {"x-scope-orgid": f"scan{number}"}
                bad = await app.post("/api/v1/write", compressed(b"\xff\xff"), {**VERSION_1, **tenant})
                logs = await app.post("/v1/logs", b"{", {**JSON, **tenant})
                assert (bad.status, logs.status) == (400, 400)
            answers = [
                await app.post("/api/v1/write", good, {**VERSION_1, "x-scope-orgid": f"shop{number}"}) for number in range(33)
            ]
        return [answer.status for answer in answers]

    assert asyncio.run(statuses()) == [204] * 32 + [400]


def test_a_tenant_that_sends_nothing_any_more_gives_its_place_to_another() -> None:
    async def run() -> tuple[list[int], dict[str, int], float]:
        body = write_1([Sent({"__name__": "up", "job": "cart"}, [(1.0, NOW_NS // 10**6)])])
        async with ReceiversInProcess() as app:
            names = [f"shop{number}" for number in range(32)]
            for name in names:
                await app.post("/api/v1/write", body, {**VERSION_1, "x-scope-orgid": name})
            statuses = []
            for later_s in (3600.0, 7100.0, 7300.0):
                app.later_s = later_s
                await app.post("/api/v1/write", body, {**VERSION_1, "x-scope-orgid": "shop0"})
                statuses.append((await app.post("/api/v1/write", body, {**VERSION_1, "x-scope-orgid": "new"})).status)
            left = dict(app.receivers.active_series())
            return statuses, left, app.counted("aiops_ingest_tenant_points_total", tenant="shop1")

    statuses, left, said = asyncio.run(run())
    assert statuses == [400, 400, 204]
    assert left == {"shop0": 1, "new": 1}
    assert said == 0, "its metrics are gone too"


def test_exemplars_that_are_refused_are_no_rejected_data_points() -> None:
    async def answer() -> object:
        exemplar = {"timeUnixNano": str(NOW_NS + 10**13), "asDouble": 1.0, "traceId": "ab" * 16}
        point = {"timeUnixNano": str(NOW_NS), "asDouble": 1.0, "exemplars": [exemplar]}
        metric = {"name": "depth", "gauge": {"dataPoints": [point]}}
        body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()
        async with ReceiversInProcess() as app:
            return json.loads((await app.post("/v1/metrics", body, JSON)).body)["partialSuccess"]

    said = asyncio.run(answer())
    assert isinstance(said, dict)
    assert said["rejectedDataPoints"] == "0"
    assert said["errorMessage"].startswith("future_timestamp: 1 exemplar")


def test_growth_remembers_only_the_metrics_with_most_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_growth, "_MOST_METRICS", 2)
    at_s = [0.0]
    growth = SeriesGrowth(4, lambda: at_s[0])
    for gained in ({"a": 6, "b": 6}, {"c": 3}, {"c": 5}):
        for metric, count in gained.items():
            for number in range(count):
                growth.added(SeriesKey("acme", "cart", metric, (("id", str(number)),)))
        texts = [explosion.text for explosion in growth.look()]
        at_s[0] += WINDOW_S
        list(growth.look())
    assert len(texts) == 1
    assert "gained 5 series, and had 0 before" in texts[0]
