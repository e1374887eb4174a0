"""Bodies of OTLP in JSON, with the names that the protobuf classes have, so that one reader reads both.

Ids are hexadecimal text, 64-bit numbers are text or numbers, enums are numbers, unknown fields are ignored, a null is an absent
field. Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

A decoder lets no other thread work meanwhile, so resources and records stay as they came until `ITEMS` are read, one by one. The
collector of garbage need not know of messages, which hold no cycles: its passes would take as long as a third of the reading.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec


class _Camel(msgspec.Struct, rename="camel", gc=False):
    pass


class JsonValue(_Camel):
    """One of the fields is there; none = empty."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: Any = None
    array_value: "JsonArray | None" = None
    kvlist_value: "JsonPairs | None" = None
    bytes_value: str | None = None


class JsonArray(_Camel):
    """Values in order."""

    values: list[JsonValue | None] | None = None


class JsonAttribute(_Camel):
    """A name and its value."""

    key: str = ""
    value: JsonValue | None = None


class JsonPairs(_Camel):
    """Values by name."""

    values: list[JsonAttribute] | None = None


class _Described(_Camel):
    attributes: list[JsonAttribute] | None = None


class JsonScope(_Described):
    """Which library recorded it."""

    name: str | None = None


class JsonLogRecord(_Described):
    """One log record."""

    time_unix_nano: int | None = None
    observed_time_unix_nano: int | None = None
    severity_number: int | None = None
    severity_text: str | None = None
    body: JsonValue | None = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None


class JsonScopeLogs(_Camel):
    """Records of one library."""

    scope: JsonScope | None = None
    log_records: list[msgspec.Raw] | None = None


class JsonResourceLogs(_Camel):
    """Records of one resource."""

    resource: _Described | None = None
    scope_logs: list[JsonScopeLogs] | None = None


class JsonLogs(_Camel):
    """A request with logs."""

    resource_logs: list[msgspec.Raw] | None = None


class JsonEvent(_Described):
    """What happened within a span."""

    time_unix_nano: int | None = None
    name: str | None = None


class JsonLink(_Described):
    """Another span that belongs to it."""

    trace_id: str | None = None
    span_id: str | None = None


class JsonStatus(_Camel):
    """How a span ended."""

    code: int | None = None
    message: str | None = None


class JsonSpan(_Described):
    """One span."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_state: str | None = None
    name: str | None = None
    kind: int | None = None
    start_time_unix_nano: int | None = None
    end_time_unix_nano: int | None = None
    status: JsonStatus | None = None
    events: list[JsonEvent] | None = None
    links: list[JsonLink] | None = None


class JsonScopeSpans(_Camel):
    """Spans of one library."""

    scope: JsonScope | None = None
    spans: list[msgspec.Raw] | None = None


class JsonResourceSpans(_Camel):
    """Spans of one resource."""

    resource: _Described | None = None
    scope_spans: list[JsonScopeSpans] | None = None


class JsonTraces(_Camel):
    """A request with spans."""

    resource_spans: list[msgspec.Raw] | None = None


ITEMS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "resource_logs": JsonResourceLogs,
    "log_records": JsonLogRecord,
    "resource_spans": JsonResourceSpans,
    "spans": JsonSpan,
}
"""What the items of those fields are that make a body large: they are read one by one."""
