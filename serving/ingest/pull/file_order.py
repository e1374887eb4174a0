"""The order of a file's rows: recognised in one pass over its times, mended where it is none, in bounded memory.

A row now and then that comes late stays where it is: it was late. A file that is newest first, by series or in no order says
nothing about arrival; its rows are sorted by time, parts of them at a time, which wait in temporary files.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from aiops.types import IntArray
from serving.ingest.pull.file_merge import in_order, joined
from serving.ingest.pull.history_share import TimeSample
from serving.ingest.pull.source_rows import Rows
from serving.ingest.pull.time_columns import AUTO, UNREADABLE, TimeForm, TimesRead

_SLACK_US: Final = 300_000_000
_LATE_SHARE: Final = 0.01
_PART_ROWS: Final = 500_000
_MOST_PARTS: Final = 200
_AT: Final = "us since 1970"


@dataclass(slots=True)
class FileScan:
    """What a pass over the times of one file has shown.

    Rows count as late that lie 5 minutes or more behind a time that three rows before them had reached: a wrong clock in one or
    two rows makes no others late.
    """

    form: TimeForm = AUTO
    rows: int = 0
    late: int = 0
    naive: int = 0
    twice: int = 0
    sample: TimeSample = field(default_factory=TimeSample)
    _newest: int = UNREADABLE

    def add(self, read: TimesRead) -> None:
        """Add the times of one block, in the order of the file."""
        known = read.us[read.us != UNREADABLE]
        self.naive += read.naive
        self.twice += read.twice
        if not known.size:
            return
        agreed = known.copy()
        for follower in (1, 2):
            agreed[:-follower] = np.minimum(agreed[:-follower], known[follower:])
        newest = np.maximum(np.maximum.accumulate(agreed), self._newest)
        self.rows += known.size
        self.late += int((newest - known > _SLACK_US).sum())
        self._newest = int(newest[-1])
        self.sample.add(known)

    @property
    def is_ordered(self) -> bool:
        """Return whether at most one row in a hundred is late."""
        return self.late <= _LATE_SHARE * self.rows


def sorted_rows(read: Callable[[], Iterator[Rows]], scan: FileScan, part_rows: int = _PART_ROWS) -> Iterator[Rows]:
    """Yield all rows of a file by time, rows of one time in the file's order.

    Memory: about `part_rows` rows, more where many rows share one time or a file has more than 200 times as many; the others
    wait in temporary files, which are gone in the end.
    """
    parts = min(_MOST_PARTS, -(-scan.rows // part_rows))
    if parts < 2:
        batches = list(read())
        if batches:
            yield in_order(joined(batches))
        return
    bounds = scan.sample.quantiles(parts)
    with tempfile.TemporaryDirectory(prefix="aiops-sort-") as folder:
        spill = _Spill(Path(folder))
        try:
            for rows in read():
                spill.add(rows, bounds)
        finally:
            spill.close()
        for number in range(len(bounds) + 1):
            part = spill.part(number)
            if part is not None:
                yield in_order(part)


class _Spill:
    """Rows in temporary files, one for each part and kind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[tuple[str, int], Any] = {}
        self._schemas: dict[tuple[str, int], pa.Schema] = {}
        self._empty: Rows | None = None

    def add(self, rows: Rows, bounds: IntArray) -> None:
        """Put rows into their parts; the bound itself belongs to the later one."""
        self._empty = self._empty or _none_of(rows)
        for kind, table, at in (("readable", rows.readable, rows.readable_at), ("raw", _binary_names(rows.raw), rows.raw_at)):
            numbers = np.searchsorted(bounds, at, side="right")
            for number in np.unique(numbers).tolist():
                in_part = numbers == number
                self._write(kind, number, table.filter(pa.array(in_part)).append_column(_AT, pa.array(at[in_part], pa.int64())))

    def close(self) -> None:
        """Finish the files."""
        for writer in self._writers.values():
            writer.close()

    def part(self, number: int) -> Rows | None:
        """Return the rows of one part; None where it has none."""
        readable, raw = self._read("readable", number), self._read("raw", number)
        if self._empty is None or (readable is None and raw is None):
            return None
        empty, no_times = self._empty, np.empty(0, np.int64)
        typed = empty.readable if readable is None else readable.drop_columns([_AT])
        others = empty.raw if raw is None else _text_names(raw.drop_columns([_AT]))
        return Rows(
            typed,
            no_times if readable is None else readable[_AT].to_numpy(),
            others,
            no_times if raw is None else raw[_AT].to_numpy(),
        )

    def _write(self, kind: str, number: int, table: pa.Table) -> None:
        if (kind, number) not in self._writers:
            self._writers[kind, number] = pyarrow.ipc.new_file(str(self._path(kind, number)), table.schema)
            self._schemas[kind, number] = table.schema
        self._writers[kind, number].write_table(_aligned(table, self._schemas[kind, number]))

    def _read(self, kind: str, number: int) -> pa.Table | None:
        if (kind, number) not in self._writers:
            return None
        with pyarrow.ipc.open_file(str(self._path(kind, number))) as reader:
            return reader.read_all()

    def _path(self, kind: str, number: int) -> Path:
        return self._folder / f"{kind}-{number}.arrow"


def _aligned(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with a schema's columns; one that it lacks is null."""
    columns: list[Any] = [
        table[kind.name] if kind.name in table.column_names else pa.nulls(len(table), kind.type) for kind in schema
    ]
    return pa.table(dict(zip(schema.names, columns, strict=True))).cast(schema)


def _none_of(rows: Rows) -> Rows:
    return Rows(rows.readable.slice(0, 0), rows.readable_at[:0], rows.raw.slice(0, 0), rows.raw_at[:0])


def _binary_names(raw: pa.Table) -> pa.Table:
    """Return raw rows with names as bytes: some blocks have names that are no text."""
    for name in ("service", "metric", "tenant"):
        if name in raw.column_names and not pa.types.is_binary(raw.schema.field(name).type):
            raw = raw.set_column(raw.column_names.index(name), name, raw[name].cast(pa.binary()))
    return raw


def _text_names(raw: pa.Table) -> pa.Table:
    for name in ("service", "metric", "tenant"):
        if name in raw.column_names:
            try:
                raw = raw.set_column(raw.column_names.index(name), name, raw[name].cast(pa.string()))
            except pa.ArrowInvalid:
                continue
    return raw
