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
from aiops.features.feature_rows import DeferredRows, TickBlocks
from aiops.features.name_table import NameTable
from aiops.features.series_index import name_hashes
from aiops.features.series_points import SeriesPoints
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.stream.consumer.consumer_metrics import ConsumerMetrics
from serving.stream.consumer.feature_flush import FeatureFlush
from serving.stream.consumer.newest_rows import PIECE_ROWS, NewestRows, newest
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


NAMES = NameTable()


def rows(key: str, **values: float) -> DeferredRows:
    """Return one row of each entity, all of a tick."""
    blocks = TickBlocks()
    numbers = np.array([NAMES.number(name) for name in values], np.int32)
    blocks.add(TICK_US, TICK_US, np.array([list(values.values())]).T, numbers)
    times = [("event_timestamp", TIMESTAMP), ("available_at", TIMESTAMP)]
    schema = pa.schema([*times, (key, pa.string()), ("x", pa.float64())])
    return DeferredRows(blocks, schema, NAMES, lambda wanted: [pa.array([NAMES.names[number.as_py()] for number in wanted])])


def values_of(batches: list[DeferredRows], key: str) -> dict[str, float]:
    return {
        name: value
        for batch in batches
        for name, value in zip(batch.batch.column(key).to_pylist(), batch.batch.column("x").to_pylist(), strict=True)
    }


def flush_with(writer: MemoryWriter) -> tuple[FeatureFlush, ConsumerMetrics]:
    metrics = ConsumerMetrics()
    return FeatureFlush(lambda _: writer, 0.01, metrics, threading.Event()), metrics


def test_the_last_row_of_an_entity_wins() -> None:
    newest_rows = newest([rows("service", a=1.0, b=2.0), rows("service", b=3.0), rows("service", c=4.0)])
    assert values_of(newest_rows, "service") == {"a": 1.0, "b": 3.0, "c": 4.0}
    assert sum(batch.num_rows for batch in newest_rows) == 3


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
    held = NewestRows()
    batch = rows("series", **{f"s{number}": 1.0 for number in range(1000)})
    for _ in range(200):
        held.offer([batch])
        assert held.num_rows <= 51_000 + 1000
    assert sum(piece.num_rows for piece in held.take()) == 1000


GRAPH = ServiceGraph.from_pairs([])
SERIES = [named(f"service-{number}|latency_ms") for number in range(6)]


@given(st.lists(st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=8))
def test_rows_not_built_yet_give_way_as_built_ones_do(minutes: list[set[int]]) -> None:
    """Whichever series have a point in a minute: what is held is what the newest of all rows are."""
    engine, held, all_rows = FeatureEngine(EngineConfig(), GRAPH), NewestRows(), []
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
    taken = [row for piece in held.take() for row in piece.batch.to_pylist()]
    expected = {row["series"]: row for batch in all_rows for row in batch.to_pylist()}
    assert len(taken) == len(expected)
    assert str({row["series"]: row for row in taken}) == str({row["series"]: expected[row["series"]] for row in taken})  # NaN


def test_a_tick_of_all_series_takes_the_place_of_the_one_before() -> None:
    engine, held = FeatureEngine(EngineConfig(), GRAPH), NewestRows()
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


TICK_US = 1_760_000_000_000_000
MANY = 5 * PIECE_ROWS


class BlockedWriter(MemoryWriter):
    """A store in which each write of series takes until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def write_series(self, rows: pa.RecordBatch) -> int:
        self.begun.release()
        assert self.go_on.acquire(timeout=within(20))
        return super().write_series(rows)


def many_series(value: float) -> DeferredRows:
    return rows("series", **{f"s{number}": value for number in range(MANY)})


def test_a_last_flush_ends_in_its_time_and_says_what_it_left() -> None:
    """Services go first; of series not one more write begins when the time is over, and nothing is written later."""
    writer = MemoryWriter()
    flush, metrics = flush_with(writer)
    flush.offer(DEFAULT_TENANT, [many_series(1.0)], [rows("service", a=1.0)])
    assert flush.last_flush(0.0) == Counter(series=MANY, services=1)
    assert flush.flush() is True
    assert not writer.series
    assert not writer.services
    flush.offer(DEFAULT_TENANT, [many_series(2.0)], [rows("service", a=2.0)])
    assert flush.last_flush(within(60)) == Counter()
    assert writer.services == {"a": 2.0}
    assert writer.series == {f"s{number}": 2.0 for number in range(MANY)}
    assert metrics.registry.get_sample_value("aiops_features_flushed_total", {"table": "series"}) == MANY


def test_a_round_under_way_gives_way_to_the_last_flush() -> None:
    writer = BlockedWriter()
    flush, _ = flush_with(writer)
    flush.offer(DEFAULT_TENANT, [many_series(1.0)], [])
    left: list[Counter[str]] = []
    rounds = threading.Thread(target=flush.flush, daemon=True)
    rounds.start()
    assert writer.begun.acquire(timeout=within(20))
    last = threading.Thread(target=lambda: left.append(flush.last_flush(0.0)), daemon=True)
    last.start()
    assert wait_until(lambda: flush.gives_way, 20)
    writer.go_on.release()
    last.join(within(20))
    rounds.join(within(20))
    assert left == [Counter(series=MANY - PIECE_ROWS)], "the write under way ends, and no other begins"
    assert len(writer.series) == PIECE_ROWS


def test_a_round_under_way_gives_way_when_the_process_stops() -> None:
    writer, stop = BlockedWriter(), threading.Event()
    flush = FeatureFlush(lambda _: writer, 0.01, ConsumerMetrics(), stop)
    thread = threading.Thread(target=flush.run, daemon=True)
    flush.offer(DEFAULT_TENANT, [many_series(1.0)], [])
    thread.start()
    assert writer.begun.acquire(timeout=within(20))
    stop.set()
    writer.go_on.release()
    thread.join(within(20))
    assert not thread.is_alive()
    assert len(writer.series) == PIECE_ROWS


def test_what_the_store_did_not_take_at_the_end_is_counted() -> None:
    flush, _ = flush_with(MemoryWriter(failures=2))
    flush.offer(DEFAULT_TENANT, [rows("series", a=1.0, b=2.0)], [rows("service", a=1.0)])
    assert flush.last_flush(within(20)) == Counter(series=2, services=1)
