"""The inner work of processes and hosts is information: tier 1 does not flag it, and it hides no symptom."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from aiops.detection.levels import CatalogueLevels, Tier1
from aiops.features.engine import EngineConfig
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.telemetry.codec import encode
from serving.stream import streams
from serving.stream.consumer.partition import Partition, PartitionConfig
from serving.stream.entry import Entry

STEP_US = 60_000_000
START_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
TICKS, FAULT = 120, 100


def candidates(moved: dict[str, float]) -> list[dict[str, object]]:
    """What stage 1 flags or asks about when metrics of one service jump by so many scales at tick FAULT."""
    config = PartitionConfig(
        EngineConfig(), ServiceGraph.from_pairs(()), Tier1(CatalogueLevels(), ""), STEP_US, STEP_US // 2, 5 * STEP_US, 10**9, 1000
    )
    partition, rng = Partition.new(config), np.random.default_rng(3)
    metrics = ["checkout_latency_seconds", "go_gc_duration_seconds", "node_netstat_Tcp_OutRsts", "process_cpu_seconds_total"]
    rows = []
    for tick in range(TICKS):
        values = 10.0 + rng.normal(0.0, 0.2, len(metrics))
        values += [0.2 * moved.get(metric, 0.0) * (tick >= FAULT) for metric in metrics]
        at = START_US + tick * STEP_US
        table = pa.table(
            {
                "timestamp": pa.array([at] * len(metrics), pa.int64()).cast(TIMESTAMP),
                "service": ["api"] * len(metrics),
                "metric": metrics,
                "value": values,
            }
        )
        entry = Entry(f"{tick + 1}-0", streams.KIND_TELEMETRY, encode(table), 0, at)
        for batch in partition.apply([entry]).candidates:
            rows += batch.to_pylist()
    return [row for row in rows if row["event_timestamp"].timestamp() * 1e6 >= START_US + FAULT * STEP_US]  # type: ignore[attr-defined]


@pytest.mark.parametrize("metric", ["go_gc_duration_seconds", "node_netstat_Tcp_OutRsts"])
def test_information_is_not_flagged_however_far_out_it_is(metric: str) -> None:
    assert not any(row["flagged"] for row in candidates({metric: 90.0}))


@pytest.mark.parametrize("metric", ["checkout_latency_seconds", "process_cpu_seconds_total"])
def test_a_symptom_is_named_though_information_is_farther_out(metric: str) -> None:
    flagged = [row for row in candidates({metric: 30.0, "go_gc_duration_seconds": 90.0}) if row["flagged"]]
    assert flagged
    assert {row["metric"] for row in flagged} == {metric}
