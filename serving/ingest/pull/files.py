"""A file or a folder of files as one telemetry source: streamed in blocks, merged in time, never loaded whole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from aiops.errors import FileError, legible
from aiops.types import HistorySplit
from data_contracts.values.coerce import SchemaError
from serving.ingest.pull.file_merge import Stream, merged
from serving.ingest.pull.file_order import FileScan, sorted_rows
from serving.ingest.pull.history_share import TimeSample
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_rows import Rows, read_rows
from serving.ingest.pull.tabular import check_marks, layout_of, loose_rows
from serving.ingest.pull.time_columns import TimeForm, read_column, recognised_form
from serving.ingest.pull.truth_files import TruthFiles


class TableFile(Protocol):
    """One file of a format."""

    @property
    def names(self) -> Sequence[str]:
        """Return the names of its columns."""
        ...

    def blocks(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield its rows block by block with these columns only."""
        ...

    def unreadable(self) -> Sequence[str]:
        """Return the lines met so far that are no row at all, and forget them."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One file format: its name, the endings of its files, and how to open one."""

    name: str
    endings: tuple[str, ...]
    open: Callable[[Path, SourceOptions], TableFile]


class FileSource:
    """TelemetrySource over one file or over all files of a format below a folder, whatever the order of their rows."""

    def __init__(self, kind: Format, options: SourceOptions) -> None:
        self._kind = kind
        self._options = options
        self._files = _files_of(kind, options.existing(kind.name))
        self._scans: dict[Path, FileScan] = {}
        self._truth = TruthFiles(options)

    @property
    def name(self) -> str:
        """Return the name of the format."""
        return self._kind.name

    def batches(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[pa.Table]:
        """Yield telemetry by time; rows that cannot be read come in chunks of their own with time and value as text.

        Reads the times of every file first. Memory: one block of each file whose times overlap; see `file_order.sorted_rows`.

        Raises:
            SourceError: a file is no such file, or lacks a column.
        """
        streams = [Stream(self.scan(path).sample.first_us, partial(self._ordered, path)) for path in self._files]
        for rows in merged(streams):
            yield from rows.within(start, end).chunks()

    def edges(self) -> pa.Table:
        """Return the edges of the file given as option `edges`."""
        return self._truth.edges()

    def incidents(self) -> pa.Table:
        """Return the incidents of the file given as option `incidents`."""
        return self._truth.incidents()

    def changes(self) -> pa.Table:
        """Return the change events of the file given as option `changes`."""
        return self._truth.changes()

    def remarks(self) -> tuple[str, ...]:
        """Return what a person should know of how the files read so far were taken, a sentence each."""
        remarks: list[str] = []
        for path, scan in self._scans.items():
            if not scan.is_ordered:
                remarks.append(f"{path}: its rows are not in order of time ({scan.late:,} of {scan.rows:,} lie behind); sorted")
            if scan.naive and scan.form.zone is None:
                remarks.append(
                    f"{path}: {scan.naive:,} times have no zone and count as UTC; say another with time_zone=Europe/Berlin"
                )
            if scan.twice:
                remarks.append(
                    f"{path}: {scan.twice:,} times come twice or never in {scan.form.zone}; rejected, write their offset"
                )
        return (*remarks, *self._truth.remarks())

    def split(self) -> HistorySplit:
        """Return the first `history_share` of the rows, in order of time, as history, the rest as replay.

        Reads the times of every file; memory is bounded.

        Raises:
            SourceError: no row has a readable time.
        """
        sample = TimeSample()
        for path in self._files:
            sample.join(self.scan(path).sample)
        return sample.split(self._options.history_share, str(self._options.path))

    def scan(self, path: Path) -> FileScan:
        """Return how the times of a file lie, read once.

        Raises:
            FileError: the file cannot be read.
        """
        if path not in self._scans:
            with self._readable(path):
                self._scans[path] = self._scanned(path)
        return self._scans[path]

    def _scanned(self, path: Path) -> FileScan:
        options = self._options
        file = self._kind.open(path, options)
        layout = layout_of(file.names, options, str(path))
        scan = FileScan(TimeForm(options.time_unit, options.time_format, options.time_zone))
        for block in file.blocks((layout.timestamp,)):
            times = block[layout.timestamp].combine_chunks()
            if scan.form.unit == "auto":
                scan.form = recognised_form(times, scan.form, f"{path}: {layout.timestamp}")
            scan.add(read_column(times, scan.form))
            file.unreadable()
        return scan

    def _ordered(self, path: Path) -> Iterator[Rows]:
        scan = self.scan(path)
        return self.rows(path) if scan.is_ordered else sorted_rows(partial(self.rows, path), scan)

    def rows(self, path: Path) -> Iterator[Rows]:
        """Yield the rows of a file block by block, in the order in which they stand there.

        Raises:
            FileError: the file cannot be read.
        """
        form = self.scan(path).form
        with self._readable(path):
            file = self._kind.open(path, self._options)
            layout = layout_of(file.names, self._options, str(path))
            before: int | None = None
            for number, block in enumerate(file.blocks(layout.columns)):
                if number == 0:
                    check_marks(block, layout, str(path))
                rows = read_rows(_with_unreadable(loose_rows(block, layout), file.unreadable()), form, before)
                before = int(rows.readable_at[-1]) if len(rows.readable_at) else before
                yield rows
            left = file.unreadable()
            if left:
                yield read_rows(_with_unreadable(_NO_ROWS, left), form, before)

    @contextmanager
    def _readable(self, path: Path) -> Iterator[None]:
        """Name the file in whatever goes wrong with it."""
        try:
            yield
        except (OSError, pa.ArrowException, SchemaError) as error:
            kind = self._kind.name
            raise FileError(f"{path}: cannot be read as {kind}: {legible(error)}; give a readable {kind} file") from error


_NO_ROWS = pa.table({name: pa.array([], pa.string()) for name in ("timestamp", "service", "metric", "value")})


def _with_unreadable(loose: pa.Table, lines: Sequence[str]) -> pa.Table:
    """Return the rows and, after them, each line that is no row: its text as value, everything else unknown."""
    if not lines:
        return loose
    count = len(lines)
    extra = pa.table({"timestamp": pa.nulls(count, pa.string()), "value": pa.array(lines, pa.string())})
    extra = extra.append_column("service", pa.nulls(count, pa.string())).append_column("metric", pa.nulls(count, pa.string()))
    return pa.concat_tables([loose, extra], promote_options="permissive").combine_chunks()


def _files_of(kind: Format, path: Path) -> tuple[Path, ...]:
    """Return the file itself, or all files of the format below the folder in order of their names."""
    if path.is_file():
        return (path,)
    files = tuple(sorted(item for item in path.rglob("*") if item.is_file() and item.name.lower().endswith(kind.endings)))
    if not files:
        raise FileError(f"{path}: holds no {kind.name} file; files end in {' or '.join(kind.endings)}")
    return files
