"""CSV in blocks of whole rows: any common dialect, every cell as the bytes that stand there, no type ever guessed.

Blocks are cut here, where a row ends, also beside line breaks within quotes; each is then parsed at once on the calling thread.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from aiops.errors import FileError
from serving.ingest.pull.file_bytes import BLOCK_BYTES, utf8_blocks

_DELIMITERS: Final = (",", ";", "\t", "|")
_LONGEST_ROW: Final = 64 << 20
_QUOTE, _LINE, _RETURN = 34, 10, 13


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written; None = recognised from its header or its byte order mark."""

    delimiter: str | None = None
    encoding: str | None = None


class CsvBlocks:
    """One CSV file; the header is its first line that is not empty.

    Raises:
        OSError: the file cannot be opened or unpacked.
        FileError: it is empty, no text, in another encoding, or a quote in it is never closed.
    """

    def __init__(self, path: Path, dialect: Dialect, block_bytes: int = BLOCK_BYTES) -> None:
        self._path = path
        self._dialect = dialect
        self._block_bytes = block_bytes
        self._unreadable: list[str] = []
        self.names, self._delimiter = self._header()

    def blocks(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows with these columns as binary cells; spaces around a cell do not count."""
        self._unreadable.clear()
        for number, rows in enumerate(self._whole_rows()):
            body = _without_header(rows) if number == 0 else rows
            if body.strip():
                table = self._parsed(body, columns)
                yield table.select(list(columns))

    def unreadable(self) -> Sequence[str]:
        """Return the rows met so far whose number of cells is not the header's, and forget them."""
        lines = list(self._unreadable)
        self._unreadable.clear()
        return lines

    def _header(self) -> tuple[tuple[str, ...], str]:
        first = b""
        for block in utf8_blocks(self._path, self._dialect.encoding, self._block_bytes):
            first = (first + block).lstrip(b"\r\n")
            if _line_end(first) < len(first):
                break
        if not first.strip():
            raise FileError(f"{self._path}: is empty; give a CSV file with a header and a row a line")
        line = first[: _line_end(first)].decode("utf-8", "replace")
        delimiter = self._dialect.delimiter or _delimiter_of(line)
        return tuple(cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))), delimiter

    def _whole_rows(self) -> Iterator[bytes]:
        """Yield the file in pieces that end where a row does; a last row without an end belongs to the piece before it."""
        rest = piece = b""
        for block in utf8_blocks(self._path, self._dialect.encoding, self._block_bytes):
            rest += block
            end = rows_end(rest, self._delimiter)
            if end:
                if piece:
                    yield piece
                piece, rest = rest[:end], rest[end:]
            elif len(rest) > max(_LONGEST_ROW, 2 * self._block_bytes):
                raise self._open_quote(rest)
        if rest and rows_end(rest + b"\n", self._delimiter) != len(rest) + 1:
            raise self._open_quote(rest)
        if piece or rest:
            yield piece + rest

    def _open_quote(self, rest: bytes) -> FileError:
        text = rest[:60].decode("utf-8", "replace").split("\n")[0]
        return FileError(f"{self._path}: a quote is opened and never closed, in the row that begins {text!r}; close or remove it")

    def _parsed(self, body: bytes, columns: Sequence[str]) -> pa.Table:
        try:
            body.decode()
        except UnicodeDecodeError:
            return self._parsed_as_bytes(body)
        read = pyarrow.csv.ReadOptions(column_names=list(self.names), use_threads=False, block_size=len(body) + 1)
        parse = pyarrow.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=self._keep)
        convert = pyarrow.csv.ConvertOptions(
            column_types={name: pa.binary() for name in columns}, include_columns=list(columns), strings_can_be_null=False
        )
        source: Any = pa.BufferReader(body)
        table = pyarrow.csv.read_csv(source, read, parse, convert)
        trimmed = [_trimmed(table[name].combine_chunks()) for name in table.column_names]
        return pa.table(dict(zip(table.column_names, trimmed, strict=True)))

    def _parsed_as_bytes(self, body: bytes) -> pa.Table:
        """Parse a block that holds bytes which are no UTF-8, keeping them."""
        text = io.StringIO(body.decode("utf-8", "surrogateescape"), newline="")
        kept: list[list[str]] = []
        for row in csv.reader(text, delimiter=self._delimiter):
            if len(row) == len(self.names):
                kept.append(row)
            elif row:
                self._unreadable.append(self._delimiter.join(row).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        cells = zip(*kept, strict=True) if kept else ((),) * len(self.names)
        encoded = [[cell.strip().encode("utf-8", "surrogateescape") for cell in column] for column in cells]
        return pa.table({name: pa.array(column, pa.binary()) for name, column in zip(self.names, encoded, strict=True)})

    def _keep(self, row: "pyarrow.csv.InvalidRow") -> Literal["skip"]:
        self._unreadable.append(row.text)
        return "skip"


def rows_end(block: bytes, delimiter: str) -> int:
    """Return where the last whole row of a block ends that begins with a row; 0 = no row ends in it.

    A line break within quotes ends no row. A quote counts where a cell begins; elsewhere in a bare cell it is a character.
    """
    data = np.frombuffer(block, np.uint8)
    newline = _LINE if b"\n" in block else _RETURN
    if b'"' not in block:
        return block.rfind(bytes([newline])) + 1
    quotes = np.flatnonzero(data == _QUOTE)
    edges = np.frombuffer(bytes([ord(delimiter), _LINE, _RETURN, _QUOTE, 32]), np.uint8)
    opened, closed = quotes[::2], quotes[1::2]
    before = data[np.maximum(opened - 1, 0)]
    after = data[np.minimum(closed + 1, len(data) - 1)]
    regular = (np.isin(before, edges) | (opened == 0)).all() and (np.isin(after, edges) | (closed == len(data) - 1)).all()
    if not regular:
        quotes = _counting_quotes(data, quotes, ord(delimiter))
    ends = np.flatnonzero(data == newline)
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(outside[-1]) + 1 if outside.size else 0


def _counting_quotes(data: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64], delimiter: int) -> npt.NDArray[np.int64]:
    """Return the places of quotes that open or close a cell, in turn."""
    cells_before = {delimiter, _LINE, _RETURN}
    places: list[int] = []
    doubled = -1
    for at in quotes.tolist():
        if at == doubled:
            continue
        inside = len(places) % 2 == 1
        if inside and at + 1 < len(data) and data[at + 1] == _QUOTE:
            doubled = at + 1
        elif inside or at == 0 or int(data[at - 1]) in cells_before:
            places.append(at)
    return np.array(places, np.int64)


def _without_header(rows: bytes) -> bytes:
    body = rows.lstrip(b"\r\n")
    return body[_line_end(body) :]


def _line_end(text: bytes) -> int:
    """Return the place after the first line's last character."""
    ends = [at for at in (text.find(b"\n"), text.find(b"\r")) if at >= 0]
    return min(ends, default=len(text))


def _delimiter_of(line: str) -> str:
    """Return the delimiter of a header: a comma wherever it separates, else what makes most cells."""
    cells = {mark: len(next(csv.reader([line], delimiter=mark))) for mark in _DELIMITERS}
    return "," if cells[","] > 1 else max(_DELIMITERS, key=lambda mark: cells[mark])


def _trimmed(cells: "pa.Array[Any]") -> "pa.Array[Any]":
    trimmed: Any = pc.call_function("ascii_trim_whitespace", [cells.view(pa.string())])
    return cast("pa.Array[Any]", trimmed.view(pa.binary()))
