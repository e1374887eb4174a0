"""Traces → calls: every format says the same, blocks change nothing, and walks through a known graph give that graph back."""

import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from aiops.errors import FileError, SourceError
from aiops.simulator.simulate import simulate
from aiops.simulator.simulation_config import SimulationConfig
from aiops.topology.span_calls import SPANS, calls_in
from serving.ingest.pull.source_options import SpanColumns
from serving.ingest.pull.span_files import read_calls

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Span = dict[str, Any]


def span(number: int, parent: int | None, service: str | None, **more: Any) -> Span:
    return {
        "trace_id": more.get("trace", "00" * 16),
        "span_id": f"{number:016x}",
        "parent_id": None if parent is None else f"{parent:016x}",
        "service": service,
        "peer": more.get("peer"),
        "at": NOON + timedelta(seconds=number) if more.get("timed", True) else None,
    }


def table(spans: list[Span]) -> pa.Table:
    return pa.Table.from_pylist(spans, schema=SPANS)


def weights(calls: pa.Table) -> dict[tuple[str, str], float]:
    return {(row["caller"], row["callee"]): row["weight"] for row in calls.to_pylist()}


def otlp(spans: list[Span]) -> dict[str, Any]:
    """Return an export with one resource a span."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": span["service"] or ""}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "test"},
                        "spans": [
                            {
                                "traceId": span["trace_id"],
                                "spanId": span["span_id"],
                                "parentSpanId": span["parent_id"] or "",
                                "kind": 2,
                                "startTimeUnixNano": str(int(span["at"].timestamp()) * 10**9),
                                "attributes": [
                                    {"key": "http.status_code", "value": {"intValue": "200"}},
                                    *([{"key": "peer.service", "value": {"stringValue": span["peer"]}}] if span["peer"] else []),
                                ],
                            }
                        ],
                    }
                ],
            }
            for span in spans
        ]
    }


def protobuf(spans: list[Span]) -> bytes:
    message = TracesData()
    for span in spans:
        resource = message.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = span["service"] or ""
        row = resource.scope_spans.add().spans.add()
        row.trace_id, row.span_id = bytes.fromhex(span["trace_id"]), bytes.fromhex(span["span_id"])
        row.parent_span_id = bytes.fromhex(span["parent_id"] or "")
        row.start_time_unix_nano = int(span["at"].timestamp()) * 10**9
        if span["peer"]:
            row.attributes.add(key="peer.service").value.string_value = span["peer"]
    return message.SerializeToString()


MIXED = [
    span(1, None, "web"),
    span(2, 1, "web"),
    span(3, 2, "cart"),
    span(4, 3, "cart", peer="redis"),
    span(5, 2, "cart", peer="pay"),
    span(6, 5, "pay-service"),
    span(7, 99, "lost"),
    span(8, 1, None),
    span(3, 2, "cart"),
    span(10, 6, "web"),
    span(11, 1, "cart", trace="11" * 16),
]
EXPECTED_CALLS = {("web", "cart"): 2.0, ("cart", "redis"): 1.0, ("cart", "pay-service"): 1.0, ("pay-service", "web"): 1.0}


def test_spans_of_two_services_are_a_call_and_the_rest_is_counted() -> None:
    calls = calls_in([table(MIXED)])
    assert weights(calls.seen) == EXPECTED_CALLS, (
        "a peer counts only where nobody answered; the same ids in another trace are others"
    )
    counts = calls.counts
    assert (counts.spans, counts.unnamed, counts.repeated, counts.roots, counts.orphans) == (11, 1, 1, 1, 2)
    assert (counts.within, counts.calls, counts.peers) == (2, 4, 1)
    first = calls.seen.to_pylist()[-1]
    assert (first["first_at"], first["last_at"]) == (NOON + timedelta(seconds=3), NOON + timedelta(seconds=5))
    assert calls.last == NOON + timedelta(seconds=10)
    assert calls_in([]).seen.num_rows == 0
    assert calls_in([table([span(1, None, "a", timed=False), span(2, 1, "b", timed=False)])]).last is None


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from("abc")), min_size=2, max_size=40), st.integers(6, 40))
def test_blocks_change_nothing_where_parents_are_near(steps: list[tuple[int, str]], block: int) -> None:
    spans = [span(number, number - back if number >= back else None, name) for number, (back, name) in enumerate(steps)]
    whole = calls_in([table(spans)])
    parts = calls_in([table(spans[start : start + block]) for start in range(0, len(spans), block)])
    backwards = calls_in([table(spans[::-1][start : start + block]) for start in range(0, len(spans), block)])
    assert parts.seen.equals(whole.seen)
    assert backwards.seen.equals(whole.seen)
    assert parts.counts == backwards.counts == whole.counts
    expected = Counter((steps[number - back][1], name) for number, (back, name) in enumerate(steps) if number >= back)
    assert weights(whole.seen) == {pair: float(count) for pair, count in expected.items() if pair[0] != pair[1]}


def test_walks_through_a_known_graph_give_it_back() -> None:
    simulation = simulate(SimulationConfig(services=12, hours=1.0))
    known = sorted((row["caller"], row["callee"]) for row in simulation.edges().to_pylist())
    called = {caller: [callee for source, callee in known if source == caller] for caller, _ in known}
    rng, spans = np.random.default_rng(5), []
    for trace in range(300):
        service, parent = str(rng.choice(sorted(called))), None
        while True:
            spans.append(span(len(spans), parent, service, trace=f"{trace:032x}"))
            if service not in called:
                break
            parent, service = len(spans) - 1, str(rng.choice(called[service]))
    assert sorted(weights(calls_in([table(spans)]).seen)) == known


def test_all_formats_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "whole.json").write_text(json.dumps(otlp(MIXED), indent=1))
    (tmp_path / "lines.jsonl").write_text("\n".join(json.dumps(otlp([span])) for span in MIXED) + "\n\n")
    (tmp_path / "one.pb").write_bytes(protobuf(MIXED))
    prefixed = [protobuf([span]) for span in MIXED]
    (tmp_path / "many.binpb").write_bytes(b"".join(len(span).to_bytes(4, "big") + span for span in prefixed))
    renamed = ["TraceID", "SpanID", "ParentID", "PodName", "peer", "Start"]
    rows = table(MIXED).rename_columns(renamed)
    pq.write_table(rows, tmp_path / "spans.parquet")
    pa.csv.write_csv(rows, tmp_path / "spans.csv")
    columns = SpanColumns.parse("trace=TraceID,span=SpanID,parent=ParentID,service=PodName,time=Start")
    expected = calls_in([table(MIXED)])
    for path in sorted(tmp_path.iterdir()):
        read = read_calls(path, columns)
        assert read.seen.equals(expected.seen), path
        assert read.counts == expected.counts, path


def test_a_folder_of_files_with_pods_is_one_stream(tmp_path: Path) -> None:
    pods = {"web": "web-5d4f-x1", "cart": "cart-7c9b-x2", "pay-service": "pay-service-66f-x3"}
    for number, part in enumerate((MIXED[:3], MIXED[3:6])):
        lines = [f"{span['trace_id']},{span['span_id']},{span['parent_id'] or ''},{pods[span['service']]}" for span in part]
        (tmp_path / f"{number:02}_trace.csv").write_text("\n".join(["TraceID,SpanID,ParentID,PodName", *lines]))
    (tmp_path / "notes.txt").write_text("none")
    read = read_calls(tmp_path, SpanColumns.parse("trace=TraceID,span=SpanID,parent=ParentID,pod=PodName"))
    assert weights(read.seen) == {("web", "cart"): 2.0, ("cart", "pay-service"): 1.0}
    assert read.counts.orphans == 0, "a parent in the file before is found"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"trace_id,span_id,service\n", "no column 'parent_id'"),
        ("a.csv", b"trace_id,span_id,parent_id,service\n1,,,a\n", "1 spans, none with trace, span and service"),
        ("a.json", b'{"resourceSpans": []}', "0 spans, none with"),
        ("a.json", b'{"resourceLogs": []}', "no OTLP export of traces in JSON"),
        ("a.json", b"{", "no OTLP export of traces in JSON"),
        ("a.pb", b"\x0a\xff", "no OTLP export of traces in protobuf"),
        ("a.pb", b"\x00\x00\x00\x09\x0a", "is cut short"),
        ("a.parquet", b"junk", "cannot be read as"),
    ],
)
def test_what_is_no_trace_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=says):
        read_calls(path)


def exported(service: str, span: str, parent: object = "", **more: object) -> dict[str, object]:
    """Return an OTLP export of one span."""
    fields = {"traceId": "t1", "spanId": span, "parentSpanId": parent, "startTimeUnixNano": "1714530600000000000"}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [{**fields, **more}]}]}]}


FRONT, CART = json.dumps(exported("front", "s1")), json.dumps(exported("cart", "s2", "s1"))


@pytest.mark.parametrize(
    "content",
    [
        f"{FRONT}\n{CART}\n".encode(),
        f"\n{FRONT}\n\n{CART}\n\n".encode(),
        f"{FRONT}\r\n{CART}".encode(),
        f"{FRONT}\n{CART}\n".encode("utf-8-sig"),
        f"{FRONT}\n{CART}\n".encode("utf-16"),
        gzip.compress(f"{FRONT}\n{CART}\n".encode()),
        f"[{FRONT},{CART}]".encode(),
        json.dumps([json.loads(FRONT), json.loads(CART)], indent=1).encode(),
        f'{{"resourceMetrics": []}}\n{FRONT}\n{{"resourceLogs": []}}\n{CART}\n'.encode(),
        f'{FRONT}\n{CART}\n{{"resourceSpans":[{{"resou'.encode(),
        f"{FRONT}\n{json.dumps(exported('cart', 's2', 's1', startTimeUnixNano=1.7145306e18))}\n".encode(),
        f"{json.dumps(exported('front', 's1', None, attributes=None))}\n{CART}\n".encode(),
        f'{FRONT}\n{{"resourceSpans":[{{"resource":null,"scopeSpans":[{{"spans":null}}]}},{{"scopeSpans":null}}]}}\n{CART}\n'.encode(),
    ],
    ids=["lines", "blank", "crlf", "mark", "utf-16", "gzip", "array", "pretty", "other signals", "cut", "float", "null", "nulls"],
)
def test_otlp_json_as_exporters_write_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    assert weights(read_calls(path).seen) == {("front", "cart"): 1.0}


@pytest.mark.parametrize("content", ["{}", '{"a": 1}\n', f"{FRONT}\nnonsense\n{CART}\n", "[1]", ""])
def test_json_that_is_no_export_is_refused_with_exit_code_2(tmp_path: Path, content: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(content)
    with pytest.raises(FileError, match=r"t\.jsonl: is no OTLP export of traces in JSON") as refused:
        read_calls(path)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("ending", ["csv", "pq"])
def test_ids_that_look_like_numbers_are_text(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t.{ending}"
    ids = ["12e4567890123456", "0042", "NA"]
    columns = {"trace_id": ["1", "1", "1"], "span_id": ids, "parent_id": ["", *ids[:2]], "service": ["0042", "42", "null"]}
    if ending == "csv":
        pyarrow.csv.write_csv(pa.table(columns), path)
    else:
        pq.write_table(pa.table(columns | {"trace_id": [1, 1, 1]}), path)
    assert weights(read_calls(path).seen) == {("0042", "42"): 1.0, ("42", "null"): 1.0}
    pq.write_table(pa.table(columns | {"trace_id": [1.0, 1.0, 1.0]}), tmp_path / "f.pq")
    with pytest.raises(FileError, match="the column 'trace_id' holds ids or names and has type double; write the column as text"):
        read_calls(tmp_path / "f.pq")
