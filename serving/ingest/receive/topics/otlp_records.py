"""Points of records as requests of OTLP, so that they go the way of all metrics: one decoder, one meaning of counters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

Kind = Literal["gauge", "counter", "delta"]
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA


@dataclass(frozen=True, slots=True)
class MappedPoint:
    """One number of a series: `counter` = a running total, `delta` = the amount since the last one (or since `start_ns`)."""

    resource: Mapping[str, str]
    metric: str
    labels: Mapping[str, str]
    time_ns: int
    value: float
    kind: Kind = "gauge"
    start_ns: int = field(default=0)


def request_of(point: MappedPoint) -> bytes:
    """Return the request that holds a point."""
    request, metric = new_request(point.resource, point.metric)
    if point.kind == "gauge":
        row = metric.gauge.data_points.add()
    else:
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = DELTA if point.kind == "delta" else CUMULATIVE
        row = metric.sum.data_points.add()
    row.attributes.extend(pairs(point.labels))
    row.time_unix_nano, row.start_time_unix_nano, row.as_double = point.time_ns, point.start_ns, point.value
    return request.SerializeToString()


def new_request(resource: Mapping[str, str], name: str) -> tuple[ExportMetricsServiceRequest, Metric]:
    """Return a request with one metric, whose data are to be added."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(pairs(resource))
    metric = group.scope_metrics.add().metrics.add()
    metric.name = name
    return request, metric


def pairs(values: Mapping[str, str]) -> list[KeyValue]:
    """Return attributes."""
    return [KeyValue(key=name, value=AnyValue(string_value=text)) for name, text in values.items()]
