"""Bodies of OTLP logs and traces for tests, in both of its forms."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
TRACE_ID = bytes(range(1, 17))
SPAN_ID = bytes(range(1, 9))
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def put(attributes: Any, values: dict[str, Any]) -> None:
    """Add attributes; a list becomes an array, a dict pairs."""
    for name, value in values.items():
        pair = attributes.add()
        pair.key = name
        fill(pair.value, value)


def fill(target: Any, value: Any) -> None:
    """Write a value of Python into an `AnyValue`."""
    if isinstance(value, dict):
        target.kvlist_value.SetInParent()
        put(target.kvlist_value.values, value)
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            fill(target.array_value.values.add(), item)
    elif value is not None:
        kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value", bytes: "bytes_value"}
        setattr(target, kinds[type(value)], value)


def add_log(request: ExportLogsServiceRequest, service: str = "cart", body: Any = "hello", **cells: Any) -> Any:
    """Add a log record under a resource of its own; `cells` are fields, attributes among them."""
    group = request.resource_logs.add()
    put(group.resource.attributes, {"service.name": service, "host.name": "h-1"})
    scope = group.scope_logs.add()
    scope.scope.name = "lib"
    record = scope.log_records.add(time_unix_nano=NOW_NS)
    fill(record.body, body)
    put(record.attributes, cells.pop("attributes", {}))
    for name, value in cells.items():
        setattr(record, name, value)
    return record


def add_span(request: ExportTraceServiceRequest, service: str = "cart", **cells: Any) -> Any:
    """Add a span under a resource of its own; `cells` are fields, attributes among them."""
    group = request.resource_spans.add()
    put(group.resource.attributes, {"service.name": service, "host.name": "h-1"})
    scope = group.scope_spans.add()
    scope.scope.name = "lib"
    span = scope.spans.add(
        trace_id=TRACE_ID, span_id=SPAN_ID, name="GET", start_time_unix_nano=NOW_NS, end_time_unix_nano=NOW_NS + 5_000_000
    )
    put(span.attributes, cells.pop("attributes", {}))
    for name, value in cells.items():
        setattr(span, name, value)
    return span


def as_json(request: Message) -> bytes:
    """Return a request as OTLP has it in JSON: hexadecimal ids, enums as numbers."""
    return json.dumps(_otlp(MessageToDict(request, use_integers_for_enums=True))).encode()


def _otlp(value: Any) -> Any:
    if isinstance(value, list):
        return [_otlp(item) for item in value]
    if isinstance(value, dict):
        return {name: base64.b64decode(item).hex() if name in _IDS else _otlp(item) for name, item in value.items()}
    return value
