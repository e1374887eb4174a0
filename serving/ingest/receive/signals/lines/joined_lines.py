"""Lines of text that belong together: indented ones, causes and frames of exceptions, tracebacks join the line before."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from data_contracts.telemetry.rejects import Refusal
from serving.ingest.receive.signals.attribute_texts import Json

_KIND: Final = re.compile(
    r"(?P<part>[ \t]|Caused by: |Suppressed: |Wrapped by: |at \S|\.\.\. \d+ (?:more|common)|goroutine \d+ \[|created by \S"
    r"|--- End of |---> \S|[)\]}]+[,;]?$)"
    r"|(?P<chain>During handling of the above exception|The above exception was the direct cause)"
    r"|(?P<traceback>Traceback \(most recent call last\):)"
    r"|(?P<exception>(?:Exception in thread \S+ )?(?:[\w$]+\.)+[\w$]*(?:Exception|Error|Throwable)(?::|$))"
    r"|(?P<start>[\[(]?\d{4}[-/]\d\d[-/]\d\d[T ]|[\[(]?(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b|\{)"
)
"""What the beginning of a line says of it."""


class Piece(msgspec.Struct, gc=False):
    """Text of one line, and what its carrier says: when, on which stream; `refusal` why it cannot be read (None = it can).

    `is_part`: the next piece of its stream continues the line. `nanos`: of its time, below a microsecond.
    """

    text: str
    time_us: int | None = None
    stream: str = ""
    attributes: dict[str, Json] = {}
    refusal: Refusal | None = None
    is_part: bool = False
    nanos: int = 0


class _Record:
    """Lines of one record so far."""

    __slots__ = ("_has_exception", "_in_traceback", "_is_whole", "lines", "piece")

    def __init__(self, piece: Piece, kind: str | None) -> None:
        self.piece = piece
        self.lines = [piece.text]
        self._in_traceback = kind == "traceback"
        self._has_exception = self._in_traceback or kind == "exception"
        self._is_whole = kind == "start" and piece.text[0] == "{" and piece.text.rstrip().endswith("}")

    def takes(self, kind: str | None) -> bool:
        """Return whether a line of a kind belongs to this record."""
        if self._is_whole or kind == "start":
            return False
        if kind == "chain":
            self._has_exception = False
        elif kind in ("traceback", "exception") and not self._has_exception:
            self._has_exception, self._in_traceback = True, kind == "traceback"
        elif kind != "part":
            named, self._in_traceback = self._in_traceback, False  # the line that names the exception of a traceback
            return named
        return True

    def close(self) -> None:
        """Put all lines into the piece of the first one."""
        if len(self.lines) > 1:
            self.piece.text = "\n".join(self.lines)


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Return pieces, those of one record as one, in order of their first lines; streams are joined apart. O(bytes)."""
    open_records: dict[str, _Record] = {}
    records: list[Piece] = []
    for piece in pieces:
        record = open_records.get(piece.stream)
        match = _KIND.match(piece.text)
        kind = None if match is None else match.lastgroup
        if record is not None and piece.refusal is None and record.takes(kind):
            record.lines.append(piece.text)
            continue
        records.append(piece)
        if piece.refusal is None:
            if record is not None:
                record.close()
            open_records[piece.stream] = _Record(piece, kind)
    for record in open_records.values():
        record.close()
    return records
