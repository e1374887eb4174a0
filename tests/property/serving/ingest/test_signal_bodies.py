"""Bodies of logs and spans: every record is accepted or refused, and a mutated body never breaks the reader."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from serving.ingest.receive.signals.otlp_logs import accept_logs
from serving.ingest.receive.signals.otlp_traces import accept_spans
from serving.ingest.receive.signals.signal_outcome import SignalIntake
from serving.ingest.receive.wire.decoded import MalformedBody
from serving.stream import streams
from tests.testing.otlp_bodies import NOW, NOW_NS, SPAN_ID, TRACE_ID, add_log, add_span, as_json

INTAKE = SignalIntake(NOW)
MUTATIONS = 4000
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TIMES = st.sampled_from([0, 1, NOW_NS, NOW_NS + 5, NOW_NS + 10**15, 2**64 - 1])
IDS = st.sampled_from([b"", TRACE_ID, SPAN_ID, bytes(8), bytes(16), b"x"])
SERVICES = st.sampled_from(["cart", "", "a|b", "unknown_service:java"])
LOGS = st.lists(st.tuples(VALUES, TIMES, IDS, IDS, st.integers(-2, 30), SERVICES, st.dictionaries(st.text(), VALUES)), max_size=6)
SPANS = st.lists(st.tuples(TIMES, TIMES, IDS, IDS, IDS, SERVICES, st.dictionaries(st.text(), VALUES)), max_size=6)


def counted(outcome: Any, accepted: bytes) -> tuple[int, int]:
    rows = [(entry.kind, streams.from_ipc(entry.payload).num_rows) for entry in outcome.entries]
    assert rows == [(entry.kind, entry.rows) for entry in outcome.entries]
    return sum(count for kind, count in rows if kind == accepted), sum(
        count for kind, count in rows if kind == streams.KIND_REFUSED
    )


@settings(deadline=None, max_examples=60)
@given(LOGS)
def test_every_log_record_is_accepted_or_refused(records: list[Any]) -> None:
    request = ExportLogsServiceRequest()
    for body, at, trace_id, span_id, severity, service, attributes in records:
        cells = {"time_unix_nano": at, "trace_id": trace_id, "span_id": span_id, "severity_number": severity}
        add_log(request, service, body, attributes=attributes, **cells)
    for body, form in ((request.SerializeToString(), "protobuf"), (as_json(request), "json")):
        outcome = accept_logs(body, form, INTAKE)  # type: ignore[arg-type]
        assert outcome.accepted + outcome.rejected == len(records)
        assert counted(outcome, streams.KIND_LOGS) == (outcome.accepted, outcome.rejected)
        assert bool(outcome.message) >= bool(outcome.rejected)


@settings(deadline=None, max_examples=60)
@given(SPANS)
def test_every_span_is_accepted_or_refused(spans: list[Any]) -> None:
    request = ExportTraceServiceRequest()
    for start, end, trace_id, span_id, parent_id, service, attributes in spans:
        cells = {"start_time_unix_nano": start, "end_time_unix_nano": end, "trace_id": trace_id, "span_id": span_id}
        add_span(request, service, parent_span_id=parent_id, attributes=attributes, **cells)
    for body, form in ((request.SerializeToString(), "protobuf"), (as_json(request), "json")):
        outcome = accept_spans(body, form, INTAKE)  # type: ignore[arg-type]
        assert outcome.accepted + outcome.rejected == len(spans)
        assert counted(outcome, streams.KIND_SPANS) == (outcome.accepted, outcome.rejected)


def mutated(body: bytes, rng: random.Random) -> bytes:
    """Return the body with some bytes changed, taken out, doubled or cut off."""
    content = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content))
        kind = rng.randrange(4)
        if kind == 0:
            content[at] = rng.randrange(256)
        elif kind == 1:
            del content[at : at + rng.randint(1, 8)]
        elif kind == 2:
            content[at:at] = content[at : at + rng.randint(1, 8)]
        else:
            content[at] ^= 1 << rng.randrange(8)
        if not content:
            return b""
    return bytes(content)


def test_mutated_bodies_are_read_or_refused_as_a_whole() -> None:
    logs, traces = ExportLogsServiceRequest(), ExportTraceServiceRequest()
    for number in range(3):
        add_log(logs, body={"a": [number, "x"]}, trace_id=TRACE_ID, span_id=SPAN_ID, attributes={"k": "v", "n": 5})
        add_span(traces, kind=2, parent_span_id=SPAN_ID, attributes={"k": "v", "x": 0.5})
    rng = random.Random(7)
    read = malformed = 0
    for accept, request in ((accept_logs, logs), (accept_spans, traces)):
        for body, form in ((request.SerializeToString(), "protobuf"), (as_json(request), "json")):
            for _ in range(MUTATIONS):
                try:
                    outcome = accept(mutated(body, rng), form, INTAKE)  # type: ignore[arg-type]
                except MalformedBody:
                    malformed += 1
                else:
                    read += 1
                    assert sum(entry.rows for entry in outcome.entries) == outcome.accepted + outcome.rejected
    assert read + malformed == 4 * MUTATIONS
    assert min(read, malformed) > MUTATIONS // 4
