"""Log records of OTLP: both forms give the same rows; what breaks the contract is refused with why; every record counts once."""

import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from data_contracts.schemas.telemetry_schemas import REJECT_REASONS, REJECTED
from data_contracts.schemas.wire_schemas import LOGS
from data_contracts.values.moments import moment_of_us
from serving.ingest.receive.signals.attribute_texts import CUT, MOST_BYTES, MOST_DEPTH
from serving.ingest.receive.signals.otlp_logs import accept_logs
from serving.ingest.receive.signals.signal_outcome import ENTRY_ROWS, SignalIntake, SignalOutcome
from serving.ingest.receive.wire.decoded import MalformedBody
from serving.lake.lake_tables import LakeTable, conformed
from serving.stream import streams
from tests.testing.otlp_bodies import NOW, NOW_NS, SPAN_ID, TRACE_ID, add_log, as_json

INTAKE = SignalIntake(NOW)


def rows(outcome: SignalOutcome, kind: bytes = streams.KIND_LOGS, schema: pa.Schema = LOGS) -> list[dict[str, Any]]:
    """Return the rows of a kind as the lake would keep them."""
    tables = [streams.from_ipc(entry.payload) for entry in outcome.entries if entry.kind == kind]
    table = LakeTable(schema, schema.names[0])
    return [row for part in tables for row in conformed("signals", table, part).to_pylist()]


def refused(outcome: SignalOutcome) -> list[dict[str, Any]]:
    return rows(outcome, streams.KIND_REFUSED, REJECTED)


def request(*bodies: Any, **cells: Any) -> ExportLogsServiceRequest:
    wanted = ExportLogsServiceRequest()
    for body in bodies:
        add_log(wanted, body=body, **{name: value.copy() if isinstance(value, dict) else value for name, value in cells.items()})
    return wanted


def accept(wanted: ExportLogsServiceRequest) -> SignalOutcome:
    return accept_logs(wanted.SerializeToString(), "protobuf", INTAKE)


def test_a_record_becomes_a_row_with_all_that_it_says() -> None:
    values = {"n": 5, "ok": True, "x": 0.5, "list": ["a", 1, None], "map": {"k": "v"}, "raw": b"\x00\x01", "inf": float("inf")}
    wanted = request(
        "oh no", severity_number=17, severity_text="ERROR", trace_id=TRACE_ID, span_id=SPAN_ID, event_name="e", attributes=values
    )
    outcome = accept(wanted)
    (row,) = rows(outcome)
    assert (outcome.accepted, outcome.rejected, outcome.message) == (1, 0, "")
    attributes = json.loads(row.pop("attributes"))
    assert attributes == {**values, "raw": "AAE=", "inf": "inf"}
    assert json.loads(row.pop("resource")) == {"service.name": "cart", "host.name": "h-1"}
    assert isinstance(row.pop("log_id"), int)
    assert row == {
        "timestamp": NOW,
        "service": "cart",
        "severity": "ERROR",
        "severity_number": 17,
        "body": "oh no",
        "event": "e",
        "trace_id": TRACE_ID.hex(),
        "span_id": SPAN_ID.hex(),
        "scope": "lib",
        "available_at": NOW,
    }


def test_json_and_protobuf_give_the_same_rows() -> None:
    wanted = request("a", {"deep": [1, {"x": 2.5}]}, None, 7, True, attributes={"n": -(2**62), "t": "ü\n"}, trace_id=TRACE_ID)
    both = [accept(wanted), accept_logs(as_json(wanted), "json", INTAKE)]
    tables = [[{**row, "log_id": 0} for row in rows(outcome)] for outcome in both]
    assert tables[0] == tables[1]
    assert [row["body"] for row in tables[0]] == ["a", '{"deep":[1,{"x":2.5}]}', "", "7", "true"]


def test_json_may_write_numbers_as_text_capital_digits_and_nulls() -> None:
    record = {
        "timeUnixNano": str(NOW_NS),
        "observedTimeUnixNano": None,
        "severityNumber": "9",
        "traceId": TRACE_ID.hex().upper(),
        "body": {"doubleValue": "NaN"},
        "unheardOf": 1,
    }
    body = json.dumps({"resourceLogs": [{"resource": None, "scopeLogs": [{"logRecords": [record]}]}, {"scopeLogs": None}]})
    (row,) = rows(accept_logs(body.encode(), "json", INTAKE))
    assert (row["timestamp"], row["severity_number"], row["trace_id"]) == (NOW, 9, TRACE_ID.hex())
    assert (row["body"], row["service"], row["resource"]) == ("NaN", "unknown_service", "{}")


def test_the_time_is_when_it_happened_else_observed_else_received() -> None:
    wanted = request("a", "b", "c")
    second, third = (group.scope_logs[0].log_records[0] for group in wanted.resource_logs[1:])
    second.time_unix_nano, second.observed_time_unix_nano = 0, NOW_NS - 1_000
    third.time_unix_nano = 0
    times = [row["timestamp"] for row in rows(accept(wanted))]
    assert times == [NOW, NOW - timedelta(microseconds=1), NOW]


