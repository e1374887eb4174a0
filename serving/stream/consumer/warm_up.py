"""Compile every kernel of the hot path before the first real point: on a new machine that takes seconds, once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.schemas.wire_schemas import SERIES_DEFINITIONS, WIRE_HISTOGRAMS, WIRE_POINTS
from data_contracts.series.key import SeriesKey
from data_contracts.values.moments import microseconds_of
from serving.stream import streams
from serving.stream.consumer.partition import Partition, PartitionConfig

STEPS: Final = 40
_START: Final = datetime(2020, 1, 1, tzinfo=UTC)


def warm_up(config: PartitionConfig) -> int:
    """Run a little made-up telemetry, raw values too, through a partition that is thrown away; return the points of a source."""
    from data_contracts.telemetry.codec import encode

    step = timedelta(microseconds=config.step_us)
    times = [_START + step * number for number in range(STEPS) for _ in range(2)]
    table = pa.table(
        {
            "timestamp": pa.array(times, TIMESTAMP),
            "service": ["warm-up"] * len(times),
            "metric": ["latency_p99_ms", "cpu_utilization"] * STEPS,
            "value": [0.1 + 0.01 * (number % 7) for number in range(len(times))],
        }
    )
    entry = streams.Entry("1-0", streams.KIND_TELEMETRY, encode(table), 0, microseconds_of(times[-1]))
    alone = replace(config, partitions=1)  # where all kernels run in one step
    partition = Partition.new(alone)
    partition.apply([entry, *_received(times, config.tenant)])
    Partition.restore(alone, partition.snapshot())
    return len(times)


def _received(times: Sequence[datetime], tenant: str) -> list[streams.Entry]:
    """Return a counter and whole histograms as receivers send them."""
    roles = {"requests_total": "total", "seconds": "histogram"}
    ids = {metric: SeriesKey(tenant, "warm-up", metric).series_id for metric in roles}
    unsaid = {"labels": "", "family_id": None, "bound": None, "unit": None, "why": "warm-up"}
    defined = [
        {"series_id": ids[metric], "service": "warm-up", "metric": metric, "role": role, **unsaid}
        for metric, role in roles.items()
    ]
    points = [{"timestamp": at, "series_id": ids["requests_total"], "value": 1.0, "started_at": None} for at in times[-2:]]
    buckets = {"count": 1.0, "sum": 1.0, "upper": [1.0], "counts": [1.0]}
    histograms = [{"timestamp": at, "series_id": ids["seconds"], "started_at": None, **buckets} for at in times[-2:]]
    tables = ((SERIES_DEFINITIONS, defined), (WIRE_POINTS, points), (WIRE_HISTOGRAMS, histograms))
    payloads = [streams.to_ipc(pa.Table.from_pylist(rows, schema=schema)) for schema, rows in tables]
    newest = microseconds_of(times[-1])
    return [
        streams.Entry("2-0", kind, payload, 0, newest) for kind, payload in zip(streams.RECEIVED_KINDS, payloads, strict=True)
    ]
