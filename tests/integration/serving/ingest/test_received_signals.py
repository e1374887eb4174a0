"""Logs, spans and exemplars from a request to the lake: nothing said accepted is missing there, nothing is kept for nobody."""

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from orchestration.suite.health import ask
from serving.ingest.receive.intake_rules import IN_LOOP_BYTES
from serving.lake.opening import open_lake
from serving.stream import streams
from serving.stream.archiver import ArchiveConfig, Archiver
from serving.stream.broker import open_streams
from tests.testing.deadlines import within
from tests.testing.otlp_bodies import SPAN_ID, TRACE_ID, add_log, add_span
from tests.testing.receiver_harness import Receiver, receiver_settings

PROTOBUF = {"content-type": "application/x-protobuf"}


def post(receiver: Receiver, signal: str, request: Any, **headers: str) -> httpx.Response:
    url = f"{receiver.url}/v1/{signal}"
    return httpx.post(url, content=request.SerializeToString(), headers={**PROTOBUF, **headers}, timeout=within(30))


def logs(count: int, bad: int = 0) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    for number in range(count + bad):
        add_log(request, body=f"line {number}", time_unix_nano=time.time_ns(), severity_number=9 if number < count else 99)
    return request


def traces(number: int) -> ExportTraceServiceRequest:
    request, now = ExportTraceServiceRequest(), time.time_ns()
    span_id = (number + 1).to_bytes(8, "big")
    add_span(request, span_id=span_id, start_time_unix_nano=now - 10**6, end_time_unix_nano=now)
    add_span(request, span_id=b"", start_time_unix_nano=now - 10**6, end_time_unix_nano=now)
    return request


def metrics() -> ExportMetricsServiceRequest:
    request, now = ExportMetricsServiceRequest(), time.time_ns()
    group = request.resource_metrics.add()
    group.resource.attributes.add(key="service.name").value.string_value = "cart"
    histogram = group.scope_metrics.add().metrics.add(name="latency", unit="s").histogram
    histogram.aggregation_temporality = 2
    point = histogram.data_points.add(time_unix_nano=now, count=2, sum=1.5, bucket_counts=[1, 1], explicit_bounds=[1.0])
    point.exemplars.add(time_unix_nano=now, as_double=0.5, trace_id=TRACE_ID, span_id=SPAN_ID)
    return request


def test_what_was_accepted_is_in_the_lake_whose_ever_it_is(home: Path) -> None:
    settings = receiver_settings(home)
    with Receiver(settings) as receiver:
        answer = post(receiver, "logs", logs(5, bad=2))
        assert answer.status_code == 200
        partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
        assert partial.rejected_log_records == 2
        assert "severity_number 99 is not 0 to 24" in partial.error_message
        assert post(receiver, "logs", logs(IN_LOOP_BYTES // 50)).status_code == 200
        repeated = logs(3)
        assert [post(receiver, "logs", repeated).status_code for _ in range(2)] == [200, 200]
        assert post(receiver, "logs", logs(4), **{"x-scope-orgid": "acme"}).status_code == 200
        receiver.kill()
        receiver.start()
        answer = post(receiver, "traces", traces(1))
        assert ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans == 1
        assert post(receiver, "metrics", metrics()).status_code == 200
        lakes = open_lake(settings)
        Archiver(open_streams(settings), lakes.for_tenant, ArchiveConfig((0, 1))).catch_up(threading.Event())
        counts = ask(settings).counts
    mine, acme = lakes.for_tenant("default"), lakes.for_tenant("acme")
    assert [mine.count(table) for table in ("logs", "spans", "exemplars", "rejected")] == [8 + IN_LOOP_BYTES // 50, 1, 1, 3]
    assert acme.count("logs") == 4
    assert [row["trace_id"] for row in mine.read("exemplars").to_pylist()] == [TRACE_ID.hex()]
    assert {name: counts[name] for name in ("logs_in", "spans_in", "exemplars_in", "signals_rejected")} == {
        "logs_in": 15 + IN_LOOP_BYTES // 50,
        "spans_in": 1,
        "exemplars_in": 1,
        "signals_rejected": 3,
    }


@pytest.mark.parametrize("signal", ["logs", "traces"])
def test_without_an_archiver_logs_and_spans_are_refused_and_exemplars_left_out(home: Path, signal: str) -> None:
    settings = receiver_settings(home)
    with Receiver(settings, {"AIOPS_CONSUMER__ARCHIVE": "off"}) as receiver:
        answer = post(receiver, signal, logs(1) if signal == "logs" else traces(1))
        assert answer.status_code == 400
        assert b"AIOPS_CONSUMER__ARCHIVE is off" in answer.content
        assert post(receiver, "metrics", metrics()).status_code == 200
        broker = open_streams(settings)
        assert [broker.length(streams.signals(number)) for number in range(2)] == [0, 0]
        assert sum(broker.length(streams.telemetry(number)) for number in range(2)) > 0
