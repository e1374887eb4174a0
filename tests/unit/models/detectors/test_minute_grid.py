"""Points to a grid: cells, gaps, replicas, calls measured from both ends."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from aiops.errors import ContractError
from aiops.types import SeriesBatch
from data_contracts.schemas.telemetry_schemas import TELEMETRY
from data_contracts.telemetry.validate import validate
from models.detectors.minute_grid import MinuteGrid, grid_of

START = datetime(2026, 1, 1, tzinfo=UTC)
Point = tuple[float, str, str, float, dict[str, str]]


def points(*rows: Point) -> SeriesBatch:
    import pyarrow as pa

    table = pa.Table.from_pylist(
        [
            {"timestamp": START + timedelta(minutes=at), "service": service, "metric": metric, "value": value, "labels": labels}
            for at, service, metric, value, labels in rows
        ],
        schema=pa.schema([TELEMETRY.field(name) for name in ("timestamp", "service", "metric", "value", "labels")]),
    )
    return SeriesBatch(validate(table, START + timedelta(days=1)).accepted)


def column(grid: MinuteGrid, name: str) -> list[float]:
    return grid.values[:, grid.series.index(name)].tolist()


def test_a_missing_minute_is_unknown_and_times_fall_into_their_minute() -> None:
    grid = grid_of([points((0.3, "a", "cpu", 1.0, {})), points((2.9, "a", "cpu", 3.0, {}), (1.1, "b", "cpu", 2.0, {}))])
    assert grid.series == ("a|cpu", "b|cpu")
    np.testing.assert_array_equal(grid.values, [[1.0, np.nan], [np.nan, 2.0], [3.0, np.nan]])
    assert grid.times_us[0] == START.timestamp() * 1e6
    assert len(grid.within(int(grid.times_us[1]), int(grid.times_us[2])).values) == 1


def test_a_restart_under_a_new_name_goes_on_and_replicas_are_averaged() -> None:
    grid = grid_of(
        [
            points(
                (0, "a", "cpu", 1.0, {"pod": "a-1"}),
                (1, "a", "cpu", 1.0, {"pod": "a-1"}),
                (1, "a", "cpu", 3.0, {"pod": "a-2"}),
                (2, "a", "cpu", 5.0, {"pod": "a-2"}),
            )
        ]
    )
    assert grid.series == ("a|cpu",)
    assert column(grid, "a|cpu") == [1.0, 2.0, 5.0]


def test_the_network_between_two_services_is_the_difference_of_both_ends() -> None:
    calls = {"callee": "b"}
    grid = grid_of(
        [
            points(
                (0, "a", "call_source_latency_p50_s", 0.5, calls),
                (0, "a", "call_destination_latency_p50_s", 0.125, calls),
                (1, "a", "call_source_latency_p50_s", 0.5, calls),
                (1, "a", "call_source_latency_p50_s", 0.5, {"callee": "c"}),
            )
        ]
    )
    between = column(grid, 'a|call_network_latency_p50_s{callee="b"}')
    assert between[0] == 0.375
    assert np.isnan(between[1])
    assert len(grid.series) == 4


def test_no_point_and_too_wide_a_span_are_refused() -> None:
    with pytest.raises(ContractError, match="no accepted point"):
        grid_of([])
    with pytest.raises(ContractError, match="shorter time range"):
        grid_of([points((0, "a", "cpu", 1.0, {}), (-2e6, "a", "cpu", 1.0, {}))])
