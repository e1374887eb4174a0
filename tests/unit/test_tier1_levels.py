"""Alarm levels per point: the same by either lookup, from the catalogue or an exported artifact, followed when it changes."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aiops.errors import ArtifactError
from aiops.feature_engine import EngineConfig
from aiops.types import FloatArray
from models.artifact import save_model
from models.detectors.robust_stream import LevelConfig, PointSample, RobustStream
from serving.consumer import tier1
from serving.consumer.tier1 import DEFAULT_ALARM_Z, CatalogueLevels, LevelTable, Tier1Watch, load_levels


class NumberedLevels:
    """Levels told apart by the names; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def alarm_for(self, series: Sequence[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
        self.asked += len(series)
        size = np.array([float(sum(map(ord, name))) for name in series])
        return size, -size, 2 * size


def fitted() -> RobustStream:
    rng = np.random.default_rng(0)
    sample = PointSample(
        ("web|latency_p99_ms",), np.zeros(2000, np.int64), rng.standard_normal(2000) * 3, rng.normal(200, 10, 2000)
    )
    return RobustStream.fit(sample, LevelConfig(), EngineConfig())


@pytest.mark.parametrize("dense_pairs", [1 << 20, 0])
def test_levels_are_aligned_to_points_and_each_series_is_asked_once(monkeypatch: pytest.MonkeyPatch, dense_pairs: int) -> None:
    monkeypatch.setattr(tier1, "_DENSE_PAIRS", dense_pairs)
    levels = NumberedLevels()
    table = LevelTable(levels, 100)
    for services in (["a", "b"], ["b", "a"], ["b", "a"]):
        service, metric = np.array([1, 0, 1, 1]), np.array([0, 0, 1, 0])
        found = table.look_up((services, ["cpu", "mem"]), service, metric)
        names = [f"{services[s]}|{['cpu', 'mem'][m]}" for s, m in zip(service, metric, strict=True)]
        expected = [float(sum(map(ord, name))) for name in names]
        assert found.alarm_z.tolist() == expected
        assert found.high.tolist() == [2 * size for size in expected]
    assert levels.asked == 4


def test_many_series_grow_the_table() -> None:
    table = LevelTable(NumberedLevels(), 10_000)
    names = [f"s{number}" for number in range(3000)]
    found = table.look_up((names, ["cpu"]), np.arange(3000), np.zeros(3000, np.int64))
    assert found.alarm_z[2999] == sum(map(ord, "s2999|cpu"))


def test_without_an_artifact_the_catalogue_gives_the_limits(tmp_path: Path) -> None:
    alarm_z, low, high = load_levels(tmp_path).alarm_for(["web|error_rate", "web|unheard_of"])
    assert alarm_z.tolist() == [DEFAULT_ALARM_Z] * 2
    assert (low[0], high[0]) == (0.0, 1.0)
    assert (low[1], high[1]) == (-np.inf, np.inf)
    assert isinstance(load_levels(tmp_path), CatalogueLevels)


def test_an_exported_artifact_is_loaded_and_a_new_one_noticed(tmp_path: Path) -> None:
    watch = Tier1Watch(tmp_path)
    assert watch.changed() is None
    save_model(fitted(), tmp_path)
    assert watch.changed() is not None
    assert watch.changed() is None
    alarm_z, low, high = load_levels(tmp_path).alarm_for(["web|latency_p99_ms"])
    assert alarm_z[0] > DEFAULT_ALARM_Z
    assert low[0] < 200 < high[0] < np.inf
    manifest = tmp_path / "manifest.json"
    os.utime(manifest, ns=(1, 1))
    assert watch.changed() is not None


def test_a_damaged_artifact_is_an_error(tmp_path: Path) -> None:
    save_model(fitted(), tmp_path)
    (tmp_path / "arrays.npz").write_bytes(b"damaged")
    with pytest.raises(ArtifactError):
        load_levels(tmp_path)
