"""Probes of one tier each: how long one answer takes, and how much processor time one row costs."""

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import FloatArray
from data_contracts.telemetry.codec import encode
from orchestration.bench.load.tiers_world import World, ticks, warm_start
from serving.stream import streams
from serving.stream.consumer.consumer_process import partition_config
from serving.stream.consumer.partition import Partition

WARM_CALLS: Final = 20


@dataclass(frozen=True, slots=True)
class Probe:
    """Milliseconds of each call (n,), rows answered, processor seconds spent on them."""

    latency_ms: FloatArray
    rows: int
    cpu_s: float

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the latencies."""
        return float(np.quantile(self.latency_ms, share))

    @property
    def cpu_us_per_row(self) -> float:
        """Return processor microseconds a row."""
        return 1e6 * self.cpu_s / max(1, self.rows)


@dataclass(frozen=True, slots=True)
class Stage1Run:
    """Tier 1's probe over the replay, and the candidates that left it, a batch a tick."""

    probe: Probe
    candidates: Sequence[pa.RecordBatch]
    points: int


def probe_tier1(world: World) -> Stage1Run:
    """Run the replay through stage 1 in this process, an entry a tick: from encoded bytes to candidates.

    The two hours before it are run first, unmeasured: kernels are compiled and series warm then.
    """
    split = world.scenario.split
    partition = Partition.new(partition_config(world.workspace.settings))
    for tick in ticks(world.scenario, warm_start(world.scenario), split.replay_start):
        partition.apply([_entry(tick)])
    entries = [_entry(tick) for tick in ticks(world.scenario, split.replay_start, split.replay_end)]
    took: list[float] = []
    candidates: list[pa.RecordBatch] = []
    points = 0
    gc.collect()
    cpu = time.process_time()
    for entry in entries:
        began = time.perf_counter()
        step = partition.apply([entry])
        took.append(1e3 * (time.perf_counter() - began))
        points += step.counts["points_in"]
        candidates += step.candidates
    return Stage1Run(Probe(np.array(took), points, time.process_time() - cpu), candidates, points)


def _entry(tick: pa.Table) -> streams.Entry:
    newest: int = pc.max(tick.column("timestamp").cast(pa.int64())).as_py()
    return streams.Entry(f"{newest // 1_000_000}-0", streams.KIND_TELEMETRY, encode(tick), 0, newest)


def probe_service(
    call: Callable[[pa.RecordBatch], object], batches: Iterable[pa.RecordBatch], cpu_s: Callable[[], float], calls: int
) -> Probe:
    """Call a tier of the running service `calls` times, over the batches again and again; `cpu_s` reads the service's clock."""
    held = [batch for batch in batches if batch.num_rows]
    if not held:
        return Probe(np.array([np.nan]), 0, 0.0)
    for number in range(WARM_CALLS):
        call(held[number % len(held)])
    took = np.empty(calls)
    rows, before = 0, cpu_s()
    for number in range(calls):
        batch = held[number % len(held)]
        began = time.perf_counter()
        call(batch)
        took[number] = 1e3 * (time.perf_counter() - began)
        rows += batch.num_rows
    return Probe(took, rows, cpu_s() - before)


def tree_cpu_s(pid: int) -> float:
    """Return the processor seconds of a process and its children so far."""
    import psutil

    root = psutil.Process(pid)
    times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
    return float(sum(process.user + process.system for process in times))
