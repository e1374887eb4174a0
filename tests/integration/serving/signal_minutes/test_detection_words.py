"""From OTLP lines through the stage, the lake and both stages of the consumer: a detection says which lines, and shows one."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiops.detection.detection_rows import context_of, judged
from aiops.detection.levels import CATALOGUE_VERSION, CatalogueLevels, Tier1
from aiops.detection.routing import Router, RoutingRules
from aiops.features.engine import EngineConfig
from aiops.settings.signal_settings import SignalSettings
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from data_contracts.telemetry.codec import encode
from data_contracts.values.masking import Masks
from data_contracts.values.moments import microseconds_of
from serving.incidents.desk.detection_alerts import AlertRules, alerts_of_detections
from serving.ingest.receive.signals.otlp_logs import accept_logs
from serving.ingest.receive.signals.signal_outcome import SignalIntake
from serving.lake.opening import open_lake
from serving.signal_minutes.kept_texts import KeptTexts
from serving.signal_minutes.partition_minutes import Closed, PartitionMinutes, PartitionRules
from serving.signal_minutes.series_makers import makers_of
from serving.signal_minutes.tenant_minutes import MinuteRules
from serving.stream import streams
from serving.stream.consumer.partition import Partition, PartitionConfig
from serving.stream.consumer.text_source import TextSource
from serving.tables.signal_texts import SignalTextStore
from tests.testing.otlp_bodies import NOW, add_log

MASKS = Masks.of(["secrets"], {})
MINUTES = 90
FAULT = range(80, 84)
MINUTE = timedelta(minutes=1)
REFUSED = "payment 4711 refused: card expired, password=hunter2"


def bodies(minute: int, fault: str) -> Iterator[str]:
    """Yield what is written in a minute: a fault refuses payments, or stops the line that always came."""
    if fault != "stops" or minute not in FAULT:
        yield from (f"heartbeat {minute}{number} sent to leader" for number in range(12))
    yield from (
        f"opened cart {minute}{number} for a guest"
        for number in range(5 + 17 * minute % 31 if fault == "stops" else 20 + minute % 3)
    )
    if minute == 3 or (fault != "stops" and minute in FAULT):
        yield from [REFUSED] * (1 if minute == 3 else 9)


def entry(minute: int, fault: str) -> streams.Entry:
    """Return the lines of a minute as a receiver appends them."""
    request, start = ExportLogsServiceRequest(), NOW + minute * MINUTE
    for number, body in enumerate(bodies(minute, fault)):
        at = start + timedelta(seconds=number)
        add_log(
            request,
            body=body,
            time_unix_nano=int(at.timestamp() * 1e9),
            severity_number=17 if "refused" in body and fault == "fails" else 9,
        )
    outcome = accept_logs(request.SerializeToString(), "protobuf", SignalIntake(start + MINUTE, masks=MASKS))
    (signal,) = outcome.entries
    arrived_us = microseconds_of(start + MINUTE)
    return streams.Entry(f"{minute + 1}-0", signal.kind, signal.payload, arrived_us * 1000, arrived_us, "default")


def series(settings: Settings, fault: str) -> Iterator[streams.Entry]:
    """Yield entries of telemetry with what the stage makes of the lines; texts go to the lake first, as the stage has it."""
    rules = PartitionRules(MinuteRules(lateness_us=10_000_000))
    minutes, lakes = PartitionMinutes(rules, makers_of(SignalSettings())), open_lake(settings)
    texts = KeptTexts(lambda tenant: SignalTextStore(lakes.for_tenant(tenant)))
    for number in range(MINUTES):
        closed, lines = Closed(), entry(number, fault)
        minutes.apply(lines, closed)
        texts.keep(closed)
        for tables in closed.series.values():
            yield streams.Entry(lines.entry_id, streams.KIND_TELEMETRY, encode(pa.concat_tables(tables)), 0, lines.available_us)


def reasons(settings: Settings, fault: str) -> list[str]:
    """Return the reasons of the alerts that come of the lines."""
    tier1, graph = Tier1(CatalogueLevels(), CATALOGUE_VERSION), ServiceGraph.from_pairs(())
    config = PartitionConfig(EngineConfig(), graph, tier1, 60_000_000, 10_000_000, 10**13, 300, 100)
    step, source = Partition.new(config).apply(list(series(settings, fault))), TextSource(settings)
    assert not step.counts["points_rejected"]
    said = []
    for candidates in step.candidates:
        context = context_of(candidates, Router(RoutingRules()), source.texts("default", candidates))
        rows = pa.Table.from_batches([judged(candidates, {}, context)])
        said += [alert.labels["reason"] for alert in alerts_of_detections(rows, AlertRules()).alerts]
    return said


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


PATTERN = "payment <*> refused: <*> expired, password: <*>]"
EXAMPLE = '; for example "payment 4711 refused: card expired, password='


def test_lines_that_come_more_often_are_shown_in_words_and_masked(settings: Settings) -> None:
    said = reasons(settings, "refuses")
    assert any(f'log pattern "{PATTERN}" 9 times a minute, usually 0{EXAMPLE}' in reason for reason in said), said
    assert not any("hunter2" in reason for reason in said)
    stored = str(open_lake(settings).for_tenant("default").read("signal_texts").to_pylist())
    assert "card expired" in stored
    assert "hunter2" not in stored


def test_errors_are_shown_by_the_lines_that_most_of_them_are(settings: Settings) -> None:
    said = reasons(settings, "fails")
    assert any(f"9 log records of level error a minute, usually 0{EXAMPLE}" in reason for reason in said), said
    assert any(f'of log records are errors, usually 0 %, most of them "{PATTERN}"{EXAMPLE}' in reason for reason in said), said


def test_a_line_that_stops_is_named(settings: Settings) -> None:
    said = reasons(settings, "stops")
    missed = '"heartbeat <*> sent to leader" came every minute and stopped; its lines read "heartbeat 00 sent to leader"'
    gone = 'log pattern "heartbeat <*> sent to leader" 0 times a minute, usually 12'
    assert any(missed in reason or gone in reason for reason in said), said
