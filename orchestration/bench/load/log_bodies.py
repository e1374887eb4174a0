"""Bodies of OTLP logs: lines of several services, of requests in order and beside them; times, ids and parameters filled in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from orchestration.bench.load.marked_message import Digits, MarkedMessage, filled_bytes
from orchestration.bench.load.sent_services import LineForm, SentService

_SERVICES: Final = 4
"""Of a body, as a collector joins them."""
_IN_REQUESTS: Final = 0.9
_SPREAD_NS: Final = 1_000_000_000
"""Lines of a body are of the second before it is sent."""
_NONE: Final = -1


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a request, or of none (`_NONE`)."""

    form: LineForm
    route: str
    request: int


class LogBody:
    """A body of `rows` lines; each time with others times, ids and parameters."""

    def __init__(self, services: Sequence[SentService], rows: int, seed: int) -> None:
        self.rows = rows
        self._seed = seed
        random = np.random.default_rng(seed)
        message, requests, first = MarkedMessage(), 0, 0
        for service, count in zip(services, _shares(rows, len(services)), strict=True):
            lines = [line for line, _ in zip(_lines(service, random, requests), range(count), strict=False)]
            requests = max(requests, *(line.request + 1 for line in lines))
            message.message(1, _resource_logs(service, lines, first))
            first += count
        self._requests = requests
        self._offsets_ns = np.sort(random.integers(-_SPREAD_NS, 0, rows))
        self._times, self._traces, self._spans = (message.gaps(gap) for gap in ("time", "trace", "span"))
        self._digits = Digits(message)
        self._body = np.frombuffer(bytes(message.body), np.uint8).copy()

    def filled(self, number: int, time_ms: int) -> bytes:
        """Return the body of a round, its lines before a time."""
        random, body = np.random.default_rng((self._seed, number)), self._body
        body[self._times.places] = filled_bytes((time_ms * 1_000_000 + self._offsets_ns)[self._times.numbers])
        ids = random.integers(0, 256, (self._requests, 24), np.uint8)
        body[self._traces.places] = ids[self._traces.numbers, :16]
        body[self._spans.places] = ids[self._spans.numbers, 16:]
        self._digits.fill(body, random)
        return body.tobytes()


def log_bodies(services: Sequence[SentService], rows: int, count: int) -> list[LogBody]:
    """Return bodies that have lines of all services between them, a few of each body."""
    several = min(_SERVICES, len(services), rows)
    chosen = [[services[(several * number + place) % len(services)] for place in range(several)] for number in range(count)]
    return [LogBody(part, rows, number) for number, part in enumerate(chosen)]


def _shares(rows: int, parts: int) -> list[int]:
    return [rows // parts + (place < rows % parts) for place in range(parts)]


def _lines(service: SentService, random: np.random.Generator, request: int) -> Iterator[_Line]:
    while True:
        if random.random() < _IN_REQUESTS:
            operation = service.operations[random.integers(len(service.operations))]
            yield from (_Line(form, operation.route, request) for form in operation.lines)
            request += 1
        else:
            yield _Line(service.aside[random.integers(len(service.aside))], "", _NONE)


def _resource_logs(service: SentService, lines: Sequence[_Line], first: int) -> MarkedMessage:
    resource_logs, scope_logs, scope = MarkedMessage(), MarkedMessage(), MarkedMessage()
    scope.text(1, f"shop.{service.name}.Handler")
    scope_logs.message(1, scope)
    for row, line in enumerate(lines, first):
        scope_logs.message(2, _record(line, row))
    resource_logs.message(1, service.resource())
    resource_logs.message(2, scope_logs)
    return resource_logs


def _record(line: _Line, row: int) -> MarkedMessage:
    record, body = MarkedMessage(), MarkedMessage()
    record.time(1, "time", row)
    record.number(2, line.form.severity)
    record.text(3, line.form.level)
    body.text(1, line.form.text)
    record.message(5, body)
    record.attribute(6, "thread.name", "worker-{d1}")
    if line.request != _NONE:
        record.attribute(6, "http.route", line.route)
        record.id(9, "trace", line.request)
        record.id(10, "span", line.request)
    return record
