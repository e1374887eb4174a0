"""One consumer process against a real Valkey: drain, bad entries, a silent scoring service, a second owner, the lake."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.tree import Settings
from data_contracts.schemas import telemetry_schemas
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.ingest.producer import ProducerConfig, TelemetryProducer
from serving.lake.opening import open_lake
from serving.stream import streams
from tests.testing.deadlines import within
from tests.testing.scoring_services import ScoringThread
from tests.testing.stream_harness import (
    PRODUCER,
    Fleet,
    batches,
    drained,
    free_ports,
    publish,
    publish_all,
    rows_of,
    store_graph,
    wait_until,
)

SENT = batches(30)


@pytest.fixture
def settings(home: Path) -> Settings:
    broker_port, service_port, metrics_port = free_ports(3)
    consumer = ConsumerSettings(
        metrics_port=metrics_port,
        checkpoint_s=0.3,
        feature_flush_s=0.3,
        fallback_after_s=0.4,
        archive_every_s=0.3,
        scoring_url=f"http://127.0.0.1:{service_port}",
    )
    settings = Settings(home=home, broker=BrokerSettings(port=broker_port, partitions=1), consumer=consumer)
    store_graph(settings)
    return settings


@pytest.fixture
def fleet(settings: Settings) -> Iterator[Fleet]:
    with Fleet(settings, ScoringThread(settings)) as running:
        yield running


def metrics_page(settings: Settings, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{settings.consumer.metrics_port}{path}", timeout=within(2)) as answer:
        text: str = answer.read().decode()
        return text


def test_sigterm_drains_and_the_lake_has_every_accepted_row(fleet: Fleet, settings: Settings) -> None:
    process = fleet.consume()
    publish_all(settings, SENT)
    assert wait_until(lambda: fleet.settled(len(SENT)), 30), fleet.log()
    page = metrics_page(settings)
    assert "ok" in metrics_page(settings, "/livez")
    assert drained(process) == 0, fleet.log()
    counts = {name: int(value) for name, value in fleet.remote.hash_all(streams.counts(0)).items()}
    sent_rows = sum(batch.rows.num_rows for batch in SENT if batch.rows is not None)
    assert counts["points_in"] == sent_rows
    assert counts["points_in"] == counts["points_scored"] + counts["points_warmup"] + counts["points_rejected"]
    for reason in ("non_finite", "out_of_range", "future_timestamp", "too_late", "duplicate"):
        assert counts[f"rejected.{reason}"] > 0, counts
    assert f'aiops_points_total{{outcome="in"}} {float(sent_rows)}' in page
    lake = open_lake(settings).for_tenant(DEFAULT_TENANT)
    late = counts["rejected.too_late"] + counts["rejected.duplicate"]
    archived = lake.count("telemetry")
    assert counts["points_scored"] + counts["points_warmup"] <= archived <= sent_rows - counts["points_rejected"] + late
    assert lake.count("rejected") == counts["points_rejected"]
    assert lake.count("service_features") > 0
    assert lake.count("detections") == counts["detections"]
    detections = lake.read("detections").to_pylist()
    tiers = {(row["metric"] == "requests_per_second", row["tier"]) for row in detections}
    assert tiers == {(True, 2), (False, 3)}, "business signals are judged by their band, the others by the service as a whole"
    assert all("; flags confirmed by tier" in row["route"] for row in detections)
    assert 'aiops_asked_total{tier="2"}' in page
    assert fleet.remote.length(streams.rejected(0)) == 0
    stored = lake.read("telemetry", columns=telemetry_schemas.LAKE_TELEMETRY.names)
    assert stored.schema.equals(telemetry_schemas.LAKE_TELEMETRY)


def test_an_undecodable_entry_is_rejected_with_its_payload_and_stops_nothing(fleet: Fleet, settings: Settings) -> None:
    for kind, payload in ((b"t", b"not arrow"), (b"i", b"{}")):
        fleet.remote.client.xadd(streams.telemetry(0), {"k": kind, "b": payload, "t": 1, "a": 1_700_000_000_000_000})
    fleet.consume()
    publish_all(settings, SENT[1:])
    assert wait_until(lambda: fleet.settled(len(SENT)), 30), fleet.log()
    assert fleet.remote.hash_all(streams.counts(0))["rejected.undecodable"] == "2"
    assert wait_until(lambda: open_lake(settings).for_tenant(DEFAULT_TENANT).count("rejected") > 1, 10)
    rows = open_lake(settings).for_tenant(DEFAULT_TENANT).read("rejected").to_pylist()
    texts = [row["row"] for row in rows if row["reason"] == "undecodable"]
    assert len(texts) == 2
    assert "bm90IGFycm93" in texts[0] + texts[1]


def test_tier_1_speaks_alone_while_the_service_is_silent_and_it_catches_up_once(fleet: Fleet, settings: Settings) -> None:
    assert fleet.service is not None
    fleet.service.kill()
    fleet.consume()
    publish_all(settings, SENT)
    assert wait_until(lambda: fleet.settled(len(SENT), scored=False), 30), fleet.log()
    assert wait_until(lambda: fleet.remote.length(streams.DETECTIONS) > 0, 30), fleet.log()
    alone = rows_of(fleet.remote, [streams.DETECTIONS])
    assert {(row["revision"], row["tier"]) for row in alone} == {(0, 1)}
    assert all("unavailable" in row["reason"] for row in alone)
    fleet.service.start()
    assert wait_until(lambda: fleet.settled(len(SENT)), 40), fleet.log()
    detections = rows_of(fleet.remote, [streams.DETECTIONS])
    keys = [(row["detection_id"], row["revision"]) for row in detections]
    assert len(keys) == len(set(keys))
    first, second = ({row["detection_id"] for row in detections if row["revision"] == revision} for revision in (0, 1))
    assert first
    assert first <= second
    predictions = [(row["timestamp"], row["service"]) for row in rows_of(fleet.remote, [streams.PREDICTIONS])]
    assert predictions
    assert len(predictions) == len(set(predictions))


def test_a_new_owner_fences_the_old_one(fleet: Fleet, settings: Settings) -> None:
    old = fleet.consume("--partitions", "0")
    producer = TelemetryProducer(fleet.remote, 1, PRODUCER)
    for batch in SENT[:10]:
        publish(producer, batch)
    assert wait_until(lambda: fleet.settled(10), 30), fleet.log()
    moved = settings.model_copy(update={"consumer": settings.consumer.model_copy(update={"metrics_port": 0})})
    successor = Fleet(moved, None)
    new = successor.consume("--partitions", "0")
    assert wait_until(lambda: fleet.remote.hash_all(streams.offset("stage1", 0))["epoch"] == "2", 20), fleet.log()
    for batch in SENT[10:]:
        publish(producer, batch)
    assert old.wait(within(20)) == 8, fleet.log()
    assert wait_until(lambda: fleet.settled(len(SENT)), 30), fleet.log()
    assert drained(new) == 0, fleet.log()
    assert "FencedError" in fleet.log()
    counts = fleet.remote.hash_all(streams.counts(0))
    assert int(counts["points_in"]) == sum(batch.rows.num_rows for batch in SENT if batch.rows is not None)


def test_a_stream_that_fills_is_trimmed_before_a_checkpoint_is_due(settings: Settings) -> None:
    rare = settings.consumer.model_copy(update={"checkpoint_s": 3600.0, "max_backlog": 40, "archive": "off"})
    with Fleet(settings.model_copy(update={"consumer": rare}), None) as fleet:
        fleet.consume("--only", "ingest")
        producer = TelemetryProducer(
            fleet.remote, 1, PRODUCER, ProducerConfig(points_per_entry=128, max_backlog=40, patience_s=within(60))
        )
        sent = sum(publish(producer, batch) for batch in SENT)
        assert sent > 3 * 40
        assert wait_until(lambda: fleet.settled(len(SENT), scored=False), 40), fleet.log()


def test_a_producer_that_starts_again_sends_nothing_twice(fleet: Fleet, settings: Settings) -> None:
    publish_all(settings, SENT)
    same_cut = ProducerConfig(points_per_entry=512)
    producer = TelemetryProducer(fleet.remote, 1, PRODUCER, same_cut)
    assert producer.resume_from() == len(SENT) + 1
    assert [publish(producer, batch) for batch in SENT[:5]] == [0] * 5
