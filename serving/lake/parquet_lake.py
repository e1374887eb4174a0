"""The lake as Parquet files: a folder a tenant, in it one a table, hive-partitioned by UTC day.

Layout: `<root>/tenant=<t>/<table>/day=YYYY-MM-DD/part-<key>.parquet`; what is not partitioned is one file,
`…/edges/part-all.parquet`. A file is whole or absent, also after a crash. Any number of processes may work on it at once: who
only reads or writes by key waits for nobody who reads; who looks before writing holds a lock that dies with its process.
"""

import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from aiops.errors import ConfigurationError
from serving.host.atomic_file import sweep, sync_folder
from serving.lake import compaction, parquet_writing
from serving.lake.day_files import PREFIX, counting_files, day_of, locked
from serving.lake.lake_tables import LAKE_TABLES, LakeTable, evolved, spec_of
from serving.lake.parquet_reading import RowQuery, activity, coded_telemetry, retried, select, span_of
from serving.lake.port import Added, Compacted, Rows, Where
from serving.lake.row_identity import each_once
from serving.lake.series_pruning import prune_series

_ROW: Final = ("timestamp", "service", "metric", "labels", "value")


class ParquetLake:
    """Implements `port.Lake` below `folder`, which is created by the first write."""

    def __init__(self, folder: Path, tenant: str) -> None:
        self._folder = folder
        self._tenant = tenant

    @property
    def tenant(self) -> str:
        """Return whose tables these are."""
        return self._tenant

    def add(self, table: str, rows: Rows) -> Added:
        """Keep rows of a table with an identity, each once (see the port)."""
        return parquet_writing.add(self._folder, table, rows)

    def write(self, table: str, rows: Rows, key: str) -> int:
        """Write rows under a key, replacing what it held (see the port)."""
        return parquet_writing.write(self._folder, table, rows, key)

    def replace(self, table: str, days: Collection[date], parts: Iterable[Rows]) -> int:
        """Put parts in the place of all that the days hold (see the port)."""
        return parquet_writing.replace(self._folder, table, days, parts)

    def compact(self, least_files: int = 8, settled_s: float = compaction.SETTLED_S) -> Compacted:
        """Merge small files (see the port)."""
        return compaction.compact(self._folder, least_files, settled_s)

    def read(
        self,
        table: str,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
    ) -> pa.Table:
        """Return rows with start <= time < end and the wanted cells (see the port)."""
        spec = spec_of(table)
        names = _known(table, spec, columns)
        query = RowQuery(names, spec.time, _bound("start", start), _bound("end", end), where or {})
        _known(table, spec, query.where or None)
        return retried(table, lambda: self._read(table, spec, query))

    def _read(self, table: str, spec: LakeTable, query: RowQuery) -> pa.Table:
        files = list(self._files(table, None if spec.movable else query.start, None if spec.movable else query.end))
        if not files:
            return evolved(table, spec, list(query.columns), spec.schema.empty_table())
        early, late = _split(spec, query)
        columns = list(dict.fromkeys((*query.columns, *spec.compared, *late.where)))
        stored = evolved(table, spec, columns, select(files, RowQuery(columns, spec.time, early.start, early.end, early.where)))
        return parquet_writing.cut(each_once(spec, stored), late).select(list(query.columns))

    def read_telemetry(self, start: datetime, end: datetime, services: Sequence[str]) -> pa.Table:
        """Return telemetry of some services, names dictionary-encoded (see the port)."""
        first, last = _utc("start", start), _utc("end", end)

        def attempt() -> pa.Table:
            rows = coded_telemetry(list(self._files("telemetry", first, last)), first, last, services)
            return each_once(spec_of("telemetry"), rows).select(_ROW) if rows.num_rows else rows.select(_ROW)

        return retried("telemetry", attempt)

    def activity(self, start: datetime, end: datetime, recent: datetime) -> pa.Table:
        """Return a row a series that has telemetry in the time (see the port)."""
        first, last, since = _utc("start", start), _utc("end", end), _utc("recent", recent)
        return retried("telemetry", lambda: activity(list(self._files("telemetry", first, last)), first, last, since))

    def newest(self, table: str) -> datetime | None:
        """Return the time of the newest row (see the port)."""
        spec = spec_of(table)

        def attempt() -> datetime | None:
            for folder in reversed(self._day_folders(table)):
                spans = [span_of(path, spec.time) for path in counting_files(folder)]
                ends = [span[1] for span in spans if span is not None]
                if ends:
                    return max(ends)
            return None

        return retried(table, attempt)

    def days(self, table: str) -> list[date]:
        """Return the days that hold rows, ascending."""
        spec = spec_of(table)
        folders = [folder for folder in self._day_folders(table) if any(counting_files(folder))] if spec.partitioned else []
        return [day_of(folder) for folder in folders]

    def keys(self, table: str, day: date) -> list[str]:
        """Return the keys that hold rows of a day, ascending."""
        spec_of(table)
        return [path.stem.removeprefix(PREFIX) for path in counting_files(self._folder / table / f"day={day.isoformat()}")]

    def count(self, table: str) -> int:
        """Return the number of rows: from the files' footers, or by reading where rows have an identity."""
        spec = spec_of(table)
        if spec.identity:
            return self.read(table, columns=[spec.time]).num_rows
        return retried(table, lambda: sum(pq.read_metadata(path).num_rows for path in self._files(table, None, None)))

    def version(self, table: str) -> str:
        """Return a word that changes with every change of an unpartitioned table; one system call."""
        try:
            entry = (self._folder / table / f"{PREFIX}all.parquet").stat()
        except FileNotFoundError:
            return ""
        return f"{entry.st_ino}-{entry.st_mtime_ns}-{entry.st_size}"

    def exclusive(self, table: str) -> AbstractContextManager[None]:
        """Wait for and hold the right to read, change and write a table."""
        spec_of(table)
        return locked(self._folder, f"{table}.change", None)

    def folder(self, table: str) -> Path:
        """Return the folder of a table, for Feast."""
        spec_of(table)
        return self._folder / table

    def retain(self, now: datetime, days: int, signals: bool = False) -> int:
        """Delete day partitions that ended `days` days before today or earlier (see the port)."""
        if days < 1:
            name = "signals_retention_days" if signals else "retention_days"
            raise ConfigurationError(f"days is {days}; retention keeps at least 1 day: set telemetry.{name} to 1 or more")
        oldest = _utc("now", now).date() - timedelta(days=days)
        sweep(parquet_writing.staging(self._folder))
        for trash in self._folder.glob(".expired-*"):
            shutil.rmtree(trash, ignore_errors=True)
        expired = 0
        for table, spec in LAKE_TABLES.items():
            for folder in self._day_folders(table) if spec.expires and spec.signal == signals else ():
                expired += int(day_of(folder) < oldest and self._expire(folder))
        return expired

    def prune_series(self, newest: datetime, retention_days: int) -> int:
        """Take from the catalogue the series of which nothing is there and that nobody defines (see the port)."""
        return prune_series(self, _utc("newest", newest), retention_days)

    def _expire(self, folder: Path) -> bool:
        trash = self._folder / f".expired-{uuid.uuid4().hex}"
        try:
            folder.rename(trash)
        except FileNotFoundError:
            return False  # another process was faster
        sync_folder(folder.parent)
        shutil.rmtree(trash, ignore_errors=True)
        return True

    def _day_folders(self, table: str) -> list[Path]:
        return sorted((self._folder / table).glob("day=????-??-??"))

    def _files(self, table: str, start: datetime | None, end: datetime | None) -> Iterator[Path]:
        if not LAKE_TABLES[table].partitioned:
            yield from (self._folder / table).glob(f"{PREFIX}*.parquet")
            return
        for folder in self._day_folders(table):
            day = day_of(folder)
            if (start is None or day >= start.date()) and (end is None or day <= end.date()):
                yield from counting_files(folder)


