"""Requests out of spans and lines: which span is whose, what it did in which order, how long it took by itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from aiops.signals.requests import EDGE, LOG_LINES, Pattern, Requests, requests_of
from aiops.signals.span_rows import SPAN_ROWS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def span(name: str, parent: str | None, service: str, ms: int, **more: Any) -> dict[str, Any]:
    return {
        "timestamp": NOON,
        "duration_us": 1000 * ms,
        "service": service,
        "name": "work",
        "kind": more.get("kind"),
        "trace_id": "7c" * 16,
        "span_id": name,
        "parent_id": parent,
        "status": more.get("status"),
        "trace_state": None,
    }


def line(span_id: str, template: str, at_ms: int) -> dict[str, Any]:
    return {"timestamp": NOON + timedelta(milliseconds=at_ms), "trace_id": "7c" * 16, "span_id": span_id, "template": template}


def made(spans: list[dict[str, Any]], lines: list[dict[str, Any]]) -> Requests:
    return requests_of(pa.Table.from_pylist(spans, schema=SPAN_ROWS), pa.Table.from_pylist(lines, schema=LOG_LINES))


def shown(requests: Requests, service: str) -> list[Pattern]:
    code = requests.names.services.texts.index(service)
    rows = np.flatnonzero(requests.service[requests.shown_by] == code)
    return [requests.patterns[number] for number in requests.shown[rows].tolist()]


SPANS = [
    span("w1", None, "web", 100),
    span("w2", "w1", "web", 60),
    span("c1", "w2", "cart", 40),
    span("c2", "c1", "cart", 20, status="error"),
]


def test_spans_of_a_service_below_one_call_are_one_request() -> None:
    requests = made(SPANS, [])
    services = [requests.names.services.texts[code] for code in requests.service.tolist()]
    assert services == ["web", "cart"]
    assert requests.own_s.round(9).tolist() == [0.04, 0.04]
    assert np.isnan(requests.gap_s[0])
    assert round(float(requests.gap_s[1]), 6) == 0.02
    assert shown(requests, "web") == [Pattern("call", "cart", "")]
    assert shown(requests, "cart") == [Pattern("failure", "", "")]


def test_lines_are_in_order_of_time_and_count_once() -> None:
    lines = [line("c2", "second", 9), line("c1", "first", 5), line("c1", "first", 5), line("zz", "lost", 1)]
    requests = made(SPANS, lines)
    assert requests.unplaced == 1
    assert set(shown(requests, "cart")) == {
        Pattern("order", EDGE, "first"),
        Pattern("order", "first", "second"),
        Pattern("order", "second", EDGE),
        Pattern("failure", "", ""),
    }


def test_a_parent_of_two_calls_measures_neither_gap() -> None:
    requests = made([*SPANS, span("d1", "w2", "stock", 5)], [])
    assert np.isnan(requests.gap_s).all()


def test_a_circle_of_parents_and_a_repeated_span_end() -> None:
    requests = made(
        [span("a", "b", "web", 1), span("b", "a", "web", 1), span("c", None, "web", 1), span("c", None, "web", 1)], []
    )
    assert len(requests.service) == 2


def test_nothing_gives_nothing() -> None:
    requests = made([], [])
    assert (len(requests.service), len(requests.shown), requests.patterns) == (0, 0, ())
