"""The lake: Parquet below one folder, a folder a table, hive-partitioned by UTC day, read through DuckDB.

Layout: `<root>/<table>/day=YYYY-MM-DD/part-<key>.parquet`; what is not partitioned is one file, `<root>/edges/part-all.parquet`.
A file is whole or absent, also after a crash. Writing a key again replaces its rows, so a writer that repeats itself doubles
nothing; a key whose rows span days is one file a day, and a crash between them is healed by writing the key again.
Any number of processes may read, write and retain at once.
"""

import glob
import itertools
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aiops.errors import ConfigurationError, StateError
from data_contracts.schemas import TIMESTAMP
from serving.atomic_file import sweep, sync_folder, write_atomically
from serving.lake_tables import LAKE_TABLES, LakeTable, conformed, evolved

Answer = TypeVar("Answer")

_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}")
_DAY_US: Final = 86_400_000_000
_ATTEMPTS: Final = 8
_NAMES: Final = pa.dictionary(pa.int32(), pa.string())
_SERIES: Final = pa.schema([("timestamp", TIMESTAMP), ("service", _NAMES), ("metric", _NAMES), ("value", pa.float64())])


class Lake:
    """Tables of `lake_tables.LAKE_TABLES` below `root`, which is created by the first write."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._staging = root / ".staging"

    @property
    def root(self) -> Path:
        """Return the folder that holds the tables; it may not exist yet."""
        return self._root

    def write(self, table: str, rows: pa.Table | pa.RecordBatch, key: str) -> int:
        """Write rows under `key`, replacing what the key held; return their number. Durable when it returns.

        The call graph ("edges") and the characters of series are replaced as a whole, whatever the key.

        Raises:
            ContractError: the rows do not fit the table's schema; the message names the difference.
            ConfigurationError: the table is unknown or the key is no file name.
        """
        spec = _spec(table)
        if not _KEY.fullmatch(key):
            raise ConfigurationError(
                f"key {key!r} cannot name a file; use 1 to 120 of letters, digits, '_', '-' and '.', not starting with '-' or '.'"
            )
        whole = conformed(table, spec, rows)
        sweep(self._staging)
        if not spec.partitioned:
            self._write_file(self._root / table / "part-all.parquet", whole)
            return int(whole.num_rows)
        written = set()
        for day, part in _by_day(whole, spec.time):
            target = self._folder(table, day) / f"part-{key}.parquet"
            self._write_file(target, part)
            written.add(target)
        for stale in set((self._root / table).glob(f"day=*/part-{key}.parquet")) - written:
            stale.unlink(missing_ok=True)
        return int(whole.num_rows)

    def read(
        self, table: str, start: datetime | None = None, end: datetime | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return rows with start <= time < end in the order of day, key and writing; an empty table where there are none.

        Only the days concerned are opened. Columns default to all of the schema.

        Raises:
            ConfigurationError: the table or a column is unknown, or a time has no zone.
            StateError: a file is damaged.
        """
        spec = _spec(table)
        names = _known(table, spec, columns)
        first, last = _bound("start", start), _bound("end", end)

        def attempt() -> pa.Table:
            files = [str(path) for path in self._files(table, first, last)]
            found = _select(files, names, spec.time, (first, last)) if files else spec.schema.empty_table()
            return evolved(table, spec, names, found)

        return _retried(table, attempt)

    def read_telemetry(self, start: datetime, end: datetime, services: Sequence[str]) -> pa.Table:
        """Return telemetry of some services with start <= timestamp < end: timestamp, service, metric, value.

        Names are dictionary-encoded: seven times as fast as `read`, and a quarter of the memory.

        Raises:
            ConfigurationError: a time has no zone.
            StateError: a file is damaged.
        """
        first, last = _utc("start", start), _utc("end", end)

        def attempt() -> pa.Table:
            parts = [_encoded(path, first, last) for path in self._files("telemetry", first, last)]
            found = pa.concat_tables([_SERIES.empty_table(), *parts])
            whole = found.unify_dictionaries().combine_chunks()
            return whole.filter(_wanted(whole, (first, last), services)) if whole.num_rows else whole

        return _retried("telemetry", attempt)

    def days(self, table: str) -> list[date]:
        """Return the days that hold rows, ascending; none for a table that is not partitioned."""
        spec = _spec(table)
        folders = sorted({path.parent for path in self._files(table, None, None)}) if spec.partitioned else []
        return [_day_of(folder) for folder in folders]

    def keys(self, table: str, day: date) -> list[str]:
        """Return the keys that hold rows of a day, ascending."""
        _spec(table)
        return sorted(path.stem.removeprefix("part-") for path in self._folder(table, day).glob("part-*.parquet"))

    def count(self, table: str) -> int:
        """Return the number of rows, read from the files' footers."""
        _spec(table)
        return _retried(table, lambda: sum(pq.read_metadata(path).num_rows for path in self._files(table, None, None)))

    def retain(self, now: datetime, days: int) -> int:
        """Delete day partitions that ended `days` days before today or earlier; return how many. Labels and graph stay.

        A day vanishes at once for new readers; readers on their way keep or repeat what they opened.

        Raises:
            ConfigurationError: `days` is below 1 or `now` has no zone.
        """
        if days < 1:
            raise ConfigurationError(f"days is {days}; retention keeps at least 1 day: set telemetry.retention_days to 1 or more")
        moment = _bound("now", now)
        sweep(self._staging)
        for trash in self._root.glob(".expired-*"):
            shutil.rmtree(trash, ignore_errors=True)
        if moment is None:
            return 0
        oldest = moment.date() - timedelta(days=days)
        expired = 0
        for table, spec in LAKE_TABLES.items():
            for folder in self._day_folders(table) if spec.expires else ():
                expired += int(_day_of(folder) < oldest and self._expire(folder))
        return expired

    def _expire(self, folder: Path) -> bool:
        trash = self._root / f".expired-{uuid.uuid4().hex}"
        try:
            folder.rename(trash)
        except FileNotFoundError:
            return False  # another process was faster
        sync_folder(folder.parent)
        shutil.rmtree(trash, ignore_errors=True)
        return True

    def _write_file(self, target: Path, rows: pa.Table) -> None:
        # Dictionaries of measured numbers cost four times the writing and save nothing.
        repeating: Any = [field.name for field in rows.schema if not pa.types.is_floating(field.type)]
        write_atomically(
            self._staging, target, lambda handle: pq.write_table(rows, handle, compression="zstd", use_dictionary=repeating)
        )

    def _folder(self, table: str, day: date) -> Path:
        return self._root / table / f"day={day.isoformat()}"

    def _day_folders(self, table: str) -> list[Path]:
        return sorted((self._root / table).glob("day=????-??-??"))

    def _files(self, table: str, start: datetime | None, end: datetime | None) -> Iterator[Path]:
        if not LAKE_TABLES[table].partitioned:
            yield from (self._root / table).glob("part-*.parquet")
            return
        for folder in self._day_folders(table):
            day = _day_of(folder)
            if (start is None or day >= start.date()) and (end is None or day <= end.date()):
                yield from sorted(folder.glob("part-*.parquet"))


