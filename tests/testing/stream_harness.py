"""A small world for tests of the stream: telemetry with all its faults, real processes, random kills, comparable outcomes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from aiops.errors import Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas import telemetry_schemas
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.ingest.producer import ProducerConfig, TelemetryProducer
from serving.ingest.producer_sequence import EncodedEntry
from serving.lake.opening import open_lake
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from serving.stream.consumer.checkpoint import CheckpointStore, state_hash
from serving.stream.consumer.consumer_process import tenants_config
from serving.stream.consumer.tenant_partitions import TenantPartitions
from serving.stream.consumer.tenant_services import CAME, TenantServices
from tests.testing.deadlines import Deadline, within
from tests.testing.free_ports import free_ports

START = datetime(2026, 3, 2, tzinfo=UTC)
SERVICES = ("cart", "pay", "search", "ship", "user", "web")
EDGES = (("web", "cart"), ("cart", "pay"), ("user", "search"))
METRICS = ("cpu_utilization", "error_rate", "latency_p99_ms", "requests_per_second")
LEVELS = np.array([0.4, 0.01, 200.0, 800.0])
GRAPH = ServiceGraph.from_pairs(EDGES)
STEP_S = 10
LASTING = 7
"""Points of a spike: what passes sooner is no alarm."""
PRODUCER = "test"
NEVER = "99999999999999-0"
"""An entry id later than any."""
NAIVE = ("-m", "tests.testing.naive_consumer")


def graph_of(_tenant: str) -> ServiceGraph:
    """Return the call graph of every tenant."""
    return GRAPH


@dataclass(frozen=True, slots=True)
class PartitionEntries:
    """What a receiver appends to one partition."""

    partition: int
    entries: tuple[EncodedEntry, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """One source offset: rows and the time at which they became available; or a known incident; or the end.

    `received`: what a receiver sends in place of all these.
    """

    seq: int
    available_at: datetime
    rows: pa.Table | None = None
    incident: str = ""
    received: tuple[PartitionEntries, ...] = ()

    @property
    def points(self) -> int:
        """Return the points of a source, or the raw values of a receiver, in the batch."""
        raw = (streams.KIND_POINTS, streams.KIND_HISTOGRAMS)
        values = [entry.payload for part in self.received for entry in part.entries if entry.kind in raw]
        return sum(streams.from_ipc(payload).num_rows for payload in values) + (
            self.rows.num_rows if self.rows is not None else 0
        )


def batches(count: int, seed: int = 5, minutes: float = 4.0) -> list[Batch]:
    """Return `count` batches of `minutes` each: noise, spikes, non-finite, future, late and doubled points, known incidents."""
    rng = np.random.default_rng(seed)
    made: list[Batch] = []
    for seq in range(1, count):
        first = START + timedelta(minutes=minutes * (seq - 1))
        end = first + timedelta(minutes=minutes)
        if seq % 17 == 0:
            made.append(Batch(seq, first, incident=SERVICES[seq % len(SERVICES)]))
            continue
        made.append(Batch(seq, end, rows=_rows(rng, first, int(minutes * 60 / STEP_S))))
    made.append(Batch(count, made[-1].available_at + timedelta(hours=1)))
    return made


def _rows(rng: np.random.Generator, first: datetime, steps: int) -> pa.Table:
    series = [(service, metric) for service in SERVICES for metric in METRICS]
    size = steps * len(series)
    start_us = int(first.timestamp() * 1e6)
    times = start_us + np.repeat(np.arange(steps) * STEP_S * 1_000_000, len(series))
    level = np.tile(LEVELS, steps * len(SERVICES))
    values = level * (1 + 0.05 * rng.standard_normal(size))
    struck = (rng.random(size) < 0.003).reshape(steps, len(series))
    spikes = struck.copy()
    for later in range(1, min(LASTING, steps)):
        spikes[later:] |= struck[:-later]
    values[spikes.reshape(-1)] *= 1.8
    values[rng.random(size) < 0.001] = np.nan
    values[rng.random(size) < 0.001] = -5.0
    times = np.where(rng.random(size) < 0.001, times + 10**10, times)
    times = np.where(rng.random(size) < 0.002, times - 600_000_000, times)
    times = np.where(rng.random(size) < 0.001, times - 7_200_000_000, times)
    doubled = rng.random(size) < 0.002
    times[1:] = np.where(doubled[1:], times[:-1], times[1:])
    names = np.tile(np.array([service for service, _ in series]), steps)
    metrics = np.tile(np.array([metric for _, metric in series]), steps)
    columns = {"timestamp": pa.array(times, telemetry_schemas.TIMESTAMP), "service": names, "metric": metrics, "value": values}
    return pa.table(columns)


def publish(producer: TelemetryProducer, batch: Batch) -> int:
    """Send one batch; return the entries that were new."""
    if batch.rows is not None:
        return producer.publish(batch.rows, batch.seq, batch.available_at)
    if batch.incident:
        return producer.publish_incident(batch.incident, batch.available_at, batch.seq)
    return producer.publish_close(batch.available_at, batch.seq)


def publish_all(
    settings: Settings,
    all_batches: Sequence[Batch],
    pause_s: float = 0.0,
    wait_for: Callable[[int], None] = lambda _number: None,
) -> None:
    """Send everything as a restartable producer does: after an outage it asks the broker where it stands.

    `wait_for` may hold back the batch of a number (0, 1 …).
    """
    patient = ProducerConfig(points_per_entry=512, patience_s=60.0, max_backlog=settings.consumer.max_backlog)
    producer = TelemetryProducer(open_streams(settings), settings.broker.partitions, PRODUCER, patient)
    at = 0
    while at < len(all_batches):
        wait_for(at)
        try:
            publish(producer, all_batches[at])
            at += 1
            time.sleep(pause_s)
        except Unavailable:
            time.sleep(0.1)
            at = _resumed(producer, at)


def _resumed(producer: TelemetryProducer, at: int) -> int:
    try:
        return min(at, producer.resume_from() - 1)
    except Unavailable:
        return at


class Scoring(Protocol):
    """A scoring service that can be killed and started again."""

    def start(self) -> None: ...

    def kill(self) -> None: ...


class Fleet:
    """Broker, scoring service and consumer of one home; everything it starts it also ends."""

    def __init__(self, settings: Settings, service: Scoring | None = None) -> None:
        self.settings = settings
        self.broker = EmbeddedBroker(settings)
        self.service = service
        self.remote = open_streams(settings)
        self._consumers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Fleet":
        self.broker.start()
        if self.service is not None:
            self.service.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._consumers:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.broker.stop()
        if self.service is not None:
            self.service.kill()

    def points_in(self) -> int:
        """Return the points counted so far, 0 while the broker is away."""
        numbers = range(self.settings.broker.partitions)
        try:
            return sum(int(self.remote.hash_all(streams.counts(number)).get("points_in", 0)) for number in numbers)
        except Unavailable:
            return 0

    def consume(self, *arguments: str, program: Sequence[str] = ("-m", "serving.stream.consumer")) -> "subprocess.Popen[bytes]":
        """Start one consumer process."""
        log = (self.settings.root / "consumer.log").open("ab")
        command = [sys.executable, *program, *arguments]
        root = Path(__file__).parents[2]
        process = subprocess.Popen(command, env=environment(self.settings), stdout=log, stderr=log, cwd=root)
        log.close()
        self._consumers.append(process)
        return process

    def log(self) -> str:
        return (self.settings.root / "consumer.log").read_text()

    def settled(self, newest_seq: int, scored: bool = True) -> bool:
        """Return whether everything of `PRODUCER` up to source offset `newest_seq`, and of all others, is committed by stage 1,
        and by stage 2 where `scored`."""
        broker = self.remote
        try:
            if int(broker.hash_all(streams.producer(PRODUCER)).get("done", 0)) < newest_seq:
                return False
            for number in range(self.settings.broker.partitions):
                if self._behind(broker, streams.telemetry(number), "stage1", number):
                    return False
                if self._behind(broker, streams.partials(number), "services", number):
                    return False
                stages = ((streams.candidates(number), "score"), (streams.deferred(number), "deferred"))
                if scored and any(self._behind(broker, stream, stage, number) for stream, stage in stages):
                    return False
        except Unavailable:
            return False
        return True

    def _behind(self, broker: streams.Streams, stream: str, stage: str, number: int) -> bool:
        done = broker.hash_all(streams.offset(stage, number)).get("id", streams.START)
        return broker.last_id(stream) != done


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment that gives a child process these settings (those that tests change)."""
    consumer = settings.consumer.model_dump(exclude_none=True, exclude={"scoring_token"})
    nested = {f"AIOPS_CONSUMER__{name.upper()}": str(value) for name, value in consumer.items()}
    export = settings.export.model_dump(exclude_none=True, exclude={"token"})
    nested |= {f"AIOPS_EXPORT__{name.upper()}": str(value) for name, value in export.items()}
    if settings.broker.url is not None:
        nested["AIOPS_BROKER__URL"] = settings.broker.url
    nested["AIOPS_TELEMETRY__WARMUP_S"] = str(settings.telemetry.warmup_s)
    nested["AIOPS_TELEMETRY__MAX_SERIES"] = str(settings.telemetry.max_series)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIOPS_")},
        **nested,
        "AIOPS_HOME": str(settings.root),
        "AIOPS_BROKER__PORT": str(settings.broker.port),
        "AIOPS_BROKER__PARTITIONS": str(settings.broker.partitions),
    }


