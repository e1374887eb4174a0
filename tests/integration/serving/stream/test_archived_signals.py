"""Points as scored, logs, spans and exemplars reach the lake once each, whatever dies when, and are counted once."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from data_contracts.series.key import series_ids
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.values.moments import moment_of_us
from serving.ingest.receive.signals.otlp_logs import accept_logs
from serving.ingest.receive.signals.otlp_traces import accept_spans
from serving.ingest.receive.signals.signal_outcome import SignalIntake
from serving.lake.opening import open_lake
from serving.lake.parquet_lake import ParquetLake
from serving.lake.port import Lake
from serving.stream import streams
from serving.stream.archiver import ArchiveConfig, Archiver
from serving.stream.broker import EmbeddedBroker
from tests.testing.deadlines import within
from tests.testing.otlp_bodies import NOW, add_log, add_span
from tests.testing.signal_entries import START, START_US, append, append_outcome, catalogue, exemplars, key_of, points
from tests.testing.stream_harness import free_ports

MINUTE_US = 60_000_000


class Death(Exception):
    """The process dies here."""


class MortalLake(ParquetLake):
    """A lake whose writer dies now and then, before or after the file is in place."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        super().__init__(folder, DEFAULT_TENANT)
        self._rng = rng

    def write(self, table: str, rows: pa.Table | pa.RecordBatch, key: str) -> int:
        self._die()
        written = super().write(table, rows, key)
        self._die()
        return written

    def _die(self) -> None:
        if self._rng.random() < 0.15:
            raise Death


@pytest.fixture
def broker(home: Path) -> Iterator[streams.Streams]:
    settings = Settings(home=home, broker=BrokerSettings(port=free_ports(1)[0], partitions=1))
    with EmbeddedBroker(settings) as server:
        yield streams.Streams(server.client())


@pytest.fixture
def lake(home: Path) -> Lake:
    return open_lake(home / "lake").for_tenant(DEFAULT_TENANT)


def archive(broker: streams.Streams, lake: Lake, closing: bool = True, **config: Any) -> Archiver:
    archiver = Archiver(broker, lambda _: lake, ArchiveConfig((0,), **config))
    archiver.catch_up(threading.Event(), closing)
    return archiver


def define(broker: streams.Streams, numbers: range, **cells: Any) -> list[int]:
    keys = [key_of(number) for number in numbers]
    append(broker, streams.points(0), streams.KIND_DEFINITIONS, streams.to_ipc(catalogue(keys, **cells)))
    return series_ids(keys).tolist()


def score(broker: streams.Streams, ids: list[int], minute: int, late_us: int = 7) -> None:
    at_us = START_US + minute * MINUTE_US
    append(broker, streams.points(0), streams.KIND_POINTS, streams.to_ipc(points(ids, at_us)), at_us + late_us)


def test_points_get_the_names_of_their_series_and_when_they_were_known(broker: streams.Streams, lake: Lake) -> None:
    ids = define(broker, range(5))
    score(broker, [ids[3], ids[0], ids[3]][:2], minute=1)
    archive(broker, lake)
    rows = {row["series_id"]: row for row in lake.read("telemetry").to_pylist()}
    assert set(rows) == {ids[3], ids[0]}
    assert rows[ids[3]] == {
        "timestamp": moment_of_us(START_US + MINUTE_US),
        "series_id": ids[3],
        "service": "s3",
        "metric": "requests_total",
        "labels": '{"pod":"p3","zone":"a"}',
        "value": 1.0,
        "available_at": moment_of_us(START_US + MINUTE_US + 7),
    }
    assert lake.read("series")["series_id"].to_pylist() == sorted(ids)
    assert broker.length(streams.points(0)) == 0
    assert lake.read_telemetry(START, moment_of_us(START_US + 2 * MINUTE_US), ["s3"]).num_rows == 1


