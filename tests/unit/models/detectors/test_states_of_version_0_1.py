"""States that version 0.1 wrote, where a series was a text or (service, metric with labels): they are read as the same series."""

import numpy as np
import pyarrow as pa
import pytest

from aiops.detection.worst_points_by_service import WorstPoints
from aiops.errors import ArtifactError
from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.series_names import SeriesNames
from aiops.topology.graph import ServiceGraph
from aiops.types import State
from models.artifacts.artifact import names_array
from models.detectors.robust_stream import LevelConfig, PointSample, RobustStream
from models.detectors.safety_net import SafetyNet
from models.detectors.surprise_bank import LIGHT, SurpriseBank
from tests.testing.series_names import named, points

START_US = 1_741_000_000_000_000
LABELLED = 'http_requests{code="500",path="/a|\\"b\\""}'
SERIES = ("cart|cpu_utilization", f"cart|{LABELLED}", "acme/web|cpu_utilization")
"""As version 0.1 wrote them; a service `acme/web` stays what it is."""


def values(count: int, seed: int = 0) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.asarray(np.random.default_rng(seed).normal(0.5, 0.05, count))


def batch(count: int, first: int = 0) -> object:
    """Return `count` points of each series, a minute apart."""
    number = np.arange(first * len(SERIES), (first + count) * len(SERIES))
    names = [named(SERIES[place]) for place in (number % len(SERIES)).tolist()]
    times = pa.array(START_US + number // len(SERIES) * 60_000_000, pa.int64()).cast(pa.timestamp("us", "UTC"))
    columns = [pa.array([getattr(name, part) for name in names]) for part in ("service", "metric", "labels")]
    return points(times, columns[0], columns[1], pa.array(values(number.size, first)), columns[2])


def by_folded_names(state: State) -> State:
    """Return a state of series as version 0.1 wrote it: services, and metrics with their labels."""
    parts = [text.partition("|") for text in SERIES]
    kept = {name: array for name, array in state.items() if name not in {"series_id", "labels"}}
    services, metrics = (names_array(tuple(part[place] for part in parts)) for place in (0, 2))
    return {**kept, "services": services, "metrics": metrics}


def test_a_state_of_rarity_goes_on() -> None:
    kept = SurpriseBank(LIGHT)
    kept.score(batch(300))  # type: ignore[arg-type]
    back = SurpriseBank.restore(by_folded_names(kept.snapshot()))
    later = batch(60, 300)
    np.testing.assert_array_equal(back.score(later), kept.score(later))  # type: ignore[arg-type]
    assert len(back) == len(SERIES)


def test_a_state_of_the_safety_net_goes_on() -> None:
    series = SeriesNames.of([named(text) for text in SERIES])
    slot = (np.arange(900) % len(SERIES)).astype(np.int32)
    kept = SafetyNet()
    kept.judge(values(900), slot, series)
    back = SafetyNet.restore(by_folded_names(kept.snapshot()), series)
    later = np.repeat(values(1), 90)
    judged, again = kept.judge(later, slot[:90], series), back.judge(later, slot[:90], series)
    np.testing.assert_array_equal(np.asarray(judged), np.asarray(again))
    assert judged.kind.any()


def test_levels_of_a_registered_version_are_those_of_the_same_series() -> None:
    names = tuple(named(text) for text in SERIES)
    code = np.arange(3000) % len(SERIES)
    model = RobustStream.fit(PointSample(names, code, values(3000) * 10, values(3000, 1)), LevelConfig(), EngineConfig())
    state = {name: array for name, array in model.state().items() if name != "series_id"}
    back = RobustStream.from_state(state)
    np.testing.assert_array_equal(np.stack(back.alarm_for(names)), np.stack(model.alarm_for(names)))
    assert back.series == model.series
    assert set(back.series_ids.tolist()) == {name.series_id for name in names}
    with pytest.raises(ArtifactError, match="do not fit"):
        RobustStream.from_state({**model.state(), "series_id": np.zeros(1, np.int64)})


def folded_blob(texts: list[str]) -> dict[str, object]:
    encoded = [text.encode() for text in texts]
    return {
        "metric_bytes": np.frombuffer(b"".join(encoded), np.uint8),
        "metric_offsets": np.cumsum([0, *map(len, encoded)], dtype=np.int64),
    }


def test_an_engine_of_version_0_1_goes_on_bit_for_bit() -> None:
    graph, config = ServiceGraph.from_pairs(()), EngineConfig()
    running = FeatureEngine(config, graph)
    running.update(batch(90))  # type: ignore[arg-type]
    old = {name: array for name, array in running.snapshot().items() if not name.startswith(("series_id", "labels_"))}
    old |= folded_blob([text.partition("|")[2] for text in SERIES])  # type: ignore[arg-type]
    old["version"] = np.array([2])
    back = FeatureEngine.restore(config, graph, old)
    assert list(back.series) == [named(text) for text in SERIES]
    expected, restored = (engine.update(batch(30, 90)) for engine in (running, back))  # type: ignore[arg-type]
    np.testing.assert_array_equal(expected.z, restored.z)
    assert expected.series_features.equals(restored.series_features)


def test_worst_points_of_version_0_1_have_their_series() -> None:
    numbers = {name: np.array([0.5]) for name in ("value", "z", "alarm_z", "score", "expected", "lower", "upper", "severity")}
    times = {"tick_us": np.array([60]), "timestamp_us": np.array([55]), "clock_us": np.array([60, 0])}
    words = {"finding": np.array([""]), "certain": np.array([False])}
    old = {"service": np.array(["cart"]), "metric": np.array([LABELLED]), **numbers, **times, **words}
    point = WorstPoints.restore(60, 30, old).take("cart", 60)
    assert point is not None
    assert (point.series_id, point.metric, point.labels) == (
        named(SERIES[1]).series_id,
        "http_requests",
        '{"code":"500","path":"/a|\\"b\\""}',
    )
