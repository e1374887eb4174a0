"""Telemetry from Parquet files: read row group by row group."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet

from serving.ingest.pull.files import FileSource, Format, TableFile
from serving.ingest.pull.source_options import SourceOptions

_BLOCK_CELLS: Final = 262_144


class ParquetFile:
    """One Parquet file, streamed in blocks of about 262,144 cells."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def names(self) -> Sequence[str]:
        """Return the names of its columns."""
        return list(pyarrow.parquet.read_schema(self._path).names)

    def blocks(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield blocks of these columns."""
        rows = max(256, _BLOCK_CELLS // max(1, len(columns)))
        with pyarrow.parquet.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=rows, columns=list(columns), use_threads=False):
                yield pa.Table.from_batches([batch])

    def unreadable(self) -> Sequence[str]:
        """Return nothing: a Parquet file has no broken lines."""
        return ()


def _open(path: Path, _options: SourceOptions) -> TableFile:
    return ParquetFile(path)


FORMAT: Final = Format("parquet", (".parquet", ".pq"), _open)


def open_parquet(options: SourceOptions) -> FileSource:
    """Return the source over `options.path`, a Parquet file or a folder of them."""
    return FileSource(FORMAT, options)
