"""Rows a second of the telemetry validator on one core; prints JSON lines: name, value, unit, baseline."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.telemetry.validate import validate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
METRICS = ("requests_per_second", "latency_p50_ms", "latency_p99_ms", "error_rate", "cpu_utilization", "memory_utilization")


def telemetry(rows: int, services: int = 50) -> pa.Table:
    """Return clean telemetry in event-time order: every series of every service at each 60 s tick; names dictionary-encoded."""
    generator = np.random.default_rng(7)
    series = services * len(METRICS)
    tick = np.arange(rows) // series
    code = np.arange(rows) % series
    start_us = int(datetime(2025, 12, 1, tzinfo=UTC).timestamp()) * 1_000_000
    times = np.minimum(start_us + tick * 60_000_000, int(NOW.timestamp()) * 1_000_000 + tick)
    names = pa.array([f"service-{number:03d}" for number in range(services)])
    service = pa.array((code // len(METRICS)).astype(np.int32), pa.int32())
    metric = pa.array((code % len(METRICS)).astype(np.int32), pa.int32())
    return pa.table(
        {
            "timestamp": pa.array(times, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "service": pa.DictionaryArray.from_arrays(service, names),
            "metric": pa.DictionaryArray.from_arrays(metric, pa.array(METRICS)),
            "value": pa.array(generator.random(rows)),
        }
    )


def with_strings(table: pa.Table) -> pa.Table:
    """Return the table with plain string names."""
    for name in ("service", "metric"):
        table = table.set_column(table.schema.get_field_index(name), name, table.column(name).cast(pa.string()))
    return table


def with_labels(table: pa.Table) -> pa.Table:
    """Return the table with two labels a row, 40 distinct sets."""
    rows = np.arange(table.num_rows)
    keys = pa.array(["zone", "pod"]).take(pa.array(np.tile([0, 1], table.num_rows), pa.int64()))
    items = pa.array([f"{name}-{number}" for name in ("a", "b") for number in range(20)]).take(
        pa.array(np.column_stack([rows % 2, 20 + rows % 20]).ravel(), pa.int64())
    )
    offsets: Any = pa.array(np.arange(table.num_rows + 1, dtype=np.int32) * 2, pa.int32())
    return table.append_column("labels", pa.MapArray.from_arrays(offsets, keys, items))


def with_bad_rows(table: pa.Table) -> pa.Table:
    """Return the table with one value in a hundred missing."""
    bad = pa.array(np.arange(table.num_rows) % 100 == 0)
    value = pc.if_else(bad, pa.scalar(None, pa.float64()), table.column("value"))
    return table.set_column(table.schema.get_field_index("value"), "value", value)


def rows_per_second(run: Callable[[], object], rows: int, repeats: int) -> float:
    """Return rows over the best wall time of `repeats` runs after one warm-up."""
    run()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return rows / best


def finite_and_unique(table: pa.Table) -> int:
    """Do the least a pandas user would: drop non-finite values and duplicates of (service, metric, timestamp)."""
    frame = table.to_pandas()
    return len(frame[np.isfinite(frame["value"])].drop_duplicates(["service", "metric", "timestamp"]))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    table = telemetry(options.rows)
    strings = with_strings(table)
    part = table.slice(0, 65_536)
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(table.num_rows), pa.int64()))
    baseline = rows_per_second(lambda: finite_and_unique(table), table.num_rows, 1)
    cases = {
        "validate.dictionary": table,
        "validate.strings": strings,
        "validate.dictionary_64k": part,
        "validate.strings_64k": strings.slice(0, 65_536),
        "validate.shuffled": shuffled,
        "validate.labels": with_labels(table),
        "validate.one_percent_bad": with_bad_rows(table),
    }
    for name, case in cases.items():
        value = rows_per_second(lambda case=case: validate(case, NOW), case.num_rows, options.repeats)  # type: ignore[misc]
        line = {"name": name, "value": round(value), "unit": "rows/s", "baseline": round(baseline)}
        sys.stdout.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
