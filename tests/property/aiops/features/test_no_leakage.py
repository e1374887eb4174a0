"""No leakage: nothing that arrives later, or happened after a tick, changes the tick's features or the scores before it."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.engine_output import EngineOutput
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray, IntArray, SeriesBatch
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from tests.testing.series_names import points as points_batch

SECOND = 1_000_000
START = 1_760_000_000 * SECOND
GRAPH = ServiceGraph.from_pairs([("a", "b"), ("b", "c")])
SERVICES = pa.array(["a", "b", "c"])
METRICS = pa.array(["memory_utilization", "latency_p99_ms", "error_rate"])


def batch_of(time: IntArray, code: IntArray, value: FloatArray) -> SeriesBatch:
    columns = [
        pa.array(time).cast(TIMESTAMP),
        pa.DictionaryArray.from_arrays(pa.array((code // 3).astype(np.int32)), SERVICES),
        pa.DictionaryArray.from_arrays(pa.array((code % 3).astype(np.int32)), METRICS),
        pa.array(value),
    ]
    return points_batch(*columns)


def telemetry(rng: np.random.Generator, minutes: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Return (time, series code, value) of nine series a minute apart, some points late, in order of arrival."""
    number = np.arange(9 * minutes)
    time = START + number // 9 * 60 * SECOND + rng.integers(0, 20 * SECOND, number.size)
    arrival = time + np.where(rng.random(number.size) < 0.1, rng.exponential(200 * SECOND, number.size), 0.0)
    order = np.argsort(arrival, kind="stable")
    return time[order], (number % 9)[order], (0.5 + 0.1 * rng.normal(size=number.size))[order]


def rows_until(output: EngineOutput, tick_us: int) -> list[bytes]:
    """Return the feature columns of both tables at ticks <= tick_us."""
    columns = []
    for table in (output.series_features, output.service_features):
        early = table.filter(pa.compute.less_equal(table.column("event_timestamp").cast(pa.int64()), tick_us))
        assert early.num_rows
        numbers = [column for column in early.columns if pa.types.is_floating(column.type)]
        columns += [repr([column.to_pylist() for column in early.columns[:3]]).encode()]
        columns += [column.to_numpy(zero_copy_only=False).tobytes() for column in numbers]
    return columns


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 30, 120]), st.floats(0.3, 0.9))
def test_perturbing_all_rows_after_a_tick_leaves_it_as_it_was(seed: int, lateness_s: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    time, code, value = telemetry(rng, 150)
    config = EngineConfig(lateness_s=lateness_s)
    tick = (START + int(share * 150) * 60 * SECOND) // (60 * SECOND) * 60 * SECOND
    other_value = np.where(time > tick, rng.choice([0.0, 1e6, -3.0], time.size), value)
    first = FeatureEngine(config, GRAPH).update(batch_of(time, code, value))
    second = FeatureEngine(config, GRAPH).update(batch_of(time, code, other_value))
    assert rows_until(first, tick) == rows_until(second, tick)
    early = int(np.argmax(time > tick))
    assert early > 0
    assert first.z[:early].tobytes() == second.z[:early].tobytes()
    assert first.z.tobytes() != second.z.tobytes()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.3, 0.9))
def test_replacing_everything_that_arrives_after_a_tick_closed_leaves_it_as_it_was(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    time, code, value = telemetry(rng, 150)
    cut = int(share * time.size)
    kept = FeatureEngine(EngineConfig(), GRAPH)
    first = kept.update(batch_of(time[:cut], code[:cut], value[:cut]))
    shuffled = cut + rng.permutation(time.size - cut)
    order = np.concatenate([np.arange(cut), shuffled])
    second = FeatureEngine(EngineConfig(), GRAPH).update(batch_of(time[order], code[order], -value[order]))
    changed = np.concatenate([value[:cut], -value[order][cut:]])
    third = FeatureEngine(EngineConfig(), GRAPH).update(batch_of(time[order], code[order], changed))
    last = first.series_features.column("event_timestamp").cast(pa.int64()).to_pylist()[-1]
    assert rows_until(first, last) == rows_until(third, last)
    assert rows_until(first, last) != rows_until(second, last)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_an_incident_is_not_seen_before_it_is_known(seed: int) -> None:
    rng = np.random.default_rng(seed)
    time, code, value = telemetry(rng, 90)
    known_at = START + int(rng.integers(10, 80)) * 60 * SECOND
    engine = FeatureEngine(EngineConfig(), GRAPH)
    engine.note_incident("b", known_at)
    rows = engine.update(batch_of(time, code, value)).service_features
    ticks = rows.column("event_timestamp").cast(pa.int64()).to_numpy()
    minutes = rows.column("minutes_since_incident").to_numpy()
    of_b = np.array(rows.column("service").to_pylist()) == "b"
    assert (minutes[~of_b] == 10_080).all()
    assert (minutes[of_b & (ticks < known_at)] == 10_080).all()
    later = of_b & (ticks >= known_at)
    assert later.any()
    np.testing.assert_allclose(minutes[later], (ticks[later] - known_at) / 60e6)


def test_rows_are_available_only_when_the_last_point_they_use_was() -> None:
    time, code, value = telemetry(np.random.default_rng(1), 60)
    available = np.maximum.accumulate(time) + 45 * SECOND
    rows = FeatureEngine(EngineConfig(lateness_s=30), GRAPH).update(batch_of(time, code, value), available).series_features
    for tick, known in zip(
        rows.column("event_timestamp").cast(pa.int64()).to_pylist(),
        rows.column("available_at").cast(pa.int64()).to_pylist(),
        strict=True,
    ):
        before_closing = available[: int(np.argmax(np.maximum.accumulate(time) > tick + 30 * SECOND))]
        assert known == max(tick + 30 * SECOND, int(before_closing.max()))
