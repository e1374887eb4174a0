"""Entries of systemd's journal as records: the export format, and JSON a line.

The service is the container, else the unit without ".service", else the identifier or command. Fields that have no place of
their own are attributes. Source: systemd, Journal Export Formats and systemd.journal-fields(7).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from data_contracts.telemetry.rejects import Refusal
from serving.ingest.receive.signals.attribute_texts import Json
from serving.ingest.receive.signals.lines.json_lines import array_items
from serving.ingest.receive.signals.lines.level_words import SYSLOG, severity_of_word
from serving.ingest.receive.signals.lines.line_times import time_of
from serving.ingest.receive.signals.lines.log_line import LineReading, LogLine, bad_time, undecodable
from serving.ingest.receive.signals.lines.plain_text import piece_of, pieces_of

_NAME: Final = re.compile(rb"[A-Z0-9_]{1,64}")
_SIZE_BYTES: Final = 8
_INSTANCE: Final = re.compile(r"@.*$")
_TIMES: Final = ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP")
_INTERNAL: Final = ("__CURSOR", "__MONOTONIC_TIMESTAMP", "__SEQNUM", "__SEQNUM_ID", *_TIMES)
_RULE: Final = "is no entry of a journal"


def journal_records(body: bytes, reading: LineReading) -> list[LogLine]:
    """Return a record an entry, of either format."""
    if body.lstrip()[:1] in (b"{", b"["):
        return _json_records(body, reading)
    return [_export_record(entry, reading) for entry in _entries(body)]


def _json_records(body: bytes, reading: LineReading) -> list[LogLine]:
    items = array_items(body)
    records = []
    for piece in pieces_of(body) if items is None else map(piece_of, items):
        fields = _json_fields(piece.text) if piece.refusal is None else None
        if piece.refusal is not None:
            records.append(LogLine(piece.text, refusal=piece.refusal))
        elif fields is None:
            records.append(undecodable(piece.text, f"{_RULE}: it is no object of JSON"))
        else:
            records.append(journal_record(fields, piece.text, reading))
    return records


def _json_fields(text: str) -> dict[str, str] | None:
    """Return fields as text; of several values of a field the first, bytes are arrays of numbers."""
    try:
        fields = msgspec.json.decode(text)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
    return {str(name): _field_text(value) for name, value in fields.items()} if isinstance(fields, dict) else None


def _field_text(value: object) -> str:
    if isinstance(value, list):
        if value and all(type(item) is int and 0 <= item < 256 for item in value):
            return bytes(value).decode(errors="replace")
        return _field_text(value[0]) if value and not isinstance(value[0], list) else ""
    return "" if value is None else str(value)


def _entries(body: bytes) -> Iterator[bytes | dict[str, str]]:
    """Yield the fields of each entry; an entry that breaks the format as the bytes up to the next blank line."""
    at = 0
    while at < len(body):
        if body[at : at + 1] == b"\n":
            at += 1
            continue
        start = at
        fields: dict[str, str] = {}
        while at < len(body) and body[at : at + 1] != b"\n":
            end = _read_field(body, at, fields)
            if end < 0:
                stop = body.find(b"\n\n", at)
                at = len(body) if stop < 0 else stop + 1
                yield body[start:at]
                break
            at = end
        else:
            yield fields


def _read_field(body: bytes, at: int, fields: dict[str, str]) -> int:
    """Read the field at a place; return where the next begins, -1 where the format is broken."""
    name = _NAME.match(body, at)
    if name is None:
        return -1
    key, after = name[0].decode(), name.end()
    if body[after : after + 1] == b"=":
        end = body.find(b"\n", after)
        end = len(body) if end < 0 else end
        value, next_at = body[after + 1 : end], end + 1
    elif body[after : after + 1] == b"\n" and len(body) > after + _SIZE_BYTES:
        first = after + 1 + _SIZE_BYTES
        end = first + int.from_bytes(body[after + 1 : first], "little")
        if end > len(body) or body[end : end + 1] not in (b"\n", b""):
            return -1
        value, next_at = body[first:end], end + 1
    else:
        return -1
    fields.setdefault(key, value.decode(errors="replace"))
    return next_at


def _export_record(entry: bytes | Mapping[str, str], reading: LineReading) -> LogLine:
    if isinstance(entry, bytes):
        return undecodable(
            entry.decode(errors="backslashreplace"), f"{_RULE} in export format: a field is NAME=text, or its size follows"
        )
    return journal_record(dict(entry), "\n".join(f"{name}={value}" for name, value in entry.items()), reading)


def journal_record(fields: dict[str, str], text: str, reading: LineReading) -> LogLine:
    """Return an entry as a record; `text` as it came."""
    line = LogLine(text, resource=dict(reading.resource))
    if not fields.get("MESSAGE"):
        line.refusal = Refusal("missing_value", "MESSAGE", "MESSAGE is missing or empty: there is nothing to keep")
        return line
    line.body = fields.pop("MESSAGE")
    stated = next((fields[name] for name in _TIMES if fields.get(name)), None)
    if stated is not None:
        line.time_us = time_of(stated, reading.intake.available_at)
        if line.time_us is None:
            return bad_time(text, "__REALTIME_TIMESTAMP", stated)
    priority = fields.get("PRIORITY", "")
    if priority in "01234567" and len(priority) == 1:
        line.severity = SYSLOG[int(fields.pop("PRIORITY"))]
        line.severity_number = severity_of_word(line.severity)
    _set_origin(line, fields)
    line.attributes = _attributes(fields)
    return line


def _set_origin(line: LogLine, fields: dict[str, str]) -> None:
    host = fields.pop("_HOSTNAME", "")
    if host:
        line.resource["host.name"] = host
    container = fields.pop("CONTAINER_NAME", "")
    if container:
        line.resource["container.name"] = container
        return
    unit = fields.get("_SYSTEMD_UNIT", "")
    named = unit.endswith(".service") and not unit.startswith("user@")
    service = _INSTANCE.sub("", unit.removesuffix(".service")) if named else ""
    service = service or fields.get("SYSLOG_IDENTIFIER", "") or fields.get("_COMM", "")
    if service:
        line.resource["service.name"] = service


def _attributes(fields: dict[str, str]) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if name not in _INTERNAL}
