"""Drift-aware tier 1: a level that stays is relearnt in bounded time; what passes leaves no trace and does not blind."""

import numpy as np
import pyarrow as pa
import pytest

from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.engine_output import EngineOutput
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray, SeriesBatch
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from tests.testing.series_names import points

START_US = 1_741_000_000 * 1_000_000
GRAPH = ServiceGraph.from_pairs(())
BEGINS = 300
ALARM = 6.0


def noise(seed: int, count: int = 600) -> FloatArray:
    return 100.0 + np.random.default_rng(seed).normal(0.0, 5.0, count)


def batch_of(values: FloatArray, step_s: int = 60, first: int = 0, metric: str = "a") -> SeriesBatch:
    times = START_US + (first + np.arange(values.size)) * step_s * 1_000_000
    row = pa.array(np.zeros(values.size, np.int32))
    services, metrics = (pa.DictionaryArray.from_arrays(row, pa.array([name])) for name in ("a", metric))
    return points(pa.array(times).cast(TIMESTAMP), services, metrics, pa.array(values))


def scored(values: FloatArray, step_s: int = 60) -> EngineOutput:
    return FeatureEngine(EngineConfig(), GRAPH).update(batch_of(values, step_s))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [-60.0, 45.0, 150.0, 5000.0])
def test_a_level_that_stays_alarms_until_it_is_confirmed_and_no_longer(size: float, seed: int) -> None:
    values = noise(seed)
    values[BEGINS:] += size
    alarmed = np.flatnonzero(np.abs(scored(values).z) >= ALARM)
    assert alarmed.min() >= BEGINS
    assert BEGINS + 15 <= alarmed.max() <= BEGINS + 20, "20 min until the shift is confirmed, nothing afterwards"


def test_the_new_level_is_known_at_once_and_what_leaves_it_is_seen() -> None:
    values = noise(1)
    values[BEGINS:] += 60.0
    values[BEGINS + 25] += 100.0
    output = scored(values)
    assert abs(output.expected[BEGINS + 22] - 160.0) < 5.0
    assert output.z[BEGINS + 25] >= ALARM


def test_slow_series_need_as_many_points_as_a_warm_up() -> None:
    values = noise(2)
    values[BEGINS:] += 60.0
    alarmed = np.flatnonzero(np.abs(scored(values, step_s=300).z) >= ALARM)
    assert alarmed.max() == BEGINS + 14


@pytest.mark.parametrize("minutes", [1, 5, 10, 18])
def test_an_incident_is_seen_whole_and_leaves_the_averages_as_they_were(minutes: int) -> None:
    values = noise(3)
    passing = values.copy()
    passing[BEGINS : BEGINS + minutes] += 75.0
    before, after = FeatureEngine(EngineConfig(), GRAPH), FeatureEngine(EngineConfig(), GRAPH)
    before.update(batch_of(values[:BEGINS]))
    output = after.update(batch_of(passing[: BEGINS + minutes]))
    assert (output.z[BEGINS:] >= ALARM).all()
    for name in ("mean", "variance", "deviation", "median", "spread"):
        np.testing.assert_array_equal(before.snapshot()[f"series_{name}"], after.snapshot()[f"series_{name}"])


@pytest.mark.parametrize("gap", [2, 10, 30, 70])
def test_the_same_incident_again_is_seen_again_and_its_end_is_no_alarm(gap: int) -> None:
    values = noise(4)
    again = BEGINS + 15 + gap
    values[BEGINS : BEGINS + 15] += 60.0
    values[again : again + 5] += 60.0
    z = scored(values).z
    assert (z[again : again + 5] >= ALARM).all()
    assert np.abs(np.concatenate([z[BEGINS + 15 : again], z[again + 5 :]])).max() < ALARM


def test_an_excursion_to_the_other_side_begins_anew() -> None:
    values = noise(5)
    values[BEGINS : BEGINS + 15] += 75.0
    values[BEGINS + 15 : BEGINS + 30] -= 75.0
    z = scored(values).z
    assert (np.abs(z[BEGINS : BEGINS + 30]) >= ALARM).all(), "30 min beyond the level, but not 20 on one side"


def test_overflow_in_an_excursion_does_not_silence_a_series() -> None:
    values = noise(6)
    values[BEGINS : BEGINS + 60] = np.where(np.arange(60) % 2, 1e300, 1.7e308)
    output = scored(values)
    assert np.isfinite(output.z[-100:]).all()
    assert np.abs(output.z[-100:]).max() < ALARM


def test_late_points_do_not_open_an_excursion() -> None:
    values = noise(7, 200)
    engine = FeatureEngine(EngineConfig(), GRAPH)
    kept = np.delete(np.arange(200), np.arange(150, 180))
    batch = batch_of(np.where((np.arange(200) >= 150) & (np.arange(200) < 180), 900.0, values))
    order = np.concatenate([kept, np.arange(150, 180)])
    output = engine.update(SeriesBatch(batch.table.take(pa.array(order))))
    assert (output.z[-30:] >= ALARM).all()
    assert engine.snapshot()["series_excursion"].tolist() == [0]
