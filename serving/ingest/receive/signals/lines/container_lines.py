"""Files of containers as records: CRI (`time stream F|P text`) and docker's json-file; parts of a line are joined.

What a container writes is read as text or JSON, several lines of one record as one. The request may name the file
(`log.file.path`): Kubernetes' names of files tell namespace, pod and container.
"""

import re
from collections.abc import Iterator
from typing import Final

from serving.ingest.receive.signals.lines.joined_lines import Piece, joined
from serving.ingest.receive.signals.lines.json_fields import decoded_object
from serving.ingest.receive.signals.lines.line_times import time_of
from serving.ingest.receive.signals.lines.log_line import LineReading, LogLine, bad_time, undecodable
from serving.ingest.receive.signals.lines.plain_text import pieces_of, record_of_piece

FILE_PATH: Final = "log.file.path"
STREAM: Final = "log.iostream"
_CRI: Final = re.compile(r"(\d{4}-\d\d-\d\dT\S{1,40}) (stdout|stderr) ([FP])(?::\S*)?(?: |$)")
_POD_FILE: Final = re.compile(r"/(?P<namespace>[^_/]+)_(?P<pod>[^_/]+)_[^_/]+/(?P<container>[^/]+)/[^/]+$")
_CONTAINER_FILE: Final = re.compile(r"/(?P<pod>[^_/]+)_(?P<namespace>[^_/]+)_(?P<container>[^/]+)-[0-9a-f]{64}\.log$")
_CRI_RULE: Final = "is no line of a container file: it begins with time, stdout or stderr, and F or P"
_DOCKER_RULE: Final = "is no line of docker's json-file: an object with log, stream and time"


def cri_records(body: bytes, reading: LineReading) -> list[LogLine]:
    """Return the records of a CRI file."""
    return _records([_cri_piece(piece, reading) for piece in pieces_of(body)], reading)


def docker_records(body: bytes, reading: LineReading) -> list[LogLine]:
    """Return the records of docker's json-file."""
    return _records([_docker_piece(piece, reading) for piece in pieces_of(body)], reading)


def is_cri(head: str) -> bool:
    """Return whether a line begins as those of CRI do."""
    return _CRI.match(head) is not None


def file_resource(path: str) -> dict[str, str]:
    """Return what a path of Kubernetes' says: namespace, pod and container; nothing where it is another path.

    >>> file_resource("/var/log/pods/shop_cart-7d9f-x2_0a1b/cart/0.log")
    {'k8s.namespace.name': 'shop', 'k8s.pod.name': 'cart-7d9f-x2', 'container.name': 'cart'}
    """
    match = _POD_FILE.search(path) or _CONTAINER_FILE.search(path)
    if match is None:
        return {}
    return {"k8s.namespace.name": match["namespace"], "k8s.pod.name": match["pod"], "container.name": match["container"]}


def _refused(line: LogLine) -> Piece:
    return Piece(line.text, refusal=line.refusal)


def _cri_piece(piece: Piece, reading: LineReading) -> Piece:
    if piece.refusal is not None:
        return piece
    match = _CRI.match(piece.text)
    if match is None:
        return _refused(undecodable(piece.text, _CRI_RULE))
    at_us = time_of(match[1], reading.intake.available_at)
    if at_us is None:
        return _refused(bad_time(piece.text, "time", match[1]))
    return Piece(piece.text[match.end() :], at_us, match[2], {STREAM: match[2]}, is_part=match[3] == "P")


def _docker_piece(piece: Piece, reading: LineReading) -> Piece:
    if piece.refusal is not None:
        return piece
    fields = decoded_object(piece.text) or {}
    text, stream, time = fields.get("log"), fields.get("stream", ""), fields.get("time")
    if not isinstance(text, str) or not isinstance(stream, str):
        return _refused(undecodable(piece.text, _DOCKER_RULE))
    at_us = time_of(time, reading.intake.available_at)
    if at_us is None:
        return _refused(bad_time(piece.text, "time", time))
    attributes = fields.get("attrs")
    more = attributes if isinstance(attributes, dict) else {}
    return Piece(text.rstrip("\r\n"), at_us, stream, {STREAM: stream, **more}, is_part=not text.endswith("\n"))


def _records(parts: list[Piece], reading: LineReading) -> list[LogLine]:
    return [record_of_piece(piece, reading) for piece in joined(_whole(parts))]


def _whole(parts: list[Piece]) -> Iterator[Piece]:
    """Yield whole lines, in order of their ends; what nothing completes comes last. Blank ones are left out."""
    begun: dict[str, list[Piece]] = {}
    for part in parts:
        if part.refusal is not None:
            yield part
            continue
        held = begun.setdefault(part.stream, [])
        held.append(part)
        if not part.is_part:
            yield from _line(begun.pop(part.stream))
    for held in begun.values():
        yield from _line(held)


def _line(parts: list[Piece]) -> Iterator[Piece]:
    text = parts[0].text if len(parts) == 1 else "".join(part.text for part in parts)
    if text.strip():
        yield Piece(text, parts[0].time_us, parts[0].stream, parts[0].attributes)
