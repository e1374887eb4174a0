"""What receivers sent and the stream scored is what a backfill from the lake computes, also where the consumer was killed."""

import subprocess
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.tree import Settings
from data_contracts.values.moments import moment_of_us
from orchestration.rehearsal.parity import max_abs_diff
from orchestration.workspace.workspace import Workspace
from serving.stream import streams
from tests.testing.raw_rows import MINUTE, SECOND, STALE, START_US, Raw, Sample, classic, definition_table, points_payload, raw
from tests.testing.stream_harness import Fleet, drained, free_ports, wait_until

MINUTES = 80
BOUNDS = (0.1, 0.5, 2.0, float("inf"))
GAUGES = [raw("queue_length", "value", service) for service in ("web", "cart", "pay")]
TOTALS = [raw("http_requests_total", "total", service, code=code) for service in ("web", "cart") for code in ("200", "500")]
LATENCY = classic("latency_seconds", BOUNDS)


def settings_of(home: Path) -> Settings:
    consumer = ConsumerSettings(metrics_port=0, checkpoint_s=0.3, archive="inside", archive_every_s=0.3, max_backlog=100_000)
    return Settings(home=home, broker=BrokerSettings(port=free_ports(1)[0], partitions=1), consumer=consumer)


def minute_of(rng: np.random.Generator, minute: int, totals: dict[str, float], order: str) -> list[Sample]:
    """Return what is scraped four times in a minute, series by series or in disorder, some late or repeated."""
    samples = []
    for quarter in range(4):
        at = START_US + minute * MINUTE + quarter * 15 * SECOND
        samples += [Sample(series, at, float(rng.normal(50, 5))) for series in GAUGES]
        samples += [_total(series, at, rng.poisson(30), totals) for series in TOTALS]
        samples += [_total(series, at, rng.poisson(4) * (1 + place), totals) for place, series in enumerate(LATENCY)]
    if minute % 9 == 4:
        samples.append(Sample(TOTALS[0], START_US + minute * MINUTE + 50 * SECOND, STALE))
        totals[TOTALS[0].key.metric + str(TOTALS[0].key.labels)] = 0.0
    if minute % 7 == 3:
        samples += [Sample(series, START_US + (minute - 3) * MINUTE, 99.0) for series in GAUGES[:2]]
        samples += samples[:3]
    if order == "series by series":
        return sorted(samples, key=lambda sample: sample.series.key.series_id)
    moved = rng.random(len(samples)) * 40 * SECOND
    return [samples[row] for row in np.argsort(np.array([sample.time_us for sample in samples]) + moved, kind="stable")]


def _total(series: Raw, at: int, by: int, totals: dict[str, float]) -> Sample:
    name = series.key.metric + str(series.key.labels)
    totals[name] = totals.get(name, 0.0) + by
    return Sample(series, at, totals[name])


def append(fleet: Fleet, kind: bytes, payload: bytes, at_us: int) -> None:
    fleet.remote.client.xadd(streams.telemetry(0), {"k": kind, "b": payload, "t": at_us * 1000, "a": at_us, "n": "default"})


def killed(fleet: Fleet, process: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    process.kill()
    process.wait()
    return fleet.consume("--only", "ingest")


@pytest.mark.parametrize("order", ["series by series", "in disorder"])
def test_a_backfill_replays_what_was_scored(home: Path, order: str) -> None:
    home.mkdir(exist_ok=True)
    settings = settings_of(home)
    rng, totals = np.random.default_rng(3), dict[str, float]()
    definitions = streams.to_ipc(definition_table([*GAUGES, *TOTALS, *LATENCY]))
    with Fleet(settings) as fleet:
        consumer = fleet.consume("--only", "ingest")
        for minute in range(MINUTES):
            at_us = START_US + (minute + 1) * MINUTE + int(rng.integers(0, 20)) * SECOND
            if minute % 10 == 0:
                append(fleet, streams.KIND_DEFINITIONS, definitions, at_us - 15 * SECOND)
            samples = minute_of(rng, minute, totals, order)
            half = len(samples) // 2
            for part in (samples[:half], samples[half:]):
                append(fleet, streams.KIND_POINTS, points_payload(part), at_us)
            if minute in (30, 55):
                assert wait_until(lambda: fleet.points_in() > 0, 60)
                consumer = killed(fleet, consumer)
        last = fleet.remote.last_id(streams.telemetry(0))
        offset = streams.offset("stage1", 0)
        assert wait_until(lambda: fleet.remote.hash_all(offset).get("id") == last, 120), fleet.log()
        assert drained(consumer, 60) == 0, fleet.log()
        counts = fleet.remote.totals(1)
        left = [fleet.remote.length(stream) for stream in (streams.points(0), streams.rejected(0))]
    assert left == [0, 0]
    workspace = Workspace.open(settings)
    stored = workspace.lake.read("telemetry")
    assert stored.num_rows == counts["points_scored"] + counts["points_warmup"] > MINUTES * 4 * 5
    assert not any("bucket" in metric or metric.endswith(("_sum", "_count")) for metric in stored["metric"].to_pylist())
    assert workspace.lake.count("series") == len(GAUGES) + len(TOTALS) + len(LATENCY) + 4
    end = moment_of_us(START_US) + timedelta(minutes=MINUTES - 3)
    assert workspace.lake.read("service_features", None, end).num_rows > MINUTES
    assert max_abs_diff(workspace, moment_of_us(START_US), end) == 0.0
    outcomes = ("points_scored", "points_warmup", "points_rejected", "points_repeated", "points_folded")
    assert counts["points_in"] == sum(counts.get(name, 0) for name in outcomes)
    assert min(counts[name] for name in ("points_repeated", "points_folded", "points_rejected")) > 0
