"""Remote write over HTTP: versions and their fallback, answers and what they mean, and real Prometheus servers that take it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cramjam
import pytest

from serving.stream.consumer.export.export_labels import Label
from serving.stream.consumer.export.remote_writer import Answer, Outcome, Receiver, RemoteWriter
from serving.stream.consumer.export.write_request import Reading, WrittenSeries
from tests.testing.local_server import served_by
from tests.testing.peer_process import prometheus, query
from tests.testing.peers import Peer, each_peer
from tests.testing.remote_write_messages import readings_of

LABELS = (Label("__name__", "aiops_upper"), Label("metric", "cpu"), Label("service", "cart"))
TIME_MS = 1_772_400_000_000
SERIES = [WrittenSeries(LABELS, "The upper bound.", (Reading(TIME_MS, 1.5), Reading(TIME_MS + 1000, 2.5)))]
WRITTEN = {"X-Prometheus-Remote-Write-Samples-Written": "2"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver answers."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Request:
    """What it got: headers in lower case, body before compression."""

    headers: dict[str, str]
    body: bytes

    @property
    def version(self) -> str:
        return "v2" if "v2.Request" in self.headers["content-type"] else "v1"


@contextmanager
def receiver(*replies: Reply) -> Iterator[tuple[str, list[Request]]]:
    """Serve the replies in order; yield the address and the requests."""
    requests: list[Request] = []
    left = list(replies)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            requests.append(Request(headers, bytes(cramjam.snappy.decompress_raw(body))))
            reply = left.pop(0)
            self.send_response_only(reply.status)
            for name, value in {**reply.headers, "content-length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

    with served_by(Handler) as url:
        yield f"{url}/api/v1/write", requests


@contextmanager
def writer_to(to: Receiver) -> Iterator[RemoteWriter]:
    writer = RemoteWriter(to)
    try:
        yield writer
    finally:
        writer.close()


def test_a_receiver_of_2_gets_2() -> None:
    with receiver(Reply(204, WRITTEN)) as (url, requests), writer_to(Receiver(url, token="secret", org_id="acme")) as writer:
        assert writer.write(SERIES) == Answer(Outcome.WRITTEN, "status 204", 2)
    (request,) = requests
    assert request.version == "v2"
    assert request.headers["x-prometheus-remote-write-version"] == "2.0.0"
    assert (request.headers["authorization"], request.headers["x-scope-orgid"]) == ("Bearer secret", "acme")
    labels = tuple(tuple(label) for label in LABELS)
    assert readings_of("v2", request.body) == {labels: [(TIME_MS, 1.5), (TIME_MS + 1000, 2.5)]}


@pytest.mark.parametrize("reply", [Reply(415), Reply(204), Reply(200)], ids=["unknown type", "no headers", "no headers, 200"])
def test_a_receiver_that_knows_only_1_gets_1_from_then_on(reply: Reply) -> None:
    with receiver(reply, Reply(204), Reply(204)) as (url, requests), writer_to(Receiver(url, "name", "secret")) as writer:
        assert [writer.write(SERIES).outcome for _ in range(2)] == [Outcome.WRITTEN] * 2
    assert [request.version for request in requests] == ["v2", "v1", "v1"]
    assert requests[1].headers["x-prometheus-remote-write-version"] == "0.1.0"
    assert requests[1].headers["authorization"] == "Basic bmFtZTpzZWNyZXQ="
    assert readings_of("v1", requests[1].body) == readings_of("v2", requests[0].body)


@pytest.mark.parametrize(
    ("reply", "outcome", "wait_s"),
    [
        (Reply(429, {"Retry-After": "7"}), Outcome.RETRY, 7.0),
        (Reply(429, {"Retry-After": "86400"}), Outcome.RETRY, 300.0),
        (
            Reply(503, {"Retry-After": "Mon, 02 Mar 2026 00:00:10 GMT", "Date": "Mon, 02 Mar 2026 00:00:06 GMT"}),
            Outcome.RETRY,
            4.0,
        ),
        (Reply(500), Outcome.RETRY, None),
        (Reply(400, {}, b"out of order sample"), Outcome.REFUSED, None),
        (Reply(401), Outcome.REFUSED, None),
        (Reply(302, {"Location": "http://127.0.0.1:9/"}), Outcome.REFUSED, None),
    ],
)
def test_what_an_answer_means(reply: Reply, outcome: Outcome, wait_s: float | None) -> None:
    with receiver(reply) as (url, _), writer_to(Receiver(url)) as writer:
        answer = writer.write(SERIES)
    assert (answer.outcome, answer.wait_s) == (outcome, wait_s)
    assert reply.body.decode() in answer.detail


def test_a_receiver_that_is_away_is_tried_later() -> None:
    with receiver() as (url, _):
        pass
    with writer_to(Receiver(url)) as writer:
        answer = writer.write(SERIES)
    assert answer.outcome is Outcome.RETRY
    assert "ConnectError" in answer.detail
    assert writer.version == "2.0"


@pytest.mark.parametrize("peer", each_peer("prometheus"))
def test_prometheus_takes_what_is_written(peer: Peer, tmp_path: Path) -> None:
    """2.42 knows 1.0 only: it answers 2.0 by a success without the headers and stores nothing, so that 1.0 has to follow."""
    with (
        prometheus(peer, tmp_path, "", "--web.enable-remote-write-receiver") as server,
        writer_to(Receiver(f"{server.url}/api/v1/write")) as writer,
    ):
        assert writer.write(SERIES).outcome is Outcome.WRITTEN
        version = writer.version
        (result,) = query(server, "aiops_upper[5s]", TIME_MS / 1000 + 2)
        log = server.log()
    assert result["metric"] == {label.name: label.value for label in LABELS}
    assert result["values"] == [[TIME_MS / 1000, "1.5"], [TIME_MS / 1000 + 1, "2.5"]]
    if peer.release:
        assert version == ("2.0" if peer.release >= (3,) else "1.0"), log
