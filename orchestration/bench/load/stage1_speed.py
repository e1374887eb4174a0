"""Speed of stage 1 on one core: entries on a real Valkey → decode → validate → features and tier 1 → commit."""

import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.telemetry_settings import TelemetrySettings
from aiops.settings.tree import Settings
from data_contracts.schemas import telemetry_schemas
from data_contracts.telemetry.codec import decode
from orchestration.rehearsal.live_replay import with_free_ports
from serving.ingest.producer import TelemetryProducer
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from serving.stream.consumer.consumer_config import ConsumerConfig
from serving.stream.consumer.consumer_metrics import ConsumerMetrics, resident_bytes
from serving.stream.consumer.consumer_process import tenants_config
from serving.stream.consumer.owned_partition import OwnedPartition
from serving.stream.consumer.second_opinion import Watched
from serving.stream.consumer.stage1_parts import Stage1Parts

SERVICES: Final = 250
METRICS: Final = (
    *("cpu_utilization", "error_rate", "latency_p50_ms", "latency_p99_ms", "memory_utilization", "requests_per_second"),
)
LEVELS: Final = np.array([0.4, 0.01, 20.0, 200.0, 0.5, 800.0])
_STEPS: Final = 32
_START: Final = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stage1Load:
    """`step_s` between the points of a series; ticks close every 60 s, and each costs work for every series."""

    step_s: int
    points: int
    watched: Watched = Watched()  # noqa: RUF009  # frozen


@dataclass(frozen=True, slots=True)
class Stage1Speed:
    """Points a second: of the producer, decoding alone, stage 1 by wall time and by processor time; memory of this process."""

    producer_rate: float
    decode_rate: float
    wall_rate: float
    cpu_rate: float
    resident_mib: float


def measure_stage1(load: Stage1Load) -> Stage1Speed:
    """Publish, then consume twice in a folder of its own: the first pass compiles."""
    with tempfile.TemporaryDirectory(prefix="bench-stage1-") as folder:
        settings = _settings(Path(folder), load.watched)
        with EmbeddedBroker(settings):
            return _measured(settings, load)


def _settings(home: Path, watched: Watched) -> Settings:
    settings = Settings(
        home=home,
        broker=BrokerSettings(partitions=1),
        consumer=ConsumerSettings(archive="off", max_backlog=5000, **asdict(watched)),
        telemetry=TelemetrySettings(),
    )
    return with_free_ports(settings)


def _measured(settings: Settings, load: Stage1Load) -> Stage1Speed:
    broker = open_streams(settings)
    producer = TelemetryProducer(broker, 1, "bench")
    began = time.perf_counter()
    sent = 0
    for seq, rows in _tables(load):
        producer.publish(rows, seq, _START + timedelta(seconds=seq * _STEPS * load.step_s))
        sent += rows.num_rows
    producer_rate = sent / (time.perf_counter() - began)
    config = ConsumerConfig(settings, (0,))
    parts = Stage1Parts(config, tenants_config(settings), broker, ConsumerMetrics(), None, threading.Event())
    OwnedPartition(parts, 0).advance(broker.range(streams.telemetry(0), count=2))
    broker.client.delete(streams.offset("stage1", 0), streams.counts(0), streams.candidates(0), streams.features(0))
    entries = broker.range(streams.telemetry(0))
    began = time.perf_counter()
    rows_decoded = sum(decode(entry.payload).num_rows for entry in entries)
    decode_rate = rows_decoded / (time.perf_counter() - began)
    part = OwnedPartition(parts, 0)
    began, cpu = time.perf_counter(), time.process_time()
    while entries_by_stream := broker.read({part.stream: part.applied}, 16, 10):
        part.advance(entries_by_stream[part.stream])
    wall_rate, cpu_rate = sent / (time.perf_counter() - began), sent / (time.process_time() - cpu)
    return Stage1Speed(producer_rate, decode_rate, wall_rate, cpu_rate, resident_bytes() / 2**20)


def _tables(load: Stage1Load) -> Iterator[tuple[int, pa.Table]]:
    """Yield (seq, rows) of about 48,000 rows."""
    rng = np.random.default_rng(3)
    width = SERVICES * len(METRICS)
    services = np.repeat([f"service-{number:03d}" for number in range(SERVICES)], len(METRICS))
    names = pa.array(np.tile(services, _STEPS)).dictionary_encode()
    metrics = pa.array(np.tile(np.tile(METRICS, SERVICES), _STEPS)).dictionary_encode()
    for seq in range(1, load.points // (width * _STEPS) + 1):
        first = int(_START.timestamp()) + (seq - 1) * _STEPS * load.step_s
        times = np.repeat(np.arange(first, first + _STEPS * load.step_s, load.step_s), width) * 1_000_000
        values = np.tile(np.tile(LEVELS, SERVICES), _STEPS) * (1 + 0.05 * rng.standard_normal(width * _STEPS))
        columns = {
            "timestamp": pa.array(times, telemetry_schemas.TIMESTAMP),
            "service": names,
            "metric": metrics,
            "value": values,
        }
        yield seq, pa.table(columns)
