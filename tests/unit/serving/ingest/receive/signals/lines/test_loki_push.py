"""Push requests of Loki: both forms give the same rows, labels name the service as those of metrics do."""

import json
from datetime import timedelta
from typing import Any

import pytest

from serving.ingest.receive.signals.lines.log_line import MOST_LINES
from serving.ingest.receive.signals.lines.loki_push import accept_loki_push, labels_of
from serving.ingest.receive.wire.decoded import MalformedBody
from tests.testing.line_rows import INTAKE, NOW, ReadLines, read_outcome
from tests.testing.loki_bodies import PushedEntry, push_protobuf

NOW_NS = int(NOW.timestamp()) * 10**9
TRACE = "0af7651916cd43dd8448eb211c80319c"


def push_json(*streams: dict[str, Any]) -> bytes:
    return json.dumps({"streams": streams}).encode()


def protobuf(labels: str, *entries: PushedEntry) -> ReadLines:
    return read_outcome(accept_loki_push(push_protobuf({labels: entries}), "protobuf", INTAKE))


def from_json(*streams: dict[str, Any]) -> ReadLines:
    return read_outcome(accept_loki_push(push_json(*streams), "json", INTAKE))


def test_both_forms_give_the_same_rows() -> None:
    metadata = {"trace_id": TRACE, "user": "u"}
    labels = {"app": "cart", "namespace": "shop", "pod": "cart-1", "zone": 'a"b'}
    line = "12:00 WARN disk"
    read = (
        protobuf('{app="cart", namespace="shop", pod="cart-1", zone="a\\"b"}', PushedEntry(NOW_NS + 5000, line, metadata)),
        from_json({"stream": labels, "values": [[str(NOW_NS + 5000), line, metadata]]}),
    )
    rows = [{**each.row, "log_id": 0} for each in read]
    assert rows[0] == rows[1]
    row = rows[0]
    assert row["timestamp"] == NOW + timedelta(microseconds=5)
    assert (row["service"], row["severity"], row["trace_id"], row["body"]) == ("cart", "WARN", TRACE, line)
    assert json.loads(row["attributes"]) == {"user": "u"}
    assert json.loads(row["resource"]) == {
        "service.name": "cart",
        "k8s.namespace.name": "shop",
        "k8s.pod.name": "cart-1",
        "zone": 'a"b',
    }


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service_name": "pay", "app": "x"}, "pay"),
        ({"job": "shop/cart"}, "shop/cart"),
        ({"namespace": "shop", "pod": "cart-1", "container": "cart"}, "shop/cart"),
        ({"filename": "/var/log/pods/shop_cart-1_0a/cart/0.log"}, "shop/cart"),
        ({"instance": "web-1:9100"}, "web-1"),
        ({"service_name": "unknown_service", "container": "cart"}, "cart"),
        ({}, "unknown_service"),
    ],
)
def test_labels_name_the_service(labels: dict[str, str], service: str) -> None:
    assert from_json({"stream": labels, "values": [[str(NOW_NS), "a"]]}).row["service"] == service


def test_a_line_of_json_is_read_within_its_stream() -> None:
    line = json.dumps({"level": "error", "msg": "m", "service": "other", "time": "soon", "n": 5})
    with_time = json.dumps({"level": "error", "msg": "m", "service": "other", "ts": 5_000_000_000, "n": 5})
    read = from_json({"stream": {"app": "cart"}, "values": [[str(NOW_NS), line], [str(NOW_NS), '{"msg":"b","service":"x"}']]})
    assert [(row["body"], row["service"]) for row in read.rows] == [(line, "cart"), ("b", "cart")]
    read = from_json({"stream": {"zone": "a"}, "values": [[str(NOW_NS), '{"msg":"b","service":"x"}'], [str(NOW_NS), with_time]]})
    assert [(row["service"], row["timestamp"]) for row in read.rows] == [("x", NOW), ("unknown_service", NOW)]


def test_a_level_of_the_stream_counts_where_the_line_states_none() -> None:
    values = [[str(NOW_NS), "INFO a"], [str(NOW_NS), "b"], [str(NOW_NS), "c", {"detected_level": "error"}]]
    read = from_json({"stream": {"app": "x", "level": "warn"}, "values": values})
    assert [(row["severity"], row["severity_number"]) for row in read.rows] == [("INFO", 9), ("warn", 13), ("error", 17)]


def test_stack_traces_are_joined_within_their_stream() -> None:
    trace = ["ERROR no", "java.io.IOException: gone", "\tat a.B.c(B.java:1)", "INFO on"]
    stream = {"stream": {"app": "x"}, "values": [[str(NOW_NS + number), line] for number, line in enumerate(trace)]}
    read = from_json(stream, {**stream, "stream": {"app": "y"}})
    assert [row["body"] for row in read.rows] == ["\n".join(trace[:3]), "INFO on"] * 2


def test_what_breaks_a_rule_costs_no_other() -> None:
    values: list[Any] = [
        [str(NOW_NS), "a"],
        ["soon", "b"],
        [1, "b"],
        [str(NOW_NS), 5],
        "x",
        [str(NOW_NS + 10**15), "b"],
        [NOW_NS, " "],
    ]
    read = from_json({"stream": {"app": "x"}, "values": values}, {"stream": {"app": "a|b"}, "values": [[str(NOW_NS), "c"]]})
    assert [row["body"] for row in read.rows] == ["a"]
    reasons = ["bad_timestamp", "bad_timestamp", "undecodable", "undecodable", "future_timestamp", "name"]
    assert [row["reason"] for row in read.refused] == reasons
    read = protobuf('{app="x"}', PushedEntry(NOW_NS, b"\xff"), PushedEntry(NOW_NS, "a"))
    assert ([row["body"] for row in read.rows], [row["reason"] for row in read.refused]) == (["a"], ["undecodable"])
    read = protobuf("app=x", PushedEntry(NOW_NS, "a"))
    assert [(row["reason"], row["field"]) for row in read.refused] == [("name", "labels")]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"streams":5}', b'{"streams":[{"stream":{"a":1}}]}'])
def test_what_is_no_push_request_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(MalformedBody, match="no push request of Loki"):
        accept_loki_push(body, "json", INTAKE)


def test_more_entries_than_memory_is_kept_for_are_refused_as_a_whole() -> None:
    with pytest.raises(MalformedBody, match="more than 400000"):
        accept_loki_push(push_protobuf({"{}": ()}) + b"\n\0" * MOST_LINES, "protobuf", INTAKE)


def test_an_empty_request_is_one() -> None:
    assert accept_loki_push(b"", "protobuf", INTAKE).accepted == 0
    assert accept_loki_push(b"{}", "json", INTAKE).accepted == 0


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("{}", {}),
        ('{ a = "x" , b="" }', {"a": "x", "b": ""}),
        ('{a="x,y}"}', {"a": "x,y}"}),
        ('{a="\\n\\u00e9"}', {"a": "\né"}),
        ('{a="\\x41"}', {"a": "\\x41"}),
        ('{a="x" b="y"}', None),
        ("", None),
        ("{a}", None),
    ],
)
def test_labels_as_they_are_written(text: str, labels: dict[str, str] | None) -> None:
    assert labels_of(text) == labels
