"""Writing Parquet files of one tenant: by key, by content, or in the place of whole days.

`folder` is the tenant's. Rows with an identity are written in order of time and identity, each once a file.
"""

import hashlib
import itertools
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aiops.errors import ConfigurationError, ContractError
from serving.host.atomic_file import sweep, write_atomically
from serving.lake.collisions import NAMES, distinct_series, named_by_id, refuse_collisions
from serving.lake.day_files import PREFIX, counting_files, finish_all, locked, put_in_place
from serving.lake.lake_tables import LakeTable, conformed, evolved, spec_of
from serving.lake.parquet_reading import RowQuery, retried, select
from serving.lake.port import Added, Between, Rows
from serving.lake.row_identity import each_once, new_rows

BATCH: Final = "batch"
"""What the keys of content begin with."""
DAY: Final = "day"
"""What the keys of rows begin with that took the place of a whole day."""
ROW_GROUP: Final = 131_072
"""Rows a reader of a short time or of few services has to decode at least."""
_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}")
_DAY_US: Final = 86_400_000_000


def staging(folder: Path) -> Path:
    """Return where files of a tenant are written before they are put in place."""
    return folder / ".staging"


def write(folder: Path, table: str, rows: Rows, key: str) -> int:
    """Write rows under a key, replacing what it held on every day; return their number."""
    spec = spec_of(table)
    if not _KEY.fullmatch(key):
        raise ConfigurationError(
            f"key {key!r} cannot name a file; use 1 to 120 of letters, digits, '_', '-' and '.', not starting with '-' or '.'"
        )
    distinct = each_once(spec, conformed(table, spec, rows, coded=True))
    sweep(staging(folder))
    if not spec.partitioned:
        write_atomically(staging(folder), folder / table / f"{PREFIX}all.parquet", writer_of(distinct))
        return int(distinct.num_rows)
    written = set()
    for day, part in by_day(distinct, spec.time):
        target = day_folder(folder, table, day) / f"{PREFIX}{key}.parquet"
        with locked(folder, table, day, shared=True):
            write_atomically(staging(folder), target, writer_of(part))
        written.add(target)
    for stale in set((folder / table).glob(f"day=*/{PREFIX}{key}.parquet")) - written:
        stale.unlink(missing_ok=True)
    return int(distinct.num_rows)


def add(folder: Path, table: str, rows: Rows) -> Added:
    """Keep rows of a table with an identity, each once; return what was new."""
    spec = spec_of(table)
    if not spec.identity:
        raise ConfigurationError(f"table {table!r}: its rows have no identity, so they cannot be added once; write them by key")
    given = conformed(table, spec, rows)
    if named_by_id(spec):
        refuse_collisions(given)
    distinct = each_once(spec, given)
    sweep(staging(folder))
    done = Added(0, given.num_rows - distinct.num_rows)
    if spec.movable:
        with locked(folder, table, None):
            return done + _add_unknown(folder, table, distinct, sorted((folder / table).glob("day=????-??-??")))
    for day, part in by_day(distinct, spec.time):
        with locked(folder, table, day):
            done += _add_unknown(folder, table, part, [day_folder(folder, table, day)])
    return done


def _add_unknown(folder: Path, table: str, rows: pa.Table, days: Iterable[Path]) -> Added:
    """Write the rows that say something new beside what the days hold; the caller holds the lock."""
    spec, folders = spec_of(table), list(days)
    stored = _stored(table, spec, rows, folders)
    if stored.num_rows and named_by_id(spec):
        refuse_collisions(pa.concat_tables([distinct_series(rows), _stored_series(table, stored, folders)]))
    new = rows.filter(pa.array(new_rows(spec, rows, stored)))
    for day, part in by_day(new, spec.time):
        target = day_folder(folder, table, day) / f"{PREFIX}{BATCH}-{content_key(part)}.parquet"
        write_atomically(staging(folder), target, writer_of(part))
    return Added(new.num_rows, rows.num_rows - new.num_rows)


def _stored(table: str, spec: LakeTable, rows: pa.Table, days: Iterable[Path]) -> pa.Table:
    """Return what is compared of the stored rows that could have the identity of one of `rows`."""
    bounds: Any = pc.min_max(rows[spec.time]).as_py() if rows.num_rows else {"min": None, "max": None}
    begin, end = (None, None) if spec.movable or not rows.num_rows else (bounds["min"], bounds["max"] + timedelta(microseconds=1))
    query = RowQuery(spec.compared, spec.time, begin, end)

    def attempt() -> pa.Table:
        files = [path for day in days for path in counting_files(day)]
        stored = select(files, query) if files and rows.num_rows else spec.schema.empty_table()
        return each_once(spec, evolved(table, spec, list(spec.compared), stored))

    return retried(table, attempt)


def _stored_series(table: str, stored: pa.Table, days: Iterable[Path]) -> pa.Table:
    """Return the series that the days hold within the time of `stored`, by id and names."""
    spec = spec_of(table)
    bounds: Any = pc.min_max(stored[spec.time]).as_py()
    query = RowQuery(NAMES, spec.time, bounds["min"], bounds["max"] + timedelta(microseconds=1))
    series = retried(table, lambda: select([path for day in days for path in counting_files(day)], query, distinct=True))
    return evolved(table, spec, list(NAMES), series)


