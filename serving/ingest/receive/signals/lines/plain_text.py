"""Bytes as lines of text, and one such line, or several that belong together, as a record: JSON where it is JSON."""

import re
from collections.abc import Iterator
from typing import Final

from data_contracts.telemetry.rejects import Refusal
from serving.ingest.receive.signals.lines.joined_lines import Piece
from serving.ingest.receive.signals.lines.json_fields import decoded_object, record_of
from serving.ingest.receive.signals.lines.level_words import level_in, severity_in
from serving.ingest.receive.signals.lines.line_times import time_in
from serving.ingest.receive.signals.lines.log_line import LineReading, LogLine

_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_COLOUR: Final = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
_RECOGNISED: Final = 400
"""So many characters of a record are searched for time and level."""


def pieces_of(body: bytes) -> Iterator[Piece]:
    """Yield the lines of a body that are not blank, without their end; what is no text is refused."""
    for raw in body.split(b"\n"):
        stripped = raw.rstrip(b"\r")
        if stripped.strip():
            yield piece_of(stripped)


def piece_of(raw: bytes) -> Piece:
    """Return a line as text; refused where it is not UTF-8, holds a NUL or every tenth byte is a control character."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        rule = f"has byte {error.start} that is not UTF-8: send text, in UTF-8"
        return _binary(raw.decode(errors="backslashreplace"), rule)
    controls = 0 if text.isprintable() else len(_CONTROL.findall(text))
    if controls and ("\0" in text or 10 * controls >= len(text)):
        return _binary(text, f"has {controls} control characters: it is no text")
    return Piece(text)


def _binary(text: str, rule: str) -> Piece:
    return Piece(text, refusal=Refusal("undecodable", "line", f"the line {rule}"))


def record_of_piece(piece: Piece, reading: LineReading) -> LogLine:
    """Return a piece as a record: the fields of an object of JSON, or time and level of a text.

    A time in a field counts above the carrier's, and that above one which stands in a text.
    """
    if piece.refusal is not None:
        return LogLine(piece.text, refusal=piece.refusal)
    line = _json_record(piece, reading) if piece.text.startswith("{") else None
    if line is None:
        line = text_record(piece.text, piece.time_us, reading)
    if piece.attributes:
        line.attributes = {**line.attributes, **piece.attributes}
    return line


def _json_record(piece: Piece, reading: LineReading) -> LogLine | None:
    fields = decoded_object(piece.text)
    if fields is None:
        return None
    line = record_of(fields, piece.text, reading)
    if piece.time_us is not None:
        if line.refusal is not None:  # its field states no time, its carrier does
            return None
        line.time_us = piece.time_us if line.time_us is None else line.time_us
    return line


def text_record(text: str, time_us: int | None, reading: LineReading) -> LogLine:
    """Return a text as a record; `time_us` by its carrier, None = what the text states."""
    head = text[:_RECOGNISED].partition("\n")[0]
    head = _COLOUR.sub("", head) if "\x1b" in head else head
    level = level_in(head)
    at_us = time_in(head, reading.intake.available_at) if time_us is None else time_us
    severity_number = severity_in(head, level) if level else 0
    return LogLine(text, text, at_us, level, severity_number, resource=dict(reading.resource))
