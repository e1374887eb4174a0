"""Objects of JSON as programs write them: time, level, message, service and ids where each logger puts them."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.testing.line_rows import NOW, read_lines

NOW_S = int(NOW.timestamp())
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
HALF = timedelta(milliseconds=500)


@pytest.mark.parametrize(
    ("fields", "cells"),
    [
        pytest.param(
            {"level": "info", "ts": NOW_S + 0.5, "logger": "http", "msg": "hi", "n": 5},
            {"timestamp": NOW + HALF, "severity": "info", "severity_number": 9, "body": "hi", "scope": "http"},
            id="zap",
        ),
        pytest.param(
            {"level": "error", "msg": "x", "time": "2026-03-01T12:00:00Z", "service": "cart"},
            {"timestamp": NOW, "severity_number": 17, "body": "x", "service": "cart"},
            id="logrus",
        ),
        pytest.param(
            {"name": "shop", "hostname": "h", "pid": 1, "level": 50, "msg": "bad", "time": "2026-03-01T12:00:00.5Z", "v": 0},
            {"timestamp": NOW + HALF, "severity": "50", "severity_number": 17, "body": "bad", "service": "shop"},
            id="bunyan",
        ),
        pytest.param(
            {"level": 30, "time": NOW_S * 1000 + 500, "pid": 1, "hostname": "h", "msg": "a"},
            {"timestamp": NOW + HALF, "severity_number": 9, "body": "a", "service": "h"},
            id="pino",
        ),
        pytest.param(
            {
                "instant": {"epochSecond": NOW_S, "nanoOfSecond": 500_000_000},
                "thread": "main",
                "level": "FATAL",
                "loggerName": "a.B",
                "message": "m",
            },
            {"timestamp": NOW + HALF, "severity_number": 21, "body": "m", "scope": "a.B"},
            id="log4j2",
        ),
        pytest.param(
            {"timeMillis": NOW_S * 1000, "level": "WARN", "loggerName": "a", "message": "m"},
            {"timestamp": NOW, "severity_number": 13},
            id="log4j2 layout",
        ),
        pytest.param(
            {
                "@timestamp": "2026-03-01T12:00:00Z",
                "log.level": "ERROR",
                "message": "m",
                "service.name": "pay",
                "trace.id": TRACE,
            },
            {"timestamp": NOW, "severity_number": 17, "service": "pay", "trace_id": TRACE},
            id="ecs, dotted",
        ),
        pytest.param(
            {
                "@timestamp": "2026-03-01T12:00:00Z",
                "log": {"level": "warn", "logger": "x"},
                "service": {"name": "pay"},
                "span": {"id": SPAN},
            },
            {"severity": "warn", "scope": "x", "service": "pay", "span_id": SPAN},
            id="ecs, nested",
        ),
        pytest.param(
            {
                "timeUnixNano": str(NOW_S * 10**9),
                "severityText": "INFO",
                "severityNumber": 10,
                "body": {"stringValue": "otel"},
                "traceId": TRACE.upper(),
            },
            {"timestamp": NOW, "severity": "INFO", "severity_number": 10, "body": "otel", "trace_id": TRACE},
            id="record of OpenTelemetry",
        ),
        pytest.param(
            {
                "body": "py",
                "severity_number": "SeverityNumber.WARN: 13",
                "timestamp": "2026-03-01T12:00:00Z",
                "trace_id": f"0x{TRACE}",
                "resource": {"attributes": {"service.name": "py", "service.namespace": "shop"}},
            },
            {"severity_number": 13, "body": "py", "trace_id": TRACE, "service": "shop/py"},
            id="OpenTelemetry's console exporter",
        ),
        pytest.param(
            {"log": "m", "kubernetes": {"namespace_name": "shop", "container_name": "cart", "pod_name": "cart-1"}},
            {"body": "m", "service": "shop/cart", "timestamp": NOW, "severity_number": 0},
            id="Fluent Bit",
        ),
        pytest.param(
            {"asctime": "2026-03-01 12:00:00,500", "levelname": "CRITICAL", "name": "app.db", "message": "m"},
            {"timestamp": NOW + HALF, "severity_number": 18, "scope": "app.db", "service": "unknown_service"},
            id="python-json-logger",
        ),
    ],
)
def test_what_loggers_write_is_read(fields: dict[str, Any], cells: dict[str, Any]) -> None:
    row = read_lines(json.dumps(fields), "json").row
    assert {name: row[name] for name in cells} == cells


def test_other_fields_are_attributes_and_origin_is_the_resource() -> None:
    row = read_lines('{"msg":"a","level":"info","n":5,"o":{"x":[1,null]},"host":"h-1","service":"cart"}', "json").row
    assert json.loads(row["attributes"]) == {"n": 5, "o": {"x": [1, None]}}
    assert json.loads(row["resource"]) == {"service.name": "cart", "host.name": "h-1"}


def test_pairs_of_opentelemetry_become_attributes() -> None:
    row = read_lines('{"body":"a","attributes":[{"key":"k","value":{"intValue":"5"}}],"z":1}', "json").row
    assert json.loads(row["attributes"]) == {"z": 1, "k": "5"}


def test_an_object_without_a_message_is_its_own() -> None:
    row = read_lines('{"a":1}', "json").row
    assert (row["body"], row["attributes"], row["timestamp"]) == ('{"a":1}', '{"a":1}', NOW)


def test_an_id_of_another_form_is_an_attribute() -> None:
    row = read_lines('{"msg":"a","trace_id":"12-34","span_id":"0000000000000000"}', "json").row
    assert (row["trace_id"], row["span_id"]) == (None, None)
    assert json.loads(row["attributes"]) == {"trace_id": "12-34"}


def test_an_array_is_its_items() -> None:
    read = read_lines('[{"msg":"a"}, {"msg":"b"}, 5]', "auto")
    assert [row["body"] for row in read.rows] == ["a", "b"]
    assert [row["reason"] for row in read.refused] == ["undecodable"]


def test_a_line_that_breaks_a_rule_costs_no_other() -> None:
    lines = ['{"msg":"a"}', '{"msg":', "plain", "[1]", '{"msg":"b","time":"yesterday"}', '{"msg":"b","time":"2031-01-01"}']
    lines += ['{"msg":"b","ts":5}', '{"msg":"b","service":"a|b"}', "", '{"msg":"c"}']
    read = read_lines("\r\n".join(lines), "json", service_name="given")
    assert [row["body"] for row in read.rows] == ["a", "c"]
    assert [row["service"] for row in read.rows] == ["given", "given"]
    reasons = ["undecodable", "undecodable", "undecodable", "bad_timestamp", "future_timestamp", "bad_timestamp", "name"]
    assert [row["reason"] for row in read.refused] == reasons
    assert read.refused[0]["source"] == "lines/json"
    assert json.loads(read.refused[0]["row"]) == {
        "signal": "log",
        "service": "given",
        "time_us": NOW_S * 10**6,
        "severity": "",
        "line": '{"msg":',
    }
    assert "yesterday" in read.refused[3]["detail"]
    assert read.outcome.message.startswith(
        "7 of 9 log lines refused (bad_timestamp 2, future_timestamp 1, name 1, undecodable 3)"
    )


def test_deep_and_large_values_are_bounded() -> None:
    deep = '{"msg":"a","n":123456789012345678901234567890,"d":' + '{"x":' * 100 + "1" + "}" * 101
    row = read_lines(deep, "json").row
    assert json.loads(row["attributes"])["n"] == "123456789012345678901234567890"
    assert row["attributes"].count("{") < 20
    row = read_lines(json.dumps({"msg": "x" * 100_000}), "json").row
    assert row["body"].endswith("(cut: 100000 bytes)")
    assert len(row["body"]) < 66_000