def replace(folder: Path, table: str, days: Collection[date], parts: Iterable[Rows]) -> int:
    """Put parts in the place of all that the days hold; return the rows written. One day after the other, ascending.

    Parts are gathered in files of their own first, so memory is bounded by the largest part, and a day by its largest row group.
    """
    spec = spec_of(table)
    if not spec.partitioned:
        raise ConfigurationError(f"table {table!r} has no days; write it as a whole")
    sweep(staging(folder))
    with ExitStack() as stack:
        gathered = {day: stack.enter_context(_DayParts(staging(folder), spec.schema)) for day in sorted(set(days))}
        for part in parts:
            for day, rows in by_day(each_once(spec, conformed(table, spec, part)), spec.time):
                if day not in gathered:
                    days_text = ", ".join(map(str, gathered))
                    raise ContractError(
                        f"table {table!r}: a row lies on {day}; only {days_text} are replaced: cut it off or name the day"
                    )
                gathered[day].append(rows)
        return sum(_replace_day(folder, table, day, rows) for day, rows in gathered.items())


def _replace_day(folder: Path, table: str, day: date, rows: "_DayParts") -> int:
    home = day_folder(folder, table, day)
    with locked(folder, table, day):
        finish_all(home)
        old = counting_files(home)
        if rows.count or old:
            target = home / f"{PREFIX}{DAY}-{uuid.uuid4().hex[:16]}.parquet"
            put_in_place(staging(folder), target, old, rows.copy_to)
    return rows.count


class _DayParts:
    """Rows of one day on their way: a Parquet file without a name that grows part by part and goes with its process."""

    def __init__(self, where: Path, schema: pa.Schema) -> None:
        self._where = where
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None
        self._file: BinaryIO | None = None
        self.count = 0

    def __enter__(self) -> "_DayParts":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._file is not None:
            self._file.close()

    def append(self, rows: pa.Table) -> None:
        """Add rows."""
        if self._writer is None:
            self._where.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._where)  # noqa: SIM115 - closed by __exit__
            self._writer = pq.ParquetWriter(self._file, self._schema, **_options(self._schema))
        self._writer.write_table(rows, row_group_size=ROW_GROUP)
        self.count += rows.num_rows

    def copy_to(self, handle: BinaryIO) -> None:
        """Copy the whole file to another."""
        self._close()
        if self._file is None:
            pq.write_table(self._schema.empty_table(), handle)
            return
        self._file.seek(0)
        shutil.copyfileobj(self._file, handle, 1 << 20)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def content_key(rows: pa.Table) -> str:
    """Return the hash of rows: the same rows in the same order have the same key."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    return hashlib.blake2b(sink.getvalue(), digest_size=16).hexdigest()


def cut(rows: pa.Table, query: RowQuery) -> pa.Table:
    """Return the rows within the bounds that have the wanted cells."""
    rows = _within(rows, query.time, query.start, query.end)
    for column, cells in query.where.items():
        if isinstance(cells, Between):
            rows = _within(rows, column, cells.start, cells.end)
        else:
            kind = rows.schema.field(column).type
            wanted = pa.array(list(dict.fromkeys(cells)), kind if pa.types.is_integer(kind) else pa.string())
            rows = rows.filter(pc.is_in(rows[column], wanted))
    return rows


def _within(rows: pa.Table, column: str, start: datetime | None, end: datetime | None) -> pa.Table:
    if start is None and end is None:
        return rows
    kind = rows.schema.field(column).type
    if start is not None:
        rows = rows.filter(pc.greater_equal(rows[column], pa.scalar(start, kind)))
    return rows if end is None else rows.filter(pc.less(rows[column], pa.scalar(end, kind)))


def day_folder(folder: Path, table: str, day: date) -> Path:
    """Return the folder of a day."""
    return folder / table / f"day={day.isoformat()}"


def by_day(rows: pa.Table, time: str) -> Iterator[tuple[date, pa.Table]]:
    """Yield the rows of each UTC day, order kept; slices where the rows ascend in time."""
    ticks = rows.column(time).combine_chunks().view(pa.int64())
    days = np.asarray(ticks.to_numpy(zero_copy_only=False), np.int64) // _DAY_US
    if (np.diff(days) < 0).any():
        order = np.argsort(days, kind="stable")
        rows, days = rows.take(pa.array(order, pa.int64())), days[order]
    starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
    for start, end in itertools.pairwise([*starts.tolist(), len(days)]):
        yield date(1970, 1, 1) + timedelta(days=int(days[start])), rows.slice(start, end - start)


def writer_of(rows: pa.Table) -> Callable[[BinaryIO], None]:
    """Return what writes rows into an open file."""
    return lambda handle: pq.write_table(rows, handle, row_group_size=ROW_GROUP, **_options(rows.schema))


def _options(schema: pa.Schema) -> dict[str, Any]:
    # Dictionaries of measured numbers cost four times the writing and save nothing.
    repeating = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return {"compression": "zstd", "use_dictionary": repeating}
