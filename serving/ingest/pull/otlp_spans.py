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

from aiops.errors import FileError
from aiops.topology.span_calls import SPANS
from data_contracts.values.moments import moment_of_us
from serving.ingest.pull.file_bytes import utf8_blocks

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
    value: _Value | None = None


class _Span(_Camel):
    """A null stands for an absent field everywhere, as JSON of protobuf has it."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    start_time_unix_nano: str | int | float | None = None
    attributes: list[_Attribute] | None = None


class _ScopeSpans(_Camel):
    spans: list[_Span] | None = None


class _Resource(_Camel):
    attributes: list[_Attribute] | None = None


class _ResourceSpans(_Camel):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Export(_Camel):
    """A line of another signal (metrics, logs) has no spans."""

    resource_spans: list[_ResourceSpans] | None = None
    resource_metrics: list[msgspec.Raw] | None = None
    resource_logs: list[msgspec.Raw] | None = None

    @property
    def is_export(self) -> bool:
        """Return whether it is of OTLP at all."""
        return any(part is not None for part in (self.resource_spans, self.resource_metrics, self.resource_logs))


def json_blocks(path: Path, encoding: str | None = None) -> Iterator[pa.Table]:
    """Yield the spans of a JSON export in blocks: one document, an array of them, or one a line, packed or not.

    A file that is one document is read whole, lines one after the other. A last line that is cut short is left out.

    Raises:
        FileError: the file is no such export.
    """
    try:
        exports = _with_spans(_exports(path, encoding))
        yield from _blocks(row for export in exports for row in _json_rows(export))
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise FileError(
            f"{path}: is no OTLP export of traces in JSON ({error}); give a document with resourceSpans, or one a line"
        ) from error


def protobuf_blocks(path: Path) -> Iterator[pa.Table]:
    """Yield the spans of a protobuf export in blocks; the file is read whole.

    Raises:
        FileError: the file is no such export.
    """
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    try:
        messages = (TracesData.FromString(message) for message in _messages(path.read_bytes()))
        yield from _blocks(row for message in messages for row in _protobuf_rows(message))
    except (OSError, ValueError, DecodeError) as error:
        raise FileError(f"{path}: is no OTLP export of traces in protobuf ({error}); export TracesData, or JSON") from error


def _exports(path: Path, encoding: str | None) -> Iterator[_Export]:
    decoder = msgspec.json.Decoder(_Export)
    lines = _lines(path, encoding)
    first = next(lines, b"")
    try:
        export = decoder.decode(first)
    except msgspec.DecodeError:
        yield from _documents(first + b"".join(lines))
        return
    yield _checked(export)
    previous = b""
    for line in lines:
        if previous:
            yield _checked(decoder.decode(previous))
        previous = line
    if previous and (previous.endswith(b"\n") or _is_whole(previous)):
        yield _checked(decoder.decode(previous))


def _with_spans(exports: Iterator[_Export]) -> Iterator[_Export]:
    """Pass on exports of traces; raise ValueError where there is none at all."""
    has_spans = False
    for export in exports:
        if export.resource_spans is not None:
            has_spans = True
            yield export
    if not has_spans:
        raise ValueError("it holds no resourceSpans")


def _documents(content: bytes) -> list[_Export]:
    """Return a document, or an array of them, that fills a file; lines of it mean nothing."""
    if content.lstrip().startswith(b"["):
        return [_checked(export) for export in msgspec.json.decode(content, type=list[_Export])]
    return [_checked(msgspec.json.decode(content, type=_Export))]


def _checked(export: _Export) -> _Export:
    if not export.is_export:
        raise ValueError("an object without resourceSpans")
    return export


def _is_whole(line: bytes) -> bool:
    """Return whether a line without an end is JSON; one that was being written is not."""
    try:
        msgspec.json.decode(line)
    except msgspec.DecodeError:
        return False
    return True


def _lines(path: Path, encoding: str | None) -> Iterator[bytes]:
    """Yield the lines that are not empty, with their ends."""
    rest = b""
    for block in utf8_blocks(path, encoding):
        *whole, rest = (rest + block).split(b"\n")
        yield from (line + b"\n" for line in whole if line.strip())
    if rest.strip():
        yield rest


def _json_rows(export: _Export) -> Iterator[Row]:
    for resource in export.resource_spans or ():
        service = _named(resource.resource.attributes if resource.resource else None, frozenset({_SERVICE})) or ""
        for span in (span for scope in resource.scope_spans or () for span in scope.spans or ()):
            at = _moment(_nanoseconds(span.start_time_unix_nano))
            ids = (span.trace_id or "", span.span_id or "", span.parent_span_id or "")
            yield *ids, service, _named(span.attributes, _PEERS), at


def _nanoseconds(number: str | float | None) -> int:
    if isinstance(number, str):
        return int(number) if number.strip().isdecimal() else int(float(number or "0"))
    return int(number or 0)


def _named(attributes: list[_Attribute] | None, keys: frozenset[str]) -> str | None:
    values = (attribute.value for attribute in attributes or () if attribute.key in keys)
    return next((value.string_value for value in values if value and value.string_value), None)


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
        service = next(
            (attribute.value.string_value for attribute in resource.resource.attributes if attribute.key == _SERVICE), ""
        )
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            peer = next((attribute.value.string_value for attribute in span.attributes if attribute.key in _PEERS), None)
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
