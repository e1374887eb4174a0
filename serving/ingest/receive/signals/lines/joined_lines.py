"""Lines of text that belong together: indented ones, causes and frames of exceptions, tracebacks join the line before."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from data_contracts.telemetry.rejects import Refusal
from serving.ingest.receive.signals.attribute_texts import Json

_PART: Final = re.compile(
    r"Caused by: |Suppressed: |Wrapped by: |at \S|\.\.\. \d+ (?:more|common)|goroutine \d+ \[|created by \S|--- End of |---> \S"
    r"|[)\]}]+[,;]?$"
)
_CHAIN: Final = re.compile(r"During handling of the above exception|The above exception was the direct cause")
_TRACEBACK: Final = re.compile(r"Traceback \(most recent call last\):")
_EXCEPTION: Final = re.compile(r"(?:Exception in thread \S+ )?(?:[\w$]+\.)+[\w$]*(?:Exception|Error|Throwable)(?::|$)")
_STARTS: Final = re.compile(r"[\[(]?\d{4}[-/]\d\d[-/]\d\d[T ]|[\[(]?(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b|\{")


@dataclass(slots=True)
class Piece:
    """Text of one line, and what its carrier says: when, on which stream; `refusal` why it cannot be read (None = it can).

    `is_part`: the next piece of its stream continues the line.
    """

    text: str
    time_us: int | None = None
    stream: str = ""
    attributes: dict[str, Json] = field(default_factory=dict)
    refusal: Refusal | None = None
    is_part: bool = False


class _Record:
    """Lines of one record so far."""

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.lines = [piece.text]
        self._in_traceback = _TRACEBACK.match(piece.text) is not None
        self._has_exception = self._in_traceback or _EXCEPTION.match(piece.text) is not None
        self._is_whole = piece.text.startswith("{") and piece.text.rstrip().endswith("}")

    def takes(self, text: str) -> bool:
        """Return whether a line belongs to this record."""
        if self._is_whole:
            return False
        if text[0] in " \t" or _PART.match(text):
            return True
        if _CHAIN.match(text):
            self._has_exception = False
            return True
        if not self._has_exception and (_TRACEBACK.match(text) or _EXCEPTION.match(text)):
            self._has_exception = True
            self._in_traceback = _TRACEBACK.match(text) is not None
            return True
        if self._in_traceback and not _STARTS.match(text):  # the line that names the exception
            self._in_traceback = False
            return True
        return False

    def joined(self) -> Piece:
        """Return the record as one piece."""
        if len(self.lines) > 1:
            self.piece.text = "\n".join(self.lines)
        return self.piece


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Return pieces, those of one record as one, in order of their first lines; streams are joined apart. O(bytes)."""
    open_records: dict[str, _Record] = {}
    records: list[_Record] = []
    for piece in pieces:
        record = open_records.get(piece.stream)
        if piece.refusal is None and record is not None and record.takes(piece.text):
            record.lines.append(piece.text)
            continue
        record = _Record(piece)
        records.append(record)
        if piece.refusal is None:
            open_records[piece.stream] = record
    return [record.joined() for record in records]
