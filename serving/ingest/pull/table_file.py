"""Small tables beside the telemetry (incidents, calls, changes): CSV of any dialect or Parquet, row by row, nothing guessed.

A cell of CSV is text. A row that cannot be taken is refused by its number and reason; the others are taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from aiops.errors import FileError, legible
from data_contracts.telemetry.names import name_fault
from data_contracts.values.time_forms import read_moment
from serving.ingest.pull.csv_blocks import CsvBlocks, Dialect
from serving.ingest.pull.file_bytes import is_parquet

Cells = Mapping[str, Any]
PLAIN: Dialect = Dialect()


class RowError(ValueError):
    """A row cannot be taken; the message names its field, value, rule and fix."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """Why the row with this number (from 1, the header not counted) was not taken."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class TimeReading:
    """How times in cells are read: the zone of those without one, and a form of `strptime` to try beside those that are known."""

    zone: tzinfo = UTC
    strptime: str | None = None

    def moment(self, cell: object) -> datetime | None:
        """Return the time of a cell; None where it is none."""
        moment = read_moment(cell, self.zone)
        if moment is None and self.strptime is not None and isinstance(cell, str):
            try:
                moment = datetime.strptime(cell.strip(), self.strptime)  # noqa: DTZ007 - without a zone it is in `zone`
            except ValueError:
                return None
        return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=self.zone)


@dataclass(frozen=True, slots=True)
class TableFile:
    """A small table: the names of its columns and how to read its rows, as often as wanted."""

    path: Path
    names: tuple[str, ...]
    blocks: "CsvBlocks | pa.Table"

    def rows(self) -> Iterator[Cells]:
        """Yield each row's cells; null and empty cells are left out."""
        tables = self.blocks.blocks(self.names) if isinstance(self.blocks, CsvBlocks) else iter([self.blocks])
        for table in tables:
            for row in table.to_pylist():
                yield {name: plain for name, cell in row.items() if (plain := _plain(cell)) not in (None, "")}

    def cut_rows(self) -> Sequence[str]:
        """Return the lines met that have not as many cells as the header."""
        return self.blocks.unreadable() if isinstance(self.blocks, CsvBlocks) else ()


def open_table(path: Path, needed: Sequence[str] = (), dialect: Dialect = PLAIN) -> TableFile:
    """Return a CSV or Parquet file as rows.

    Raises:
        FileError: it cannot be read, a needed column is absent, or a column is there twice.
    """
    try:
        if is_parquet(path):
            table = pyarrow.parquet.read_table(path)
            file = TableFile(path, tuple(table.column_names), table)
        else:
            blocks = CsvBlocks(path, dialect)
            file = TableFile(path, blocks.names, blocks)
    except (OSError, pa.ArrowException) as error:
        raise FileError(
            f"{path}: cannot be read as {path.suffix or 'CSV'}: {legible(error)}; give a CSV or Parquet file"
        ) from error
    twice = next((name for name in file.names if file.names.count(name) > 1), None)
    if twice is not None:
        raise FileError(f"{path}: the column {twice!r} is there twice; columns need unique names: rename one")
    missing = [name for name in needed if name not in file.names]
    if missing:
        there = legible(", ".join(file.names), 300) or "(none)"
        raise FileError(f"{path}: no column {missing[0]!r}; it needs {', '.join(needed)}, and has {there}")
    return file


def name_of(cells: Cells, column: str) -> str:
    """Return the name in a cell: text as it stands, a whole number by its digits.

    Raises:
        RowError: it is empty, a number with a fraction, or breaks the rule for names.
    """
    text = text_of(cells, column)
    if not text:
        raise RowError(f"{column} is empty; every row needs one")
    fault = name_fault(text.encode("utf-8", "surrogateescape"), "service")
    if fault is not None:
        raise RowError(fault.text if column == "service" else f"{column}: {fault.text}")
    return text


def text_of(cells: Cells, column: str) -> str:
    """Return the text of a cell, empty where it is absent.

    Raises:
        RowError: the cell is a number with a fraction, whose text nobody knows, or no text at all.
    """
    cell = cells.get(column, "")
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, int) and not isinstance(cell, bool):
        return str(cell)
    raise RowError(f"{column} {str(cell)[:60]!r} is a {type(cell).__name__}; texts are text: write the column as text")


def moment_of(cells: Cells, column: str, reading: TimeReading) -> datetime | None:
    """Return the time of a cell; None where it is absent.

    Raises:
        RowError: it is no time.
    """
    if column not in cells:
        return None
    moment = reading.moment(cells[column])
    if moment is None:
        raise RowError(
            f"{column} {str(cells[column])[:60]!r} is no time; write ISO 8601 or epoch seconds, or say its form with time_format"
        )
    return moment


def _plain(cell: Any) -> Any:
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "surrogateescape")
    return cell.strip() if isinstance(cell, str) else cell
