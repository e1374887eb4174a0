"""Speed of stage 1 on one core: entries on a real Valkey → decode → validate → features and tier 1 → commit.

Prints JSON lines with name, value, unit and baseline (the wire format alone: decoding the same entries).
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.telemetry_settings import TelemetrySettings
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas import telemetry_schemas
from data_contracts.telemetry.codec import decode
from serving.ingest.producer import TelemetryProducer
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker
from serving.stream.consumer.consumer_config import ConsumerConfig
from serving.stream.consumer.consumer_metrics import ConsumerMetrics, resident_bytes
from serving.stream.consumer.consumer_process import tenants_config
from serving.stream.consumer.second_opinion import Watched
from serving.stream.consumer.stage1 import OwnedPartition, Stage1Parts
from tests.testing.stream_harness import free_ports

SERVICES = 250
METRICS = ("cpu_utilization", "error_rate", "latency_p50_ms", "latency_p99_ms", "memory_utilization", "requests_per_second")
LEVELS = np.array([0.4, 0.01, 20.0, 200.0, 0.5, 800.0])
RUNS = ((10, 1_800_000), (60, 600_000))
"""(seconds between the points of a series, points): ticks close every 60 s, and each costs work for every series."""
START = datetime(2026, 3, 2, tzinfo=UTC)


def tables(step_s: int, points: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield (seq, rows) of about 48,000 rows."""
    rng = np.random.default_rng(3)
    width = SERVICES * len(METRICS)
    steps = 32
    services = np.repeat([f"service-{number:03d}" for number in range(SERVICES)], len(METRICS))
    names = pa.array(np.tile(services, steps)).dictionary_encode()
    metrics = pa.array(np.tile(np.tile(METRICS, SERVICES), steps)).dictionary_encode()
    for seq in range(1, points // (width * steps) + 1):
        first = int(START.timestamp()) + (seq - 1) * steps * step_s
        times = np.repeat(np.arange(first, first + steps * step_s, step_s), width) * 1_000_000
        values = np.tile(np.tile(LEVELS, SERVICES), steps) * (1 + 0.05 * rng.standard_normal(width * steps))
        columns = {
            "timestamp": pa.array(times, telemetry_schemas.TIMESTAMP),
            "service": names,
            "metric": metrics,
            "value": values,
        }
        yield seq, pa.table(columns)


def show(name: str, value: float, unit: str, baseline: float) -> None:
    """Print one figure."""
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "baseline": round(baseline, 3)}), flush=True)


def measure(home: Path, step_s: int, points: int, watched: Watched) -> None:
    """Publish, then consume twice: the first pass compiles."""
    settings = Settings(
        home=home,
        broker=BrokerSettings(port=free_ports(1)[0], partitions=1),
        consumer=ConsumerSettings(archive="off", max_backlog=5000, **asdict(watched)),
        telemetry=TelemetrySettings(),
    )
    with EmbeddedBroker(settings) as server:
        broker = streams.Streams(server.client())
        producer = TelemetryProducer(broker, 1, lambda _: ServiceGraph.from_pairs([]), "bench")
        begun = time.perf_counter()
        sent = 0
        for seq, rows in tables(step_s, points):
            producer.publish(rows, seq, START + timedelta(seconds=seq * 32 * step_s))
            sent += rows.num_rows
        show(f"producer, {step_s} s data", sent / (time.perf_counter() - begun), "points/s", 0.0)
        metrics = ConsumerMetrics()
        config = ConsumerConfig(settings, (0,))
        parts = Stage1Parts(config, tenants_config(settings), broker, metrics, None, threading.Event())
        OwnedPartition(parts, 0).advance(broker.range(streams.telemetry(0), count=2))
        broker.client.delete(streams.offset("stage1", 0), streams.counts(0), streams.candidates(0), streams.features(0))
        entries = broker.range(streams.telemetry(0))
        begun = time.perf_counter()
        rows_decoded = sum(decode(entry.payload).num_rows for entry in entries)
        decode_rate = rows_decoded / (time.perf_counter() - begun)
        wall_rate, cpu_rate = consume(OwnedPartition(parts, 0), broker, sent)
        what = f"{step_s} s data, {', '.join(name for name, on in asdict(watched).items() if on) or 'robust z alone'}"
        show(f"consumer stage 1, {what}, by wall time", wall_rate, "points/s", decode_rate)
        show(f"consumer stage 1, {what}, one core", cpu_rate, "points/s", decode_rate)
        show(f"consumer resident memory, {what}", resident_bytes() / 2**20, "MiB", 0.0)


def consume(part: OwnedPartition, broker: streams.Streams, sent: int) -> tuple[float, float]:
    """Return points per second of wall and of process CPU time."""
    begun, cpu = time.perf_counter(), time.process_time()
    while entries_by_stream := broker.read({part.stream: part.applied}, 16, 10):
        part.advance(entries_by_stream[part.stream])
    return sent / (time.perf_counter() - begun), sent / (time.process_time() - cpu)


def main() -> None:
    """Run the benchmark in a folder of its own."""
    for (step_s, points), watched in product(RUNS, (Watched(), Watched(safety_net=True), Watched(True, True))):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), step_s, points, watched)


if __name__ == "__main__":
    main()