def test_entries_of_one_moment_that_go_back_in_time_are_known_one_after_the_other(broker: streams.Streams, lake: Lake) -> None:
    (known,) = define(broker, range(1))
    for minute, at_us in ((5, 100), (3, 100), (4, 100), (2, 100), (9, 200)):
        payload = streams.to_ipc(points([known], START_US + minute * MINUTE_US))
        append(broker, streams.points(0), streams.KIND_POINTS, payload, START_US + at_us)
    archive(broker, lake)
    rows = sorted(lake.read("telemetry").to_pylist(), key=lambda row: (row["available_at"], row["timestamp"]))
    minutes = [(row["timestamp"] - START) // timedelta(minutes=1) for row in rows]
    assert minutes == [5, 3, 4, 2, 9]
    assert [(row["available_at"] - START) // timedelta(microseconds=1) for row in rows] == [100, 101, 101, 102, 200]


def test_the_catalogue_is_read_from_the_lake_at_the_start_and_the_first_definition_counts(
    broker: streams.Streams, lake: Lake
) -> None:
    ids = define(broker, range(3))
    archive(broker, lake)
    define(broker, range(3), seen_us=START_US + 5, role="value")
    score(broker, ids, minute=1)
    archive(broker, lake)
    assert lake.count("telemetry") == 3
    assert set(lake.read("series")["role"].to_pylist()) == {"total"}
    assert lake.count("series") == 3


def test_points_of_a_series_that_nobody_defined_are_refused_and_not_dropped(broker: streams.Streams, lake: Lake) -> None:
    (known,) = define(broker, range(1))
    stranger = 2**62 + 1
    score(broker, [known, stranger], minute=1)
    score(broker, [stranger], minute=2)
    archive(broker, lake)
    assert lake.read("telemetry")["series_id"].to_pylist() == [known]
    rejected = lake.read("rejected").to_pylist()
    assert [(row["reason"], row["field"]) for row in rejected] == [("unknown_series", "series_id")] * 2
    assert all(f'"series_id": "{stranger}"' in row["row"] for row in rejected)


def test_a_definition_that_another_archiver_stored_is_found(broker: streams.Streams, lake: Lake) -> None:
    (known,) = define(broker, range(1))
    score(broker, [known], minute=1)
    archiver = archive(broker, lake)
    other = key_of(9)
    lake.write("series", catalogue([other]), "points-1-0")
    score(broker, [other.series_id], minute=2)
    archiver.catch_up(threading.Event())
    assert (lake.count("telemetry"), lake.count("rejected")) == (2, 0)


def test_two_tenants_have_catalogues_of_their_own(broker: streams.Streams, home: Path) -> None:
    lakes = open_lake(home / "lake")
    for tenant in ("a", "b"):
        keys = [key_of(1, tenant)]
        append(broker, streams.points(0), streams.KIND_DEFINITIONS, streams.to_ipc(catalogue(keys)), tenant=tenant)
    ids = {tenant: key_of(1, tenant).series_id for tenant in ("a", "b")}
    append(broker, streams.points(0), streams.KIND_POINTS, streams.to_ipc(points([ids["a"]], START_US)), tenant="a")
    append(broker, streams.points(0), streams.KIND_POINTS, streams.to_ipc(points([ids["a"]], START_US)), tenant="b")
    Archiver(broker, lakes.for_tenant, ArchiveConfig((0,))).catch_up(threading.Event())
    counts = {
        tenant: [lakes.for_tenant(tenant).count(table) for table in ("series", "telemetry", "rejected")] for tenant in ("a", "b")
    }
    assert counts == {"a": [1, 1, 0], "b": [1, 0, 1]}


def send_signals(broker: streams.Streams, number: int) -> tuple[int, int, int]:
    """Append a request of logs, with one that is refused, one of spans and exemplars; return how many of each are valid."""
    logs, traces = ExportLogsServiceRequest(), ExportTraceServiceRequest()
    for place in range(3):
        add_log(logs, body=f"{number}-{place}", severity_number=9)
    add_log(logs, body="bad", severity_number=99)
    add_span(traces, span_id=(number + 1).to_bytes(8, "big"))
    intake = SignalIntake(NOW)
    append_outcome(broker, accept_logs(logs.SerializeToString(), "protobuf", intake))
    append_outcome(broker, accept_spans(traces.SerializeToString(), "protobuf", intake))
    observed = exemplars([1, 2], START_US + number)
    append(broker, streams.signals(0), streams.KIND_EXEMPLARS, streams.to_ipc(observed))
    return 3, 1, 2


def counts(broker: streams.Streams) -> dict[str, int]:
    stored = broker.totals(1)
    return {name: stored.get(name, 0) for name in ("logs_in", "spans_in", "exemplars_in", "signals_rejected")}


def test_signals_are_stored_and_counted_while_their_part_is_open(broker: streams.Streams, lake: Lake) -> None:
    archiver = Archiver(broker, lambda _: lake, ArchiveConfig((0,)))
    for number in range(4):
        send_signals(broker, number)
        archiver.catch_up(threading.Event(), closing=False)
        sent = number + 1
        assert counts(broker) == {"logs_in": 3 * sent, "spans_in": sent, "exemplars_in": 2 * sent, "signals_rejected": sent}
        assert [lake.count(table) for table in ("logs", "spans", "exemplars")] == [3 * sent, sent, 2 * sent]
    assert broker.length(streams.signals(0)) == 16
    archiver.catch_up(threading.Event())
    assert broker.length(streams.signals(0)) == 0
    assert counts(broker)["logs_in"] == 12
    assert "rows:logs_in" not in broker.hash_all(streams.offset("archive-signals", 0))
    assert {row["body"] for row in lake.read("logs").to_pylist()} == {f"{a}-{b}" for a in range(4) for b in range(3)}
    assert {row["source"] for row in lake.read("rejected").to_pylist()} == {"otlp/logs"}
    assert len(list((Path(lake.folder("logs"))).rglob("*.parquet"))) == 1


def test_a_request_that_is_sent_again_is_stored_once_and_counted_as_received(broker: streams.Streams, lake: Lake) -> None:
    for _ in range(2):
        send_signals(broker, 1)
        archive(broker, lake)
    assert counts(broker)["logs_in"] == 6
    assert [lake.count(table) for table in ("logs", "spans", "exemplars")] == [3, 1, 2]


def test_spans_of_a_receiver_that_knew_no_trace_state_are_stored_beside_those_of_one_that_does(
    broker: streams.Streams, lake: Lake
) -> None:
    """During an upgrade both wait in the stream."""
    traces = ExportTraceServiceRequest()
    add_span(traces, trace_state="ot=th:8")
    accepted = accept_spans(traces.SerializeToString(), "protobuf", SignalIntake(NOW))
    (entry,) = accepted.entries
    older = streams.from_ipc(entry.payload).drop_columns("trace_state")
    other = pa.array(["0" * 15 + "9"])
    older = older.set_column(older.schema.get_field_index("span_id"), "span_id", other)
    append(broker, streams.signals(0), entry.kind, streams.to_ipc(older))
    archive(broker, lake)
    append(broker, streams.signals(0), entry.kind, streams.to_ipc(older))
    append_outcome(broker, accepted)
    archive(broker, lake)
    assert sorted(lake.read("spans")["trace_state"].to_pylist(), key=str) == [None, "ot=th:8"]


@pytest.mark.parametrize("seed", range(3))
def test_deaths_at_any_point_lose_and_double_nothing(broker: streams.Streams, home: Path, seed: int) -> None:
    rng = random.Random(seed)
    mortal = MortalLake(home / "lake" / "tenant=default", rng)
    archiver = Archiver(broker, lambda _: mortal, ArchiveConfig((0,), chunk_entries=9))
    deaths, ids = 0, list[int]()
    for minute in range(30):
        ids += define(broker, range(10 * minute, 10 * minute + 10))
        score(broker, rng.sample(ids, len(ids)), minute)
        send_signals(broker, minute)
        try:
            archiver.catch_up(threading.Event(), closing=rng.random() < 0.1)
        except Death:
            deaths += 1
            archiver = Archiver(broker, lambda _: mortal, ArchiveConfig((0,), chunk_entries=9))
    assert deaths > 3
    calm = open_lake(home / "lake").for_tenant(DEFAULT_TENANT)
    archive(broker, calm)
    stored = calm.read("telemetry")
    assert stored.num_rows == sum(10 * (minute + 1) for minute in range(30))
    pods = {row["series_id"]: row["labels"] for row in stored.to_pylist()}
    assert pods == {key_of(number).series_id: f'{{"pod":"p{number}","zone":"a"}}' for number in range(300)}
    assert [calm.count(table) for table in ("series", "logs", "spans", "exemplars", "rejected")] == [300, 90, 30, 60, 1]
    assert counts(broker) == {"logs_in": 90, "spans_in": 30, "exemplars_in": 60, "signals_rejected": 30}


def test_kill_9_between_file_and_note_loses_and_doubles_nothing(broker: streams.Streams, lake: Lake, home: Path) -> None:
    ids, killed, sent = list[int](), 0, 0
    for writes in (1, 2, 3, 5, 4, 1, 50):
        for _ in range(3):
            ids += define(broker, range(10 * sent, 10 * sent + 10))
            score(broker, ids, sent)
            send_signals(broker, sent)
            sent += 1
        port = str(broker.client.connection_pool.connection_kwargs["port"])
        command = [sys.executable, "-m", "tests.testing.dying_archiver", str(home), port, str(writes)]
        ended = subprocess.run(command, cwd=Path(__file__).parents[4], capture_output=True, timeout=within(120), check=False)
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr.decode()
        killed += ended.returncode != 0
    assert killed >= 5
    archive(broker, lake)
    assert lake.count("telemetry") == sum(10 * (minute + 1) for minute in range(sent))
    stored = [lake.read(table).num_rows for table in ("series", "logs", "spans", "exemplars")]
    assert stored == [10 * sent, 3 * sent, sent, 2 * sent]
    assert counts(broker) == {"logs_in": 3 * sent, "spans_in": sent, "exemplars_in": 2 * sent, "signals_rejected": sent}
    assert broker.length(streams.points(0)) == broker.length(streams.signals(0)) == 0


def test_a_part_is_bounded_by_what_its_rows_take_written_out(broker: streams.Streams, lake: Lake) -> None:
    for number in range(6):
        send_signals(broker, number)
    archive(broker, lake, closing=False, chunk_bytes=900)
    assert lake.count("logs") == 18
    assert len(list(Path(lake.folder("logs")).rglob("*.parquet"))) > 2
    assert 0 < broker.length(streams.signals(0)) < 12


def test_parts_of_points_hold_many_entries_for_they_are_bounded_by_their_size(broker: streams.Streams, lake: Lake) -> None:
    (known,) = define(broker, range(1))
    for minute in range(300):
        score(broker, [known], minute)
    archive(broker, lake, closing=False, chunk_entries=10)
    assert lake.count("telemetry") == 300
    assert len(list(Path(lake.folder("telemetry")).rglob("*.parquet"))) == 1


def test_an_open_part_of_points_never_fills_the_stream_so_that_its_writer_waits(broker: streams.Streams, lake: Lake) -> None:
    (known,) = define(broker, range(1))
    for minute in range(300):
        score(broker, [known], minute)
    archive(broker, lake, closing=False, max_backlog=200)
    assert lake.count("telemetry") == 300
    assert broker.length(streams.points(0)) < 100, "an open part stays in the stream until it is closed"


class BusyLake(ParquetLake):
    """A lake during whose every write another request comes in."""

    def __init__(self, folder: Path, broker: streams.Streams) -> None:
        super().__init__(folder, DEFAULT_TENANT)
        self._broker = broker
        self.writes = 0

    def write(self, table: str, rows: pa.Table | pa.RecordBatch, key: str) -> int:
        self.writes += 1
        send_signals(self._broker, self.writes)
        return super().write(table, rows, key)


def test_what_comes_during_a_round_waits_for_the_next(broker: streams.Streams, home: Path) -> None:
    busy = BusyLake(home / "lake" / "tenant=default", broker)
    send_signals(broker, 0)
    archiver = archive(broker, busy, closing=False)
    assert busy.writes == 4, "logs, spans, exemplars and refused records, once each"
    archiver.catch_up(threading.Event(), closing=False)
    assert busy.writes == 8


def test_a_backlog_of_full_parts_is_copied_in_one_round(broker: streams.Streams, lake: Lake) -> None:
    for number in range(30):
        send_signals(broker, number)
    archive(broker, lake, closing=False, chunk_entries=8)
    assert lake.count("logs") == 90


def test_received_points_on_the_telemetry_stream_move_the_archiver_on_and_are_read_once(
    broker: streams.Streams, lake: Lake
) -> None:
    for minute in range(40):
        append(broker, streams.telemetry(0), streams.KIND_POINTS, b"x" * 1000, START_US + minute)
    archive(broker, lake, closing=False)
    held = broker.hash_all(streams.offset("archive-telemetry", 0))
    assert held["part"] == held["id"] == broker.last_id(streams.telemetry(0))
    assert held["clock_us"] == str(START_US + 39)
    assert broker.length(streams.telemetry(0)) == 40
