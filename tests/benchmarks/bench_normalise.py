"""Speed of the normaliser on one core: an entry's payload → columns → points to score, 100,000 series, CPU time.

Prints JSON lines with name, value, unit and baseline (the payload alone: read as columns).
"""

import json
import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
import pyarrow as pa

from aiops.normalise.definitions import read_definitions
from aiops.normalise.normaliser import Normaliser, NormaliserConfig
from aiops.normalise.wire_columns import point_columns
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.schemas.wire_schemas import SERIES_DEFINITIONS, WIRE_POINTS
from data_contracts.series.key import SeriesKey, labels_text, series_ids
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.stream import streams

SERIES = 100_000
ROUNDS = 24
ENTRY = 8192
START_US = 1_772_409_600_000_000
BUCKETS = 10


def definitions(role: str) -> tuple[pa.Table, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return the definitions of the series of one role, and their ids."""
    keys = [_key(role, number) for number in range(SERIES)]
    ids = series_ids(keys)
    part = role == "bucket"
    families = series_ids([SeriesKey(DEFAULT_TENANT, key.service, "seconds", key.labels[1:]) for key in keys]) if part else None
    bounds = [float(2 ** (number % BUCKETS)) if (number + 1) % BUCKETS else float("inf") for number in range(SERIES)]
    columns = {
        "series_id": ids,
        "service": [key.service for key in keys],
        "metric": [key.metric for key in keys],
        "labels": [labels_text(key.labels) for key in keys],
        "role": [role] * SERIES,
        "family_id": pa.nulls(SERIES, pa.int64()) if families is None else families,
        "bound": bounds if part else pa.nulls(SERIES, pa.float64()),
        "unit": pa.nulls(SERIES, pa.string()),
        "why": ["declared by the sender"] * SERIES,
    }
    return pa.table(columns, schema=SERIES_DEFINITIONS), ids


def _key(role: str, number: int) -> SeriesKey:
    host = ("pod", f"pod-{number // BUCKETS:05d}")
    metric = {"bucket": "seconds_bucket", "total": "requests_total"}.get(role, "load")
    labels = (("le", str(number % BUCKETS)), host) if role == "bucket" else (host, ("shard", str(number % BUCKETS)))
    return SeriesKey(DEFAULT_TENANT, f"service-{number // BUCKETS % 250:03d}", metric, labels)


def payloads(ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[bytes]:
    """Yield the payloads of ROUNDS values of every series, a minute apart."""
    rng = np.random.default_rng(3)
    level = np.zeros(ids.size)
    for number in range(ROUNDS):
        level += np.sort(rng.random(ids.size // BUCKETS * BUCKETS).reshape(-1, BUCKETS), axis=1).reshape(-1)
        times = pa.array(np.full(ids.size, START_US + number * 60_000_000)).cast(TIMESTAMP)
        table = pa.table([times, ids, level, pa.nulls(ids.size, TIMESTAMP)], schema=WIRE_POINTS)
        for first in range(0, ids.size, ENTRY):
            yield streams.to_ipc(table.slice(first, ENTRY).combine_chunks())


def cpu_s(work: Callable[[bytes], object], sent: list[bytes]) -> float:
    """Return the CPU time of the work on all payloads: the median over rounds, times the rounds."""
    each = len(sent) // ROUNDS
    spent = []
    for first in range(0, len(sent), each):
        begun = time.process_time()
        for payload in sent[first : first + each]:
            work(payload)
        spent.append(time.process_time() - begun)
    return median(spent[2:]) * ROUNDS


def measure(role: str) -> None:
    """Print the speed of one role."""
    table, ids = definitions(role)
    sent = list(payloads(ids))
    normaliser = Normaliser(NormaliserConfig(DEFAULT_TENANT, SERIES, 29_000_000))
    begun = time.process_time()
    for first in range(0, SERIES, ENTRY):
        normaliser.define(read_definitions(table.slice(first, ENTRY), DEFAULT_TENANT), START_US)
    defined_s = time.process_time() - begun
    points = SERIES * ROUNDS
    normal_s = cpu_s(lambda payload: normaliser.points(point_columns(payload), 2**62, START_US), sent)
    read_s = cpu_s(point_columns, sent)
    state = sum(array.nbytes for array in normaliser.snapshot().values())
    show(f"normalise_{role}", points / normal_s / 1e6, "M points/s", points / read_s / 1e6)
    show(f"define_{role}", SERIES / defined_s / 1e3, "k series/s", 0.0)
    show(f"state_{role}", state / SERIES, "B a series, with names", 0.0)


def show(name: str, value: float, unit: str, baseline: float) -> None:
    """Print one figure."""
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "baseline": round(baseline, 3)}), flush=True)


def main() -> None:
    """Measure gauges, counters and the buckets of classic histograms."""
    for role in ("value", "total", "bucket"):
        measure(role)


if __name__ == "__main__":
    main()
