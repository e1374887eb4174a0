"""Telemetry from CSV files of any common dialect, plain or packed: header in the first line, all cells read as they stand."""

from pathlib import Path
from typing import Final

from serving.ingest.pull.csv_blocks import CsvBlocks
from serving.ingest.pull.files import FileSource, Format, TableFile
from serving.ingest.pull.source_options import SourceOptions


def _open(path: Path, options: SourceOptions) -> TableFile:
    return CsvBlocks(path, options.dialect)


FORMAT: Final = Format("csv", (".csv", ".csv.gz", ".tsv", ".csv.zst", ".csv.bz2"), _open)


def open_csv(options: SourceOptions) -> FileSource:
    """Return the source over `options.path`, a CSV file or a folder of them."""
    return FileSource(FORMAT, options)
