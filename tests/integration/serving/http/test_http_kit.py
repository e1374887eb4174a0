"""What every API of the suite does alike: methods, pages of other sites, callers who leave; each service is asked the same."""

import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.testing.deadlines import within
from tests.testing.incident_api import running
from tests.testing.serving_harness import GOOD, JSON_TYPE, fresh, start

FOREIGN = {
    "a name that was rebound": ({"host": "evil.example:3100"}, "host"),
    "a name that only looks local": ({"host": "localhost.evil.example"}, "host"),
    "a number of somewhere else": ({"host": "10.1.2.3"}, "host"),
    "no name": ({"host": ""}, "host"),
    "a page of another site": ({"origin": "https://evil.example"}, "origin"),
    "a page of another port": ({"origin": "http://127.0.0.1:1"}, "origin"),
    "a page without an origin": ({"origin": "null"}, "origin"),
    "an image or script tag": ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, "sec-fetch-site"),
    "a frame": ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, "sec-fetch-site"),
}


@dataclass(frozen=True)
class Api:
    """A running API: a path that takes GET, one that takes POST, and what it logged so far."""

    url: str
    read: str
    write: str
    body: bytes
    log: Callable[[], str]
    counter: str


@pytest.fixture(scope="module", params=["scoring", "incidents"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "scoring":
        service = start(folder, fresh())
        yield Api(service.url, "/docs.json", "/score", GOOD, service.log.read_text, "aiops_scoring_requests_total")
        service.stop()
        return
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        with running(folder) as served:
            counter = "aiops_incident_api_requests_total"
            yield Api(served.server.url, "/incidents", "/changes", b"[]", lambda: "\n".join(lines), counter)
    finally:
        logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("case", FOREIGN)
def test_pages_of_other_sites_are_refused(api: Api, case: str) -> None:
    headers, field = FOREIGN[case]
    for method, path, content in (("GET", api.read, None), ("POST", api.write, api.body), ("GET", "/livez", None)):
        answer = httpx.request(method, api.url + path, headers=JSON_TYPE | headers, content=content)
        assert (answer.status_code, answer.json()["field"]) == (403, field), (path, answer.text)
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_what_a_form_sends_is_refused_whoever_sends_it(api: Api, kind: str) -> None:
    assert httpx.post(api.url + api.write, headers={"content-type": kind}, content=api.body).status_code == 415


def test_programs_own_pages_and_links_are_let_in(api: Api) -> None:
    own = {"origin": api.url, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
    assert httpx.post(api.url + api.write, headers=JSON_TYPE | own, content=api.body).is_success
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert httpx.get(api.url + "/", headers=link).status_code == 200
    assert httpx.get(api.url.replace("127.0.0.1", "localhost") + api.read).status_code == 200


def test_the_start_page_asks_nobody_else(api: Api) -> None:
    page = httpx.get(api.url + "/")
    assert re.findall(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""", page.text) == []
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for path in ("/docs", "/redoc", "/swagger", "/static_content/swagger-ui.css", "/assets/index.js", "/schema.json"):
        assert httpx.get(api.url + path).status_code == 404, path


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_a_method_that_a_path_does_not_take_is_405_with_allow(api: Api, method: str) -> None:
    for path, takes in ((api.read, "GET, HEAD, OPTIONS"), ("/livez", "GET, HEAD, OPTIONS"), ("/metrics", "GET, HEAD, OPTIONS")):
        answer = httpx.request(method, api.url + path)
        assert (answer.status_code, answer.headers.get("allow")) == (405, takes), path
        assert answer.json()["value"] == method


def test_405_names_every_method_of_a_path(api: Api) -> None:
    takes = "OPTIONS, POST" if api.write == "/score" else "GET, HEAD, OPTIONS, POST"
    answer = httpx.delete(api.url + api.write)
    assert (answer.status_code, answer.headers["allow"]) == (405, takes)
    options = httpx.options(api.url + api.write)
    assert (options.status_code, options.headers["allow"], options.content) == (204, takes, b"")


def test_head_is_get_without_the_body(api: Api) -> None:
    for path in (api.read, "/livez", "/readyz", "/", "/metrics"):
        got, head = httpx.get(api.url + path), httpx.head(api.url + path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-type"] == got.headers["content-type"], path
    assert httpx.head(api.url + "/no/such/path").status_code == 404


def leave_while_sending(api: Api) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=within(10)) as caller:
        lines = (f"POST {api.write} HTTP/1.1", f"host: {host}", "content-type: application/json", "content-length: 1000")
        caller.sendall("\r\n".join(lines).encode() + b"\r\n\r\n[")


def left(api: Api) -> float:
    counts = re.findall(
        rf"^{api.counter}{{[^}}]*code=\"499\"[^}}]*}} ([0-9.e+]+)", httpx.get(api.url + "/metrics").text, re.MULTILINE
    )
    return sum(map(float, counts))


def test_callers_who_leave_are_counted_and_one_line_is_logged(api: Api) -> None:
    before, said = left(api), len(api.log())
    for _ in range(20):
        leave_while_sending(api)
    deadline = time.monotonic() + within(30)
    while left(api) < before + 20:
        assert time.monotonic() < deadline, left(api)
        time.sleep(0.05)
    log = api.log()[said:]
    assert "Traceback" not in log
    assert log.count("the caller left before it was answered") <= 1, log
    assert httpx.post(api.url + api.write, headers=JSON_TYPE, content=api.body).is_success
