"""The OpenTelemetry SDK for Python sends metrics, logs and traces over HTTP and gRPC; asked to come later it does."""

from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression

from serving.stream import streams
from tests.testing.client_session import Arrived, outcomes
from tests.testing.otel_service import Exporters, grpc_exporters, http_exporters, otel_service
from tests.testing.receiver_harness import Receiver, receiver_settings

WAYS: dict[str, Callable[[Receiver], Exporters]] = {
    "http": lambda receiver: http_exporters(receiver.url),
    "http, not compressed": lambda receiver: http_exporters(receiver.url, Compression.NoCompression),
    "grpc": lambda receiver: grpc_exporters(receiver.settings.ingest.grpc_port),
}
SERVICE = "shop/checkout"
ROLES = {
    "http.server.requests": "total",
    "http.server.active": "value",
    "queue.load": "value",
    "http.server.duration": "histogram",
    "payload": "histogram",
}


@pytest.mark.parametrize("way", WAYS)
def test_all_signals_of_the_sdk_arrive(way: str, receiver: Receiver) -> None:
    with otel_service(WAYS[way](receiver)) as service:
        for seconds in (0.05, 0.5, 5.0):
            service.work(seconds)
            assert service.send()
    arrived = Arrived.of(receiver)
    assert arrived.services() == {SERVICE}
    assert {metric: list(arrived.roles(metric)) for metric in ROLES} == {metric: [role] for metric, role in ROLES.items()}
    assert arrived.values("http.server.requests") == [1.0, 2.0, 3.0]
    assert arrived.values("http.server.active") == [1.0, 2.0, 3.0]
    assert arrived.values("queue.load") == [0.05, 0.5, 5.0]
    assert arrived.undefined() == 0
    durations = [row for row in arrived.histograms if arrived.series[row["series_id"]]["metric"] == "http.server.duration"]
    assert [row["counts"] for row in durations] == [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    assert [row["sum"] for row in durations] == pytest.approx([0.05, 0.55, 5.55])
    assert outcomes(receiver) == {"written": 15.0}
    _logs_and_spans(receiver)


def _logs_and_spans(receiver: Receiver) -> None:
    spans = receiver.rows(streams.KIND_SPANS, "signals")
    logs = receiver.rows(streams.KIND_LOGS, "signals")
    exemplars = receiver.rows(streams.KIND_EXEMPLARS, "signals")
    assert [(row["service"], row["name"], row["kind"], row["status"]) for row in spans] == [(SERVICE, "pay", "server", "")] * 3
    traces = [row["trace_id"] for row in spans]
    assert [row["trace_id"] for row in logs] == traces
    assert [row["body"] for row in logs] == [f"slow payment of trace {trace_id}" for trace_id in traces]
    assert {(row["service"], row["severity"], row["severity_number"]) for row in logs} == {(SERVICE, "WARN", 13)}
    assert {row["trace_id"] for row in exemplars} == set(traces)
    assert outcomes(receiver, "aiops_ingest_records_total") == {"written": 6.0}


def test_what_came_too_fast_is_sent_again_as_late_as_the_receiver_asks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One point a second, ten at once: the third export of five points has to wait."""
    home = tmp_path / "home"
    home.mkdir()
    with Receiver(receiver_settings(home, points_per_s=1)) as receiver:
        with otel_service(grpc_exporters(receiver.settings.ingest.grpc_port)) as service:
            for _ in range(3):
                service.work(0.5)
                assert service.send(), receiver.log()
        pressed = outcomes(receiver, "aiops_ingest_pressed_total", "cause")
        arrived = Arrived.of(receiver)
    assert arrived.values("http.server.requests") == [1.0, 2.0, 3.0]
    assert sum(pressed.values()) >= 1
    retries = [record.getMessage() for record in caplog.records if "RESOURCE_EXHAUSTED" in record.getMessage()]
    assert retries
