"""A file or a folder of files as one telemetry source: streamed in blocks, merged in time, never loaded whole."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from aiops.errors import SourceError, legible
from aiops.types import HistorySplit
from data_contracts.coerce import SchemaError
from serving.sources.history_share import TimeSample
from serving.sources.merge import Stream, merged
from serving.sources.options import SourceOptions
from serving.sources.rows import Rows, read_rows
from serving.sources.tabular import layout_of, loose_rows
from serving.sources.truth import read_change_log, read_edges, read_incidents


class TableFile(Protocol):
    """One file of a format."""

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
    open: Callable[[Path], TableFile]


class FileSource:
    """TelemetrySource over one file or over all files of a format below a folder."""

    def __init__(self, kind: Format, options: SourceOptions) -> None:
        self._kind = kind
        self._options = options
        self._files = _files_of(kind, options.existing(kind.name))

    @property
    def name(self) -> str:
        """Return the name of the format."""
        return self._kind.name

    def batches(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[pa.Table]:
        """Yield telemetry; rows that cannot be read come in chunks of their own with time and value as text.

        Memory: one block of each file whose times overlap.

        Raises:
            SourceError: a file is no such file, or lacks a column.
        """
        streams = [Stream(self._first_us(path), partial(self._rows, path)) for path in self._files]
        for rows in merged(streams):
            yield from rows.within(start, end).chunks()

    def edges(self) -> pa.Table:
        """Return the edges of the file given as option `edges`."""
        return read_edges(self._options.edges)

    def incidents(self) -> pa.Table:
        """Return the incidents of the file given as option `incidents`."""
        return read_incidents(self._options.incidents)

    def changes(self) -> pa.Table:
        """Return the change events of the file given as option `changes`."""
        return read_change_log(self._options.changes)

    def split(self) -> HistorySplit:
        """Return the first `history_share` of the rows, in order of time, as history, the rest as replay.

        Reads every file once; memory is bounded.

        Raises:
            SourceError: no row has a readable time.
        """
        sample = TimeSample()
        for path in self._files:
            for rows in self._rows(path):
                sample.add(rows.readable_at)
        return sample.split(self._options.history_share, str(self._options.path))

    def _first_us(self, path: Path) -> int:
        """Return the time of the first row; 0 for a single file, whose place in the order does not matter."""
        if len(self._files) == 1:
            return 0
        times = (np.concatenate([rows.readable_at, rows.raw_at]) for rows in self._rows(path))
        return next((int(at[0]) for at in times if len(at)), 0)

    def _rows(self, path: Path) -> Iterator[Rows]:
        try:
            file = self._kind.open(path)
            layout = layout_of(file.names(), self._options, str(path))
            before: int | None = None
            for block in file.blocks(layout.columns):
                rows = read_rows(_with_unreadable(loose_rows(block, layout), file.unreadable()), self._options.time_unit, before)
                before = int(rows.readable_at[-1]) if len(rows.readable_at) else before
                yield rows
            left = file.unreadable()
            if left:
                yield read_rows(_with_unreadable(_NO_ROWS, left), self._options.time_unit, before)
        except (OSError, pa.ArrowException, SchemaError) as error:
            kind = self._kind.name
            raise SourceError(f"{path}: cannot be read as {kind}: {legible(error)}; give a readable {kind} file") from error


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
    found = tuple(sorted(item for item in path.rglob("*") if item.is_file() and item.name.lower().endswith(kind.endings)))
    if not found:
        raise SourceError(f"{path}: holds no {kind.name} file; files end in {' or '.join(kind.endings)}")
    return found
