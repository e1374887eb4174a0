"""Loki's push requests and answers as rows of `LOGS`: each entry accepted or refused, those of one record are one.

The labels of a stream are its resource; they name the service by the rules for labels of metrics, else pod, container or host do.
The time of an entry is the sender's. Structured metadata are attributes; a label `level` counts where the line states none.
Source: Grafana Loki, HTTP API, POST /loki/api/v1/push.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from aiops.normalise.service_labels import UNKNOWN, ServiceRules
from data_contracts.telemetry.rejects import Refusal
from serving.ingest.receive.signals.attribute_texts import Json
from serving.ingest.receive.signals.lines.container_lines import FILE_PATH, file_resource
from serving.ingest.receive.signals.lines.field_names import SPAN_ID, TRACE_ID, taken
from serving.ingest.receive.signals.lines.joined_lines import Piece, joined
from serving.ingest.receive.signals.lines.level_words import severity_of_word
from serving.ingest.receive.signals.lines.log_line import LineReading, LogLine, hold_to_lines
from serving.ingest.receive.signals.lines.log_rows import finished
from serving.ingest.receive.signals.lines.loki_messages import push_request
from serving.ingest.receive.signals.lines.plain_text import piece_of, record_of_piece
from serving.ingest.receive.signals.record_ids import content_ids, record_ids
from serving.ingest.receive.signals.resource_records import Encoding
from serving.ingest.receive.signals.signal_outcome import SignalIntake, SignalOutcome
from serving.ingest.receive.wire.decoded import MalformedBody

_LABEL: Final = re.compile(r'\s*([A-Za-z_][\w.:]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|\}?\s*$)', re.DOTALL)
_PLACES: Final = {
    "namespace": "k8s.namespace.name",
    "pod": "k8s.pod.name",
    "container": "container.name",
    "node_name": "k8s.node.name",
    "host": "host.name",
    "hostname": "host.name",
    "filename": FILE_PATH,
}
_CATEGORIES: Final = frozenset({"structuredMetadata", "parsed"})
_LEVELS: Final = ("level", "detected_level", "severity_text", "severity")
_NANOSECONDS: Final = re.compile(r"-?\d{1,20}")


@dataclass(frozen=True, slots=True)
class LokiStream:
    """Labels of a stream, and its entries in order; `refusal` why none of them can be kept (None = they can)."""

    labels: Mapping[str, str]
    entries: list[Piece]
    refusal: Refusal | None = None


class _JsonStream(msgspec.Struct, gc=False):
    stream: dict[str, str] = {}
    values: list[Any] = []


class _JsonPush(msgspec.Struct, gc=False):
    streams: list[msgspec.Raw] = []


def accept_loki_push(body: bytes, encoding: Encoding, intake: SignalIntake) -> SignalOutcome:
    """Return what becomes of a decompressed body. O(bytes) time and memory.

    Raises:
        MalformedBody: it is no push request; nothing of it is kept.
    """
    streams = _json_streams(body) if encoding == "json" else _protobuf_streams(body)
    lines = [line for stream in streams for line in _lines(stream, intake)]
    return finished(lines, "loki", record_ids(b"loki\n" + body, len(lines)), intake)


def accept_loki_results(results: Sequence[tuple[Mapping[str, str], Sequence[Any]]], intake: SignalIntake) -> SignalOutcome:
    """Return what becomes of streams as a range query answers them: labels, entries `[ns, line]` or `[ns, line, metadata]`.

    An id depends on labels, time (ns) and text alone: a line that is pulled again counts once. O(bytes) time and memory.
    """
    lines, contents = [], []
    for number, (labels, values) in enumerate(results):
        entries = _pieces((_json_entry(_with_metadata(value)) for value in values), number)
        named = json.dumps(sorted(labels.items())).encode()
        for line in _lines(LokiStream(labels, entries), intake):
            lines.append(line)
            moment_ns = 1000 * (line.time_us or 0) + line.nanos
            contents.append(b"%s\0%d\0%s" % (named, moment_ns, line.text.encode(errors="surrogatepass")))
    return finished(lines, "loki", content_ids(contents), intake)


def labels_of(text: str) -> dict[str, str] | None:
    r"""Return the labels of a stream as they are written; None where that is none.

    >>> labels_of('{app="cart", path="a\\"b"}'), labels_of("app=cart")
    ({'app': 'cart', 'path': 'a"b'}, None)
    """
    inner = text.strip()
    if not (inner.startswith("{") and inner.endswith("}")):
        return None
    inner, at, labels = inner[1:-1], 0, {}
    while at < len(inner.rstrip()):
        match = _LABEL.match(inner, at)
        if match is None:
            return None
        labels[match[1]] = _unquoted(match[2])
        at = match.end()
    return labels


def stream_resource(labels: Mapping[str, str], rules: ServiceRules) -> dict[str, str]:
    """Return the resource of a stream: its labels, with OpenTelemetry's names where there are."""
    resource = {_PLACES.get(name, name): text for name, text in labels.items() if name not in _LEVELS}
    named = rules.of_labels("", labels)
    if named.label:
        resource.pop(named.label, None)
        resource["service.name"] = named.service
    elif named.service != UNKNOWN:
        resource.setdefault("host.name", named.service)
    return {**file_resource(resource.get(FILE_PATH, "")), **resource}


