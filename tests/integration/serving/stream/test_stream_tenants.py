"""Two tenants whose services share their names, through producer, both stages and archiver: each sees its own alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.telemetry_settings import TelemetrySettings
from aiops.settings.tree import Settings
from data_contracts.schemas import telemetry_schemas
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.codec import decode
from serving.ingest.producer import ProducerConfig, TelemetryProducer
from serving.lake.opening import open_lake
from serving.stream import streams
from serving.stream.broker import open_streams
from tests.testing.scoring_services import ScoringThread
from tests.testing.stream_harness import (
    EDGES,
    METRICS,
    PRODUCER,
    SERVICES,
    START,
    Batch,
    Fleet,
    batches,
    drained,
    free_ports,
    publish,
    wait_until,
)

SENT = batches(30)
AHEAD = timedelta(hours=1)
LOUD, QUIET = "loud", "quiet"
MAX_SERIES = len(SERVICES) * len(METRICS)


def settings_of(home: Path) -> Settings:
    home.mkdir(exist_ok=True)
    broker_port, service_port = free_ports(2)
    consumer = ConsumerSettings(
        metrics_port=0,
        checkpoint_s=0.3,
        feature_flush_s=0.3,
        fallback_after_s=5.0,
        archive_every_s=0.3,
        scoring_url=f"http://127.0.0.1:{service_port}",
    )
    room = TelemetrySettings(max_series=MAX_SERIES)
    made = Settings(home=home, broker=BrokerSettings(port=broker_port, partitions=2), consumer=consumer, telemetry=room)
    rows = [{"caller": caller, "callee": callee, "valid_from": START} for caller, callee in EDGES]
    for tenant in (LOUD, QUIET):
        edges = pa.Table.from_pylist(rows, schema=telemetry_schemas.EDGES)
        open_lake(made).for_tenant(tenant).write("edges", edges, "graph")
    return made


def of_tenant(batch: Batch, tenant: str, ahead: timedelta = timedelta(0), more: int = 0) -> pa.Table:
    """Return the rows of a batch as a tenant's, whose clock is `ahead` and who has `more` metrics than all have."""
    assert batch.rows is not None
    rows = batch.rows.set_column(0, "timestamp", pc.add(batch.rows["timestamp"], pa.scalar(ahead, pa.duration("us"))))
    extra = rows.slice(0, 24)
    added = [extra.set_column(2, "metric", pa.array([f"own_{number}"] * 24)) for number in range(more)]
    table = pa.concat_tables([rows, *added])
    return table.append_column("tenant", pa.array([tenant] * table.num_rows))


def send(settings: Settings, with_loud: bool) -> None:
    """Publish both tenants' batches: the quiet one's by a producer of its own, the loud one's by another with a tenant column."""
    quiet = TelemetryProducer(open_streams(settings), 2, PRODUCER, ProducerConfig(512, tenant=QUIET))
    loud = TelemetryProducer(open_streams(settings), 2, "loud", ProducerConfig(512))
    for batch, other in zip(SENT, batches(30, seed=6), strict=True):
        if with_loud and other.rows is not None:
            loud.publish(of_tenant(other, LOUD, AHEAD, 9), other.seq, other.available_at + AHEAD)
        publish(quiet, batch)
    if with_loud:
        loud.publish_close(SENT[-1].available_at + AHEAD, len(SENT) + 1)


@dataclass(frozen=True, slots=True)
class Fleets:
    """A fleet that serves both tenants, and one that serves the quiet tenant alone."""

    both: Fleet
    alone: Fleet


@pytest.fixture
def fleets(home: Path) -> Iterator[Fleets]:
    both, alone = settings_of(home / "both"), settings_of(home / "alone")
    with Fleet(both, ScoringThread(both)) as first, Fleet(alone, ScoringThread(alone)) as second:
        yield Fleets(first, second)


def rows_in(fleet: Fleet, stream: str, tenant: str) -> list[dict[str, object]]:
    entries = [entry for entry in fleet.remote.range(stream) if entry.tenant == tenant]
    return [row for entry in entries for row in streams.from_ipc(entry.payload).to_pylist()]


def test_each_tenant_is_scored_and_stored_alone(fleets: Fleets) -> None:
    both, alone = fleets.both, fleets.alone
    for fleet, with_loud in ((both, True), (alone, False)):
        process = fleet.consume()
        send(fleet.settings, with_loud)
        assert wait_until(lambda fleet=fleet: fleet.settled(len(SENT)), 60), fleet.log()
        assert drained(process) == 0, fleet.log()
    counts = both.remote.totals(2)
    assert counts["points_in"] == counts["points_scored"] + counts["points_warmup"] + counts["points_rejected"]
    assert counts["rejected.too_many_series"] > 0
    assert "rejected.too_many_series" not in alone.remote.totals(2)

    for stream in (streams.DETECTIONS, streams.PREDICTIONS):
        assert rows_in(both, stream, LOUD)
        quiet_rows = sorted(map(repr, rows_in(both, stream, QUIET)))
        assert quiet_rows == sorted(map(repr, rows_in(alone, stream, QUIET)))
        assert quiet_rows
        assert rows_in(both, stream, DEFAULT_TENANT) == []
    shared, own = open_lake(both.settings), open_lake(alone.settings)
    for table in ("telemetry", "service_features", "series_features", "rejected", "detections", "predictions"):
        rows = sorted(map(repr, shared.for_tenant(QUIET).read(table).to_pylist()))
        assert rows
        assert rows == sorted(map(repr, own.for_tenant(QUIET).read(table).to_pylist())), table
        assert shared.for_tenant(LOUD).count(table) > 0
        assert shared.for_tenant(DEFAULT_TENANT).count(table) == 0
    assert isinstance(both.service, ScoringThread)
    assert set(both.service.services) == {LOUD, QUIET}


def test_one_table_of_two_tenants_becomes_entries_of_one_tenant_each(fleets: Fleets) -> None:
    fleet = fleets.both
    batch = SENT[0]
    table = pa.concat_tables([of_tenant(batch, "a"), of_tenant(batch, "b"), of_tenant(batch, "")])
    producer = TelemetryProducer(open_streams(fleet.settings), 2, "one", ProducerConfig(tenant="own"))
    producer.publish(table, 1, batch.available_at)
    rows: dict[str, int] = {}
    for number in range(2):
        for entry in fleet.remote.range(streams.telemetry(number)):
            if entry.kind == streams.KIND_WATERMARK:
                continue
            payload = decode(entry.payload)
            assert "tenant" not in payload.schema.names
            rows[entry.tenant] = rows.get(entry.tenant, 0) + payload.num_rows
    assert batch.rows is not None
    assert rows == dict.fromkeys(("a", "b", "own"), batch.rows.num_rows)
    assert producer.publish(table, 1, batch.available_at) == 0
