"""Dagster and MLflow as `aiops up` starts them: pages of other sites are refused, their own pages and programs work."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from aiops.settings.tree import Settings
from aiops.settings.up_settings import UpSettings
from orchestration.suite.processes import ChildSpec, Supervisor
from orchestration.suite.services import dagster_webserver, mlflow_server, place_dagster_instance
from tests.testing.deadlines import within
from tests.testing.serving_harness import free_port

pytestmark = pytest.mark.slow
QUERY = "{ version }"
MUTATION = 'mutation { setConcurrencyLimit(concurrencyKey: "guarded", limit: 7) }'
STATE = "{ instance { concurrencyLimits { concurrencyKey } } }"
FOREIGN = {
    "a name that was rebound": {"host": "evil.example"},
    "a page of another site": {"origin": "https://evil.example"},
    "a page of another port": {"origin": "http://localhost:1"},
    "a page that hides": {"origin": "null"},
    "an image tag": {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    "a frame": {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
}


def running(folder: Path, spec_of: Any, **ports: int) -> Iterator[str]:
    settings = Settings(home=folder / "home", up=UpSettings(**ports))
    place_dagster_instance(settings)
    spec: ChildSpec = spec_of(settings)
    with Supervisor(folder / "logs", lambda _: None) as supervisor:
        supervisor.start(spec)
        yield spec.show_url


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from running(tmp_path_factory.mktemp("dagster"), dagster_webserver, dagster_port=free_port())


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from running(tmp_path_factory.mktemp("mlflow"), mlflow_server, mlflow_port=free_port())


def keys(url: str) -> list[str]:
    reply = httpx.post(f"{url}/graphql", json={"query": STATE}, timeout=within(30)).json()
    return [limit["concurrencyKey"] for limit in reply["data"]["instance"]["concurrencyLimits"]]


@pytest.mark.parametrize("case", FOREIGN)
def test_dagster_refuses_pages_of_other_sites(dagster: str, case: str) -> None:
    for method, path in (
        ("GET", "/"),
        ("POST", "/graphql"),
        ("GET", "/server_info"),
        ("POST", "/report_asset_materialization/a"),
    ):
        content = json.dumps({"query": MUTATION}) if method == "POST" else None
        headers = {"content-type": "application/json"} | FOREIGN[case]
        assert httpx.request(method, dagster + path, headers=headers, content=content).status_code == 403, path
    assert keys(dagster) == []


@pytest.mark.parametrize("headers", [{}, {"accept": "text/html"}, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}])
def test_no_link_makes_dagster_do_something(dagster: str, headers: dict[str, str]) -> None:
    for path in ("/graphql", "/graphql/", "//graphql"):
        answer = httpx.get(dagster + path, params={"query": MUTATION}, headers=headers, follow_redirects=True)
        assert answer.status_code in {403, 404, 405} or answer.headers["content-type"].startswith("text/html"), path
    answer = httpx.get(dagster + "/graphql", params={"query": MUTATION}, headers=headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert keys(dagster) == []


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""])
def test_no_form_makes_dagster_do_something(dagster: str, kind: str) -> None:
    body = json.dumps({"query": MUTATION})
    assert httpx.post(f"{dagster}/graphql", headers={"content-type": kind}, content=body).status_code == 415
    by_link = httpx.post(f"{dagster}/graphql", params={"query": MUTATION}, headers={"content-type": kind})
    assert by_link.status_code == 405
    assert keys(dagster) == []


def test_dagsters_own_pages_and_programs_work(dagster: str) -> None:
    own = {"origin": dagster, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
    reply = httpx.post(f"{dagster}/graphql", json={"query": QUERY}, headers=own).json()
    assert httpx.post(f"{dagster}/graphql", json={"query": MUTATION}, headers=own).is_success
    assert keys(dagster) == ["guarded"], "what the tests above sent does something where it is let in"
    assert re.fullmatch(r"\d+\.\d+\.\d+", reply["data"]["version"])
    page = httpx.get(dagster + "/")
    assert page.status_code == 200
    policies = page.headers.get_list("content-security-policy")
    assert any(policy.startswith("default-src 'self'") for policy in policies), policies
    assert '"telemetryEnabled": false' in page.text or "telemetryEnabled" not in page.text
    script = re.search(r'src="([^"]+\.js)"', page.text)
    assert script is not None
    assert httpx.get(dagster + script[1]).status_code == 200
    assert httpx.request("TRACE", dagster + "/").status_code == 405


def test_dagsters_websocket_is_for_its_own_pages(dagster: str) -> None:
    async def acknowledged(origin: str) -> str:
        url = dagster.replace("http://", "ws://") + "/graphql"
        async with connect(url, subprotocols=["graphql-ws"], origin=origin) as socket:  # type: ignore[list-item,arg-type]
            await socket.send(json.dumps({"type": "connection_init", "payload": {}}))
            return str(json.loads(await socket.recv())["type"])

    assert asyncio.run(acknowledged(dagster)) == "connection_ack"
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        with pytest.raises(InvalidStatus) as refused:
            asyncio.run(acknowledged(origin))
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize("case", FOREIGN)
def test_mlflow_refuses_pages_of_other_sites(mlflow: str, case: str) -> None:
    calls = [("GET", "/"), ("GET", "/health"), ("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0"), ("POST", "/graphql")]
    calls += [("POST", "/api/2.0/mlflow/experiments/create"), ("POST", "/ajax-api/2.0/mlflow/experiments/create")]
    for method, path in calls:
        content = json.dumps({"name": "foreign"}) if method == "POST" else None
        headers = {"content-type": "application/json"} | FOREIGN[case]
        assert httpx.request(method, mlflow + path, headers=headers, content=content).status_code == 403, path


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_no_form_makes_mlflow_do_something(mlflow: str, kind: str) -> None:
    url = f"{mlflow}/api/2.0/mlflow/experiments/create"
    assert httpx.post(url, headers={"content-type": kind}, content='{"name": "form"}').status_code == 415


def test_mlflows_client_and_pages_work(mlflow: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=mlflow, registry_uri=mlflow)
    run = client.create_run(client.create_experiment("guarded"))
    client.log_metric(run.info.run_id, "m", 1.0)
    client.create_registered_model("one")
    assert client.get_run(run.info.run_id).data.metrics == {"m": 1.0}
    assert client.get_experiment_by_name("form") is None
    assert client.get_experiment_by_name("foreign") is None
    page = httpx.get(mlflow + "/")
    assert page.status_code == 200
    assert any(policy.startswith("default-src 'self'") for policy in page.headers.get_list("content-security-policy"))
    own = {"origin": mlflow, "sec-fetch-site": "same-origin"}
    url = f"{mlflow}/ajax-api/2.0/mlflow/experiments/search"
    assert httpx.post(url, json={"max_results": 5}, headers=own).status_code == 200
