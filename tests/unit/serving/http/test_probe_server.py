"""The metrics port of a process without an API: the same checks as everywhere, and callers who leave are one line."""

import logging
import socket
import struct
import time
from collections.abc import Iterator

import httpx
import pytest

from serving.host.log_rate_limit import LineLimit
from serving.http.cross_site import SiteRules
from serving.http.probe_server import Page, ProbeServer


@pytest.fixture
def url() -> Iterator[str]:
    pages = {"/metrics": lambda: Page(200, b"m 1\n"), "/readyz": lambda: Page(503, b"starting\n")}
    server = ProbeServer(pages, "127.0.0.1", 0, SiteRules(("probes.example",)))
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def test_pages_are_answered_by_path(url: str) -> None:
    assert (httpx.get(url + "/metrics").text, httpx.get(url + "/readyz").status_code) == ("m 1\n", 503)
    assert httpx.get(url + "/metrics", headers={"host": "probes.example"}).status_code == 200
    head = httpx.head(url + "/metrics")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "4", b"")
    assert httpx.get(url + "/other").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "10.0.0.1"},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
)
def test_pages_of_other_sites_are_refused(url: str, headers: dict[str, str]) -> None:
    for path in ("/metrics", "/readyz"):
        answer = httpx.get(url + path, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


@pytest.mark.parametrize("method", ["POST", "TRACE", "DELETE", "PUT", "PATCH"])
def test_other_methods_are_405_with_allow(url: str, method: str) -> None:
    answer = httpx.request(method, url + "/metrics", headers={"content-type": "application/x-www-form-urlencoded"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    options = httpx.options(url + "/metrics")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


def test_callers_who_leave_make_no_traceback(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    host, port = url.removeprefix("http://").split(":")
    for _ in range(20):
        caller = socket.create_connection((host, int(port)))
        caller.sendall(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n")
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        caller.close()
    time.sleep(0.3)
    assert httpx.get(url + "/metrics").status_code == 200
    assert "Traceback" not in capfd.readouterr().err


def test_lines_of_a_kind_come_once_in_a_while_and_say_how_many_were_held_back(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    lines = LineLimit(logging.getLogger("lines"), 30.0, lambda: now)
    for _ in range(300):
        lines.warn("down", "the service does not answer")
    lines.warn("other", "something else")
    assert [record.message for record in caplog.records] == ["the service does not answer", "something else"]
    now = 31.0
    lines.warn("down", "the service does not answer")
    assert caplog.records[-1].message == "the service does not answer (299 more like it since the last such line)"
