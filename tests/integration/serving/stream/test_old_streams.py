"""A broker whose streams version 0.1 wrote: they go on, as the default tenant's; its checkpoint is restored or warmed up anew."""

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aiops.errors import StateError
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.tree import Settings
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.codec import encode
from data_contracts.values.moments import microseconds_of
from serving.ingest.producer import ProducerConfig, TelemetryProducer
from serving.lake.opening import open_lake
from serving.stream import streams
from serving.stream.archiver import ArchiveConfig, Archiver
from serving.stream.broker import EmbeddedBroker, open_streams
from serving.stream.consumer.checkpoint import Checkpoint, CheckpointStore, state_hash
from serving.stream.consumer.consumer_config import ConsumerConfig
from serving.stream.consumer.consumer_metrics import ConsumerMetrics
from serving.stream.consumer.consumer_process import partition_config, tenants_config
from serving.stream.consumer.owned_partition import OwnedPartition
from serving.stream.consumer.partition import Partition
from serving.stream.consumer.stage1_parts import Stage1Parts
from serving.stream.consumer.tenant_partitions import TenantPartitions
from tests.testing.stream_harness import Batch, batches, free_ports, publish, store_graph

SENT = [batch for batch in batches(20) if batch.rows is not None]
OLD, READ = 12, 8
"""Batches that version 0.1 published, and those of them that it had read."""


@pytest.fixture
def settings(home: Path) -> Settings:
    consumer = ConsumerSettings(archive="off", novelty=True)
    made = Settings(home=home, broker=BrokerSettings(port=free_ports(1)[0], partitions=1), consumer=consumer)
    store_graph(made)
    return made


@pytest.fixture
def broker(settings: Settings) -> Iterator[streams.Streams]:
    with EmbeddedBroker(settings):
        yield open_streams(settings)


def write_as_0_1(broker: streams.Streams, sent: Sequence[Batch]) -> None:
    """Write entries as version 0.1 did: id = source offset and part, no tenant, no producer, one counter for all."""
    for batch in sent:
        assert batch.rows is not None
        for part, first in enumerate(range(0, batch.rows.num_rows, 512)):
            fields = {"k": b"t", "t": 1, "a": microseconds_of(batch.available_at), "b": encode(batch.rows.slice(first, 512))}
            broker.client.xadd(streams.telemetry(0), fields, id=f"{batch.seq}-{part}")
        broker.client.hset(streams.PRODUCED_0_1, "seq", batch.seq)


def read_as_0_1(settings: Settings, broker: streams.Streams) -> dict[str, npt.NDArray[Any]]:
    """Leave position and checkpoint behind as version 0.1 did; return the state saved."""
    partition = Partition.new(partition_config(settings))
    entries = [entry for entry in broker.range(streams.telemetry(0)) if streams.id_parts(entry.entry_id)[0] <= SENT[READ - 1].seq]
    partition.apply(entries)
    broker.hash_set(streams.offset("stage1", 0), {"epoch": "3", "id": entries[-1].entry_id})
    return save(settings, entries[-1].entry_id, partition.snapshot())


