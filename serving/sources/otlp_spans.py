"""Spans of OTLP exports: JSON (one document, or one a line), protobuf (one message, or messages with their length before them).

Only what calls need is decoded. Source: https://opentelemetry.io/docs/specs/otlp/ and the file exporter of the OpenTelemetry
Collector, which writes lines of JSON or messages with a four-byte length.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from aiops.errors import SourceError
from aiops.span_calls import SPANS
from data_contracts.moments import moment_of_us

JSON_ENDINGS: Final = (".json", ".jsonl", ".ndjson")
PROTOBUF_ENDINGS: Final = (".pb", ".binpb", ".otlp")
BLOCK_SPANS: Final = 200_000
_SERVICE: Final = "service.name"
_PEERS: Final = frozenset({"peer.service", "service.peer.name"})
_MESSAGE_TAG: Final = 0x0A
"""First byte of an export that is one message; a length before it begins with less for all sizes that occur."""
Row = tuple[str, str, str, str, str | None, datetime | None]


class _Camel(msgspec.Struct, rename="camel"):
    pass


class _Value(_Camel):
    string_value: str | None = None


class _Attribute(_Camel):
    key: str
    value: _Value = msgspec.field(default_factory=_Value)


class _Span(_Camel):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    start_time_unix_nano: str | int = 0
    attributes: list[_Attribute] = []  # msgspec copies an empty default


class _ScopeSpans(_Camel):
    spans: list[_Span] = []


class _Resource(_Camel):
    attributes: list[_Attribute] = []


class _ResourceSpans(_Camel):
    resource: _Resource = msgspec.field(default_factory=_Resource)
    scope_spans: list[_ScopeSpans] = []


class _Export(_Camel):
    resource_spans: list[_ResourceSpans]


def json_blocks(path: Path) -> Iterator[pa.Table]:
    """Yield the spans of a JSON export in blocks. A file that is one document is read whole, lines one after the other.

    Raises:
        SourceError: the file is no such export.
    """
    decoder = msgspec.json.Decoder(_Export)
    try:
        yield from _blocks(row for export in _exports(path, decoder) for row in _json_rows(export))
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise SourceError(
            f"{path}: is no OTLP export of traces in JSON ({error}); give a document with resourceSpans, or one a line"
        ) from error


def protobuf_blocks(path: Path) -> Iterator[pa.Table]:
    """Yield the spans of a protobuf export in blocks; the file is read whole.

    Raises:
        SourceError: the file is no such export.
    """
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    try:
        messages = (TracesData.FromString(message) for message in _messages(path.read_bytes()))
        yield from _blocks(row for message in messages for row in _protobuf_rows(message))
    except (OSError, ValueError, DecodeError) as error:
        raise SourceError(f"{path}: is no OTLP export of traces in protobuf ({error}); export TracesData, or JSON") from error


def _exports(path: Path, decoder: "msgspec.json.Decoder[_Export]") -> Iterator[_Export]:
    with path.open("rb") as lines:
        first = lines.readline()
        try:
            yield decoder.decode(first)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            yield decoder.decode(first + lines.read())
            return
        for line in lines:
            if line.strip():
                yield decoder.decode(line)


def _json_rows(export: _Export) -> Iterator[Row]:
    for resource in export.resource_spans:
        service = _named(resource.resource.attributes, frozenset({_SERVICE})) or ""
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            at = _moment(int(span.start_time_unix_nano))
            yield span.trace_id, span.span_id, span.parent_span_id, service, _named(span.attributes, _PEERS), at


def _named(attributes: list[_Attribute], keys: frozenset[str]) -> str | None:
    return next((one.value.string_value for one in attributes if one.key in keys and one.value.string_value), None)


def _messages(data: bytes) -> Iterator[bytes]:
    if not data or data[0] == _MESSAGE_TAG:
        yield data
        return
    start = 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        message = data[start + 4 : start + 4 + size]
        if len(message) < size or not size:
            raise ValueError(f"the message at byte {start} is cut short")
        yield message
        start += 4 + size


def _protobuf_rows(message: Any) -> Iterator[Row]:
    for resource in message.resource_spans:
        service = next((one.value.string_value for one in resource.resource.attributes if one.key == _SERVICE), "")
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            peer = next((one.value.string_value for one in span.attributes if one.key in _PEERS), None)
            ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
            yield *ids, service, peer, _moment(span.start_time_unix_nano)


def _moment(nanoseconds: int) -> datetime | None:
    return moment_of_us(nanoseconds // 1000) if nanoseconds > 0 else None


def _blocks(rows: Iterable[Row]) -> Iterator[pa.Table]:
    kept: list[Row] = []
    for row in rows:
        kept.append(row)
        if len(kept) == BLOCK_SPANS:
            yield _table(kept)
            kept = []
    if kept:
        yield _table(kept)


def _table(rows: list[Row]) -> pa.Table:
    return pa.table(dict(zip(SPANS.names, zip(*rows, strict=True), strict=True)), schema=SPANS)
