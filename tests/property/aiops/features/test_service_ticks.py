"""Services over several partitions: how their messages are interleaved never matters, and the sums are those of one engine."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.errors import OutdatedState, StateError
from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.engine_output import SeriesOutput
from aiops.features.feature_rows import TickBlocks
from aiops.features.series_engine import SeriesEngine
from aiops.features.service_ticks import ServiceTicks
from aiops.topology.graph import ServiceGraph
from aiops.types import SeriesBatch
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES, TIMESTAMP
from tests.testing.series_names import points as points_batch

MINUTE = 60_000_000
START = 1_760_000_040 * 1_000_000
GRAPH = ServiceGraph.from_pairs([("web", "cart"), ("web", "pay"), ("cart", "db")])
CONFIG = EngineConfig(window_points=16, warmup_points=3, warmup_s=0)
SERVICES = ("web", "cart", "pay", "db")
METRICS = ("cpu_utilization", "latency_p99_ms", "error_rate", "requests_per_second", "queue_length")


@dataclass(frozen=True)
class Message:
    """What a partition gave when a minute was over: sums by service of the ticks that it closed, and up to where it closed."""

    part: int
    partials: TickBlocks
    services: tuple[str, ...]
    closed_us: int


def batch(minute: int, series: list[tuple[str, str]], rng: np.random.Generator) -> SeriesBatch:
    """Return a point of every series in a minute, at moments of their own."""
    times = START + minute * MINUTE + np.sort(rng.integers(0, MINUTE, len(series)))
    values = np.round(rng.normal(0.5, 0.2, len(series)) + 4.0 * (rng.random(len(series)) < 0.05), 3)
    texts = [pa.array([pair[number] for pair in series], pa.string()).dictionary_encode() for number in (0, 1)]
    return points_batch(pa.array(times, pa.int64()).cast(TIMESTAMP), *texts, pa.array(values, pa.float64()))


def world_of(parts: int, seed: int) -> list[list[SeriesBatch]]:
    """Return batches by minute and partition; a partition may have no series, or fall silent for a while."""
    rng = np.random.default_rng(seed)
    pairs = [(service, metric) for service in SERVICES for metric in METRICS if rng.random() < 0.7] or [("web", "error_rate")]
    home = rng.integers(0, parts, len(pairs))
    hushed, first, last = rng.integers(0, parts), rng.integers(5, 15), rng.integers(15, 25)
    return [
        [
            batch(minute, [pair for pair, own in zip(pairs, home, strict=True) if own == part and not silent], rng)
            for part in range(parts)
            for silent in [part == hushed and first <= minute < last]
        ]
        for minute in range(30)
    ]


PARTS, SEEDS = st.integers(1, 4), st.integers(0, 2**32)


def message(part: int, engine: SeriesEngine, output: SeriesOutput) -> Message:
    return Message(part, output.partials, tuple(engine.services), engine.closed_us)


def messages(minutes: list[list[SeriesBatch]], parts: int) -> list[list[Message]]:
    """Return what every partition says, in its order: after every minute it hears how far the others are."""
    engines = [SeriesEngine(CONFIG) for _ in range(parts)]
    said: list[list[Message]] = [[] for _ in range(parts)]
    for minute, batches in enumerate(minutes):
        until_us = START + (minute + 1) * MINUTE
        for part, (engine, points) in enumerate(zip(engines, batches, strict=True)):
            if len(points):
                said[part].append(message(part, engine, engine.update(points)))
            said[part].append(message(part, engine, engine.advance(until_us, until_us)))
    return said


def rows_of(ticks: ServiceTicks, order: list[Message]) -> pa.Table:
    batches = []
    for said in order:
        assert ticks.add(said.part, said.partials, said.services) == 0
        batches.append(ticks.close_through(said.part, said.closed_us).batch)
    return pa.Table.from_batches(batches).combine_chunks()


def interleaved(said: list[list[Message]], rng: np.random.Generator) -> list[Message]:
    order = rng.permutation(np.repeat(np.arange(len(said)), [len(own) for own in said]))
    queues = [iter(own) for own in said]
    return [next(queues[part]) for part in order.tolist()]


@settings(max_examples=40, deadline=None)
@given(PARTS, SEEDS)
def test_the_order_of_partitions_and_a_restart_change_nothing(parts: int, seed: int) -> None:
    said, rng = messages(world_of(parts, seed), parts), np.random.default_rng(seed)
    whole = rows_of(ServiceTicks(GRAPH, parts), [each for own in said for each in own])
    order, ticks = interleaved(said, rng), ServiceTicks(GRAPH, parts)
    cut = int(rng.integers(0, len(order) + 1))
    first = rows_of(ticks, order[:cut]) if cut else whole.slice(0, 0)
    ticks = ServiceTicks.restore(GRAPH, parts, ticks.snapshot())
    second = rows_of(ticks, order[cut:]) if cut < len(order) else whole.slice(0, 0)
    again = pa.concat_tables([first, second])
    pd.testing.assert_frame_equal(again.to_pandas(), whole.to_pandas(), check_exact=True)


@settings(max_examples=25, deadline=None)
@given(PARTS, SEEDS)
def test_several_partitions_give_what_a_single_engine_gives(parts: int, seed: int) -> None:
    minutes = world_of(parts, seed)
    said = messages(minutes, parts)
    split = rows_of(ServiceTicks(GRAPH, parts), [each for own in said for each in own]).to_pandas()
    engine = FeatureEngine(CONFIG, GRAPH)
    rows = []
    for batches in minutes:
        table = pa.Table.from_batches([points.table for points in batches]).combine_chunks().sort_by("timestamp")
        if table.num_rows:
            rows.append(engine.update(SeriesBatch(table.combine_chunks().unify_dictionaries().to_batches()[0])).service_features)
    single = pa.Table.from_batches(rows).to_pandas() if rows else split.iloc[:0]
    key = ["event_timestamp", "service"]
    both = single.merge(split, on=key, suffixes=("", "_split"))
    assert len(both) == len(single), "a tick closes at the same time or sooner over several partitions"
    for name in SERVICE_FEATURES:
        np.testing.assert_allclose(both[f"{name}_split"], both[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_partition_without_a_point_holds_no_tick_and_a_silent_process_does() -> None:
    rng = np.random.default_rng(5)
    minutes = [[batch(minute, [("web", "error_rate")], rng), batch(minute, [], rng)] for minute in range(10)]
    busy, idle = messages(minutes, 2)
    ticks = ServiceTicks(GRAPH, 2)
    assert rows_of(ticks, busy).num_rows == 0, "nobody knows yet what the other has"
    assert ticks.waiting == 9
    assert rows_of(ticks, idle).num_rows == 9
    assert ticks.waiting == 0


def test_sums_of_a_tick_that_a_partition_has_closed_are_counted_as_late() -> None:
    (said,) = messages([[batch(minute, [("web", "error_rate")], np.random.default_rng(5))] for minute in range(10)], 1)
    ticks = ServiceTicks(GRAPH)
    rows_of(ticks, said)
    assert sum(ticks.add(each.part, each.partials, each.services) for each in said) == 9
    assert ticks.close_through(0, ticks.closed_us).num_rows == 0


def test_a_state_of_other_partitions_or_a_damaged_state_is_refused() -> None:
    state = ServiceTicks(GRAPH, 2).snapshot()
    with pytest.raises(OutdatedState, match="of 2 partitions, not 3"):
        ServiceTicks.restore(GRAPH, 3, state)
    with pytest.raises(StateError, match="damaged"):
        ServiceTicks.restore(GRAPH, 2, {name: array for name, array in state.items() if name != "sizes"})