def quick_settings(home: Path, kafka: str | None = None) -> Settings:
    """Return settings with small intervals, so that every mechanism runs many times in a few seconds; writes the call graph.

    `kafka`: the URL of a cluster that telemetry lies on.
    """
    broker_port, service_port = free_ports(2)
    consumer = ConsumerSettings(
        metrics_port=0,
        checkpoint_s=0.3,
        feature_flush_s=0.5,
        fallback_after_s=0.4,
        scoring_url=f"http://127.0.0.1:{service_port}",
        archive="separate",
        max_backlog=100_000,
        novelty=True,
    )
    home.mkdir()
    settings = Settings(home=home, broker=BrokerSettings(url=kafka, port=broker_port, partitions=2), consumer=consumer)
    store_graph(settings)
    return settings


def store_graph(settings: Settings) -> None:
    """Write the call graph to the lake, where the consumer finds it."""
    rows = [{"caller": caller, "callee": callee, "valid_from": START} for caller, callee in EDGES]
    open_lake(settings).for_tenant(DEFAULT_TENANT).write(
        "edges", pa.Table.from_pylist(rows, schema=telemetry_schemas.EDGES), "graph"
    )


def wait_until(true: Any, timeout_s: float, every_s: float = 0.05) -> bool:
    """Return whether `true()` became true within so many seconds of a machine with nothing else to do."""
    deadline = Deadline(timeout_s)
    while not deadline.passed:
        if true():
            return True
        time.sleep(every_s)
    return bool(true())


