"""A service instrumented by the OpenTelemetry SDK for Python: metrics, logs and traces over HTTP or gRPC."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.testing.deadlines import within

SERVICE: Final = "checkout"
NAMESPACE: Final = "shop"
_RESOURCE: Final = {"service.name": SERVICE, "service.namespace": NAMESPACE, "service.instance.id": "a1", "host.name": "web-1"}


@dataclass(frozen=True, slots=True)
class Exporters:
    """How the three signals leave the service."""

    metrics: Any
    logs: Any
    spans: Any


def http_exporters(url: str, compression: Compression = Compression.Gzip) -> Exporters:
    """Return exporters of OTLP over HTTP to an address without path."""
    options: dict[str, Any] = {"compression": compression, "timeout": within(30)}
    return Exporters(
        HttpMetrics(f"{url}/v1/metrics", **options),
        HttpLogs(f"{url}/v1/logs", **options),
        HttpSpans(f"{url}/v1/traces", **options),
    )


def grpc_exporters(port: int) -> Exporters:
    """Return exporters of OTLP over gRPC to a port of this machine."""
    options: dict[str, Any] = {
        "endpoint": f"http://127.0.0.1:{port}",
        "insecure": True,
        "timeout": within(30),
        "compression": grpc.Compression.Gzip,
    }
    return Exporters(GrpcMetrics(**options), GrpcLogs(**options), GrpcSpans(**options))


class OtelService:
    """Every call of `work` counts, measures, logs and traces one request; `send` exports the metrics."""

    def __init__(self, exporters: Exporters) -> None:
        resource = Resource(_RESOURCE)
        self._exporter = exporters.metrics
        reader = PeriodicExportingMetricReader(exporters.metrics, 3_600_000, within(30) * 1000)
        finer = View(instrument_name="payload", aggregation=ExponentialBucketHistogramAggregation())
        self._meters = MeterProvider([reader], resource, views=[finer])
        self._tracers = TracerProvider(resource=resource)
        self._tracers.add_span_processor(SimpleSpanProcessor(exporters.spans))
        self._logs = LoggerProvider(resource)
        self._logs.add_log_record_processor(SimpleLogRecordProcessor(exporters.logs))
        meter = self._meters.get_meter("shop.checkout", "1.0")
        self._requests = meter.create_counter("http.server.requests", "1")
        self._active = meter.create_up_down_counter("http.server.active", "1")
        self._load = meter.create_gauge("queue.load")
        self._seconds = meter.create_histogram("http.server.duration", "s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
        self._payload = meter.create_histogram("payload", "By")

    def work(self, seconds: float) -> None:
        """Handle one request that took so long."""
        with self._tracers.get_tracer("shop.checkout").start_as_current_span("pay", kind=trace.SpanKind.SERVER) as span:
            span.add_event("charged", {"amount": 12})
            self._requests.add(1, {"http.route": "/pay"})
            self._active.add(1)
            self._load.set(seconds)
            self._seconds.record(seconds)
            self._payload.record(1000 * seconds)
            context = span.get_span_context()
            self._logs.get_logger("shop.checkout").emit(
                LogRecord(
                    timestamp=time.time_ns(),
                    context=trace.set_span_in_context(span),
                    severity_number=SeverityNumber.WARN,
                    severity_text="WARN",
                    body=f"slow payment of trace {context.trace_id:032x}",
                    attributes={"seconds": seconds},
                )
            )

    def send(self) -> bool:
        """Export the metrics; return whether the receiver took them."""
        return self._meters.force_flush(within(30) * 1000)

    def close(self) -> None:
        """End without another export of metrics: the receiver may be gone."""
        self._exporter.shutdown()
        self._meters.shutdown()
        self._tracers.shutdown()
        self._logs.shutdown()


@contextmanager
def otel_service(exporters: Exporters) -> Iterator[OtelService]:
    """Run a service until the block ends."""
    service = OtelService(exporters)
    try:
        yield service
    finally:
        service.close()
