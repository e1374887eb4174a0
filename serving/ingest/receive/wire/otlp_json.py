"""Requests with metrics in OTLP's JSON as protobuf: ids are hexadecimal there, all else is as protobuf's own mapping has it.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import base64
from typing import Any, Final

import orjson
from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from serving.ingest.receive.wire.decoded import MalformedBody

_IDS: Final = ("traceId", "trace_id", "spanId", "span_id")
_DATA: Final = ("gauge", "sum", "histogram", "exponentialHistogram", "exponential_histogram")
_POINTS: Final = ("dataPoints", "data_points")


def protobuf_of(body: bytes) -> bytes:
    """Return a body of JSON as the same request in protobuf; fields that are unknown are left out.

    Raises:
        MalformedBody: it is no JSON, or no such request; the message names the field.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody("body", f"it is JSON: {error}") from error
    if not isinstance(request, dict):
        raise MalformedBody("body", "it is a JSON object")
    for exemplar in _exemplars(request):
        _decode_ids(exemplar)
    try:
        return ParseDict(request, ExportMetricsServiceRequest(), ignore_unknown_fields=True).SerializeToString()
    except (ParseError, UnicodeEncodeError, RecursionError) as error:
        raise MalformedBody("body", f"it is a request with metrics: {str(error)[:200]}") from error


def _exemplars(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every exemplar of a request, as far as it has the form of one."""
    holders: list[Any] = [request]
    for names in (("resourceMetrics", "resource_metrics"), ("scopeMetrics", "scope_metrics"), ("metrics",)):
        holders = _below(holders, names)
    points = _below([holder[name] for holder in holders if isinstance(holder, dict) for name in _DATA if name in holder], _POINTS)
    return [exemplar for exemplar in _below(points, ("exemplars",)) if isinstance(exemplar, dict)]


def _below(holders: list[Any], names: tuple[str, ...]) -> list[Any]:
    """Return the items of the lists that objects have under one of several names."""
    lists = [holder[name] for holder in holders if isinstance(holder, dict) for name in names if name in holder]
    return [item for items in lists if isinstance(items, list) for item in items]


def _decode_ids(exemplar: dict[str, Any]) -> None:
    """Turn ids from hexadecimal into base64, which protobuf's mapping reads."""
    for name in _IDS:
        text = exemplar.get(name)
        if isinstance(text, str):
            try:
                exemplar[name] = base64.b64encode(bytes.fromhex(text)).decode()
            except ValueError as error:
                raise MalformedBody(f"exemplars.{name}", "it is hexadecimal digits, two a byte") from error
