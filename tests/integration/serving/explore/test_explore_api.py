"""The API of the data over a real lake: each route, its refusals, tenants and roles."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from prometheus_client import CollectorRegistry

from aiops.settings.tree import Settings
from data_contracts.series.tenant import TENANT_HEADER
from serving.console.console_process import upstreams
from serving.explore.explore_app import create_app
from serving.explore.explore_ports import ExploreParts
from serving.explore.explore_process import readiness
from serving.http.auth import Authenticator
from serving.http.server import ApiServer
from serving.lake.opening import open_lake
from tests.testing.deadlines import within
from tests.testing.explored_lake import NOON, fill, latency, requests

KEY = "an-hs256-secret-for-this-test-only-0123456789"
ACME, SHOP = latency("acme").series_id, latency("shop").series_id


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("lake")
    lakes = open_lake(root)
    fill(lakes.for_tenant("acme"))
    fill(lakes.for_tenant("shop"), level=500.0)
    parts = ExploreParts(lakes, Authenticator("HS256", KEY), CollectorRegistry(), lambda: readiness(root))
    server = ApiServer(create_app(parts), "127.0.0.1", 0)
    server.start()
    try:
        with httpx.Client(base_url=server.url, timeout=within(30)) as calling:
            yield calling
    finally:
        server.stop()


def token(*tenants: str, role: str = "viewer") -> dict[str, str]:
    claims = {"role": role, "sub": "ada", "exp": int(time.time()) + 60, "tenants": list(tenants)}
    return {"authorization": f"Bearer {jwt.encode(claims, KEY, 'HS256')}"}


def got(client: httpx.Client, path: str, tenant: str = "acme", **query: object) -> Any:
    answer = client.get(path, params={name: str(value) for name, value in query.items()}, headers=token(tenant))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_series_are_listed_page_after_page(client: httpx.Client) -> None:
    first = got(client, "/series", limit=1)
    assert [line["name"] for line in first["items"]] == ['cart|latency_p99_ms{zone="a"}']
    assert first["total"] == 2
    assert first["items"][0]["last_at"] == "2026-03-02T11:59:50Z"
    assert first["items"][0]["points_per_minute"] == pytest.approx(6.0, abs=0.2)
    second = got(client, "/series", limit=1, cursor=first["next_cursor"])
    assert [(line["service"], line["kind"]) for line in second["items"]] == [("web", "counter")]
    assert second["next_cursor"] == ""


@pytest.mark.parametrize(
    ("query", "services"),
    [({"service": "c*"}, ["cart"]), ({"metric": "requests_*"}, ["web"]), ({"text": "LATENCY"}, ["cart"]), ({"text": "no"}, [])],
)
def test_series_are_found_by_service_metric_and_text(client: httpx.Client, query: dict[str, str], services: list[str]) -> None:
    assert [line["service"] for line in got(client, "/series", **query)["items"]] == services


def test_a_range_comes_in_buckets_beside_the_day_before_the_band_and_what_was_found(client: httpx.Client) -> None:
    since, until = NOON - timedelta(hours=12), NOON
    seen = got(client, f"/series/{ACME}/points", since=iso(since), until=iso(until), points=100, offset_s=86_400)
    points, before, band = seen["points"], seen["compared"], seen["band"]
    assert not points["raw"]
    assert 50 < len(points["time_s"]) <= 100
    assert sum(points["count"]) == sum(before["count"]) == 12 * 360
    assert points["time_s"] == before["time_s"] == band["time_s"]
    assert [high - low for low, high in zip(points["mean"], before["mean"], strict=True)] == pytest.approx(
        [10.0] * len(points["mean"])
    )
    assert band["expected"][0] is None  # made at six in the morning
    assert (band["lower"][-1], band["expected"][-1], band["upper"][-1]) == (80.0, 100.0, 140.0)
    assert [(mark["reason"], mark["of_series"]) for mark in seen["detections"]] == [("last word", True), ("z = 12", False)]


def test_a_short_range_comes_as_it_is(client: httpx.Client) -> None:
    seen = got(client, f"/series/{ACME}/points", since=iso(NOON - timedelta(minutes=5)), until=iso(NOON))
    assert seen["points"]["raw"]
    assert len(seen["points"]["time_s"]) == 30
    assert seen["compared"] is None
    assert seen["detections"] == []


def test_without_a_range_the_last_day_is_shown(client: httpx.Client) -> None:
    seen = got(client, f"/series/{ACME}/points")
    assert (seen["since"], seen["until"]) == ("2026-03-01T11:59:50.000001Z", "2026-03-02T11:59:50.000001Z")


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


NOW = iso(NOON)
BEFORE = iso(NOON - timedelta(hours=1))
REFUSED = [
    (f"/series/{ACME}/points?since={NOW}&until={BEFORE}", "since"),
    (f"/series/{ACME}/points?since={NOW}&until={NOW}", "since"),
    (f"/series/{ACME}/points?since=2020-01-01T00:00:00Z&until={NOW}", "since"),
    (f"/series/{ACME}/points?since=yesterday", "since"),
    (f"/series/{ACME}/points?points=9", "points"),
    (f"/series/{ACME}/points?points=2001", "points"),
    (f"/series/{ACME}/points?offset_s=-1", "offset_s"),
    ("/series?limit=0", "limit"),
    ("/series?cursor=77", "cursor"),
    ("/series?cursor=x", "cursor"),
    ("/series?colour=red", "colour"),
    ("/series/x", "series_id"),
]


@pytest.mark.parametrize(("path", "named"), REFUSED)
def test_a_bad_request_is_told_field_value_rule_and_fix(client: httpx.Client, path: str, named: str) -> None:
    answer = client.get(path, headers=token("acme"))
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["field"] == named
    assert all(problem[part] for part in ("value", "rule", "fix"))


@pytest.mark.parametrize(
    "path", ["/series/77", "/series/77/points", f"/series/{10**19 - 1}", f"/series/{SHOP}", f"/series/{SHOP}/points"]
)
def test_a_series_that_is_not_there_or_another_tenants_is_not_found(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=token("acme"))
    assert answer.status_code == 404
    assert answer.json()["field"] == "series_id"


def test_each_tenant_sees_its_own(client: httpx.Client) -> None:
    own, other = (
        got(client, f"/series/{key}/points", name)["points"]["mean"][-1] for name, key in (("acme", ACME), ("shop", SHOP))
    )
    assert (own, other) == (pytest.approx(100, abs=1), pytest.approx(500, abs=1))
    ids = {line["series_id"] for line in got(client, "/series", "shop")["items"]}
    assert ids == {str(SHOP), str(requests("shop").series_id)}
    assert got(client, "/series", "empty")["items"] == []
    both = token("acme", "shop") | {TENANT_HEADER: "shop"}
    assert client.get(f"/series/{SHOP}", headers=both).status_code == 200
    assert client.get(f"/series/{SHOP}", headers=token("acme") | {TENANT_HEADER: "shop"}).status_code == 403


@pytest.mark.parametrize("path", ["/series", f"/series/{ACME}", f"/series/{ACME}/points", "/metrics", "/docs.json"])
def test_only_who_has_a_token_may_read_and_nobody_may_write(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 401
    assert client.get(path, headers=token("acme", role="none")).status_code == 401
    assert client.get(path, headers=token("acme")).status_code == 200
    assert client.post(path, headers=token("acme", role="admin")).status_code == 405


def test_it_says_whether_it_can_read(client: httpx.Client, tmp_path: Path) -> None:
    assert client.get("/livez").text == "alive"
    assert client.get("/readyz").json() == {"ready": True, "parts": {"lake": "ok"}}
    (tmp_path / "lake").write_text("a file")
    assert not readiness(tmp_path / "lake").ready
    assert readiness(tmp_path / "none").ready


def test_the_console_passes_calls_on_to_it(tmp_path: Path) -> None:
    assert upstreams(Settings(home=tmp_path))["explore"].url == "http://127.0.0.1:3109"
