"""The console before a real incident API: who gets through, what is refused, and what is said while the API is away."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from serving.console.bundle import Bundle
from serving.console.console_app import ConsoleParts, create_app
from serving.console.forwarding import ForwardLimits, Upstream, http_client
from serving.console.sessions import CSRF_HEADER, Sessions
from serving.http.auth import Authenticator
from serving.http.loop_server import LoopServer
from serving.http.server import bound
from tests.testing.deadlines import within
from tests.testing.incident_api import KEY, bearer, running

MOST_BYTES = 4096


@contextmanager
def console(upstream: str) -> Iterator[httpx.Client]:
    """Serve the console in a thread, with a browser's client that keeps its cookies."""
    started, servers = threading.Event(), list[tuple[LoopServer, asyncio.AbstractEventLoop]]()

    async def serve(listening: socket.socket) -> None:
        async with http_client() as client:
            sessions, known = Sessions(Authenticator("HS256", KEY)), {"incidents": Upstream("the responder", upstream)}
            limits = ForwardLimits(MOST_BYTES)
            parts = ConsoleParts(Bundle(), sessions, client, known, CollectorRegistry(), limits=limits)
            server = LoopServer(create_app(parts), listening)
            servers.append((server, asyncio.get_running_loop()))
            started.set()
            await server.run()

    with bound("127.0.0.1", 0, "console.port") as listening:
        thread = threading.Thread(target=lambda: asyncio.run(serve(listening)), daemon=True)
        thread.start()
        assert started.wait(within(10))
        server, loop = servers[0]
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=within(30)) as client:
                yield client
        finally:
            loop.call_soon_threadsafe(server.stop)
            thread.join(within(15))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[httpx.Client]:
    with running(tmp_path, KEY) as api, console(api.server.url) as client:
        yield client


def logged_in(client: httpx.Client, role: str = "operator") -> str:
    """Open a session and return its second sign."""
    token = bearer(role)["authorization"].removeprefix("Bearer ")
    answer = client.post("/session", json={"token": token})
    assert answer.status_code == 200, answer.text
    client.cookies.set("aiops_session", token)
    return str(answer.json()["csrf"])


def test_a_session_reads_and_without_one_nothing_is_read(browser: httpx.Client) -> None:
    assert browser.get("/api/incidents/incidents").status_code == 401
    logged_in(browser)
    assert browser.get("/api/incidents/incidents").json()["total"] == 0


@pytest.mark.parametrize("sent", [{}, {CSRF_HEADER: "0" * 64}], ids=["missing", "wrong"])
def test_a_change_without_the_second_sign_is_refused(browser: httpx.Client, sent: dict[str, str]) -> None:
    csrf = logged_in(browser)
    path = "/api/incidents/incidents/inc-1/acknowledge"
    refused = browser.post(path, json={}, headers=sent)
    assert (refused.status_code, refused.json()["field"]) == (403, CSRF_HEADER)
    passed_on = browser.post(path, json={}, headers={CSRF_HEADER: csrf})
    assert (passed_on.status_code, "inc-1" in passed_on.json()["detail"]) == (404, True)


def test_names_that_were_bound_to_this_machine_are_refused(browser: httpx.Client) -> None:
    logged_in(browser)
    for path in ("/", "/session", "/api/incidents/incidents"):
        refused = browser.get(path, headers={"host": "evil.example"})
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:aiops:problem:foreign-site")


@pytest.mark.parametrize("steps", ["%2e%2e/metrics", "..%2fmetrics", "incidents/%2e%2e%2f%2e%2e%2fmetrics", "..%5cmetrics"])
def test_steps_upwards_are_no_path(browser: httpx.Client, steps: str) -> None:
    logged_in(browser)
    assert browser.get(f"/api/incidents/{steps}").status_code == 404


def test_a_body_that_is_too_large_is_refused(browser: httpx.Client) -> None:
    csrf = logged_in(browser)
    sent = browser.post("/api/incidents/silences", json={"why": "x" * MOST_BYTES}, headers={CSRF_HEADER: csrf})
    assert sent.status_code == 413


def test_an_api_that_is_away_is_a_problem_of_its_part_alone() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with console(f"http://127.0.0.1:{held.getsockname()[1]}") as client:
            logged_in(client)
            away = client.get("/api/incidents/incidents")
            assert (away.status_code, away.headers["content-type"]) == (503, "application/problem+json")
            assert "the responder" in away.json()["detail"]
            assert client.get("/livez").status_code == 200
