"""Reading Parquet files of one table: filters go down to the row groups, times are UTC, nothing is fetched from the network."""

import glob
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aiops.errors import StateError
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from serving.lake.lake_tables import LAKE_TABLES
from serving.lake.port import Between, Where

Answer = TypeVar("Answer")

_ATTEMPTS: Final = 8
_CODED: Final = pa.dictionary(pa.int32(), pa.string())
_TELEMETRY: Final = LAKE_TABLES["telemetry"]


def _coded(column: "pa.Field[Any]") -> "pa.Field[Any]":
    return column.with_type(_CODED) if pa.types.is_string(column.type) else column


CODED_TELEMETRY: Final = pa.schema([_coded(column) for column in _TELEMETRY.schema])
"""What reading telemetry of some services decodes: texts dictionary-encoded, seven times as fast and a quarter of the memory."""


_KINDS: Final[dict[str, Any]] = {
    "series_id": pa.int64(),
    "service": pa.string(),
    "metric": pa.string(),
    "labels": pa.string(),
    "oldest": TIMESTAMP,
    "newest": TIMESTAMP,
    "recent_points": pa.int64(),
}
ACTIVITY: Final = pa.schema(_KINDS)
"""What is known of the points of each series within a time."""


@dataclass(frozen=True, slots=True)
class RowQuery:
    """Columns, the time column with its bounds (inclusive, exclusive), and cells of other columns."""

    columns: Sequence[str]
    time: str
    start: datetime | None = None
    end: datetime | None = None
    where: Where = field(default_factory=dict)


def select(files: Sequence[Path], query: RowQuery, distinct: bool = False) -> pa.Table:
    """Return the wanted rows in the files' order, with those of the wanted columns that any file has.

    Args:
        files: Parquet files.
        query: which columns and rows.
        distinct: each row once, in any order.

    Raises:
        FileNotFoundError: a file is gone; `retried` lists the files again.
        duckdb.Error: a file cannot be read.
    """
    return _steady(files, lambda: read_once(files, query, distinct))


def _steady(files: Sequence[Path], read: Callable[[], pa.Table]) -> pa.Table:
    """Return what is read of files that nobody replaces meanwhile.

    DuckDB opens a file more than once for one answer. Where another process put a new file in its place meanwhile, the footer of
    one is read with the pages of the other. So an answer during which a file changed is asked for again, a bounded number of
    times: where files are replaced without a pause, the last answer counts.
    """
    for left in reversed(range(_ATTEMPTS)):
        before = _identities(files)
        try:
            rows = read()
        except duckdb.Error:
            if left == 0 or _identities(files) == before:
                raise
            continue
        if left == 0 or _identities(files) == before:
            return rows
    raise AssertionError("unreachable: the last attempt returns or raises")


def read_once(files: Sequence[Path], query: RowQuery, distinct: bool) -> pa.Table:
    """Return what `select` does, of files that nobody replaces meanwhile."""
    with _offline() as connection:
        escaped = [glob.escape(str(path)) for path in files]
        stored = connection.read_parquet(escaped, union_by_name=True, hive_partitioning=False)
        present = [name for name in query.columns if name in stored.columns]
        for condition in _conditions(query):
            stored = stored.filter(condition)
        chosen = stored.select(*(duckdb.ColumnExpression(name) for name in present))
        table: pa.Table = (chosen.distinct() if distinct else chosen).to_arrow_table()
        return table


def activity(files: Sequence[Path], first: datetime, last: datetime, recent: datetime) -> pa.Table:
    """Return ACTIVITY of the telemetry in [first, last), in any order; raises as `select`."""
    return _steady(files, lambda: _activity(files, first, last, recent)) if files else ACTIVITY.empty_table()


def _activity(files: Sequence[Path], first: datetime, last: datetime, recent: datetime) -> pa.Table:
    names = ", ".join(f"any_value({name}) AS {name}" for name in ("service", "metric", "labels"))
    fresh = f"count(DISTINCT timestamp) FILTER (timestamp >= TIMESTAMPTZ '{recent.isoformat()}')"
    with _offline() as connection:
        stored = connection.read_parquet([glob.escape(str(path)) for path in files], union_by_name=True, hive_partitioning=False)
        for condition in _conditions(RowQuery(ACTIVITY.names, "timestamp", first, last)):
            stored = stored.filter(condition)
        times = f"min(timestamp) AS oldest, max(timestamp) AS newest, {fresh} AS recent_points"
        series = stored.aggregate(f"series_id, {names}, {times}", "series_id")
        rows: pa.Table = series.to_arrow_table().cast(ACTIVITY)
        return rows


