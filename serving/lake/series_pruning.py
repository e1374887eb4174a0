"""The catalogue of series without those of which nothing is kept any more.

A row stays while the lake has telemetry or exemplars of its series, or of one of its histogram, and while its series is defined:
the consumer gives the rows of such series again every week. So a series that sends once more always has its row. Rows younger
than the days are not looked at.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aiops.types import IntArray
from serving.lake.day_files import counting_files
from serving.lake.parquet_reading import retried
from serving.lake.port import Lake

TABLE: Final = "series"
LEAST_DAYS: Final = 14
"""The catalogue goes back so far at least: twice as long as until a row is given again."""


def prune_series(lake: Lake, newest: datetime, retention_days: int) -> int:
    """Take from the catalogue what first came before the days, and of which nothing is there; return how many rows.

    `newest`: time of the newest telemetry. Memory: the ids of the catalogue.
    """
    oldest = newest.astimezone(UTC).date() - timedelta(days=max(retention_days, LEAST_DAYS))
    with lake.exclusive(TABLE):
        days = [day for day in lake.days(TABLE) if day < oldest]
        if not days:
            return 0
        begin = datetime.combine(oldest, time(), UTC)
        recent = retried(TABLE, lambda: _given_since(lake, oldest))
        rows = lake.read(TABLE, end=begin)
        kept = rows.filter(pa.array(_is_kept(rows, recent, _seen(lake, newest))))
        pruned = rows.num_rows - kept.num_rows
        if pruned:
            lake.replace(TABLE, days, iter([kept]))
        return pruned


def _seen(lake: Lake, newest: datetime) -> IntArray:
    """Return the ids of which the lake has rows."""
    parts = [_ids(lake.read("exemplars", columns=["series_id"]), "series_id")]
    for day in lake.days("telemetry"):
        begin = datetime.combine(day, time(), UTC)
        end = begin + timedelta(days=1)
        parts.append(_ids(lake.activity(begin, end, end), "series_id"))
    return np.unique(np.concatenate(parts))


def _is_kept(rows: pa.Table, recent: pa.Table, seen: IntArray) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return (n,) which rows stay: their series, or one of their histogram, is seen or was given again of late."""
    alive = np.union1d(seen, _ids(recent, "series_id"))
    ids, family = _ids(rows, "series_id"), _ids(rows, "family_id")
    living = np.isin(ids, alive)
    families = np.union1d(family[living & (family != 0)], np.unique(_ids(recent, "family_id")))
    return np.asarray(living | ((family != 0) & np.isin(family, families)), np.bool_)


def _given_since(lake: Lake, oldest: date) -> pa.Table:
    """Return ids and families of all rows of the days since then, also of series whose first row is older."""
    fields = [pa.field("series_id", pa.int64()), pa.field("family_id", pa.int64())]
    parts = [
        pq.read_table(path, columns=[field.name for field in fields])
        for day in lake.days(TABLE)
        if day >= oldest
        for path in counting_files(lake.folder(TABLE) / f"day={day.isoformat()}")
    ]
    return pa.concat_tables([pa.schema(fields).empty_table(), *parts], promote_options="default")


def _ids(rows: pa.Table, column: str) -> IntArray:
    """Return a column of ids, 0 where there is none."""
    cells: Any = rows[column]
    ids: IntArray = np.asarray(cells.fill_null(0).to_numpy(), np.int64)
    return ids
