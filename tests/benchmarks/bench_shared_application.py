"""One application over several consumers: how fast one, two … processes work off the same telemetry of one tenant.

`python -m tests.benchmarks.bench_shared_application --processes 1 2`; prints JSON lines. Telemetry lies on the broker before the
consumers go on, so that they alone are measured.
"""

import argparse
import json
import signal
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from orchestration.bench.load.stream_pipeline import PipelineConfig, pipeline_settings
from serving.ingest.producer import ProducerConfig, TelemetryProducer
from serving.stream import streams
from tests.testing.stream_harness import Fleet, wait_until

SERVICES: Final = 500
STEP: Final = timedelta(minutes=1)
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
ROOM: Final = 1_000_000
LEASE_S: Final = 600.0
"""Long enough that consumers keep their partitions while they are stopped."""


def scrape(number: int, series: int) -> pa.Table:
    """Return a point of every series, a minute after the scrape before."""
    names = np.arange(series)
    time_us = int(START.timestamp() * 1e6) + number * STEP.seconds * 1_000_000
    noise = np.random.default_rng(number).standard_normal(series)
    texts = [pa.array([f"service-{at % SERVICES:03d}" for at in names]), pa.array([f"metric_{at // SERVICES}" for at in names])]
    columns = {"timestamp": pa.array(np.full(series, time_us), TIMESTAMP)}
    columns |= {name: text.dictionary_encode() for name, text in zip(("service", "metric"), texts, strict=True)}
    return pa.table({**columns, "value": 100 + 5 * noise})


def rate(processes: int, partitions: int, series: int, scrapes: int) -> float:
    """Return points a second of so many consumers."""
    with tempfile.TemporaryDirectory(prefix="aiops-bench-shared-") as folder:
        settings = pipeline_settings(Path(folder), PipelineConfig(series, max_backlog=ROOM))
        broker = settings.broker.model_copy(update={"partitions": partitions})
        consumer = settings.consumer.model_copy(update={"lease_s": LEASE_S, "metrics_port": 0})
        settings = settings.model_copy(update={"broker": broker, "consumer": consumer})
        with Fleet(settings) as fleet:
            producer = TelemetryProducer(fleet.remote, partitions, "bench", ProducerConfig(max_backlog=ROOM))
            producer.publish(scrape(0, series), 1, START)
            consumers = [fleet.consume("--only", "ingest") for _ in range(processes)]
            if not wait_until(lambda: fleet.points_in() == series, 60):
                raise SystemExit(fleet.log())
            for consumer in consumers:
                consumer.send_signal(signal.SIGSTOP)
            for number in range(1, scrapes + 1):
                producer.publish(scrape(number, series), number + 1, START + number * STEP)
            for consumer in consumers:
                consumer.send_signal(signal.SIGCONT)
            return _worked_off(fleet, series * (scrapes + 1))


def _worked_off(fleet: Fleet, points: int) -> float:
    """Return points a second from now until all are counted."""
    before, began = fleet.points_in(), time.perf_counter()
    if not wait_until(lambda: fleet.points_in() == points, 600, 0.02):
        raise SystemExit(fleet.log())
    numbers = range(fleet.settings.broker.partitions)
    counts = [fleet.remote.hash_all(streams.counts(number)) for number in numbers]
    if sum(int(count.get("points_rejected", 0)) for count in counts):
        raise SystemExit(f"points were rejected: {counts}")
    return (points - before) / (time.perf_counter() - began)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--series", type=int, default=20_000)
    parser.add_argument("--scrapes", type=int, default=150)
    given = parser.parse_args()
    for processes in given.processes:
        measured = rate(processes, given.partitions, given.series, given.scrapes)
        print(
            json.dumps({"processes": processes, "partitions": given.partitions, "points_per_second": round(measured)}), flush=True
        )


if __name__ == "__main__":
    main()
