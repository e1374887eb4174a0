"""Speed of the feature engine in CPU time: JSON lines (name, value, unit, baseline). Run by hand or by `make bench`."""

import json
import sys
import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.series_points import SeriesPoints
from aiops.topology.graph import ServiceGraph
from aiops.types import IntArray, SeriesBatch
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.series.series_name import SeriesName
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.series_rows import PointColumns, points_of
from serving.stream.consumer.consumer_metrics import resident_bytes

BYTES = "bytes_per_series"
START_US = 1_700_000_000_000_000
METRICS = (
    "requests_per_second",
    "latency_p50_ms",
    "latency_p99_ms",
    "error_rate",
    "cpu_utilization",
    "memory_utilization",
    "connections_utilization",
    "disk_utilization",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One load: `series` series, a point each `every_s`, points cut into batches of `batch_rows`."""

    name: str
    series: int
    every_s: int
    batch_rows: int = 16_384
    points: int = 600_000
    step_s: int = 60


def telemetry(case: Case, points: int, first: int) -> SeriesBatch:
    """Return `points` points from point number `first` on, series by series at each time."""
    number = np.arange(first, first + points)
    series = number % case.series
    noise = np.random.default_rng(first).normal(size=points)
    services = pa.array([f"service-{i}" for i in range(-(-case.series // len(METRICS)))])
    columns = [
        pa.array(START_US + (number // case.series) * case.every_s * 1_000_000).cast(TIMESTAMP),
        pa.DictionaryArray.from_arrays(pa.array((series // len(METRICS)).astype(np.int32)), services),
        pa.DictionaryArray.from_arrays(pa.array((series % len(METRICS)).astype(np.int32)), pa.array(METRICS)),
        pa.array(0.5 + 0.05 * noise),
    ]
    return SeriesBatch(points_of(PointColumns(columns[0], columns[1], columns[2], columns[3]), DEFAULT_TENANT))


def points_per_second(case: Case) -> float:
    """Return points/s with full windows, tick features included."""
    graph = ServiceGraph.from_pairs([("service-0", "service-1"), ("service-1", "service-2")])
    engine = FeatureEngine(EngineConfig(step_s=case.step_s), graph)
    warm = case.series * (max(3600, 2 * case.step_s) // case.every_s + 2)
    engine.update(telemetry(case, warm, 0))
    batches = [
        telemetry(case, min(case.batch_rows, case.points - first), warm + first)
        for first in range(0, case.points, case.batch_rows)
    ]
    began = time.process_time()
    for batch in batches:
        engine.update(batch)
    return case.points / (time.process_time() - began)


def naive_points_per_second(case: Case, points: int = 2_000) -> float:
    """Return points/s of the same window statistics by numpy calls, one series and tick at a time (the baseline)."""
    size = min(240, 3600 // case.every_s)
    window = np.random.default_rng(0).normal(size=size)
    offsets = np.arange(size) * case.every_s / 60.0
    per_tick = max(1, 60 // case.every_s)
    began = time.process_time()
    for _ in range(points // per_tick):
        for part in (window[-max(2, 300 // case.every_s) :], window):
            median = np.median(part)
            np.median(np.abs(part - median))
            part.mean(), part.std(), part.min(), part.max()
            np.polyfit(offsets[-part.size :], part, 1)
    return points / (time.process_time() - began)


def bytes_per_series(series: int = 1_000_000, rounds: int = 64) -> tuple[float, float]:
    """Return the state and the growth of resident memory a series, with an hour of points a minute of every series."""
    engine = FeatureEngine(EngineConfig(max_series=series), ServiceGraph.from_pairs([]))
    ids = np.random.default_rng(1).permutation(series).astype(np.int64)
    services = [f"service-{number}" for number in range(-(-series // len(METRICS)))]
    before = resident_bytes()
    for first in (number * 100_000 for number in range(rounds * series // 100_000)):
        place = (first + np.arange(100_000)) % series
        time_us = START_US + (first + np.arange(100_000)) // series * 60_000_000
        value = 0.5 + 0.05 * np.random.default_rng(first).normal(size=place.size)

        def names(rows: IntArray, place: IntArray = place) -> list[SeriesName]:
            parts = [(int(ids[number]), number) for number in place[rows].tolist()]
            return [
                SeriesName(key, services[number // len(METRICS)], METRICS[number % len(METRICS)], "") for key, number in parts
            ]

        engine.update_arrays(SeriesPoints(time_us, ids[place], ids[place], value, names))
    return engine.state_bytes / series, (resident_bytes() - before) / series


CASES = (
    Case("tier1_scores_10s_1k_series", 1_000, 10, step_s=3600),
    Case("tier1_scores_1s_1k_series", 1_000, 1, points=3_600_000, step_s=3600),
    Case("features_60s_1k_series", 1_000, 60),
    Case("features_60s_10k_series", 10_000, 60),
    Case("features_15s_1k_series", 1_000, 15),
    Case("features_10s_5k_series", 5_000, 10),
    Case("features_5s_1k_series", 1_000, 5),
)


def main(names: list[str]) -> None:
    """Print one JSON line a case (all of them, or those named)."""
    if BYTES in names:  # some minutes: only when named
        for what, value in zip(("state", "resident memory"), bytes_per_series(), strict=True):
            line = {"name": f"{BYTES}, {what}, 1 M series at 60 s", "value": round(value), "unit": "B", "baseline": 800}
            sys.stdout.write(json.dumps(line) + "\n")
    for case in CASES:
        if not names or case.name in names:
            value, baseline = points_per_second(case), naive_points_per_second(case) if case.step_s == 60 else 0.0
            line = {"name": case.name, "value": round(value), "unit": "points/CPU s", "baseline": round(baseline)}
            sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
