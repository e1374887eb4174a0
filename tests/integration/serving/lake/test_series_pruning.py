"""The catalogue lets go of series of which nothing is left, and of none that is alive, has rows, or is part of one that has."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from data_contracts.schemas.telemetry_schemas import LAKE_TELEMETRY
from data_contracts.schemas.wire_schemas import EXEMPLARS, SERIES_CATALOGUE
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from serving.lake.series_pruning import LEAST_DAYS

NEWEST = datetime(2026, 3, 31, 12, tzinfo=UTC)
DAYS = 30


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path).for_tenant("default")


def ago(days: float) -> datetime:
    return NEWEST - timedelta(days=days)


def define(lake: Lake, series_id: int, days: float, family: int | None = None) -> None:
    texts = {"service": "web", "metric": f"m{series_id}", "labels": "", "role": "value", "why": "test"}
    row = {"series_id": series_id, **texts, "family_id": family, "bound": None, "unit": None, "scored": True}
    rows = pa.Table.from_pylist([{**row, "first_seen_at": ago(days)}], schema=SERIES_CATALOGUE)
    lake.write("series", rows, key=f"of-{series_id}-{days}")


def point(lake: Lake, series_id: int, days: float) -> None:
    row = {"timestamp": ago(days), "series_id": series_id, "service": "web", "metric": f"m{series_id}", "labels": ""}
    rows = pa.Table.from_pylist([{**row, "value": 1.0, "available_at": ago(days)}], schema=LAKE_TELEMETRY)
    lake.write("telemetry", rows, key=f"of-{series_id}-{days}")


def kept(lake: Lake) -> dict[int, datetime]:
    rows = lake.read("series", columns=["series_id", "first_seen_at"]).to_pylist()
    return {row["series_id"]: row["first_seen_at"] for row in rows}


def test_only_series_without_anything_leave(lake: Lake) -> None:
    for series_id in (1, 2, 3, 4):
        define(lake, series_id, 60)
    point(lake, 1, 5)  # 1 has rows, 2 has none
    exemplar = {"timestamp": ago(2), "series_id": 3, "value": 1.0, "trace_id": "t", "span_id": None, "available_at": ago(2)}
    lake.write("exemplars", pa.Table.from_pylist([exemplar], schema=EXEMPLARS), key="e")
    define(lake, 4, 3)  # given again of late: it is defined, whatever becomes of its values
    define(lake, 5, 10)  # too young to be judged
    assert lake.prune_series(NEWEST, DAYS) == 1
    assert kept(lake) == {1: ago(60), 3: ago(60), 4: ago(60), 5: ago(10)}, "with the time at which each was first seen"
    assert lake.prune_series(NEWEST, DAYS) == 0


def test_parts_of_a_histogram_stay_while_what_is_made_of_them_has_rows(lake: Lake) -> None:
    for series_id, family in ((10, 7), (11, 7), (12, 7), (20, 8), (21, 8)):
        define(lake, series_id, 60, family)
    point(lake, 12, 1)
    assert lake.prune_series(NEWEST, DAYS) == 2
    assert sorted(kept(lake)) == [10, 11, 12]


def test_a_pruned_series_that_is_defined_again_is_there_again(lake: Lake) -> None:
    define(lake, 1, 60)
    assert lake.prune_series(NEWEST, DAYS) == 1
    assert kept(lake) == {}
    define(lake, 1, 0)
    assert kept(lake) == {1: NEWEST}


def test_a_short_retention_leaves_what_may_be_given_again_within_the_week(lake: Lake) -> None:
    define(lake, 1, LEAST_DAYS - 1)
    define(lake, 2, LEAST_DAYS + 2)
    point(lake, 3, 0)
    assert lake.prune_series(NEWEST, 1) == 1
    assert sorted(kept(lake)) == [1]
