"""Files of containers: parts of a line are joined, each stream apart; what the program wrote is read as text or JSON."""

import json
from datetime import timedelta

import pytest

from tests.testing.line_rows import NOW, read_lines

POD_FILE = "/var/log/pods/shop_cart-7d9f-x2_0a1b/cart/0.log"


def cri(*lines: str) -> str:
    return "\n".join(f"2026-03-01T12:00:00.{number:09} {line}" for number, line in enumerate(lines))


def test_parts_are_joined_within_their_stream() -> None:
    read = read_lines(cri("stdout P a ", "stderr F x", "stdout P b ", "stdout F c", "stdout P never"), "auto")
    assert [row["body"] for row in read.rows] == ["x", "a b c", "never"]
    assert [json.loads(row["attributes"]) for row in read.rows] == [
        {"log.iostream": name} for name in ("stderr", "stdout", "stdout")
    ]
    assert {row["timestamp"] for row in read.rows} == {NOW}


def test_stack_traces_are_joined_within_their_stream() -> None:
    lines = ["stderr F 12:00 ERROR no", "stdout F hello", "stderr F java.io.IOException: gone", "stderr F \tat a.B.c(B.java:1)"]
    read = read_lines(cri(*lines), "cri")
    assert [row["body"] for row in read.rows] == ["12:00 ERROR no\njava.io.IOException: gone\n\tat a.B.c(B.java:1)", "hello"]
    assert [row["severity"] for row in read.rows] == ["ERROR", ""]


def test_json_within_a_line_is_read_and_its_own_time_counts() -> None:
    later = NOW + timedelta(seconds=5)
    line = json.dumps({"level": "warn", "msg": "m", "ts": later.timestamp(), "service": "own"})
    read = read_lines(cri(f"stdout F {line}", 'stdout F {"msg":"n"}'), "cri", service_name="given")
    assert [(row["body"], row["severity"], row["timestamp"], row["service"]) for row in read.rows] == [
        ("m", "warn", later, "own"),
        ("n", "", NOW, "given"),
    ]


@pytest.mark.parametrize("path", [POD_FILE, f"/var/log/containers/cart-7d9f-x2_shop_cart-{'0a' * 32}.log"])
def test_the_path_of_the_file_names_pod_and_service(path: str) -> None:
    row = read_lines(cri("stdout F a"), "cri", log_file_path=path).row
    assert row["service"] == "shop/cart"
    assert json.loads(row["resource"])["k8s.pod.name"] == "cart-7d9f-x2"
    assert read_lines(cri("stdout F a"), "cri", log_file_path="/tmp/a.log").row["service"] == "unknown_service"


def test_docker_splits_long_lines() -> None:
    whole = {"stream": "stdout", "time": "2026-03-01T12:00:00.000000001Z"}
    lines = [
        {"log": "hello ", **whole},
        {"log": "other\n", **whole, "stream": "stderr"},
        {"log": "WARN world\n", **whole, "attrs": {"tag": "x"}},
    ]
    read = read_lines("\n".join(map(json.dumps, lines)), "auto")
    assert [(row["body"], row["severity"]) for row in read.rows] == [("other", ""), ("hello WARN world", "WARN")]


def test_lines_of_another_form_are_refused_alone() -> None:
    read = read_lines(cri("stdout F a") + "\nnothing\n2026-13-01T00:00:00Z stdout F x\n" + cri("stdout F b"), "cri")
    assert [row["body"] for row in read.rows] == ["a", "b"]
    assert [row["reason"] for row in read.refused] == ["undecodable", "bad_timestamp"]
    docker = '{"log":"a\\n","stream":"stdout","time":"2026-03-01T12:00:00Z"}'
    read = read_lines(f'{docker}\n{{"log":5}}\n{{"log":"b","stream":"stdout","time":"?"}}\n', "docker")
    assert [row["body"] for row in read.rows] == ["a"]
    assert [row["reason"] for row in read.refused] == ["undecodable", "bad_timestamp"]
