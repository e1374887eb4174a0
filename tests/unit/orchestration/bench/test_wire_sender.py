"""The sender of the stream bench: order, rate, what it sends again and what ends it."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import cramjam
import pytest

from orchestration.bench.load.sent_bodies import SendPlan
from orchestration.bench.load.wire_sender import Phase, SenderError, WireSender
from tests.testing.local_server import served_by
from tests.testing.wire_messages import REMOTE_WRITE_1

PLAN = SendPlan("remote_write_1", 0, targets=8, service_instances=2, samples=20, start_ms=1_790_000_000_000, in_flight=2)


class FakeReceiver:
    """Keeps (series, time) of what it is sent; `statuses` are what it answers, one after the other."""

    def __init__(self, statuses: Iterator[int]) -> None:
        self.received: list[tuple[str, int]] = []
        self._statuses = statuses
        self._lock = threading.Lock()

    def take(self, body: bytes) -> int:
        """Return the status of the answer."""
        request = REMOTE_WRITE_1["WriteRequest"].FromString(bytes(cramjam.snappy.decompress_raw(body)))
        with self._lock:
            status = next(self._statuses)
            if status == 204:
                self.received += [
                    (" ".join(label.value for label in series.labels), series.samples[0].timestamp)
                    for series in request.timeseries
                ]
            return status


@contextmanager
def receiving(statuses: Iterator[int]) -> "Iterator[tuple[FakeReceiver, SendPlan]]":
    fake = FakeReceiver(statuses)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the name is the standard library's
            self.send_response(fake.take(self.rfile.read(int(self.headers["content-length"]))))
            self.send_header("content-length", "0")
            self.end_headers()

    with served_by(Handler) as url:
        yield fake, replace(PLAN, port=int(url.rpartition(":")[2]))


def always(status: int) -> Iterator[int]:
    return itertools.repeat(status)


def test_every_round_is_sent_once_and_each_series_in_order_of_time() -> None:
    with receiving(always(204)) as (fake, plan):
        sender = WireSender(plan)
        first, second = sender.run(Phase(rounds=3)), sender.run(Phase(rounds=2))
    assert sender.points_a_round == 160
    assert (first.points, second.points) == (480, 320)
    assert first.answers == {204: 24}
    by_series: dict[str, list[int]] = {}
    for series, time_ms in fake.received:
        by_series.setdefault(series, []).append(time_ms)
    assert len(by_series) == 160
    assert set(map(tuple, by_series.values())) == {tuple(PLAN.start_ms + 60_000 * number for number in range(5))}


def test_what_is_refused_for_now_is_sent_again() -> None:
    with receiving(itertools.chain([429, 204, 503, 429], always(204))) as (fake, plan):
        sent = WireSender(plan).run(Phase(rounds=1))
    assert sent.answers == {204: 8, 429: 2, 503: 1}
    assert sent.points == len(fake.received) == 160


@pytest.mark.parametrize("status", [400, 500])
def test_any_other_answer_ends_it(status: int) -> None:
    with receiving(itertools.chain([204], always(status))) as (_, plan), pytest.raises(SenderError, match=str(status)):
        WireSender(plan).run(Phase(rounds=1))


def test_a_fixed_rate_is_kept() -> None:
    with receiving(always(204)) as (_, plan):
        sent = WireSender(plan).run(Phase(seconds=1.0, points_per_s=400.0))
    assert sent.points == 400
    assert sent.seconds >= 0.9
    assert len(sent.latency_s) == 20
    assert 0 < sent.quantile_s(0.5) <= sent.quantile_s(0.99)


def test_rounds_that_would_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        WireSender(replace(PLAN, in_flight=5))


def test_time_ends_a_phase() -> None:
    with receiving(always(204)) as (fake, plan):
        sent = WireSender(plan).run(Phase(seconds=0.2))
    assert sent.points == len(fake.received)
    assert sent.points > 0
