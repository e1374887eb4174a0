"""The reader asks the lake for one tenant's series, a week at a time, and shows of each detection its newest word."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from aiops.features.bands import NO_BAND, UNSEEN
from data_contracts.series.key import SeriesKey
from data_contracts.series.series_name import SeriesName
from data_contracts.values.moments import microseconds_of
from serving.explore.band_reading import band_columns
from serving.explore.known_cache import KnownCache
from serving.explore.series_reading import PointRange, SeriesReader
from serving.lake.lake_tables import LAKE_TABLES
from serving.lake.parquet_reading import ACTIVITY
from serving.lake.port import Lake, Where
from serving.online.seasonal_bands import band_rows
from tests.testing.explored_lake import NOON, stored
from tests.testing.season_bands import flat_bands
from tests.testing.signal_entries import catalogue

KEY = SeriesKey("acme", "cart", "latency")
NAME = SeriesName(KEY.series_id, KEY.service, KEY.metric, "")


@dataclass
class MemoryLake:
    """Tables in memory; remembers what was read of telemetry, and how often activity was asked for."""

    tenant: str = "acme"
    tables: dict[str, pa.Table] = field(default_factory=dict)
    reads: list[tuple[datetime, datetime, Where]] = field(default_factory=list)
    looks: int = 0

    def read(
        self,
        table: str,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
    ) -> pa.Table:
        rows = self.tables.get(table, LAKE_TABLES[table].schema.empty_table())
        if table == "telemetry":
            assert start is not None
            assert end is not None
            self.reads.append((start, end, where or {}))
            times = rows["timestamp"].to_pylist()
            rows = rows.filter(pa.array([start <= at < end for at in times], pa.bool_()))
        return rows if columns is None else rows.select(list(columns))

    def newest(self, table: str) -> datetime | None:
        return None

    def activity(self, start: datetime, end: datetime, recent: datetime) -> pa.Table:
        self.looks += 1
        return ACTIVITY.empty_table()


def as_lake(lake: MemoryLake) -> Lake:
    return cast("Lake", lake)


def test_a_long_range_is_read_a_week_at_a_time() -> None:
    times = [NOON + timedelta(days=day) for day in range(30)]
    lake = MemoryLake(tables={"telemetry": stored(KEY, times, [float(day) for day in range(30)]), "series": catalogue([KEY])})
    reader = SeriesReader(as_lake(lake), KnownCache())
    line = reader.line(KEY.series_id)
    assert line is not None
    answer = reader.points(line, PointRange(NOON, NOON + timedelta(days=30), 100))
    assert answer.points.mean == [float(day) for day in range(30)]
    assert max(end - start for start, end, _ in lake.reads) == timedelta(days=7)
    assert all(where == {"series_id": [KEY.series_id]} for _, _, where in lake.reads)


def test_what_is_known_is_looked_up_again_after_a_while_and_for_each_tenant() -> None:
    at = [0.0]
    cache = KnownCache(kept_s=15.0, most=1, clock=lambda: at[0])
    own, other = MemoryLake("acme", {"series": catalogue([KEY])}), MemoryLake("shop")
    assert cache.of(as_lake(own)).answer(KEY.series_id) is not None
    at[0] = 14.9
    cache.of(as_lake(own))
    assert own.looks == 1
    assert cache.of(as_lake(other)).answer(KEY.series_id) is None
    cache.of(as_lake(own))  # the other one took its place
    assert own.looks == 2
    at[0] = 30.0
    cache.of(as_lake(own))
    assert own.looks == 3


def test_the_band_of_a_time_is_the_one_made_last_before_it() -> None:
    nights = [flat_bands(NAME.text, NOON), flat_bands(NAME.text, NOON + timedelta(days=1))]
    nights[1].expected[:] = 200.0
    lake = as_lake(MemoryLake(tables={"seasonal_bands": pa.Table.from_batches([band_rows(nights, [NAME] * 2, NOON)])}))
    hours = [-1, 0, 23, 24, 71, 73]
    grid = np.array([microseconds_of(NOON + timedelta(hours=hour)) for hour in hours])
    band = band_columns(lake, KEY.series_id, grid)
    assert band.expected == pytest.approx([np.nan, 100.0, 100.0, 200.0, 200.0, np.nan], nan_ok=True)
    assert (band.model, band.status) == ("seasonal-profile", "established")
    late = band_columns(lake, KEY.series_id, grid[-1:])
    assert late.time_s == []
    assert late.status.startswith("bands are stale")


def test_without_a_band_its_absence_is_said() -> None:
    assert band_columns(as_lake(MemoryLake()), 1, np.array([0])).status == NO_BAND
    unseen = flat_bands(NAME.text, NOON)
    unseen.expected[:] = np.nan
    lake = as_lake(MemoryLake(tables={"seasonal_bands": pa.Table.from_batches([band_rows([unseen], [NAME], NOON)])}))
    assert band_columns(lake, KEY.series_id, np.array([microseconds_of(NOON)])).status == UNSEEN