def _encoded(path: Path, first: datetime, last: datetime) -> pa.Table:
    """Return the telemetry of a file's row groups that reach into a time, names dictionary-encoded."""
    with pq.ParquetFile(path, read_dictionary=["service", "metric"]) as file:
        column = file.schema_arrow.names.index("timestamp")
        groups = []
        for number in range(file.num_row_groups):
            told: Any = file.metadata.row_group(number).column(column).statistics
            if told is None or not told.has_min_max or (told.min < last and told.max >= first):
                groups.append(number)
        found: pa.Table = file.read_row_groups(groups, columns=_SERIES.names).cast(_SERIES)
        return found


def _wanted(rows: pa.Table, bounds: tuple[datetime, datetime], services: Sequence[str]) -> "pa.Array[Any]":
    """Return which rows lie within the bounds and have a wanted service; a column has one dictionary."""
    coded: Any = rows["service"].combine_chunks()
    known: pa.Array[Any] = pc.is_in(coded.dictionary, pa.array(list(services), pa.string()))
    times = rows["timestamp"].combine_chunks()
    inside = pc.and_(pc.greater_equal(times, pa.scalar(bounds[0])), pc.less(times, pa.scalar(bounds[1])))
    both: pa.Array[Any] = pc.and_(known.take(coded.indices), inside)
    return both