def _offline() -> duckdb.DuckDBPyConnection:
    """Return a connection of UTC that fetches nothing from the network."""
    offline: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    connection = duckdb.connect(":memory:", config=offline)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _identities(files: Sequence[Path]) -> list[tuple[int, int, int]]:
    """Return inode, time of change in ns and size of every file."""
    states = [path.stat() for path in files]
    return [(state.st_ino, state.st_mtime_ns, state.st_size) for state in states]


def _conditions(query: RowQuery) -> list[duckdb.Expression]:
    time, conditions = duckdb.ColumnExpression(query.time), []
    if query.start is not None:
        conditions.append(time >= duckdb.ConstantExpression(query.start))
    if query.end is not None:
        conditions.append(time < duckdb.ConstantExpression(query.end))
    for column, cells in query.where.items():
        if isinstance(cells, Between):
            named = duckdb.ColumnExpression(column)
            conditions += [named >= duckdb.ConstantExpression(cells.start), named < duckdb.ConstantExpression(cells.end)]
            continue
        constants = [duckdb.ConstantExpression(cell) for cell in dict.fromkeys(cells)]
        isin = duckdb.ColumnExpression(column).isin(*constants) if constants else duckdb.ConstantExpression(False)
        conditions.append(isin)
    return conditions


def coded_telemetry(files: Sequence[Path], first: datetime, last: datetime, services: Collection[str]) -> pa.Table:
    """Return telemetry of some services in [first, last), `CODED_TELEMETRY`, one chunk, in the files' order."""
    parts = [_row_groups(path, first, last) for path in files]
    telemetry = pa.concat_tables([CODED_TELEMETRY.empty_table(), *parts]).unify_dictionaries().combine_chunks()
    return telemetry.filter(_inside(telemetry, first, last, services)) if telemetry.num_rows else telemetry


def _row_groups(path: Path, first: datetime, last: datetime) -> pa.Table:
    texts = [column.name for column in CODED_TELEMETRY if column.type.equals(_CODED)]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        spans = _spans(file.metadata, "timestamp")
        groups = [number for number, span in enumerate(spans) if span is None or (span[0] < last and span[1] >= first)]
        rows: pa.Table = file.read_row_groups(groups, columns=CODED_TELEMETRY.names).cast(CODED_TELEMETRY)
        return rows


def _inside(rows: pa.Table, first: datetime, last: datetime, services: Collection[str]) -> "pa.Array[Any]":
    """Return which rows lie in [first, last) and have a wanted service; a column has one dictionary."""
    coded: Any = rows["service"].combine_chunks()
    known: pa.Array[Any] = pc.is_in(coded.dictionary, pa.array(list(services), pa.string()))
    times = rows["timestamp"].combine_chunks()
    inside = pc.and_(pc.greater_equal(times, pa.scalar(first)), pc.less(times, pa.scalar(last)))
    both: pa.Array[Any] = pc.and_(known.take(coded.indices), inside)
    return both


def span_of(path: Path, time: str) -> tuple[datetime, datetime] | None:
    """Return the first and last time of a file, None where it has no rows; from statistics alone where they are there."""
    metadata = pq.read_metadata(path)
    spans = [span for span in _spans(metadata, time) if span is not None]
    if len(spans) == metadata.num_row_groups and spans:
        return min(begin for begin, _ in spans), max(end for _, end in spans)
    column = pq.read_table(path, columns=[time], partitioning=None)[time]
    bounds: Any = pc.min_max(column).as_py()
    return None if bounds["min"] is None else (bounds["min"], bounds["max"])


def _spans(metadata: Any, time: str) -> list[tuple[datetime, datetime] | None]:
    """Return the first and last time of every row group, None where its statistics do not say."""
    column = metadata.schema.to_arrow_schema().names.index(time)
    spans: list[tuple[datetime, datetime] | None] = []
    for number in range(metadata.num_row_groups):
        statistics = metadata.row_group(number).column(column).statistics
        has_bounds = statistics is not None and statistics.has_min_max
        spans.append((statistics.min.astimezone(UTC), statistics.max.astimezone(UTC)) if has_bounds else None)
    return spans


def retried(table: str, attempt: Callable[[], Answer]) -> Answer:
    """Run `attempt`, again where a file that was listed has been replaced or has expired meanwhile.

    Raises:
        StateError: a file cannot be read.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            return attempt()
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            vanished = isinstance(error, (duckdb.IOException, FileNotFoundError))
            if not vanished or left == 0:
                raise StateError(f"table {table!r} of the lake cannot be read: {error}") from error
    raise AssertionError("unreachable: the last attempt returns or raises")
