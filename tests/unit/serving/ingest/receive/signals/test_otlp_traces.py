"""Spans of OTLP: both forms give the same rows; what breaks the contract is refused with why; every span counts once."""

import json
from typing import Any

import pyarrow as pa
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from data_contracts.schemas.telemetry_schemas import REJECTED
from data_contracts.schemas.wire_schemas import SPANS
from serving.ingest.receive.signals.attribute_texts import CUT, MOST_BYTES
from serving.ingest.receive.signals.otlp_traces import accept_spans
from serving.ingest.receive.signals.signal_outcome import SignalIntake, SignalOutcome
from serving.ingest.receive.wire.decoded import MalformedBody
from serving.lake.lake_tables import LakeTable, conformed
from serving.stream import streams
from tests.testing.otlp_bodies import NOW, NOW_NS, SPAN_ID, TRACE_ID, add_span, as_json, put

INTAKE = SignalIntake(NOW)


def rows(outcome: SignalOutcome, kind: bytes = streams.KIND_SPANS, schema: pa.Schema = SPANS) -> list[dict[str, Any]]:
    """Return the rows of a kind as the lake would keep them."""
    tables = [streams.from_ipc(entry.payload) for entry in outcome.entries if entry.kind == kind]
    table = LakeTable(schema, schema.names[0])
    return [row for part in tables for row in conformed("signals", table, part).to_pylist()]


def request(**cells: Any) -> ExportTraceServiceRequest:
    wanted = ExportTraceServiceRequest()
    add_span(wanted, **cells)
    return wanted


def accept(wanted: ExportTraceServiceRequest) -> SignalOutcome:
    return accept_spans(wanted.SerializeToString(), "protobuf", INTAKE)


def full() -> ExportTraceServiceRequest:
    wanted = request(kind=3, parent_span_id=bytes(range(8, 0, -1)), attributes={"http.status_code": 500})
    span = wanted.resource_spans[0].scope_spans[0].spans[0]
    span.status.code, span.status.message = 2, "boom"
    event = span.events.add(name="exception", time_unix_nano=NOW_NS + 1_000)
    put(event.attributes, {"exception.type": "KeyError"})
    put(span.links.add(trace_id=TRACE_ID, span_id=SPAN_ID).attributes, {"why": "retry"})
    return wanted


def test_a_span_becomes_a_row_with_all_that_it_says() -> None:
    outcome = accept(full())
    (row,) = rows(outcome)
    assert (outcome.accepted, outcome.rejected, outcome.message) == (1, 0, "")
    assert json.loads(row.pop("resource")) == {"service.name": "cart", "host.name": "h-1"}
    assert json.loads(row.pop("attributes")) == {"http.status_code": 500}
    assert json.loads(row.pop("events")) == [
        {"name": "exception", "time_us": NOW_NS // 1000 + 1, "attributes": {"exception.type": "KeyError"}}
    ]
    assert json.loads(row.pop("links")) == [
        {"trace_id": TRACE_ID.hex(), "span_id": SPAN_ID.hex(), "attributes": {"why": "retry"}}
    ]
    assert row == {
        "timestamp": NOW,
        "duration_us": 5000,
        "service": "cart",
        "name": "GET",
        "kind": "client",
        "trace_id": TRACE_ID.hex(),
        "span_id": SPAN_ID.hex(),
        "parent_id": "0807060504030201",
        "status": "error",
        "status_text": "boom",
        "scope": "lib",
        "trace_state": None,
        "available_at": NOW,
    }


@pytest.mark.parametrize(
    ("sent", "kept"), [("ot=th:c,vendor=1", "ot=th:c,vendor=1"), ("", None), ("é" * 256, "é" * 256), ("é" * 257, None)]
)
def test_the_trace_state_is_kept_as_sent_unless_it_is_too_long(sent: str, kept: str | None) -> None:
    wanted = request(trace_state=sent)
    both = [accept(wanted), accept_spans(as_json(wanted), "json", INTAKE)]
    assert [[row["trace_state"] for row in rows(outcome)] for outcome in both] == [[kept], [kept]]


def test_json_and_protobuf_give_the_same_rows() -> None:
    wanted = full()
    add_span(wanted, service="web", kind=77)
    both = [accept(wanted), accept_spans(as_json(wanted), "json", INTAKE)]
    assert rows(both[0]) == rows(both[1])
    assert [(row["kind"], row["parent_id"], row["events"], row["links"]) for row in rows(both[0])][1] == ("", None, None, None)


def test_a_parent_of_zeros_is_none() -> None:
    (row,) = rows(accept(request(parent_span_id=bytes(8))))
    assert row["parent_id"] is None


@pytest.mark.parametrize(
    ("cells", "reason", "field"),
    [
        ({"trace_id": b""}, "bad_id", "trace_id"),
        ({"trace_id": bytes(16)}, "bad_id", "trace_id"),
        ({"trace_id": TRACE_ID + b"x"}, "bad_id", "trace_id"),
        ({"span_id": b"1234567"}, "bad_id", "span_id"),
        ({"parent_span_id": b"1"}, "bad_id", "parent_span_id"),
        ({"start_time_unix_nano": 0}, "bad_timestamp", "start_time_unix_nano"),
        ({"start_time_unix_nano": NOW_NS + 400 * 10**9}, "future_timestamp", "start_time_unix_nano"),
        ({"end_time_unix_nano": 0}, "missing_value", "end_time_unix_nano"),
        ({"end_time_unix_nano": NOW_NS - 10_000}, "out_of_range", "end_time_unix_nano"),
        ({"service": "a\nb"}, "name", "service"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_why(cells: dict[str, Any], reason: str, field: str) -> None:
    wanted = request(name="good")
    add_span(wanted, name="bad", **cells)
    outcome = accept(wanted)
    (row,) = rows(outcome, streams.KIND_REFUSED, REJECTED)
    assert (outcome.accepted, outcome.rejected, [kept["name"] for kept in rows(outcome)]) == (1, 1, ["good"])
    assert (row["reason"], row["field"], row["source"]) == (reason, field, "otlp/spans")
    assert json.loads(row["row"])["name"] == "bad"
    assert row["detail"] in outcome.message


def test_ids_of_json_are_hexadecimal_and_not_base64() -> None:
    wanted = as_json(request()).replace(TRACE_ID.hex().encode(), b"AQIDBAUGBwgJCgsMDQ4PEA==")
    outcome = accept_spans(wanted, "json", INTAKE)
    assert (outcome.accepted, outcome.rejected) == (0, 1)
    assert "bad_id" in outcome.message


def test_many_and_long_events_are_cut_and_say_so() -> None:
    wanted = request()
    span = wanted.resource_spans[0].scope_spans[0].spans[0]
    for number in range(300):
        put(span.events.add(name=str(number)).attributes, {"text": "x" * 2000})
    (row,) = rows(accept(wanted))
    events = json.loads(row["events"])
    assert len(row["events"]) <= MOST_BYTES
    assert [event["name"] for event in events[:-1]] == [str(number) for number in range(len(events) - 1)]
    assert f"{300 - (len(events) - 1)} left out" in events[-1][CUT]


@pytest.mark.parametrize(("body", "form"), [(b"\xff", "protobuf"), (b"{", "json"), (b'{"resourceSpans": 5}', "json")])
def test_a_body_of_another_form_is_refused_as_a_whole(body: bytes, form: Any) -> None:
    with pytest.raises(MalformedBody, match="OTLP request"):
        accept_spans(body, form, INTAKE)
