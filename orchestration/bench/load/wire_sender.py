"""Sends bodies to a receiver over HTTP: as fast as they are answered, or at a fixed rate; a process of its own.

Bodies go round and round: of metrics every round is one scrape of all targets, `step_s` later in event time. A body that is
answered 429 or 503 is sent again, as a sender does.
"""

import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from orchestration.bench.load.sent_bodies import SendPlan, SentBody, bodies_of

LATENCIES: Final = 200_000
"""Answers whose time is kept, the newest."""
PRESSED: Final = (429, 503)
"""Answers of a receiver that takes no more for now."""
_AGAIN_S: Final = 0.05
_HEADERS: Final = {
    "remote_write_1": "POST /api/v1/write HTTP/1.1\r\ncontent-type: application/x-protobuf\r\ncontent-encoding: snappy\r\n"
    "x-prometheus-remote-write-version: 0.1.0\r\n",
    "remote_write_2": "POST /api/v1/write HTTP/1.1\r\n"
    "content-type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\ncontent-encoding: snappy\r\n"
    "x-prometheus-remote-write-version: 2.0.0\r\n",
    "otlp": "POST /v1/metrics HTTP/1.1\r\ncontent-type: application/x-protobuf\r\n",
    "logs": "POST /v1/logs HTTP/1.1\r\ncontent-type: application/x-protobuf\r\n",
    "spans": "POST /v1/traces HTTP/1.1\r\ncontent-type: application/x-protobuf\r\n",
}


@dataclass(frozen=True, slots=True)
class Phase:
    """How long, and how many points a second: 0 = as fast as they are answered; `rounds` > 0 ends after so many instead."""

    seconds: float = 0.0
    points_per_s: float = 0.0
    rounds: int = 0


@dataclass(slots=True)
class Sent:
    """What one phase sent; `late_s`: how far the sender fell behind its own schedule at most."""

    points: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    late_s: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)
    latency_s: list[float] = field(default_factory=list)

    def quantile_s(self, share: float) -> float:
        """Return a quantile of the time from sending to the answer, NaN where there was none."""
        return float(np.quantile(self.latency_s, share)) if self.latency_s else float("nan")


class SenderError(RuntimeError):
    """The receiver gave an answer that a sender does not repeat."""


