"""Calls in spans by example: what is known of each end, what is counted and left out."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from aiops.errors import ContractError
from aiops.signals.span_edges import EdgeConfig, SpanEdges, edges_of
from aiops.signals.span_rows import SPAN_ROWS, SpanNames

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def span(name: str, parent: str | None, service: str | None, **more: Any) -> dict[str, Any]:
    return {
        "timestamp": NOON + timedelta(milliseconds=more.get("at", 0)),
        "duration_us": 1000 * more.get("ms", 10),
        "service": service,
        "name": more.get("operation", "work"),
        "kind": more.get("kind", ""),
        "trace_id": "0e" * 16,
        "span_id": name,
        "parent_id": parent,
        "status": more.get("status", ""),
        "trace_state": more.get("state"),
    }


def table(*spans: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(spans), schema=SPAN_ROWS)


def rows(*spans: dict[str, Any]) -> list[dict[str, Any]]:
    return edges_of(table(*spans)).to_pylist()


def counts_after(*spans: dict[str, Any]) -> Any:
    stream = SpanEdges(EdgeConfig(most_waiting=64))
    stream.add(table(*spans))
    stream.finish()
    return stream.counts


CLIENT = span("a1", None, "web", kind="client", ms=30)
SERVER = span("b1", "a1", "cart", kind="server", ms=20, at=4, operation="GET /cart")


def test_a_call_has_both_ends_and_their_gap() -> None:
    (row,) = rows(CLIENT, SERVER)
    assert (row["caller"], row["callee"], row["operation"]) == ("web", "cart", "GET /cart")
    assert (row["calls"], row["errors"], row["sampled"], row["timed"]) == (1.0, 0.0, 1, 1)
    assert (row["client_p50_s"], row["server_p50_s"], row["gap_p99_s"]) == (0.03, 0.02, 0.01)


def test_the_child_may_come_first() -> None:
    stream = SpanEdges()
    stream.add(table(SERVER))
    stream.add(table(CLIENT))
    assert stream.finish().to_pylist() == rows(CLIENT, SERVER)


def test_spans_of_one_service_are_no_call() -> None:
    inner = span("a2", "a1", "web")
    assert rows(CLIENT, inner) == []
    assert counts_after(CLIENT, inner).within == 1


def test_a_parent_that_never_comes_is_counted_and_nothing_is_guessed() -> None:
    assert rows(SERVER) == []
    counts = counts_after(SERVER, CLIENT | {"span_id": "a9"})
    assert (counts.forgotten.orphans, counts.forgotten.unanswered) == (1, 1)


def test_clocks_that_disagree_leave_the_gap_alone() -> None:
    early = SERVER | {"timestamp": NOON - timedelta(seconds=2)}
    (row,) = rows(CLIENT, early)
    assert row["gap_p50_s"] == 0.01
    assert counts_after(CLIENT, early).skewed == 1


def test_a_callee_that_outlives_its_caller_has_no_gap() -> None:
    longer = SERVER | {"duration_us": 50_000}
    (row,) = rows(CLIENT, longer)
    assert (row["gap_p50_s"], row["client_p50_s"], row["server_p50_s"], row["timed"]) == (None, None, 0.05, 0)
    assert counts_after(CLIENT, longer).detached == 1


@pytest.mark.parametrize(("above", "below"), [("producer", "consumer"), ("producer", ""), ("internal", "consumer")])
def test_a_message_has_no_gap(above: str, below: str) -> None:
    spans = CLIENT | {"kind": above}, SERVER | {"kind": below}
    (row,) = rows(*spans)
    assert (row["calls"], row["gap_p50_s"], row["server_p50_s"]) == (1.0, None, 0.02)
    assert counts_after(*spans).messages == 1


def test_a_caller_that_is_no_client_has_no_latency_of_its_end() -> None:
    spans = CLIENT | {"kind": "server"}, SERVER
    assert rows(*spans)[0]["client_p50_s"] is None
    assert counts_after(*spans).without_client == 1


def test_a_span_that_calls_twice_has_one_gap() -> None:
    again = SERVER | {"span_id": "b2", "duration_us": 5_000}
    (row,) = rows(CLIENT, SERVER, again)
    assert (row["calls"], row["timed"]) == (2.0, 1)
    assert counts_after(CLIENT, SERVER, again).shared == 1


def test_a_sampled_call_counts_as_many_times_as_its_threshold_says() -> None:
    (row,) = rows(CLIENT, SERVER | {"trace_state": "ot=th:c", "status": "error"})
    assert (row["calls"], row["errors"], row["sampled"]) == (4.0, 4.0, 1)


def test_a_failed_client_span_is_an_error_of_its_call() -> None:
    assert rows(CLIENT | {"status": "error"}, SERVER)[0]["errors"] == 1.0


def test_spans_that_cannot_be_used_are_counted() -> None:
    counts = counts_after(CLIENT | {"service": None}, CLIENT | {"span_id": ""}, CLIENT | {"duration_us": None}, SERVER, SERVER)
    assert (counts.spans, counts.unusable, counts.repeated) == (5, 3, 1)


def test_a_span_that_is_its_own_parent_is_a_root() -> None:
    counts = counts_after(CLIENT | {"parent_id": "a1"})
    assert (counts.calls, counts.forgotten.orphans) == (0, 0)


def test_a_step_is_given_once_when_it_is_over_and_later_calls_are_counted() -> None:
    stream = SpanEdges(EdgeConfig(step_s=60, wait_s=30))
    assert stream.add(table(CLIENT, SERVER)).num_rows == 0
    later = span("z", None, "web", at=95_000)
    assert stream.add(table(later)).to_pylist() == rows(CLIENT, SERVER)
    stream.add(table(CLIENT | {"span_id": "a3"}, SERVER | {"span_id": "b3", "parent_id": "a3"}))
    assert stream.finish().num_rows == 0
    assert stream.counts.late == 1


def test_more_than_may_wait_leaves_and_is_counted() -> None:
    stream = SpanEdges(EdgeConfig(most_waiting=8))
    stream.add(table(*(span(f"{number:x}", "f" * 16, "web") for number in range(100))))
    stream.finish()
    assert stream.counts.forgotten.crowded > 0
    assert stream.counts.forgotten.orphans == 100


def test_a_step_below_a_second_is_refused() -> None:
    with pytest.raises(ContractError, match="step_s=0"):
        EdgeConfig(step_s=0)


def test_names_that_are_known_but_do_not_occur_cost_nothing() -> None:
    names = SpanNames()
    for number in range(20_000):
        names.operations.code(f"GET /{number}")
    names.operations.code("x" * 1024)
    stream = SpanEdges(names=names)
    tracemalloc.start()
    assert stream.add(table(CLIENT, SERVER)).num_rows == 0, "no step is over"
    late = span("c1", None, "web", at=300_000)
    (row,) = stream.add(table(late)).to_pylist()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (row["caller"], row["callee"], row["operation"]) == ("web", "cart", "GET /cart")
    assert peak < 60e6, "of 20,000 names as wide as the longest: 82 MB"


def test_rows_are_in_order_of_names_not_of_their_arrival() -> None:
    calls = [(f"s{number}", name) for number, name in enumerate(("é", "b", "a", "z"))]
    spans = [
        row
        for name, callee in calls
        for row in (span(name, None, "web", kind="client"), span(f"{name}c", name, callee, kind="server", ms=5))
    ]
    assert [row["callee"] for row in rows(*spans)] == ["a", "b", "z", "é"]