def save(settings: Settings, through: str, state: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    CheckpointStore(settings.root / "consumer", 0).save(Checkpoint(through, state))
    return state


def send_the_rest(settings: Settings) -> None:
    producer = TelemetryProducer(open_streams(settings), 1, "new", ProducerConfig(points_per_entry=512))
    for batch in SENT[OLD:]:
        publish(producer, batch)


def owned(settings: Settings, broker: streams.Streams) -> OwnedPartition:
    config = ConsumerConfig(settings, (0,))
    parts = Stage1Parts(config, tenants_config(settings), broker, ConsumerMetrics(), None, threading.Event())
    return OwnedPartition(parts, 0)


def read_all(part: OwnedPartition, broker: streams.Streams) -> None:
    while entries_by_stream := broker.read({part.stream: part.applied}, 16, 0):
        part.advance(entries_by_stream[part.stream])


def test_streams_position_and_checkpoint_of_0_1_go_on_as_the_default_tenants(settings: Settings, broker: streams.Streams) -> None:
    write_as_0_1(broker, SENT[:OLD])
    read_as_0_1(settings, broker)
    send_the_rest(settings)
    part = owned(settings, broker)
    assert part.applied.startswith(f"{SENT[READ - 1].seq}-")
    read_all(part, broker)
    undisturbed = TenantPartitions(tenants_config(settings))
    undisturbed.apply(broker.range(streams.telemetry(0)))
    assert undisturbed.tenants == (DEFAULT_TENANT,)
    assert state_hash(part.snapshot()) == state_hash(undisturbed.snapshot())
    counted = int(broker.hash_all(streams.counts(0))["points_in"])
    assert counted == sum(batch.rows.num_rows for batch in SENT[READ:] if batch.rows is not None)
    assert part.lag_entries() == 0


def test_lag_counts_what_the_new_producers_sent(settings: Settings, broker: streams.Streams) -> None:
    write_as_0_1(broker, SENT[:2])
    part = owned(settings, broker)
    send_the_rest(settings)
    waiting = broker.added(0)
    assert part.lag_entries() == waiting > 0
    read_all(part, broker)
    assert part.lag_entries() == 0


def test_a_checkpoint_of_another_engine_is_warmed_up_anew_and_said(
    settings: Settings, broker: streams.Streams, caplog: pytest.LogCaptureFixture
) -> None:
    write_as_0_1(broker, SENT[:OLD])
    state = read_as_0_1(settings, broker)
    through = broker.hash_all(streams.offset("stage1", 0))["id"]
    save(settings, through, {**state, "engine/version": np.array([1])})
    with caplog.at_level(logging.ERROR):
        part = owned(settings, broker)
    assert "is outdated, warming up anew from 0-0" in caplog.text
    read_all(part, broker)
    counted = int(broker.hash_all(streams.counts(0))["points_in"])
    assert counted == sum(batch.rows.num_rows for batch in SENT[READ:OLD] if batch.rows is not None), (
        "what was read is not told again"
    )
    whole = TenantPartitions(tenants_config(settings))
    whole.apply(broker.range(streams.telemetry(0)))
    assert state_hash(part.snapshot()) == state_hash(whole.snapshot()), "all that is still on the broker warms it up"


def test_the_archiver_goes_on_from_the_position_and_clock_of_0_1(settings: Settings, broker: streams.Streams) -> None:
    write_as_0_1(broker, SENT[:OLD])
    read = broker.range(streams.telemetry(0))[3]  # the last entry of the second batch
    held = {"epoch": "2", "id": read.entry_id, "part": read.entry_id, "clock_us": str(read.available_us)}
    broker.hash_set(streams.offset("archive-telemetry", 0), held)
    send_the_rest(settings)
    lakes = open_lake(settings)
    Archiver(broker, lakes.for_tenant, ArchiveConfig((0,), chunk_entries=16)).catch_up(threading.Event())
    lake = lakes.for_tenant(DEFAULT_TENANT)
    waiting = sum(batch.rows.num_rows for batch in SENT[2:] if batch.rows is not None)
    assert 0.98 * waiting <= lake.count("telemetry") <= waiting
    assert lakes.tenants() == (DEFAULT_TENANT,)
    assert np.all(lake.read("telemetry")["available_at"].cast("int64").to_numpy() >= read.available_us)


def test_a_checkpoint_that_is_damaged_is_still_refused(settings: Settings, broker: streams.Streams) -> None:
    write_as_0_1(broker, SENT[:OLD])
    state = read_as_0_1(settings, broker)
    through = broker.hash_all(streams.offset("stage1", 0))["id"]
    save(settings, through, {name: array for name, array in state.items() if not name.startswith("worst/")})
    with pytest.raises(StateError, match="remove the checkpoint folder to warm up anew"):
        owned(settings, broker)
