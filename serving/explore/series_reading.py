"""Series of one tenant: which there are, and one over a range with its band and detections."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.values.moments import microseconds_of
from serving.explore.band_reading import band_columns
from serving.explore.known_cache import KnownCache
from serving.explore.point_buckets import PointBuckets
from serving.explore.series_views import DetectionMark, SeriesLine, SeriesPage, SeriesPoints
from serving.lake.port import Lake
from serving.tables.series_answers import KnownSeries, SeriesAnswer, SeriesFilter

MOST_MARKS: Final = 500
_PART: Final = timedelta(days=7)
"""Points of so long are in memory at a time."""
_MARKS: Final = ("timestamp", "detection_id", "revision", "series_id", "metric", "value", "score", "tier", "anomalous", "reason")


@dataclass(frozen=True, slots=True)
class PointRange:
    """[since, until) in at most `most` points; compared with what lay `offset_s` before, 0 = with nothing."""

    since: datetime
    until: datetime
    most: int
    offset_s: int = 0


class SeriesReader:
    """Reads series of a lake. Thread-safe; keeps nothing but what `known` keeps."""

    def __init__(self, lake: Lake, known: KnownCache) -> None:
        self._lake = lake
        self._known = known

    def page(self, chosen: SeriesFilter, limit: int, after: int | None) -> SeriesPage:
        """Return series that match, those behind the series `after` where one is given.

        Raises:
            LookupError: `after` is not known.
        """
        listed = self._series().listed(chosen, limit, after)
        items = tuple(map(line_of, listed.answers))
        return SeriesPage(items, items[-1].series_id if listed.more else "", listed.matching)

    def line(self, series_id: int) -> SeriesLine | None:
        """Return one series, None where it is not known."""
        known = self._series().answer(series_id)
        return None if known is None else line_of(known)

    def newest(self) -> datetime | None:
        """Return the time of the newest point of all, None where there is none."""
        return self._lake.newest("telemetry")

    def points(self, series: SeriesLine, chosen: PointRange) -> SeriesPoints:
        """Return a series over a range. Memory: the points of a week, and the columns."""
        series_id, zero = int(series.series_id), timedelta()
        buckets = self._gathered(series_id, chosen, zero)
        offset = timedelta(seconds=chosen.offset_s)
        compared = self._gathered(series_id, chosen, offset).columns() if offset else None
        return SeriesPoints(
            series,
            chosen.since,
            chosen.until,
            buckets.columns(),
            chosen.offset_s,
            compared,
            band_columns(self._lake, series_id, buckets.grid_us),
            self._marks(series, chosen),
        )

    def _series(self) -> KnownSeries:
        return self._known.of(self._lake)

    def _gathered(self, series_id: int, chosen: PointRange, offset: timedelta) -> PointBuckets:
        buckets = PointBuckets(microseconds_of(chosen.since), microseconds_of(chosen.until), chosen.most)
        start, end, shift_us = chosen.since - offset, chosen.until - offset, offset // timedelta(microseconds=1)
        while start < end:
            part_end = min(start + _PART, end)
            rows = self._lake.read("telemetry", start, part_end, ("timestamp", "value"), {"series_id": [series_id]})
            buckets.add(rows["timestamp"].cast(pa.int64()).to_numpy() + shift_us, rows["value"].to_numpy())
            start = part_end
        return buckets

    def _marks(self, series: SeriesLine, chosen: PointRange) -> tuple[DetectionMark, ...]:
        rows = self._lake.read("detections", chosen.since, chosen.until, _MARKS, {"service": [series.service]})
        newest = rows.filter(_last_words(rows))
        anomalies = newest.filter(newest["anomalous"])
        shown = anomalies.slice(max(0, anomalies.num_rows - MOST_MARKS)).to_pylist()
        return tuple(_mark(row, int(series.series_id)) for row in shown)


def line_of(known: SeriesAnswer) -> SeriesLine:
    """Return a series as the API answers it."""
    return SeriesLine(
        known.series_id,
        known.name,
        known.service,
        known.metric,
        known.labels,
        known.kind,
        known.role,
        known.unit,
        known.why,
        known.scored,
        known.first_seen_at,
        known.last_at,
        known.points_per_minute,
    )


def _last_words(rows: pa.Table) -> "pa.Array[Any]":
    """Return which rows, in order of time, id and revision, are the newest revision of their detection."""
    ids = rows["detection_id"].combine_chunks()
    if len(ids) < 2:
        return pa.array(np.ones(len(ids), np.bool_))
    differs: Any = pc.not_equal(ids[:-1], ids[1:])
    return pa.concat_arrays([differs, pa.array([True])])


def _mark(row: dict[str, Any], series_id: int) -> DetectionMark:
    return DetectionMark(
        row["detection_id"],
        row["timestamp"],
        row["series_id"] == series_id,
        row["metric"],
        row["value"],
        row["score"],
        row["tier"],
        row["reason"],
    )