def _split(spec: LakeTable, query: RowQuery) -> tuple[RowQuery, RowQuery]:
    """Return what may be left out before the rows that count are known, and what only afterwards."""
    if not spec.identity:
        return query, RowQuery(query.columns, spec.time)
    sure = {*spec.identity} if spec.movable else {spec.time, *spec.identity, "service"}
    early = {column: cells for column, cells in query.where.items() if column in sure}
    late = {column: cells for column, cells in query.where.items() if column not in sure}
    bounds = (query.start, query.end)
    before, after = ((None, None), bounds) if spec.movable else (bounds, (None, None))
    return RowQuery(query.columns, spec.time, *before, early), RowQuery(query.columns, spec.time, *after, late)


def _known(table: str, spec: LakeTable, columns: Collection[str] | None) -> list[str]:
    names = list(spec.schema.names if columns is None else columns)
    if not names:
        raise ConfigurationError(f"no column of table {table!r} is asked for; name one or leave columns out to get all")
    unknown = [name for name in names if name not in spec.schema.names]
    if unknown:
        columns_text = ", ".join(spec.schema.names)
        raise ConfigurationError(f"table {table!r} has no column {', '.join(unknown)}; its columns: {columns_text}")
    return names


def _bound(name: str, moment: datetime | None) -> datetime | None:
    return None if moment is None else _utc(name, moment)


def _utc(name: str, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ConfigurationError(f"{name} {moment.isoformat()} has no time zone; times are aware UTC: add tzinfo=UTC")
    return moment.astimezone(UTC)
