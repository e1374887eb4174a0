"""Compile every kernel of the hot path before the first real point: on a new machine that takes seconds, once."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.values.moments import microseconds_of
from serving.stream import streams
from serving.stream.consumer.partition import Partition, PartitionConfig

STEPS: Final = 40
_START: Final = datetime(2020, 1, 1, tzinfo=UTC)


def warm_up(config: PartitionConfig) -> int:
    """Run a little made-up telemetry through a partition that is thrown away; return the points."""
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
    partition = Partition.new(config)
    partition.apply([entry])
    Partition.restore(config, partition.snapshot())
    return len(times)