def _spec(table: str) -> LakeTable:
    spec = LAKE_TABLES.get(table)
    if spec is None:
        raise ConfigurationError(f"table {table!r} is unknown; tables of the lake: {', '.join(LAKE_TABLES)}")
    return spec


def _known(table: str, spec: LakeTable, columns: Sequence[str] | None) -> list[str]:
    names = list(spec.schema.names if columns is None else columns)
    if not names:
        raise ConfigurationError(f"no column of table {table!r} is asked for; name one or leave columns out to get all")
    unknown = [name for name in names if name not in spec.schema.names]
    if unknown:
        known = ", ".join(spec.schema.names)
        raise ConfigurationError(f"table {table!r} has no column {', '.join(unknown)}; its columns: {known}")
    return names


def _bound(name: str, moment: datetime | None) -> datetime | None:
    return None if moment is None else _utc(name, moment)


def _utc(name: str, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ConfigurationError(f"{name} {moment.isoformat()} has no time zone; times are aware UTC: add tzinfo=UTC")
    return moment.astimezone(UTC)


def _day_of(folder: Path) -> date:
    return date.fromisoformat(folder.name.removeprefix("day="))


def _by_day(rows: pa.Table, time: str) -> Iterator[tuple[date, pa.Table]]:
    """Yield the rows of each UTC day, order kept; slices where the rows ascend in time."""
    ticks = rows.column(time).combine_chunks().view(pa.int64())
    days = np.asarray(ticks.to_numpy(zero_copy_only=False), np.int64) // _DAY_US
    if (np.diff(days) < 0).any():
        order = np.argsort(days, kind="stable")
        rows, days = rows.take(pa.array(order, pa.int64())), days[order]
    starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
    for start, end in itertools.pairwise([*starts.tolist(), len(days)]):
        yield date(1970, 1, 1) + timedelta(days=int(days[start])), rows.slice(start, end - start)


def _select(files: list[str], names: list[str], time: str, bounds: tuple[datetime | None, datetime | None]) -> pa.Table:
    """Read the columns that the files have, through DuckDB in UTC, with nothing fetched from the network."""
    offline: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    with duckdb.connect(":memory:", config=offline) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        escaped = [glob.escape(path) for path in files]
        stored = connection.read_parquet(escaped, union_by_name=True, hive_partitioning=False)
        present = [name for name in names if name in stored.columns]
        limits = [(sign, bound) for sign, bound in zip((">=", "<"), bounds, strict=True) if bound is not None]
        for sign, bound in limits:
            stored = stored.filter(f"\"{time}\" {sign} TIMESTAMPTZ '{bound.isoformat(sep=' ')}'")
        table: pa.Table = stored.select(*(duckdb.ColumnExpression(name) for name in present)).to_arrow_table()
        return table


def _retried(table: str, attempt: Callable[[], Answer]) -> Answer:
    """Run `attempt`, again where a file that was listed has been replaced or has expired meanwhile."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            return attempt()
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            vanished = isinstance(error, (duckdb.IOException, FileNotFoundError))
            if not vanished or left == 0:
                raise StateError(f"table {table!r} of the lake cannot be read: {error}") from error
    raise AssertionError("unreachable: the last attempt returns or raises")
