"""The feature engine: statuses, ticks, windows, services, snapshots, bounds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import ConfigurationError, ContractError, StateError
from aiops.features.backfill import backfill
from aiops.features.engine import EngineConfig, EngineOutput, FeatureEngine
from aiops.topology.graph import ServiceGraph
from aiops.types import PointStatus, SeriesBatch
from data_contracts.schemas.telemetry_schemas import INCIDENTS, SERIES_FEATURES_TABLE, SERVICE_FEATURES_TABLE, TIMESTAMP
from tests.testing.series_names import points as points_batch

SECOND = 1_000_000
DAY = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
START = int(DAY.timestamp()) * SECOND
GRAPH = ServiceGraph.from_pairs([("web", "cart"), ("cart", "db")])
Point = tuple[float, str, str, float]  # seconds after START, service, metric, value


def batch_of(points: Sequence[Point]) -> SeriesBatch:
    columns = [
        pa.array([START + int(second * SECOND) for second, *_ in points], pa.int64()).cast(TIMESTAMP),
        pa.array([service for _, service, _, _ in points], pa.string()).dictionary_encode(),
        pa.array([metric for _, _, metric, _ in points], pa.string()).dictionary_encode(),
        pa.array([value for *_, value in points], pa.float64()),
    ]
    return points_batch(*columns)


def minutely(values: Sequence[float], service: str = "web", metric: str = "latency_p99_ms") -> list[Point]:
    return [(60.0 * number, service, metric, float(value)) for number, value in enumerate(values)]


def engine(**changes: int) -> FeatureEngine:
    return FeatureEngine(replace(EngineConfig(), **changes), GRAPH)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START / SECOND + seconds, UTC)


def row_at(rows: pa.RecordBatch, second: float) -> dict[str, float]:
    matching = [row for row in rows.to_pylist() if row["event_timestamp"] == at(second)]
    assert len(matching) == 1
    return matching[0]


def closed(points: Sequence[Point], until: float) -> tuple[EngineOutput, EngineOutput]:
    running = engine()
    return running.update(batch_of(points)), running.close_through(at(until))


# ---------------------------------------------------------------- points


def test_points_warm_up_then_are_scored() -> None:
    output = engine().update(batch_of(minutely(np.random.default_rng(0).normal(100, 5, 40).tolist())))
    assert output.status.tolist() == [PointStatus.WARMUP] * 15 + [PointStatus.SCORED] * 25
    assert np.isnan(output.z[:15]).all()
    assert np.isnan(output.score[:15]).all()
    assert np.isnan(output.expected[:15]).all()
    assert (np.abs(output.z[15:]) < 6).all()
    np.testing.assert_allclose(output.score[15:], 1 - 2 ** (-np.abs(output.z[15:]) / 6))
    assert not np.isnan(output.expected[15:]).any()
    assert (output.scale[15:] > 0).all()


def test_z_is_the_distance_in_scales_with_its_sign() -> None:
    values = [*np.random.default_rng(0).normal(100, 5, 60).tolist(), 180.0, 20.0]
    output = engine().update(batch_of(minutely(values)))
    np.testing.assert_allclose(output.z[15:], (np.array(values[15:]) - output.expected[15:]) / output.scale[15:])
    assert output.z[60] > 10
    assert output.z[61] < -4


def test_both_views_must_agree() -> None:
    """After a small step up the running average follows within minutes, the median of the hour does not: the smaller z counts."""
    values = np.random.default_rng(0).normal(100, 1, 90)
    values[60:] += 4
    output = engine().update(batch_of(minutely(values.tolist())))
    assert output.z[60] > 2.5
    assert np.abs(output.z[75:]).max() < 2.5


@pytest.mark.parametrize("level", [0.0, 7.0, -1e6])
def test_a_constant_series_does_not_explode(level: float) -> None:
    output = engine().update(batch_of(minutely([level] * 60 + [level * 1.02] * 3)))
    assert (output.z[15:60] == 0).all()
    assert (np.abs(output.z[60:]) <= 6).all()


def test_one_outlier_does_not_blind_a_series() -> None:
    values = np.random.default_rng(0).normal(100, 1, 140)
    values[60] = 1e9
    values[75] = 130.0
    output = engine().update(batch_of(minutely(values.tolist())))
    assert output.z[60] == 100
    assert output.z[75] > 10
    assert (np.abs(np.delete(output.z[61:], 14)) < 6).all()


def test_huge_values_keep_the_engine_alive() -> None:
    values = [1e200] * 5 + [-1e308, 1e308] * 20 + np.random.default_rng(0).normal(5, 1, 400).tolist()
    output = engine().update(batch_of(minutely(values)))
    assert (np.abs(output.z[-100:]) < 100).all()


def test_duplicates_and_too_late_points_are_not_scored_and_change_nothing() -> None:
    points = minutely(np.random.default_rng(0).normal(100, 5, 90).tolist())
    strange = [(60.0 * 88, "web", "latency_p99_ms", 5e5), (60.0 * 89, "web", "latency_p99_ms", 5e5), (60.0 * 29, *points[0][1:])]
    output = engine().update(batch_of([*points, *strange, (5400.0, *points[0][1:])]))
    plain = engine().update(batch_of([*points, (5400.0, *points[0][1:])]))
    assert output.status[90:93].tolist() == [PointStatus.DUPLICATE, PointStatus.DUPLICATE, PointStatus.TOO_LATE]
    assert np.isnan(output.z[90:93]).all()
    assert output.z[-1] == plain.z[-1]
    assert output.series_features.num_rows == plain.series_features.num_rows


def test_a_late_point_within_the_hour_enters_its_window_but_not_the_running_average() -> None:
    values = np.arange(40.0)
    points = [point for point in minutely(values.tolist()) if point[0] != 600.0]
    late = (600.0, "web", "latency_p99_ms", 10.0)
    first, tail = closed([*points, late], 2400)
    assert first.status[-1] == PointStatus.SCORED
    row, plain = row_at(tail.series_features, 2400), row_at(closed(points, 2400)[1].series_features, 2400)
    assert row["mean_1h"] == pytest.approx(values.mean())
    assert row["ewma"] == plain["ewma"]
    assert (plain["gap_count_1h"], row["gap_count_1h"]) == (2.0, 1.0)


def test_a_late_point_does_not_change_ticks_that_have_closed() -> None:
    points = minutely(np.arange(40.0).tolist())
    first = engine().update(batch_of(points))
    second = engine().update(batch_of([*points, (599.0, "web", "latency_p99_ms", 1e6)]))
    assert first.series_features.column("mean_1h").equals(second.series_features.column("mean_1h"))


def test_the_ring_keeps_the_newest_points() -> None:
    points = [(5.0 * number, "web", "latency_p99_ms", float(number)) for number in range(300)]
    running = engine(window_points=16)
    running.update(batch_of(points))
    row = row_at(running.close_through(at(1500)).series_features, 1500)
    assert (row["min_1h"], row["max_1h"], row["gap_count_1h"]) == (284, 299, 1)
    late = running.update(
        batch_of([(5.0 * 280 + 1, "web", "latency_p99_ms", 0.0), (5.0 * 290 + 1, "web", "latency_p99_ms", 0.0)])
    )
    assert late.status.tolist() == [PointStatus.TOO_LATE, PointStatus.SCORED]


def test_series_beyond_the_limit_are_marked() -> None:
    points = [(float(second), f"s{number}", "cpu_utilization", 0.5) for second in range(3) for number in range(4)]
    output = engine(max_series=3).update(batch_of(points))
    expected = [PointStatus.WARMUP] * 3 + [PointStatus.TOO_MANY_SERIES]
    assert output.status.tolist() == expected * 3


def test_refused_series_leave_no_names() -> None:
    running = engine(max_series=2)
    for wave in range(4):
        running.update(batch_of([(float(wave), f"pod-{wave}-{number}", f"m{number}", 1.0) for number in range(300)]))
    assert [name.text for name in running.series] == ["pod-0-0|m0", "pod-0-1|m1"]
    again = running.update(batch_of([(9.0, "pod-0-1", "m1", 1.0), (9.0, "pod-0-1", "m0", 1.0)]))
    assert again.status.tolist() == [PointStatus.WARMUP, PointStatus.TOO_MANY_SERIES]
    assert again.slot.tolist() == [1, -1]


def test_a_series_with_the_id_of_another_is_kept_apart() -> None:
    first = batch_of([(float(second), "web", "latency_p99_ms", 1.0) for second in range(3)]).table
    other = batch_of([(5.0, "web", "error_rate", 0.5), (6.0, "web", "latency_p99_ms", 2.0)]).table
    shared = pa.array([first.column("series_id")[0].as_py()] * 2, pa.int64())
    running = engine()
    running.update(SeriesBatch(first))
    for _ in range(2):
        output = running.update(SeriesBatch(other.set_column(1, other.schema.field(1), shared)))
        assert output.status.tolist()[0] == PointStatus.COLLISION
        assert [running.series[slot].text for slot in output.slot.tolist()] == ["web|latency_p99_ms"] * 2
        running = FeatureEngine.restore(EngineConfig(), GRAPH, running.snapshot())
    assert [name.text for name in running.series] == ["web|latency_p99_ms"]


def test_values_must_be_finite_and_availability_aligned() -> None:
    with pytest.raises(ContractError, match="value=nan in row 1"):
        engine().update(batch_of([*minutely([1.0]), (60.0, "web", "cpu_utilization", float("nan"))]))
    with pytest.raises(ContractError, match=r"shape \(1,\)"):
        engine().update(batch_of(minutely([1.0, 2.0])), np.array([START]))


def test_an_empty_batch_gives_empty_tables_of_the_right_schema() -> None:
    output = engine().update(batch_of([]))
    assert output.status.size == 0
    assert output.series_features.schema.equals(SERIES_FEATURES_TABLE)
    assert output.service_features.schema.equals(SERVICE_FEATURES_TABLE)
    assert engine().close_through(at(0)).service_features.num_rows == 0


# ---------------------------------------------------------------- ticks


def ticks_of(output: EngineOutput) -> list[float]:
    return sorted({(tick - DAY).total_seconds() for tick in output.service_features.column("event_timestamp").to_pylist()})


def test_a_tick_closes_when_the_watermark_passes_its_lateness() -> None:
    running = engine(lateness_s=30)
    assert ticks_of(running.update(batch_of([(10.0, "web", "cpu_utilization", 0.5)]))) == []
    assert ticks_of(running.update(batch_of([(90.0, "web", "cpu_utilization", 0.5)]))) == []
    assert ticks_of(running.update(batch_of([(90.000001, "web", "cpu_utilization", 0.5)]))) == [60.0]


def test_a_point_at_the_tick_belongs_to_it() -> None:
    output = engine(lateness_s=0).update(batch_of([(60.0, "web", "cpu_utilization", 0.5), (61.0, "web", "cpu_utilization", 0.9)]))
    assert row_at(output.series_features, 60)["last"] == 0.5


def test_after_a_silence_ticks_stop_after_an_hour_and_resume() -> None:
    output = engine().update(batch_of([(0.0, "web", "cpu_utilization", 0.5), (10 * 86_400.0, "web", "cpu_utilization", 0.5)]))
    series_ticks = output.series_features.column("event_timestamp").to_pylist()
    assert series_ticks == [at(60.0 * number) for number in range(60)]
    assert ticks_of(output) == [0.0, 60.0, 120.0, 180.0, 240.0]
    tail = engine()
    tail.update(batch_of([(0.0, "web", "cpu_utilization", 0.5), (10 * 86_400.0, "web", "cpu_utilization", 0.5)]))
    assert ticks_of(tail.close_through(at(10 * 86_400.0))) == [10 * 86_400.0]


def test_series_and_services_come_in_order_of_first_arrival() -> None:
    points = [(second, service, "cpu_utilization", 0.5) for second in (0.0, 1.0) for service in ("web", "cart", "db")]
    running = engine()
    running.update(batch_of(points))
    output = running.close_through(at(60))
    assert output.service_features.column("service").to_pylist() == ["web", "cart", "db"] * 2
    assert output.series_features.column("series").to_pylist()[:2] == ["web|cpu_utilization", "cart|cpu_utilization"]


def test_closing_twice_says_nothing_new() -> None:
    running = engine()
    running.update(batch_of(minutely([1.0, 2.0])))
    assert running.close_through(at(120)).series_features.num_rows > 0
    assert running.close_through(at(120)).series_features.num_rows == 0


# ---------------------------------------------------------------- features


def test_window_features_of_a_straight_line() -> None:
    row = row_at(closed(minutely(np.arange(61.0).tolist()), 3600)[1].series_features, 3600)
    assert (row["last"], row["mean_1h"], row["min_1h"], row["max_1h"], row["median_1h"]) == (60, 30.5, 1, 60, 30.5)
    assert row["slope_per_min_1h"] == pytest.approx(1.0)
    assert row["std_1h"] == pytest.approx(np.std(np.arange(1, 61), ddof=1))
    assert row["mad_z_1h"] == pytest.approx(29.5 / (1.4826 * 15), rel=1e-12)
    assert (row["mean_5m"], row["slope_per_min_5m"], row["gap_count_5m"]) == (58, pytest.approx(1.0), 0)
    assert row["rate_of_change_5m"] == pytest.approx(2 * 4 / 116)


def test_missing_points_are_counted() -> None:
    points = [point for point in minutely(np.arange(61.0).tolist()) if point[0] not in {3420.0, 3480.0, 600.0}]
    row = row_at(closed(points, 3600)[1].series_features, 3600)
    assert (row["gap_count_5m"], row["gap_count_1h"]) == (2, 3)


def test_one_point_leaves_spread_and_trend_unknown() -> None:
    row = row_at(closed(minutely([3.0]), 60)[1].series_features, 60)
    assert (row["mean_5m"], row["median_1h"], row["min_1h"]) == (3, 3, 3)
    for name in ("std", "mad_z", "slope_per_min", "rate_of_change", "gap_count"):
        assert np.isnan(row[f"{name}_5m"])
        assert np.isnan(row[f"{name}_1h"])
    assert np.isnan(row["abnormality"])


def test_minutes_to_the_limit_of_a_filling_disk() -> None:
    values = [0.5 + 0.005 * minute for minute in range(61)]
    service = row_at(closed(minutely(values, metric="disk_utilization"), 3600)[1].service_features, 3600)
    assert service["saturation_level"] == pytest.approx(0.8)
    assert service["saturation_slope_per_min"] == pytest.approx(0.005)
    assert service["minutes_to_limit"] == pytest.approx(40.0)


@pytest.mark.parametrize(("values", "minutes"), [([0.5] * 61, 1440), (np.linspace(0.9, 0.5, 61).tolist(), 1440), ([1.0] * 61, 0)])
def test_minutes_to_the_limit_of_what_does_not_fill(values: list[float], minutes: float) -> None:
    rows = closed(minutely(values, metric="disk_utilization"), 3600)[1].service_features
    assert row_at(rows, 3600)["minutes_to_limit"] == minutes


def test_a_service_without_limits_has_no_minutes_to_a_limit() -> None:
    assert np.isnan(row_at(closed(minutely(range(61)), 3600)[1].service_features, 3600)["minutes_to_limit"])


def test_an_abnormal_neighbour_shows_upstream_and_downstream() -> None:
    values = np.random.default_rng(0).normal(100, 5, 61)
    points = [
        (60.0 * minute, service, "latency_p99_ms", float(value) * (8 if service == "cart" and minute == 60 else 1))
        for minute, value in enumerate(values)
        for service in ("web", "cart", "db")
    ]
    rows = {row["service"]: row for row in closed(points, 3600)[1].service_features.to_pylist()}
    worst = rows["cart"]["latency_worst"]
    assert worst > 0.9
    assert rows["cart"]["abnormal_share"] == 1
    assert (rows["web"]["callees_worst"], rows["web"]["callees_mean"], rows["web"]["callees_abnormal_share"]) == (worst, worst, 1)
    assert rows["db"]["callers_worst"] == worst
    assert np.isnan(rows["web"]["callers_worst"])
    assert (rows["web"]["hour"], rows["web"]["weekday"]) == (1, 0)


def test_time_since_the_newest_known_incident() -> None:
    running = engine()
    running.note_incident("web", START + 120 * SECOND)
    running.note_incident("web", START + 240 * SECOND)
    running.note_incident("nobody", START)
    output = running.update(batch_of(minutely(range(10))))
    assert output.service_features.column("minutes_since_incident").to_pylist() == [10_080, 10_080, 0, 1, 0, 1, 2, 3, 4]


# ---------------------------------------------------------------- snapshots and bounds


def noisy(series: int, minutes: int, first: int = 0) -> SeriesBatch:
    number = np.arange(first * series, (first + minutes) * series)
    names = pa.array([f"s{i}" for i in range(series)])
    columns = [
        pa.array(START + number // series * 60 * SECOND).cast(TIMESTAMP),
        pa.DictionaryArray.from_arrays(pa.array((number % series).astype(np.int32)), names),
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(number.size, np.int32)), pa.array(["cpu_utilization"])),
        pa.array(0.5 + 0.01 * np.random.default_rng(first).normal(size=number.size)),
    ]
    return points_batch(*columns)


def test_a_snapshot_is_independent_plain_and_complete() -> None:
    running = engine()
    running.note_incident("web", START)
    running.update(batch_of(minutely(np.random.default_rng(0).normal(100, 5, 50).tolist())))
    state = running.snapshot()
    assert all(array.dtype.kind in "iuf" and array.dtype.names is None for array in state.values())
    before = {name: array.copy() for name, array in state.items()}
    running.update(batch_of([(3000.0, "web", "latency_p99_ms", 1.0)]))
    assert all(np.array_equal(before[name], array, equal_nan=array.dtype.kind == "f") for name, array in state.items())
    assert [*FeatureEngine.restore(EngineConfig(), GRAPH, state).series] == running.series[:1]


def test_a_state_of_another_version_or_configuration_is_refused() -> None:
    state = dict(engine().snapshot())
    with pytest.raises(StateError, match="version"):
        FeatureEngine.restore(EngineConfig(), GRAPH, state | {"version": np.array([99])})
    with pytest.raises(StateError, match="configuration"):
        FeatureEngine.restore(EngineConfig(step_s=30), GRAPH, state)


def test_a_damaged_state_is_refused() -> None:
    running = engine()
    running.update(batch_of(minutely([1.0, 2.0])))
    state = dict(running.snapshot())
    for name, damaged in (
        ("ring_time", state["ring_time"][:-1]),
        ("series_count", state["series_count"] + 1),
        ("service_offsets", state["service_offsets"][:-1]),
        ("bins", state["bins"][:, :1]),
    ):
        with pytest.raises(StateError):
            FeatureEngine.restore(EngineConfig(), GRAPH, state | {name: damaged})
    for name in state:
        with pytest.raises(StateError):
            FeatureEngine.restore(EngineConfig(), GRAPH, {key: array for key, array in state.items() if key != name})


def test_memory_does_not_grow_with_time() -> None:
    running = engine(window_points=32, max_series=50)
    sizes = []
    for hour in range(4):
        running.update(noisy(50, 120, 120 * hour))
        sizes.append(running.state_bytes)
    assert sizes[1:] == sizes[:1] * 3
    assert sizes[0] < 50 * (32 * 1.5 * 24 + 2_000)
    assert sum(array.nbytes for array in running.snapshot().values()) < 50 * (32 * 16 + 500)


@pytest.mark.parametrize(
    "changes",
    [{"step_s": 0}, {"step_s": 3601}, {"lateness_s": -1}, {"window_points": 15}, {"max_series": 0}, {"warmup_points": 1}],
)
def test_a_configuration_out_of_range_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(changes))):
        engine(**changes)


# ---------------------------------------------------------------- backfill


def test_backfill_equals_the_stream() -> None:
    batches = [noisy(5, 30, 0), noisy(5, 30, 30)]
    incident = {name: at(0) for name in ("onset_at", "starts_at", "ends_at")} | {"known_at": at(1200)}
    incidents = pa.Table.from_pylist([incident | {"incident_id": "i", "service": "s0", "kind": "x"}], schema=INCIDENTS)
    history = list(backfill(EngineConfig(), GRAPH, ((batch, None) for batch in batches), incidents, at(3600)))
    running = engine()
    stream = [running.update(batches[0])]
    running.note_incident("s0", START + 1200 * SECOND)
    stream += [running.update(batches[1]), running.close_through(at(3600))]
    assert len(history) == 3
    late = history[1].service_features.column("minutes_since_incident").to_pylist()
    assert late == stream[1].service_features.column("minutes_since_incident").to_pylist()
    for expected, other in zip(history, stream, strict=True):
        assert expected.z.tobytes() == other.z.tobytes()
        assert expected.series_features.column("mean_1h").equals(other.series_features.column("mean_1h"))
