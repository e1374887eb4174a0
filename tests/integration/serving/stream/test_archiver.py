"""The archiver writes few files, and a death at any point neither loses nor doubles a row."""

import random
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from aiops.errors import FencedError
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.ingest.producer import TelemetryProducer
from serving.lake.opening import open_lake
from serving.lake.parquet_lake import ParquetLake
from serving.lake.port import Lake
from serving.stream import streams
from serving.stream.archiver import ArchiveConfig, Archiver
from serving.stream.broker import EmbeddedBroker
from tests.testing.stream_harness import batches, free_ports, publish, rows_of

SENT = batches(40)


class Death(Exception):
    """The process dies here."""


class MortalLake(ParquetLake):
    """A lake whose writer dies now and then, before or after the file is in place."""

    def __init__(self, folder: Path, rng: random.Random, chance: float) -> None:
        super().__init__(folder, DEFAULT_TENANT)
        self._rng = rng
        self._chance = chance

    def write(self, table: str, rows: pa.Table | pa.RecordBatch, key: str) -> int:
        self._die()
        written = super().write(table, rows, key)
        self._die()
        return written

    def _die(self) -> None:
        if self._rng.random() < self._chance:
            raise Death


@pytest.fixture
def broker(home: Path) -> Iterator[streams.Streams]:
    settings = Settings(home=home, broker=BrokerSettings(port=free_ports(1)[0], partitions=1))
    with EmbeddedBroker(settings) as server:
        yield streams.Streams(server.client())


def config(part_s: float = 900.0) -> ArchiveConfig:
    return ArchiveConfig((0,), part_s=part_s, chunk_entries=16, future_tolerance_s=300)


def rows(lake: Lake, table: str) -> Counter[tuple[object, ...]]:
    return Counter(tuple(row.values()) for row in lake.read(table).to_pylist())


def parts(lake_root: Path, table: str) -> int:
    """Return the distinct parts; late rows of one lie in the day before."""
    return len({path.name for path in (lake_root / "tenant=default" / table).rglob("*.parquet")})


def test_rounds_gather_in_one_part_until_it_is_full_or_old(broker: streams.Streams, home: Path) -> None:
    lake = open_lake(home / "lake").for_tenant(DEFAULT_TENANT)
    producer = TelemetryProducer(broker, 1, "test")
    noted: Counter[str] = Counter()
    archiver = Archiver(broker, lambda _: lake, config(), lambda table, size: noted.update({table: size}))
    for batch in SENT[:10]:
        publish(producer, batch)
        assert archiver.catch_up(threading.Event(), closing=False) > 0
        assert lake.count("telemetry") == noted["telemetry"]
    assert parts(home / "lake", "telemetry") == 1
    held = broker.hash_all(streams.offset("archive-telemetry", 0))
    assert held["id"] == broker.last_id(streams.telemetry(0))
    assert streams.kept_after(held) == streams.START
    publish(producer, SENT[10])
    Archiver(broker, lambda _: lake, config(part_s=0.0)).catch_up(threading.Event(), closing=False)
    assert parts(home / "lake", "telemetry") == 1
    assert archiver_stands(broker) == broker.last_id(streams.telemetry(0))


def archiver_stands(broker: streams.Streams) -> str:
    return streams.kept_after(broker.hash_all(streams.offset("archive-telemetry", 0)))