class WireSender:
    """Sends phase after phase; event time goes on from one to the next."""

    def __init__(self, plan: SendPlan) -> None:
        self._plan = plan
        self._bodies: Sequence[SentBody] = bodies_of(plan)
        if len(self._bodies) < 2 * plan.in_flight:
            raise ValueError(f"{len(self._bodies)} requests a round: with {plan.in_flight} in flight rounds would overlap")
        self._turns = itertools.count()
        self._rounds_done = [0] * len(self._bodies)
        self._answered = threading.Condition()

    @property
    def points_a_round(self) -> int:
        """Return the points of one scrape of all targets, the lines or spans of all bodies."""
        return sum(body.rows for body in self._bodies)

    def run(self, phase: Phase) -> Sent:
        """Send; return what became of it.

        Raises:
            SenderError: an answer that is neither 2xx nor one of PRESSED.
        """
        shared = _Shared(self._schedule(phase))
        threads = [threading.Thread(target=self._send, args=(shared,), daemon=True) for _ in range(self._plan.in_flight)]
        began, cpu = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if shared.failures:
            raise shared.failures[0]
        sent = shared.sent
        sent.seconds, sent.cpu_s = time.perf_counter() - began, time.process_time() - cpu
        return sent

    def _schedule(self, phase: Phase) -> "Iterator[_Due]":
        """Yield which request is due when (seconds since the start; 0 = at once)."""
        count = len(self._bodies)
        began = time.perf_counter()
        points = 0
        for _ in range(phase.rounds * count) if phase.rounds else itertools.count():
            due_s = points / phase.points_per_s if phase.points_per_s else 0.0
            if not phase.rounds and max(due_s, time.perf_counter() - began) >= phase.seconds:
                return
            number = next(self._turns)
            points += self._bodies[number % count].rows
            yield _Due(number % count, number // count, began + due_s if phase.points_per_s else 0.0)

    def _send(self, shared: "_Shared") -> None:
        try:
            with _Connection(self._plan) as connection:
                while (due := shared.next()) is not None:
                    self._deliver(connection, due, shared)
        except (SenderError, OSError) as error:
            shared.failures.append(error)

    def _deliver(self, connection: "_Connection", due: "_Due", shared: "_Shared") -> None:
        wait_s = due.at_s - time.perf_counter()
        if due.at_s and wait_s > 0:
            time.sleep(wait_s)
        late_s = max(0.0, -wait_s) if due.at_s else 0.0
        sent = self._bodies[due.request]
        body = sent.filled(due.round, self._time_ms(due))
        self._wait_for_round_before(due, shared)
        while True:
            began = time.perf_counter()
            status = connection.post(body)
            shared.note(status, sent.rows, time.perf_counter() - began, late_s)
            if status not in PRESSED:
                break
            time.sleep(_AGAIN_S)
        with self._answered:
            self._rounds_done[due.request] += 1
            self._answered.notify_all()

    def _time_ms(self, due: "_Due") -> int:
        step_ms = self._plan.step_s * 1000
        return self._plan.start_ms + due.round * step_ms if step_ms else time.time_ns() // 1_000_000

    def _wait_for_round_before(self, due: "_Due", shared: "_Shared") -> None:
        """Wait until the request of the round before is answered: a series is sent in order of time, as senders do."""
        with self._answered:
            while self._rounds_done[due.request] < due.round and not shared.failures:
                self._answered.wait(_AGAIN_S)


@dataclass(frozen=True, slots=True)
class _Due:
    request: int
    round: int
    at_s: float


class _Shared:
    """What the threads of one phase have in common."""

    def __init__(self, schedule: Iterator[_Due]) -> None:
        self._schedule = schedule
        self._lock = threading.Lock()
        self.sent = Sent()
        self.failures: list[Exception] = []

    def next(self) -> _Due | None:
        """Return the next request, None at the end."""
        with self._lock:
            return None if self.failures else next(self._schedule, None)

    def note(self, status: int, points: int, seconds: float, late_s: float) -> None:
        """Count an answer.

        Raises:
            SenderError: it is neither 2xx nor one of PRESSED.
        """
        with self._lock:
            self.sent.answers[status] += 1
            if status // 100 == 2:
                self.sent.points += points
                self.sent.late_s = max(self.sent.late_s, late_s)
                self.sent.latency_s.append(seconds)
                del self.sent.latency_s[:-LATENCIES]
            elif status not in PRESSED:
                raise SenderError(f"the receiver answered {status}")


class _Connection:
    """One HTTP/1.1 connection that is kept: `post`."""

    def __init__(self, plan: SendPlan) -> None:
        self._head = (_HEADERS[plan.protocol] + f"host: 127.0.0.1:{plan.port}\r\n").encode()
        self._socket = socket.create_connection(("127.0.0.1", plan.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def post(self, body: bytes) -> int:
        """Send a body; return the status of the answer once all of it has come."""
        self._socket.sendall(self._head + b"content-length: %d\r\n\r\n" % len(body) + body)
        answer = bytearray()
        while (end := answer.find(b"\r\n\r\n")) < 0:
            self._read(answer)
        head = bytes(answer[:end]).lower()
        length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        while len(answer) < end + 4 + int(length or b"0"):
            self._read(answer)
        return int(answer[9:12])

    def _read(self, answer: bytearray) -> None:
        received = self._socket.recv(65_536)
        if not received:
            raise SenderError("the receiver closed the connection")
        answer += received


def serve(plan: SendPlan, commands: Connection) -> None:
    """Build the bodies, say the points of a round, then run the phases that come in; None ends it."""
    sender = WireSender(plan)
    commands.send(sender.points_a_round)
    for phase in iter(commands.recv, None):
        try:
            commands.send(sender.run(phase))
        except (SenderError, OSError) as error:
            commands.send(error)


def summary(sent: Sequence[Sent]) -> Counter[int]:
    """Return how often each status was answered."""
    return sum((each.answers for each in sent), Counter())
