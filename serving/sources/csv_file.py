"""Telemetry from CSV files, plain or compressed (.gz): header in the first line, all cells read as they stand."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.csv

from serving.sources.files import FileSource, Format
from serving.sources.options import SourceOptions

_BLOCK_BYTES: Final = 4 << 20


class CsvFile:
    """One CSV file, streamed in blocks of 4 MiB."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unreadable: list[str] = []

    def names(self) -> Sequence[str]:
        """Return the header."""
        with pyarrow.csv.open_csv(self._path, read_options=_read_options(), parse_options=self._parse_options()) as reader:
            return list(reader.schema.names)

    def blocks(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield blocks; every cell is bytes as written, so that nothing is lost to a guess of its type."""
        options = pyarrow.csv.ConvertOptions(
            column_types={name: pa.binary() for name in columns},
            include_columns=list(columns),
            strings_can_be_null=False,
        )
        self._unreadable.clear()
        with pyarrow.csv.open_csv(
            self._path,
            read_options=_read_options(),
            parse_options=self._parse_options(),
            convert_options=options,
        ) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])

    def unreadable(self) -> Sequence[str]:
        """Return the lines met so far whose number of cells is not the header's, and forget them."""
        lines = list(self._unreadable)
        self._unreadable.clear()
        return lines

    def _parse_options(self) -> "pyarrow.csv.ParseOptions":
        return pyarrow.csv.ParseOptions(invalid_row_handler=self._keep)

    def _keep(self, row: "pyarrow.csv.InvalidRow") -> Literal["skip"]:
        self._unreadable.append(row.text)
        return "skip"


def _read_options() -> "pyarrow.csv.ReadOptions":
    return pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)


FORMAT: Final = Format("csv", (".csv", ".csv.gz"), CsvFile)


def open_csv(options: SourceOptions) -> FileSource:
    """Return the source over `options.path`, a CSV file or a folder of them."""
    return FileSource(FORMAT, options)
