"""Alarm levels of tier 1: from the catalogue or an exported artifact, followed when it changes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.detection.levels import DEFAULT_ALARM_Z, CatalogueLevels
from aiops.errors import ArtifactError, ModelNotFound
from aiops.features.engine import EngineConfig
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.tree import Settings
from models.artifacts.artifact import save_model
from models.artifacts.export import write_aliases
from models.detectors.robust_stream import LevelConfig, PointSample, RobustStream
from serving.stream.consumer.tier1_source import ExportedTier1, InForce, Tier1Follower, tier1_source
from tests.testing.series_names import named


def fitted() -> RobustStream:
    rng = np.random.default_rng(0)
    sample = PointSample(
        (named("web|latency_p99_ms"),), np.zeros(2000, np.int64), rng.standard_normal(2000) * 3, rng.normal(200, 10, 2000)
    )
    return RobustStream.fit(sample, LevelConfig(), EngineConfig())


def test_without_an_export_the_catalogue_gives_the_limits(tmp_path: Path) -> None:
    tier1 = ExportedTier1(tmp_path).champion()
    alarm_z, low, high = tier1.levels.alarm_for([named("web|error_rate"), named("web|unheard_of")])
    assert tier1.version == ""
    assert alarm_z.tolist() == [DEFAULT_ALARM_Z] * 2
    assert (low[0], high[0]) == (0.0, 1.0)
    assert (low[1], high[1]) == (-np.inf, np.inf)


def test_the_exported_champion_is_loaded_and_followed(tmp_path: Path) -> None:
    source = ExportedTier1(tmp_path)
    follower = Tier1Follower(source, source.champion())
    assert follower.newest().version == ""
    save_model(fitted(), tmp_path / "robust-stream" / "3")
    write_aliases(tmp_path, "robust-stream", {"champion": "3"})
    assert follower.newest().version == "3"
    assert follower.newest() is follower.newest()
    alarm_z, low, high = follower.newest().levels.alarm_for([named("web|latency_p99_ms")])
    assert alarm_z[0] > DEFAULT_ALARM_Z
    assert low[0] < 200 < high[0] < np.inf


def test_a_tenant_that_trained_its_own_is_judged_by_it_and_all_are_followed_as_one_version(tmp_path: Path) -> None:
    source = ExportedTier1(tmp_path)
    save_model(fitted(), tmp_path / "robust-stream--acme" / "1")
    write_aliases(tmp_path, "robust-stream--acme", {"champion": "1"})
    (tmp_path / "robust-stream--idle").mkdir()
    follower = Tier1Follower(source, source.champion())
    assert follower.newest().version == ";acme=1"
    assert [follower.newest().of(tenant).version for tenant in ("acme", "idle", "default")] == ["1", "", ""]
    assert isinstance(follower.newest().of("acme").levels, RobustStream)
    assert isinstance(follower.newest().of("default").levels, CatalogueLevels)
    for name in ("robust-stream", "robust-stream--acme"):
        save_model(fitted(), tmp_path / name / "2")
        write_aliases(tmp_path, name, {"champion": "2"})
    assert follower.newest().version == "2;acme=2"
    assert source.load(";acme=1").of("acme").version == "1", "a replay judges as before"
    assert [follower.newest().of(tenant).version for tenant in ("acme", "other")] == ["2", "2"]


def test_a_damaged_or_missing_champion_leaves_the_one_before_and_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for version in ("3", "4"):
        save_model(fitted(), tmp_path / "robust-stream" / version)
    write_aliases(tmp_path, "robust-stream", {"champion": "3"})
    source = ExportedTier1(tmp_path)
    follower = Tier1Follower(source, source.champion())
    arrays = tmp_path / "robust-stream" / "4" / "arrays.npz"
    sound = arrays.read_bytes()
    arrays.write_bytes(b"damaged")
    for version in ("4", "9"):
        write_aliases(tmp_path, "robust-stream", {"champion": version})
        with pytest.raises((ArtifactError, ModelNotFound)):
            source.champion()
        assert [follower.newest().version for _ in range(3)] == ["3"] * 3
    assert len(caplog.records) == 2
    arrays.write_bytes(sound)
    write_aliases(tmp_path, "robust-stream", {"champion": "4"})
    assert follower.newest().version == "4"
    (tmp_path / "robust-stream" / "aliases.json").write_text("[")
    assert follower.newest().version == "4"


def test_a_folder_overrides_the_registry(tmp_path: Path) -> None:
    source = tier1_source(Settings(home=tmp_path, consumer=ConsumerSettings(tier1_path=tmp_path / "own")))
    assert source.champion().version == ""
    save_model(fitted(), tmp_path / "own")
    version = source.version()
    assert source.champion().version == version != ""
    with pytest.raises(ModelNotFound):
        source.load("000000000000")
    assert tier1_source(Settings(home=tmp_path)) == ExportedTier1(Settings(home=tmp_path).exported_models_path)


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc")), max_size=8), st.integers(0, 40))
def test_which_version_judged_an_entry_is_remembered(moves: list[tuple[int, str]], oldest: int) -> None:
    in_force = InForce()
    judged: dict[int, str | None] = {}
    version: str | None = None
    moves_at = dict(sorted(moves))
    for entry in range(42):
        judged[entry] = version
        if entry in moves_at:
            version = moves_at[entry]
            in_force = InForce.of_text(in_force.followed_by(f"{entry}-0", version, f"{min(oldest, entry)}-0").to_text())
    assert in_force.newest == version
    for entry in range(oldest + 1, 42):
        assert judged[entry] is None or in_force.at(f"{entry}-0") == judged[entry]