@pytest.mark.parametrize(
    ("cells", "reason", "field"),
    [
        ({"time_unix_nano": 5_000}, "bad_timestamp", "time_unix_nano"),
        ({"time_unix_nano": NOW_NS + 301 * 10**9}, "future_timestamp", "time_unix_nano"),
        ({"time_unix_nano": 2**64 - 1}, "future_timestamp", "time_unix_nano"),
        ({"severity_number": 25}, "out_of_range", "severity_number"),
        ({"severity_number": -3}, "out_of_range", "severity_number"),
        ({"service": "a|b"}, "name", "service"),
        ({"service": "x" * 201}, "name", "service"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_why(cells: dict[str, Any], reason: str, field: str) -> None:
    wanted = request("good")
    add_log(wanted, body="bad " * 1000, attributes={"k": "v"}, **cells)
    outcome = accept(wanted)
    (row,) = refused(outcome)
    assert (outcome.accepted, outcome.rejected, [kept["body"] for kept in rows(outcome)]) == (1, 1, ["good"])
    assert (row["reason"], row["field"], row["source"], row["rejected_at"]) == (reason, field, "otlp/logs", NOW)
    assert reason in REJECT_REASONS
    assert field in row["detail"]
    assert row["detail"] in outcome.message
    assert f"1 of 2 log records refused ({reason} 1)" in outcome.message
    again = json.loads(row["row"])
    assert again["body"].startswith("bad bad")
    assert len(row["row"]) < 4000


def test_an_id_of_another_form_is_left_out_and_the_sender_reads_it() -> None:
    wanted = request("a", trace_id=b"short", span_id=bytes(8))
    add_log(wanted, body="b", trace_id=TRACE_ID, span_id=SPAN_ID)
    outcome = accept(wanted)
    assert [(row["trace_id"], row["span_id"]) for row in rows(outcome)] == [(None, None), (TRACE_ID.hex(), SPAN_ID.hex())]
    assert (outcome.rejected, outcome.message) == (
        0,
        "1 of 2 log records kept without trace_id: it is not 32 hexadecimal digits",
    )


def test_long_bodies_and_attributes_are_cut_and_say_so() -> None:
    many = {f"k{number}": "x" * 1000 for number in range(200)}
    wanted = request("ü" * MOST_BYTES, "short", attributes=many)
    first, second = rows(accept(wanted))
    assert first["body"].endswith(f"… (cut: {2 * MOST_BYTES} bytes)")
    assert len(first["body"].encode()) < MOST_BYTES + 40
    assert second["body"] == "short"
    attributes = json.loads(first["attributes"])
    assert len(first["attributes"]) <= MOST_BYTES
    left_out = 200 - (len(attributes) - 1)
    assert left_out > 100
    assert f"{left_out} attributes left out" in attributes[CUT]


def test_values_nest_to_a_bound() -> None:
    value: Any = "deep"
    for _ in range(40):
        value = [value]
    (row,) = rows(accept(request(value)))
    assert row["body"].count("[") == MOST_DEPTH


def test_a_repeated_request_has_the_same_ids_and_another_has_not() -> None:
    wanted = request("same", "same", "same")
    ids = [row["log_id"] for row in rows(accept(wanted))]
    assert len(set(ids)) == 3
    assert [row["log_id"] for row in rows(accept(wanted))] == ids
    later = SignalIntake(moment_of_us(NOW_NS // 1000 + 5))
    assert [row["log_id"] for row in rows(accept_logs(wanted.SerializeToString(), "protobuf", later))] == ids
    assert not {row["log_id"] for row in rows(accept(request("same", "same")))} & set(ids)


def test_many_records_become_several_entries_that_are_bounded() -> None:
    wanted = ExportLogsServiceRequest()
    first = add_log(wanted)
    scope = wanted.resource_logs[0].scope_logs[0]
    scope.log_records.extend([first] * 20_000)
    outcome = accept(wanted)
    assert sum(entry.rows for entry in outcome.entries) == outcome.accepted == 20_001
    assert max(entry.rows for entry in outcome.entries) <= ENTRY_ROWS


@pytest.mark.parametrize("body", [b"", b"{}", b'{"resourceLogs": null}'])
def test_a_request_without_records_has_no_entries(body: bytes) -> None:
    assert accept_logs(body, "json" if body else "protobuf", INTAKE) == SignalOutcome((), 0, 0)


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"\xff\xff", "protobuf"),
        (b"", "json"),
        (b"[]", "json"),
        (b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "soon"}]}]}]}', "json"),
        (b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "\xff"}}]}]}]}', "json"),
        (b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": ' + b'{"arrayValue": {"values": [' * 9000, "json"),
    ],
)
def test_a_body_of_another_form_is_refused_as_a_whole(body: bytes, form: Any) -> None:
    with pytest.raises(MalformedBody, match="OTLP request"):
        accept_logs(body, form, INTAKE)
