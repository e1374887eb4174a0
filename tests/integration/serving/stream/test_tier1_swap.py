"""The consumer follows the champion of tier 1 while it runs: alarms change, the state does not, and a replay judges as before."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aiops.features.engine import EngineConfig
from aiops.settings.tree import Settings
from models.artifacts.artifact import save_model
from models.artifacts.export import write_aliases
from models.detectors.robust_stream import RobustStream
from serving.ingest.producer import TelemetryProducer
from serving.stream import streams
from serving.stream.consumer.checkpoint import CheckpointStore, state_hash
from serving.stream.consumer.consumer_process import tenants_config
from serving.stream.consumer.tenant_partitions import TenantPartitions
from serving.stream.consumer.tier1_source import InForce, tier1_source
from tests.testing.series_names import named
from tests.testing.stream_harness import (
    METRICS,
    NEVER,
    PRODUCER,
    SERVICES,
    Fleet,
    batches,
    drained,
    publish,
    quick_settings,
    rows_of,
    wait_until,
)

SENT = batches(46)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = quick_settings(tmp_path / "home")
    # A restart replays everything, across the changes; nothing but the levels flags.
    levels_only = made.consumer.model_copy(update={"checkpoint_s": 60.0, "novelty": False, "safety_net": False})
    return made.model_copy(update={"broker": made.broker.model_copy(update={"partitions": 1}), "consumer": levels_only})


@pytest.fixture
def fleet(settings: Settings) -> Iterator[Fleet]:
    with Fleet(settings) as running:
        yield running


def promote(settings: Settings, version: str, alarm_z: float) -> None:
    series = tuple(sorted(f"{service}|{metric}" for service in SERVICES for metric in METRICS))
    size = len(series)
    levels = (np.full(size, alarm_z), np.full(size, -np.inf), np.full(size, np.inf))
    ids = np.array([named(text).series_id for text in series])
    place = {series_id: number for number, series_id in enumerate(ids.tolist())}
    model = RobustStream(ids, series, *levels, alarm_z, EngineConfig(), place)
    save_model(model, settings.exported_models_path / "robust-stream" / version)
    write_aliases(settings.exported_models_path, "robust-stream", {"champion": version})


def in_force(fleet: Fleet) -> InForce:
    return InForce.of_text(fleet.remote.hash_all(streams.offset("stage1", 0)).get("note", ""))


def by_hand(settings: Settings, fleet: Fleet) -> str:
    """Return the hash of the state after all entries, each judged by the version that was in force."""
    partition = TenantPartitions(tenants_config(settings))
    source, versions = tier1_source(settings), in_force(fleet)
    for entry in fleet.remote.range(streams.telemetry(0)):
        version = versions.at(entry.entry_id)
        assert version is not None
        partition.use_tier1(source.load(version))
        partition.apply([entry])
    return state_hash(partition.snapshot())


def test_moving_the_alias_changes_alarms_and_nothing_else(fleet: Fleet, settings: Settings) -> None:
    promote(settings, "1", alarm_z=1e9)
    process = fleet.consume("--only", "ingest")
    producer = TelemetryProducer(fleet.remote, 1, PRODUCER)
    for part, (version, alarm_z) in enumerate((("1", 1e9), ("2", 0.01), ("3", 1e9))):
        promote(settings, version, alarm_z)
        assert wait_until(lambda wanted=version: in_force(fleet).newest == wanted, 20), fleet.log()
        for batch in SENT[part * 15 : part * 15 + 15]:
            publish(producer, batch)
        assert wait_until(lambda through=part * 15 + 15: fleet.settled(through, scored=False), 30), fleet.log()
        if part == 1:
            process.kill()
            process.wait()
            process = fleet.consume("--only", "ingest")
    publish(producer, SENT[45])
    assert wait_until(lambda: fleet.settled(len(SENT), scored=False), 30), fleet.log()
    assert drained(process) == 0, fleet.log()

    candidates = rows_of(fleet.remote, [streams.candidates(0)])
    flagged = {version: [row["flagged"] for row in candidates if row["tier1_version"] == version] for version in ("1", "2", "3")}
    assert all(flagged.values())
    assert not any(flagged["1"])
    assert sum(flagged["2"]) > 0.8 * len(flagged["2"])
    assert sum(flagged["3"]) < 0.2 * len(flagged["3"])  # points of ticks open at the change keep their judgement
    checkpoint, _ = CheckpointStore(settings.root / "consumer", 0).load(NEVER)
    assert checkpoint is not None
    assert state_hash(checkpoint.state) == by_hand(settings, fleet)