def drained(process: "subprocess.Popen[bytes]", timeout_s: float = 20.0) -> int:
    """Ask a consumer to end and return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(within(timeout_s))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind, comparable with another run's."""

    detections: dict[str, tuple[object, ...]]
    predictions: list[tuple[object, ...]]
    features: dict[str, list[str]]
    points: dict[str, list[str]]
    rejected: list[str]
    counts: dict[str, int]
    state: list[str]
    duplicates: int


_EXACT_COUNTS = ("points_", "rejected.", "series_defined")


def outcome(fleet: Fleet) -> Outcome:
    """Read back everything; revisions of a detection fold into the newest, `duplicates` counts rows that came twice."""
    broker = fleet.remote
    numbers = range(fleet.settings.broker.partitions)
    detections = rows_of(broker, [streams.DETECTIONS])
    newest: dict[str, tuple[bool, tuple[object, ...]]] = {}
    for row in sorted(detections, key=lambda row: int(row["revision"])):
        compared = tuple(value for name, value in row.items() if name not in {"revision", "reason"})
        newest[row["detection_id"]] = (row["anomalous"], compared)
    kept = {key: row for key, (anomalous, row) in newest.items() if anomalous}
    predicted = ("timestamp", "service", "p_5min", "p_15min", "p_60min")
    predictions = [tuple(row[name] for name in predicted) for row in rows_of(broker, [streams.PREDICTIONS])]
    features = {str(number): _lines(rows_of(broker, [streams.features(number)])) for number in numbers}
    points = {str(number): _lines(rows_of(broker, [streams.points(number)])) for number in numbers}
    rejected = [row["reject_id"] for row in rows_of(broker, [streams.rejected(number) for number in numbers])]
    counts: Counter[str] = Counter()
    for number in numbers:
        counters = broker.hash_all(streams.counts(number))
        counts.update({name: int(value) for name, value in counters.items() if name.startswith(_EXACT_COUNTS)})
    twice = [Counter((row["detection_id"], row["revision"]) for row in detections), Counter(predictions)]
    twice += [Counter(rows) for rows in (*features.values(), *points.values())]
    states = [_state(fleet.settings, number) for number in numbers]
    doubled = sum(count - 1 for counter in twice for count in counter.values())
    ordered = (sorted(predictions, key=str), features, points, sorted(rejected), dict(sorted(counts.items())))
    return Outcome(kept, *ordered, states, doubled)


def rows_of(broker: streams.Streams, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of all entries of some streams."""
    return [row for name in names for entry in broker.range(name) for row in streams.from_ipc(entry.payload).to_pylist()]


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, default=str) for row in rows)


def _state(settings: Settings, number: int) -> str:
    """Return the hash of the restored state: where a ring of points begins in memory is no part of what it holds.

    Nor is when something last came of a tenant at its home: that is of the run.
    """
    folder, config = settings.root / "consumer", tenants_config(settings)
    checkpoint, _ = CheckpointStore(folder, number).load(NEVER)
    if checkpoint is None:
        return "none"
    services, _ = CheckpointStore(folder, number, stage="services").load(NEVER)
    added_up = {} if services is None else TenantServices.restore(config, services.state).snapshot()
    added_up.pop(CAME, None)
    return f"{state_hash(TenantPartitions.restore(config, checkpoint.state).snapshot())} {state_hash(added_up)}"


def differences(left: Outcome, right: Outcome) -> list[str]:
    """Return the names of the fields in which two outcomes differ."""
    return [name for name in Outcome.__slots__ if getattr(left, name) != getattr(right, name)]