@pytest.mark.parametrize("seed", range(3))
def test_deaths_at_any_point_lose_and_double_nothing(broker: streams.Streams, home: Path, seed: int) -> None:
    rng = random.Random(seed)
    producer = TelemetryProducer(broker, 1, "test")
    deaths = 0
    lake = MortalLake(home / "lake" / "tenant=default", rng, chance=0.2)
    archiver = Archiver(broker, lambda _: lake, config())
    for batch in SENT:
        publish(producer, batch)
        broker.client.xadd(streams.DETECTIONS, {"k": b"v", "b": streams.to_ipc(detection(batch.seq)), "t": 1})
        try:
            archiver.catch_up(threading.Event(), closing=rng.random() < 0.1)
            broker.trim_through(streams.telemetry(0), archiver_stands(broker))
        except Death:
            deaths += 1
            archiver = Archiver(broker, lambda _: lake, config())
    assert deaths > 3
    calm = open_lake(home / "lake").for_tenant(DEFAULT_TENANT)
    Archiver(broker, lambda _: calm, config()).catch_up(threading.Event())
    undisturbed = open_lake(home / "whole").for_tenant(DEFAULT_TENANT)
    fresh(broker, undisturbed)
    assert rows(calm, "telemetry") == rows(undisturbed, "telemetry")
    detection_ids = calm.read("detections")["detection_id"].to_pylist()
    assert sorted(detection_ids) == sorted(str(batch.seq) for batch in SENT)
    assert len(rows_of(broker, [streams.DETECTIONS])) == len(SENT)


def fresh(broker: streams.Streams, lake: Lake) -> None:
    """Archive the same batches from a broker emptied of positions."""
    broker.client.flushall()
    producer = TelemetryProducer(broker, 1, "test")
    for batch in SENT:
        publish(producer, batch)
        broker.client.xadd(streams.DETECTIONS, {"k": b"v", "b": streams.to_ipc(detection(batch.seq)), "t": 1})
    Archiver(broker, lambda _: lake, config()).catch_up(threading.Event())


def detection(number: int) -> pa.Table:
    from data_contracts.schemas.telemetry_schemas import DETECTIONS

    row = dict.fromkeys(DETECTIONS.names, None) | {
        "detection_id": str(number),
        "revision": 0,
        "timestamp": SENT[0].available_at,
        "service": "web",
        "metric": "error_rate",
        "value": 1.0,
        "tier": 1,
        "model_version": "1",
        "anomalous": True,
        "reason": "because",
    }
    return pa.Table.from_pylist([row], schema=DETECTIONS)


def test_an_archiver_that_lost_its_stream_while_it_read_writes_no_file(broker: streams.Streams, home: Path) -> None:
    lake = open_lake(home / "lake").for_tenant(DEFAULT_TENANT)
    producer = TelemetryProducer(broker, 1, "test")
    publish(producer, SENT[0])
    stopped = Archiver(broker, lambda _: lake, config())
    stopped.catch_up(threading.Event(), closing=False)
    publish(producer, SENT[1])
    Archiver(broker, lambda _: lake, config()).catch_up(threading.Event(), closing=False)
    before = {path: path.stat().st_mtime_ns for path in (home / "lake").rglob("*.parquet")}
    publish(producer, SENT[2])
    with pytest.raises(FencedError, match="another archiver took this stream"):
        stopped.catch_up(threading.Event(), closing=False)
    assert {path: path.stat().st_mtime_ns for path in (home / "lake").rglob("*.parquet")} == before


def test_an_archiver_that_shares_partitions_drops_what_was_taken_and_goes_on(broker: streams.Streams, home: Path) -> None:
    lake = open_lake(home / "lake").for_tenant(DEFAULT_TENANT)
    producer = TelemetryProducer(broker, 1, "test")
    publish(producer, SENT[0])
    ownership = SharedPartition()
    archiver = Archiver(broker, lambda _: lake, replace(config(), ownership=ownership))
    assert archiver.catch_up(threading.Event(), closing=False) > 0
    Archiver(broker, lambda _: lake, config()).catch_up(threading.Event(), closing=False)
    publish(producer, SENT[1])
    assert archiver.catch_up(threading.Event(), closing=False) == 0
    assert ownership.lost == [0]
    ownership.assigned = frozenset({0})
    assert archiver.catch_up(threading.Event(), closing=False) > 0


class SharedPartition:
    """Partition 0, until it is lost."""

    shared = True

    def __init__(self) -> None:
        self.assigned = frozenset({0})
        self.lost: list[int] = []

    def follow(self, stage: str, holding: Collection[int]) -> frozenset[int]:
        return self.assigned

    def lose(self, number: int) -> None:
        self.lost.append(number)
        self.assigned = frozenset()

    def end(self, stage: str) -> None:
        self.assigned = frozenset()
