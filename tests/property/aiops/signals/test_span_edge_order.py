"""Calls do not depend on the order and the batches in which spans come, and agree with a plain count."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.signals.span_edges import EdgeConfig, SpanEdges, edges_of
from aiops.signals.span_rows import SPAN_ROWS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@st.composite
def traces(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Trees of spans over four services, each parent used as client at most once for a call."""
    spans: list[dict[str, Any]] = []
    for trace in range(draw(st.integers(1, 4))):
        for number in range(draw(st.integers(1, 12))):
            parent = draw(st.integers(-1, number - 1)) if number else -1
            spans.append(
                {
                    "timestamp": NOON + timedelta(seconds=draw(st.integers(0, 200))),
                    "duration_us": draw(st.integers(0, 100)),
                    "service": draw(st.sampled_from("abcd")),
                    "name": "x",
                    "kind": "server",
                    "trace_id": f"{trace:032x}",
                    "span_id": f"{number:016x}",
                    "parent_id": None if parent < 0 else f"{parent:016x}",
                    "status": draw(st.sampled_from(["", "error"])),
                    "trace_state": None,
                }
            )
    return spans


@given(traces(), st.randoms(use_true_random=False), st.integers(1, 7))
@settings(max_examples=60)
def test_order_and_batches_change_nothing(spans: list[dict[str, Any]], random: Any, size: int) -> None:
    whole = edges_of(pa.Table.from_pylist(spans, schema=SPAN_ROWS)).to_pylist()
    random.shuffle(spans)
    stream = SpanEdges(EdgeConfig(wait_s=1000.0, most_waiting=4096))
    parts = [
        stream.add(pa.Table.from_pylist(spans[at : at + size], schema=SPAN_ROWS)).to_pylist() for at in range(0, len(spans), size)
    ]
    assert [row for part in parts for row in part] + stream.finish().to_pylist() == whole


@given(traces())
@settings(max_examples=60)
def test_calls_and_errors_are_those_of_a_plain_count(spans: list[dict[str, Any]]) -> None:
    by_id = {(row["trace_id"], row["span_id"]): row for row in spans}
    calls: Counter[tuple[str, str]] = Counter()
    errors: Counter[tuple[str, str]] = Counter()
    for row in spans:
        above = by_id.get((row["trace_id"], row["parent_id"]))
        if above is not None and above["service"] != row["service"]:
            calls[above["service"], row["service"]] += 1
            errors[above["service"], row["service"]] += row["status"] == "error"
    seen: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    for edge in edges_of(pa.Table.from_pylist(spans, schema=SPAN_ROWS)).to_pylist():
        seen[edge["caller"], edge["callee"]] += round(edge["calls"])
        failed[edge["caller"], edge["callee"]] += round(edge["errors"])
    assert (seen, failed) == (calls, errors)


def test_a_trace_of_ten_thousand_spans_is_one_like_others() -> None:
    spans = [
        {
            "timestamp": NOON,
            "duration_us": 10_000 - number // 2,
            "service": f"s{number // 2 % 50}",
            "name": "x",
            "kind": ("server", "client")[number % 2],
            "trace_id": "1" * 32,
            "span_id": f"{number + 1:016x}",
            "parent_id": f"{number:016x}" if number else None,
            "status": "",
            "trace_state": None,
        }
        for number in range(10_000)
    ]
    stream = SpanEdges(EdgeConfig(most_waiting=16_384))
    stream.add(pa.Table.from_pylist(spans, schema=SPAN_ROWS))
    edges = stream.finish()
    assert sum(edges["calls"].to_pylist()) == 4_999
    assert (stream.counts.forgotten.orphans, stream.counts.forgotten.crowded) == (0, 0)
