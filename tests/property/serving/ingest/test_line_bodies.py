"""Bodies of log lines: whatever the bytes are nothing is raised, and every record is accepted or refused."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.ingest.receive.signals.lines.log_lines import LINE_FORMS, LineForm
from serving.ingest.receive.signals.lines.loki_push import accept_loki_push
from serving.ingest.receive.signals.resource_records import Encoding
from serving.ingest.receive.wire.decoded import MalformedBody
from tests.testing.line_rows import INTAKE, read_lines, read_outcome
from tests.testing.loki_bodies import PushedEntry, push_protobuf

AT = "2026-03-01T12:00:00.1Z"
DOCKER = f'"stream":"stdout","time":"{AT}"}}'
JOURNAL = b"__CURSOR=s\n__REALTIME_TIMESTAMP=1772366400000000\nPRIORITY=3\n"
SAMPLES: dict[str, bytes] = {
    "json": b'{"level":"info","ts":1772366400.5,"msg":"hi","n":[1,{"x":null}],"trace_id":"0af7651916cd43dd8448eb211c80319c"}\n',
    "ecs": b'{"@timestamp":"2026-03-01T12:00:00Z","log":{"level":"warn"},"message":"a","service":{"name":"pay"}}\n',
    "syslog": f'<34>Feb 28 22:14:15 web su[12]: a\n<165>1 {AT} h a 8 ID [ex iut="3"] b\n24 <13>Mar  1 12:00:00 h a: b'.encode(),
    "journald": JOURNAL + b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n\nMESSAGE=c\n\n",
    "cri": f"{AT} stdout P a\n{AT} stdout F b\n{AT} stderr F \tat c\n".encode(),
    "docker": f'{{"log":"a ",{DOCKER}\n{{"log":"b\\n",{DOCKER}\n'.encode(),
    "text": b"2026-03-01 12:00:00 ERROR a\nTraceback (most recent call last):\n  File\nB: b\nE0301 12:00:00.5 1 a.go:1] c\n",
    "auto": b'{"instant":{"epochSecond":1772366400,"nanoOfSecond":5},"level":30,"name":"a"}\nplain\n',
}
PARTS = [part for sample in SAMPLES.values() for part in sample.split(b" ")]
JOINED_PARTS = st.lists(st.sampled_from(PARTS) | st.binary(max_size=3), max_size=12).map(b" ".join)
BODIES = st.binary() | st.text().map(str.encode) | JOINED_PARTS
NAMES = st.sampled_from(["time", "level", "msg", "service", "name", "resource", "attributes", "body", "key", "log", "MESSAGE"])
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(), inner, max_size=5),
    max_leaves=8,
)
MUTATIONS = 500


@settings(deadline=None, max_examples=150)
@given(BODIES, st.sampled_from(LINE_FORMS))
def test_any_bytes_are_accepted_or_refused(body: bytes, form: LineForm) -> None:
    read_lines(body, form)


@settings(deadline=None, max_examples=80)
@given(st.lists(VALUES))
def test_every_value_of_json_is_accepted_or_refused(values: list[Any]) -> None:
    lines = [json.dumps(value) for value in values]
    forms: tuple[LineForm, ...] = ("json", "journald", "docker", "auto")
    for form in forms:
        read = read_lines("\n".join(lines), form)
        if form == "json" and len(lines) != 1:
            assert read.outcome.accepted + read.outcome.rejected == len(lines)


@pytest.mark.parametrize("form", LINE_FORMS)
def test_damaged_bodies_never_break_the_reader(form: LineForm) -> None:
    rng = random.Random(11)
    accepted = refused = 0
    for _ in range(MUTATIONS):
        body = bytearray(SAMPLES[form] * 2)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(body))
            if rng.random() < 0.5:
                body[at] = rng.randrange(256)
            else:
                del body[at : at + rng.randint(1, 8)]
        read = read_lines(bytes(body), form)
        accepted += read.outcome.accepted
        refused += read.outcome.rejected
    assert accepted > MUTATIONS // 4
    assert refused


def test_damaged_push_requests_are_read_or_refused_as_a_whole() -> None:
    entries = [PushedEntry(1_772_366_400 * 10**9, line, {"k": "v"}) for line in ("ERROR a", "  b", '{"msg":"c"}')]
    sample = push_protobuf({'{app="cart", level="info"}': entries}, {"{}": entries})
    as_json = (
        b'{"streams":[{"stream":{"app":"cart"},"values":[["1772366400000000000","a"],["1772366400000000000","b",{"k":"v"}]]}]}'
    )
    rng = random.Random(5)
    read = malformed = 0
    samples: tuple[tuple[bytes, Encoding], ...] = ((sample, "protobuf"), (as_json, "json"))
    for whole, encoding in samples:
        for _ in range(MUTATIONS):
            body = bytearray(whole)
            for _ in range(rng.randint(1, 3)):
                body[rng.randrange(len(body))] = rng.randrange(256)
            try:
                read_outcome(accept_loki_push(bytes(body), encoding, INTAKE))
            except MalformedBody:
                malformed += 1
            else:
                read += 1
    assert min(read, malformed) > MUTATIONS // 10