def _lines(stream: LokiStream, intake: SignalIntake) -> Iterator[LogLine]:
    resource = stream_resource(stream.labels, intake.rules)
    reading = LineReading(intake, resource)
    level = next((stream.labels[name] for name in _LEVELS if stream.labels.get(name)), "")
    for piece in joined(stream.entries):
        if stream.refusal is not None:
            yield LogLine(piece.text, refusal=stream.refusal)
            continue
        line = _line(piece, level, reading)
        if "service.name" in resource or line.refusal is not None:
            line.resource = resource
        yield line


def _line(piece: Piece, level: str, reading: LineReading) -> LogLine:
    metadata, piece.attributes = piece.attributes, {}
    line = record_of_piece(piece, reading)
    if line.refusal is not None:
        return line
    line.time_us, line.nanos = piece.time_us, piece.nanos
    line.trace_id = line.trace_id or _text(taken(metadata, TRACE_ID))
    line.span_id = line.span_id or _text(taken(metadata, SPAN_ID))
    stated = _text(taken(metadata, _LEVELS))
    if not line.severity:
        line.severity = stated or level
        line.severity_number = severity_of_word(line.severity)
    line.attributes = {**line.attributes, **metadata}
    return line


def _protobuf_streams(body: bytes) -> Iterator[LokiStream]:
    pushed = push_request(body).streams
    hold_to_lines(len(pushed) + sum(len(stream.entries) for stream in pushed))
    for number, stream in enumerate(pushed):
        text = stream.labels.decode(errors="replace")
        labels = labels_of(text)
        refusal = None
        if labels is None:
            detail = f'labels {text[:100]!r} are none: they are written {{name="text", …}}'
            refusal = Refusal("name", "labels", detail)
        yield LokiStream(labels or {}, _pieces(map(_protobuf_entry, stream.entries), number), refusal)


def _protobuf_entry(entry: Any) -> Piece:
    piece = piece_of(entry.line)
    piece.time_us = entry.timestamp.seconds * 1_000_000 + entry.timestamp.nanos // 1000
    for pair in entry.metadata:
        piece.attributes[pair.name.decode(errors="replace")] = pair.value.decode(errors="replace")
    return piece


def _json_streams(body: bytes) -> Iterator[LokiStream]:
    try:
        streams = msgspec.json.decode(body, type=_JsonPush).streams
        decoded = [msgspec.json.decode(stream, type=_JsonStream) for stream in streams]
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise MalformedBody("body", f"is no push request of Loki in JSON ({str(error)[:200]})") from error
    hold_to_lines(len(decoded) + sum(len(stream.values) for stream in decoded))
    for number, stream in enumerate(decoded):
        yield LokiStream(stream.stream, _pieces(map(_json_entry, stream.values), number))


def _json_entry(value: Any) -> Piece:
    """Return an entry `["<ns>", "<line>"]` or `["<ns>", "<line>", {metadata}]`."""
    if not isinstance(value, list) or not 2 <= len(value) <= 3 or not isinstance(value[1], str):
        rule = 'an entry is ["<nanoseconds>", "<line>"], metadata may follow'
        return Piece(str(value)[:1000], refusal=Refusal("undecodable", "values", rule))
    piece = piece_of(value[1].encode())
    if not isinstance(value[0], str | int) or not _NANOSECONDS.fullmatch(str(value[0])):
        rule = f"timestamp {str(value[0])[:40]!r} is no number of nanoseconds since 1970"
        piece.refusal = piece.refusal or Refusal("bad_timestamp", "timestamp", rule)
        return piece
    piece.time_us, piece.nanos = divmod(int(value[0]), 1000)
    metadata = value[2] if len(value) == 3 and isinstance(value[2], dict) else {}
    piece.attributes = {str(name): _text(text) for name, text in metadata.items()}
    return piece


def _with_metadata(value: Any) -> Any:
    """Return an entry of an answer with its structured metadata as a pushed one has them, without fields parsed by the query."""
    if not isinstance(value, list) or len(value) < 3 or not isinstance(value[2], dict):
        return value
    return [*value[:2], value[2].get("structuredMetadata", {})] if set(value[2]) <= _CATEGORIES else value


def _pieces(pieces: Iterable[Piece], number: int) -> list[Piece]:
    """Return the entries of a stream that are not blank."""
    kept = [piece for piece in pieces if piece.refusal is not None or piece.text.strip()]
    for piece in kept:
        piece.stream = str(number)
    return kept


def _text(value: Json) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _unquoted(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return str(msgspec.json.decode(f'"{text}"'.encode()))
    except (ValueError, msgspec.MsgspecError):
        return text
