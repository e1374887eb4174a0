"""A big service of which some series stray all day: one that never did alarms alone within a minute, one of those does not."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pytest

from aiops.detection.levels import CatalogueLevels, Tier1
from aiops.features.engine import EngineConfig
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.telemetry.codec import encode
from serving.stream import streams
from serving.stream.consumer.partition import Partition, PartitionConfig
from serving.stream.entry import Entry

STEP_US = 60_000_000
START_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
SERIES, CHRONIC = 460, 20
WARM, FAULT, TICKS = 20, 240, 244
STEADY, RESTLESS = 300, 7
METRICS = [f"step_{number}_latency_seconds" for number in range(SERIES)]


@lru_cache
def recording() -> FloatArray:
    """(TICKS, SERIES): all are steady but the first CHRONIC, which are far out in a tenth of their ticks."""
    rng = np.random.default_rng(4)
    values = 10.0 + rng.normal(0.0, 0.05, (TICKS, SERIES)).clip(-0.15, 0.15)
    far = np.exp2(rng.exponential(1.0, (TICKS, CHRONIC)))
    strays = rng.random((TICKS, CHRONIC)) < 0.1
    strays[:WARM] = strays[FAULT - 1 :] = False
    values[:, :CHRONIC] += np.where(strays, far, 0.0)
    return values


@lru_cache
def flagged(faulty: int) -> Mapping[int, str]:
    """By tick what is flagged where a series is tenfold from tick FAULT on; -1 = none is."""
    config = PartitionConfig(
        EngineConfig(), ServiceGraph.from_pairs(()), Tier1(CatalogueLevels(), ""), STEP_US, STEP_US // 2, 5 * STEP_US, 10**9, 1000
    )
    partition, values = Partition.new(config), recording().copy()
    if faulty >= 0:
        values[FAULT:, faulty] *= 10.0
    named = {}
    for tick in range(TICKS):
        at = START_US + tick * STEP_US
        times = pa.array(np.full(SERIES, at)).cast(TIMESTAMP)
        columns = {"timestamp": times, "service": ["api"] * SERIES, "metric": METRICS, "value": values[tick]}
        entry = Entry(f"{tick + 1}-0", streams.KIND_TELEMETRY, encode(pa.table(columns)), 0, at)
        for row in (row for batch in partition.apply([entry]).candidates for row in batch.to_pylist() if row["flagged"]):
            named[round((row["event_timestamp"].timestamp() * 1e6 - START_US) / STEP_US)] = row["metric"]
    return named


def test_a_steady_series_that_strays_alarms_alone_within_a_minute() -> None:
    assert flagged(STEADY).get(FAULT) == METRICS[STEADY]


def test_a_series_that_strays_all_day_does_not_alarm_alone() -> None:
    assert FAULT not in flagged(RESTLESS)
    assert FAULT + 1 not in flagged(RESTLESS)


@pytest.mark.parametrize("faulty", [-1, STEADY])
def test_what_strays_all_day_is_seldom_an_alarm(faulty: int) -> None:
    """But for their first times, when nobody knows yet that they do."""
    healthy = [tick for tick in flagged(faulty) if tick < FAULT]
    assert np.count_nonzero((recording()[WARM:FAULT, :CHRONIC] > 10.4).any(axis=1)) > 150
    assert len(healthy) < CHRONIC / 2
    assert len([tick for tick in healthy if tick >= 3 * WARM]) <= 1
