"""Point, contextual and collective anomalies: what the simulator injects, and which tier sees each kind."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from aiops.errors import ConfigurationError
from aiops.ports import Detector
from aiops.simulator.anomalies import KIND_OF, SHAPES, AnomalyShape, InjectedAnomaly, anomalies_table, with_anomalies
from aiops.simulator.simulate import simulate
from aiops.simulator.simulation_config import SimulationConfig
from aiops.types import SeriesBatch
from data_contracts.schemas.truth_schemas import ANOMALY_TRUTH
from models.backtest.backtest_detectors import FitData, fit_detector, names
from tests.testing.series_names import points

START = datetime(2025, 3, 3, tzinfo=UTC)
CALM = SimulationConfig(seed=3, services=3, hours=72.0, incidents_per_day=0.0, decoys_per_day=0.0, deployments_per_day=0.0)
NIGHT = START + timedelta(hours=50)


@cache
def calm() -> pa.Table:
    return pa.concat_tables(simulate(CALM).telemetry())


def anomaly(shape: str, metric: str = "latency_p50_ms", **more: float) -> InjectedAnomaly:
    return InjectedAnomaly(shape, "checkout", metric, NIGHT, **{"duration_min": 60.0, **more})  # type: ignore[arg-type]


def series(table: pa.Table, metric: str, service: str = "checkout") -> np.ndarray:
    services, metrics = (np.array(table[name].cast(pa.string()).to_pylist()) for name in ("service", "metric"))
    return table["value"].to_numpy()[(services == service) & (metrics == metric)]


def test_only_the_window_of_the_series_changes_and_the_truth_says_so() -> None:
    table = calm()
    anomalies = [anomaly("stuck"), anomaly("spike", "cpu_utilization", duration_min=1.0)]
    disturbed = with_anomalies(table, anomalies)
    assert disturbed.schema == table.schema
    moved = np.flatnonzero(disturbed["value"].to_numpy() != table["value"].to_numpy())
    truth = anomalies_table(anomalies)
    assert truth.schema.equals(ANOMALY_TRUTH)
    times = np.array(table["timestamp"].to_pylist())[moved]
    metrics = np.array(table["metric"].cast(pa.string()).to_pylist())[moved]
    for row in truth.to_pylist():
        assert row["anomaly"] == KIND_OF[row["shape"]]
        own = times[metrics == row["metric"]]
        assert own.size > 0
        assert own.min() >= row["starts_at"]
        assert own.max() < row["ends_at"]
    assert set(metrics) == {"latency_p50_ms", "cpu_utilization"}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_request_gives_the_same_values_within_the_metric_range(shape: str) -> None:
    table = calm()
    first = with_anomalies(table, [anomaly(shape, "error_rate", size=100.0)])
    assert first.equals(with_anomalies(table, [anomaly(shape, "error_rate", size=100.0)]))
    assert series(first, "error_rate").min() >= 0.0
    assert series(first, "error_rate").max() <= 1.0


@pytest.mark.parametrize("shape", ["displaced", "stuck", "sustained"])
def test_every_value_of_a_contextual_or_collective_anomaly_has_been_seen_before(shape: str) -> None:
    table = calm()
    before = series(table, "requests_per_second")
    after = series(with_anomalies(table, [anomaly(shape, "requests_per_second")]), "requests_per_second")
    changed = np.flatnonzero(before != after)
    assert changed.size >= 50
    assert set(after[changed]) <= set(before[: changed[0]])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"service": "nosuch"}, "nosuch|latency_p50_ms"),
        ({"start": START}, "before"),
        ({"start": START + timedelta(hours=2), "shape": "displaced"}, "earlier_h=12.0"),
        ({"start": datetime(2025, 3, 5)}, "aware"),  # noqa: DTZ001
        ({"shape": "odd"}, "spike, displaced, stuck, sustained"),
        ({"size": float("nan")}, "size"),
    ],
)
def test_what_cannot_be_injected_is_refused(wrong: dict[str, object], says: str) -> None:
    valid = {"shape": "spike", "service": "checkout", "metric": "latency_p50_ms", "start": NIGHT, "duration_min": 1.0}
    with pytest.raises(ConfigurationError) as refusal:
        with_anomalies(calm(), [InjectedAnomaly(**{**valid, **wrong})])  # type: ignore[arg-type]
    assert says in str(refusal.value)


SEEDS = (3, 4, 5)
METRICS = ("latency_p50_ms", "error_rate", "requests_per_second", "memory_utilization", "cpu_utilization")
HISTORY_H = 72.0
BEGINS = START + timedelta(hours=86)


@cache
def quiet(seed: int) -> pa.Table:
    """Return four days of one service of a calm application, its metrics of `METRICS` alone, in order of time."""
    table = pa.concat_tables(simulate(replace(CALM, seed=seed, hours=96.0, gap_share=0.0)).telemetry()).combine_chunks()
    names = [table[name].combine_chunks().cast(pa.string()) for name in ("service", "metric")]
    wanted = pc.and_(pc.equal(names[0], "checkout"), pc.is_in(names[1], pa.array(METRICS)))
    return table.filter(wanted).sort_by("timestamp")


def series_batch(table: pa.Table) -> SeriesBatch:
    columns = [table[name].combine_chunks().cast(pa.string()).dictionary_encode() for name in ("service", "metric")]
    time, value = table["timestamp"].combine_chunks(), table["value"].combine_chunks()
    return points(time, *columns, value)


@cache
def fitted(detector: str, seed: int) -> tuple[Detector, float]:
    past = quiet(seed).slice(0, int(HISTORY_H * 60) * len(METRICS))
    return fit_detector(detector, FitData(series_batch(past), 60))


@cache
def alarmed(detector: str, seed: int, shape: AnomalyShape | None, minutes: float) -> int:
    """Return how many of a seed's series have an alarm in the window; `shape` None = without any anomaly."""
    undisturbed = quiet(seed)
    anomalies = [InjectedAnomaly(shape, "checkout", metric, BEGINS, minutes) for metric in METRICS] if shape else []
    model, threshold = fitted(detector, seed)
    batch = series_batch(with_anomalies(undisturbed, anomalies))
    times = undisturbed["timestamp"].combine_chunks().cast(pa.int64()).to_numpy()
    begins_us = int(BEGINS.timestamp()) * 1_000_000
    window = (times >= begins_us) & (times < begins_us + minutes * 60_000_000)
    metrics = np.array(undisturbed["metric"].cast(pa.string()).to_pylist())
    return len(set(metrics[window & (model.score(batch) >= threshold)]))


def seen(detector: str, shape: AnomalyShape, minutes: float) -> tuple[int, int]:
    """Return how many of all series' anomalies the detector alarms on, and on how many of the same windows without any."""
    alarmed_seeds = sum(alarmed(detector, seed, shape, minutes) for seed in SEEDS)
    return alarmed_seeds, sum(alarmed(detector, seed, None, minutes) for seed in SEEDS)


def test_a_point_anomaly_is_found_by_tier_1() -> None:
    caught, false_alarms = seen("robust-stream", "spike", 3.0)
    assert caught >= 10, "of 15"
    assert false_alarms == 0


@pytest.mark.skipif("series-surprise" not in names(), reason="this version has no detector series-surprise")
def test_a_collective_anomaly_is_found_by_the_surprise_of_its_run_of_values_and_by_no_single_value() -> None:
    caught, false_alarms = seen("series-surprise", "sustained", 120.0)
    assert caught >= 10, "of 15"
    assert false_alarms <= 4
    by_value, _ = seen("robust-stream", "sustained", 120.0)
    assert by_value <= 2
