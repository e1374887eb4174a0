"""Push requests of Loki, written by hand: no class of the reader's own is used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from serving.ingest.receive.otlp_answers import message_field, varint_field


@dataclass(frozen=True, slots=True)
class PushedEntry:
    """A line, its time in ns, its structured metadata."""

    time_ns: int
    line: str | bytes
    metadata: Mapping[str, str] = field(default_factory=dict)


def push_protobuf(*streams: Mapping[str, Sequence[PushedEntry]]) -> bytes:
    """Return a request with these streams, entries by their labels as written."""
    return b"".join(message_field(1, _stream(labels, entries)) for group in streams for labels, entries in group.items())


def _stream(labels: str, entries: Sequence[PushedEntry]) -> bytes:
    return message_field(1, labels.encode()) + b"".join(message_field(2, _entry(entry)) for entry in entries)


def _entry(entry: PushedEntry) -> bytes:
    moment = varint_field(1, entry.time_ns // 10**9) + varint_field(2, entry.time_ns % 10**9)
    line = entry.line.encode() if isinstance(entry.line, str) else entry.line
    pairs = (message_field(1, name.encode()) + message_field(2, text.encode()) for name, text in entry.metadata.items())
    return message_field(1, moment) + message_field(2, line) + b"".join(message_field(3, pair) for pair in pairs)
