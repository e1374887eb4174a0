"""Feature flush: the newest row of every entity, failures kept for the next round, memory bounded."""

import threading
import time
from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from aiops.errors import Unavailable
from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.series_index import name_hashes
from aiops.features.series_points import SeriesPoints
from aiops.topology.graph import ServiceGraph
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.stream.consumer.consumer_metrics import ConsumerMetrics
from serving.stream.consumer.feature_flush import FeatureFlush, NewestRows, newest
from tests.testing.deadlines import within
from tests.testing.series_names import named
from tests.testing.stream_harness import wait_until


class MemoryWriter:
    """A writer that fails `failures` times first."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.services: dict[str, float] = {}
        self.series: dict[str, float] = {}

    def write_services(self, rows: pa.RecordBatch) -> int:
        return self._write(self.services, rows, "service")

    def write_series(self, rows: pa.RecordBatch) -> int:
        return self._write(self.series, rows, "series")

    def _write(self, table: dict[str, float], rows: pa.RecordBatch, key: str) -> int:
        if self.failures:
            self.failures -= 1
            raise Unavailable("store is away")
        table.update(zip(rows.column(key).to_pylist(), rows.column("x").to_pylist(), strict=True))
        return rows.num_rows


def rows(key: str, **values: float) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({key: list(values), "x": list(values.values())})


def flush_with(writer: MemoryWriter) -> tuple[FeatureFlush, ConsumerMetrics]:
    metrics = ConsumerMetrics()
    return FeatureFlush(lambda _: writer, 0.01, metrics, threading.Event()), metrics


def test_the_last_row_of_an_entity_wins() -> None:
    newest_rows = newest([rows("service", a=1.0, b=2.0), rows("service", b=3.0), rows("service", c=4.0)], "service")
    assert newest_rows.to_pydict() == {"service": ["a", "b", "c"], "x": [1.0, 3.0, 4.0]}


def test_rows_that_failed_wait_and_give_way_to_newer_ones() -> None:
    writer = MemoryWriter(failures=1)
    flush, metrics = flush_with(writer)
    flush.offer(DEFAULT_TENANT, [], [rows("service", a=1.0, b=1.0)])
    assert flush.flush() is False
    flush.offer(DEFAULT_TENANT, [], [rows("service", a=2.0)])
    assert flush.flush() is True
    assert writer.services == {"a": 2.0, "b": 1.0}
    assert metrics.registry.get_sample_value("aiops_feature_flush_failures_total") == 1.0
    assert metrics.registry.get_sample_value("aiops_features_flushed_total", {"table": "services"}) == 2.0


def test_nothing_offered_writes_nothing() -> None:
    writer = MemoryWriter()
    flush, _ = flush_with(writer)
    assert flush.flush() is True
    assert not writer.series


def test_rows_of_few_entities_do_not_pile_up() -> None:
    held = NewestRows("series")
    batch = rows("series", **{f"s{number}": 1.0 for number in range(1000)})
    for _ in range(200):
        held.offer([batch])
        assert held.num_rows <= 51_000 + 1000
    taken = held.take()
    assert taken is not None
    assert taken.num_rows == 1000


GRAPH = ServiceGraph.from_pairs([])
SERIES = [named(f"service-{number}|latency_ms") for number in range(6)]


@given(st.lists(st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=8))
def test_rows_not_built_yet_give_way_as_built_ones_do(minutes: list[set[int]]) -> None:
    """Whichever series have a point in a minute: what is held is what the newest of all rows are."""
    engine, held, all_rows = FeatureEngine(EngineConfig(), GRAPH), NewestRows("series"), []
    for minute, numbers in enumerate([*minutes, {0, 1, 2, 3, 4, 5}]):
        names = [SERIES[number] for number in sorted(numbers)]
        times = np.full(len(names), 1_760_000_000_000_000 + 120_000_000 * minute)
        ids = np.array([name.series_id for name in names], np.int64)
        output = engine.update_arrays(
            SeriesPoints(
                times, ids, name_hashes(names), np.arange(len(names), dtype=float), lambda rows, n=names: [n[row] for row in rows]
            )
        )
        if output.series_rows.num_rows:
            held.offer([output.series_rows])
            all_rows.append(output.series_rows.batch)
    assert held.num_rows <= sum(batch.num_rows for batch in all_rows)
    taken = held.take()
    assert (taken is None) == (not all_rows)
    if taken is not None:
        assert str(taken.to_pylist()) == str(newest(all_rows, "series").to_pylist())  # as text, for NaN is not NaN


def test_a_tick_of_all_series_takes_the_place_of_the_one_before() -> None:
    engine, held = FeatureEngine(EngineConfig(), GRAPH), NewestRows("series")
    ids = np.array([name.series_id for name in SERIES], np.int64)
    for minute in range(5):
        times = np.full(len(SERIES), 1_760_000_000_000_000 + 60_000_000 * minute)
        points = SeriesPoints(times, ids, name_hashes(SERIES), np.ones(len(SERIES)), lambda rows: [SERIES[row] for row in rows])
        held.offer([engine.update_arrays(points).series_rows])
        assert held.num_rows <= len(SERIES)


def test_the_thread_flushes_until_it_is_stopped() -> None:
    writer = MemoryWriter()
    metrics, stop = ConsumerMetrics(), threading.Event()
    flush = FeatureFlush(lambda _: writer, 0.01, metrics, stop)
    thread = threading.Thread(target=flush.run)
    thread.start()
    flush.offer(DEFAULT_TENANT, [rows("series", a=1.0)], [])
    wait_until(lambda: writer.series, 2)
    stop.set()
    thread.join(within(5))
    assert writer.series == {"a": 1.0}
    assert not thread.is_alive()


def test_rows_of_series_that_take_long_to_write_are_written_less_often_than_services() -> None:
    stop, writes = threading.Event(), Counter[str]()

    class SlowWriter:
        def write_series(self, rows: pa.RecordBatch) -> int:
            time.sleep(0.05)
            return noted("series", rows)

        def write_services(self, rows: pa.RecordBatch) -> int:
            if writes["services"] >= 30:
                stop.set()
            return noted("services", rows)

    def noted(table: str, written: pa.RecordBatch) -> int:
        writes[table] += 1
        flush.offer(DEFAULT_TENANT, [rows("series", a=1.0)], [rows("service", a=1.0)])
        return written.num_rows

    flush = FeatureFlush(lambda _: SlowWriter(), 0.01, ConsumerMetrics(), stop)
    flush.offer(DEFAULT_TENANT, [rows("series", a=1.0)], [rows("service", a=1.0)])
    thread = threading.Thread(target=flush.run, daemon=True)
    thread.start()
    thread.join(within(20))
    assert not thread.is_alive()
    assert 1 <= writes["series"] < writes["services"] / 3
