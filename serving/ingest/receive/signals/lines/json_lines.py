"""Lines of JSON, or one array of objects, as records."""

from typing import Final

import msgspec

from serving.ingest.receive.signals.lines.json_fields import decoded_object, record_of
from serving.ingest.receive.signals.lines.log_line import MOST_LINES, LineReading, LogLine, hold_to_lines, undecodable
from serving.ingest.receive.signals.lines.plain_text import piece_of, pieces_of

_MOST_COMMAS: Final = 8 * MOST_LINES
_RULE = "is no object of JSON: send one a line, or an array of them"


def json_records(body: bytes, reading: LineReading) -> list[LogLine]:
    """Return a record a line, or an item of the array that the body is."""
    items = array_items(body)
    pieces = pieces_of(body) if items is None else map(piece_of, items)
    records = []
    for piece in pieces:
        fields = decoded_object(piece.text) if piece.refusal is None else None
        if piece.refusal is not None:
            records.append(LogLine(piece.text, refusal=piece.refusal))
        elif fields is None:
            records.append(undecodable(piece.text, _RULE))
        else:
            records.append(record_of(fields, piece.text, reading))
    return records


def array_items(body: bytes) -> list[bytes] | None:
    """Return the items of the array of JSON that a body is; None where it is none, or may have too many items to look."""
    if not body.lstrip().startswith(b"[") or body.count(b",") > _MOST_COMMAS:
        return None
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
    hold_to_lines(len(items))
    return [bytes(item) for item in items]
