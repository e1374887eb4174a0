"""Bodies of OTLP traces: requests of 5 to 30 spans over several services, each service's spans in a body of their own.

A trace is a tree: a service's server span, work within it, and calls whose client and server spans are of two services.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.types import IntArray
from orchestration.bench.load.marked_message import Digits, MarkedMessage, filled_bytes
from orchestration.bench.load.sent_services import SentService

SHORTEST: Final = 5
LONGEST: Final = 30
PARTS: Final = 4
"""Bodies that the spans of traces are sent in."""
_INTERNAL, _SERVER, _CLIENT = 1, 2, 3
_NONE: Final = -1
_CALLED: Final = 0.6
_FAILED: Final = 0.02
_BEFORE_NS: Final = 3_000_000_000
"""Traces begin within the second that begins so long before they are sent."""
_STEP_NS: Final = 2_000_000
_ROOT_STEPS: Final = 200
_SHAPES: Final = 60


@dataclass(frozen=True, slots=True)
class SpanShape:
    """A span of a shape of traces: service and operation by number, parent (-1 = root), kind, start and end in steps."""

    service: int
    operation: int
    parent: int
    kind: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _SentSpan:
    """A span of a trace; `row` and `parent` (-1 = root) are places among all spans sent together."""

    shape: SpanShape
    trace: int
    row: int
    parent: int
    failed: bool


@dataclass(frozen=True, slots=True)
class _Filling:
    """What the bodies of traces share in a round: ids (t, 16) and (s, 8), start and end (s,) in ns before they are sent."""

    traces: npt.NDArray[np.uint8]
    spans: npt.NDArray[np.uint8]
    start_ns: IntArray
    end_ns: IntArray


class _Traces:
    """Traces that are sent together."""

    def __init__(self, shapes: Sequence[Sequence[SpanShape]], spans: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.spans: list[_SentSpan] = []
        self._seed = seed
        self._count = 0
        while len(self.spans) < spans:
            shape, first = shapes[int(random.integers(len(shapes)))], len(self.spans)
            failed = random.random(len(shape)) < _FAILED
            self.spans += [
                _SentSpan(span, self._count, first + place, first + span.parent if span.parent != _NONE else _NONE, bool(bad))
                for place, (span, bad) in enumerate(zip(shape, failed, strict=True))
            ]
            self._count += 1
        self._trace = np.array([span.trace for span in self.spans])
        self._steps = np.array([(span.shape.start, span.shape.end) for span in self.spans], np.int64)

    def filling(self, number: int) -> _Filling:
        """Return what is put into the bodies of a round, the same for each of them."""
        random = np.random.default_rng((self._seed, number))
        ids, spans = random.integers(0, 256, (self._count, 16), np.uint8), random.integers(0, 256, (len(self.spans), 8), np.uint8)
        begin_ns = random.integers(-_BEFORE_NS, 1_000_000_000 - _BEFORE_NS, self._count)
        step_ns = random.integers(_STEP_NS // 2, 2 * _STEP_NS, self._count)
        times = begin_ns[self._trace, None] + self._steps * step_ns[self._trace, None]
        return _Filling(ids, spans, times[:, 0], times[:, 1])


class SpanBody:
    """A body of `rows` spans of traces; each time with others times, ids and parameters."""

    def __init__(self, traces: _Traces, spans: Sequence[_SentSpan], services: Sequence[SentService], seed: int) -> None:
        self.rows = len(spans)
        self._traces = traces
        self._seed = seed
        message = MarkedMessage()
        for number in sorted({span.shape.service for span in spans}):
            own = [span for span in spans if span.shape.service == number]
            message.message(1, _resource_spans(services[number], own))
        self._gaps = {gap: message.gaps(gap) for gap in ("time", "end", "trace", "span", "parent")}
        self._digits = Digits(message)
        self._body = np.frombuffer(bytes(message.body), np.uint8).copy()

    def filled(self, number: int, time_ms: int) -> bytes:
        """Return the body of a round, its spans before a time."""
        filling, body, base_ns = self._traces.filling(number), self._body, time_ms * 1_000_000
        for gap, times_ns in (("time", filling.start_ns), ("end", filling.end_ns)):
            body[self._gaps[gap].places] = filled_bytes(base_ns + times_ns[self._gaps[gap].numbers])
        for gap, ids in (("trace", filling.traces), ("span", filling.spans), ("parent", filling.spans)):
            body[self._gaps[gap].places] = ids[self._gaps[gap].numbers]
        self._digits.fill(body, np.random.default_rng((self._seed, number)))
        return body.tobytes()


def span_bodies(services: Sequence[SentService], rows: int, count: int) -> list[SpanBody]:
    """Return bodies of about `rows` spans each; every `PARTS` of them have the spans of the same traces between them."""
    shapes = trace_shapes(len(services))
    bodies: list[SpanBody] = []
    for seed in range(-(-count // PARTS)):
        traces = _Traces(shapes, rows * PARTS, seed)
        parts = [[span for span in traces.spans if span.shape.service % PARTS == part] for part in range(PARTS)]
        bodies += [SpanBody(traces, part, services, len(bodies) + place) for place, part in enumerate(parts) if part]
    return bodies


def trace_shapes(services: int, seed: int = 11) -> list[list[SpanShape]]:
    """Return trees of spans over so many services, each of `SHORTEST` to `LONGEST` spans."""
    random = np.random.default_rng(seed)
    return [_shape(services, random) for _ in range(_SHAPES)]


def _shape(services: int, random: np.random.Generator) -> list[SpanShape]:
    wanted = int(random.integers(SHORTEST, LONGEST + 1))
    spans = [SpanShape(int(random.integers(services)), int(random.integers(5)), _NONE, _SERVER, 0, _ROOT_STEPS)]
    while len(spans) < wanted:
        parents = [place for place, span in enumerate(spans) if span.kind == _SERVER]
        parent = parents[random.integers(len(parents))]
        within = spans[parent]
        length = max(4, within.end - within.start)
        start = within.start + int(random.integers(length // 2))
        end = start + int(random.integers(length // 4, length // 2 + 1))
        if random.random() < _CALLED and len(spans) + 2 <= wanted and services > 1:
            callee = (within.service + 1 + int(random.integers(services - 1))) % services
            spans.append(SpanShape(within.service, within.operation, parent, _CLIENT, start, end))
            network = int(end - start > 2)
            spans.append(SpanShape(callee, int(random.integers(5)), len(spans) - 1, _SERVER, start + network, end - network))
        else:
            spans.append(SpanShape(within.service, within.operation, parent, _INTERNAL, start, end))
    return spans


def _resource_spans(service: SentService, spans: Sequence[_SentSpan]) -> MarkedMessage:
    resource_spans, scope_spans, scope = MarkedMessage(), MarkedMessage(), MarkedMessage()
    scope.text(1, "shop.tracing")
    scope_spans.message(1, scope)
    for span in spans:
        scope_spans.message(2, _span(service, span))
    resource_spans.message(1, service.resource())
    resource_spans.message(2, scope_spans)
    return resource_spans


def _span(service: SentService, sent: _SentSpan) -> MarkedMessage:
    span, shape, status = MarkedMessage(), sent.shape, MarkedMessage()
    route = service.operations[shape.operation].route
    span.id(1, "trace", sent.trace)
    span.id(2, "span", sent.row)
    if sent.parent != _NONE:
        span.id(4, "parent", sent.parent)
    span.text(5, {_SERVER: f"GET {route}", _CLIENT: "GET", _INTERNAL: f"load {route}"}[shape.kind])
    span.number(6, shape.kind)
    span.time(7, "time", sent.row)
    span.time(8, "end", sent.row)
    span.attribute(9, "http.request.method", "GET")
    span.attribute(9, "http.response.status_code", "500" if sent.failed else "200")
    span.attribute(9, "url.path", f"{route}/{{d6}}")
    span.attribute(9, "network.peer.address", "10.{d2}.{d2}.{d2}")
    span.attribute(9, "server.address", f"{service.name}.shop.svc.cluster.local")
    span.attribute(9, "thread.name", "worker-{d2}")
    span.attribute(9, "code.function.name", f"shop.{service.name}.Handler.load")
    if sent.failed:
        status.text(2, "upstream answered {d3}")
        status.number(3, 2)
        span.message(15, status)
    return span
