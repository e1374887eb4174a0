"""Detections and predictions as alerts; streams read side by side; the clock; a loop that outlives what it reads from."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from aiops.errors import Unavailable
from aiops.incidents.alert import Severity
from aiops.incidents.feedback.facts import Finding
from aiops.incidents.feedback.lessons import Lessons
from aiops.settings.responder_settings import ResponderSettings
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas import telemetry_schemas
from data_contracts.values.moments import EPOCH
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_clock import DeskClock
from serving.incidents.desk.desk_metrics import ResponderMetrics
from serving.incidents.desk.detection_alerts import AlertRules, alerts_of_detections, alerts_of_predictions
from serving.incidents.desk.stream_inputs import MOST_ENTRIES, StreamInputs
from serving.incidents.responder.responder_loop import BROKER, DATABASE, DeskLoop, LoopParts
from serving.incidents.store.incident_store import IncidentStore
from serving.stream import streams
from tests.testing.empty_store import empty_store
from tests.testing.stream_rows import START, detections, predictions

NO_RULES = AlertRules()


class MemoryStreams(streams.Streams):
    """Streams in memory; `away` = nothing answers."""

    def __init__(self) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.entries: dict[str, list[streams.Entry]] = {}
        self.away = False

    def put(self, stream: str, rows: pa.Table | bytes) -> None:
        payload = rows if isinstance(rows, bytes) else streams.to_ipc(rows)
        held = self.entries.setdefault(stream, [])
        held.append(streams.Entry(f"{len(held) + 1}-0", streams.KIND_SERVICE, payload, 0, 0))

    def read(self, after: Mapping[str, str], count: int, block_ms: int) -> dict[str, list[streams.Entry]]:
        self._check()
        new = {
            name: [entry for entry in self.entries.get(name, []) if streams.id_parts(entry.entry_id) > streams.id_parts(entry_id)]
            for name, entry_id in after.items()
        }
        return {name: entries[:count] for name, entries in new.items() if entries}

    def last_id(self, stream: str) -> str:
        self._check()
        held = self.entries.get(stream, [])
        return held[-1].entry_id if held else streams.START

    def trimmed_id(self, stream: str) -> str:
        self._check()
        return streams.START

    def _check(self) -> None:
        if self.away:
            raise Unavailable("broker: it is away")


@pytest.mark.parametrize(
    ("row", "severity"),
    [
        ({}, Severity.CRITICAL),
        ({"score": 0.85}, Severity.WARNING),
        ({"score": None}, Severity.WARNING),
        ({"metric": "error_rate"}, Severity.CRITICAL),
        ({"metric": "cpu_utilization"}, Severity.WARNING),
        ({"metric": "go_gc_duration_seconds"}, Severity.INFO),
        ({"metric": "node_netstat_Tcp_OutRsts"}, Severity.INFO),
        ({"metric": "node_filesystem_avail_bytes"}, Severity.WARNING),
        ({"metric": "prometheus_http_request_duration_seconds_p99"}, Severity.CRITICAL),
        ({"metric": "requests_per_second"}, Severity.WARNING),
        ({"metric": "requests_per_second", "value": 5.0}, Severity.CRITICAL),
    ],
)
def test_only_what_users_feel_is_critical(row: Mapping[str, object], severity: Severity) -> None:
    (alert,) = alerts_of_detections(detections(row), NO_RULES).alerts
    assert alert.severity is severity


def test_an_alert_is_named_by_detection_and_revision_and_is_about_its_series() -> None:
    rows = detections({}, {"detection_id": "d0", "revision": 1, "score": 0.99, "reason": "z = 13"}, {"metric": "error_rate"})
    first, again, other = alerts_of_detections(rows, NO_RULES).alerts
    assert (first.alert_id, again.alert_id) == ("d0:0", "d0:1")
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert (first.service, first.name, first.value, first.label("reason")) == (
        "cart",
        "latency_p99_ms is unusual",
        900.0,
        "z = 12",
    )


def test_a_later_revision_ends_an_alert_and_a_first_revision_that_is_no_anomaly_is_nothing() -> None:
    read = alerts_of_detections(detections({"anomalous": False}, {"anomalous": False, "revision": 1}), NO_RULES)
    assert [(alert.alert_id, alert.ends_at) for alert in read.alerts] == [("d1:1", START)]


def test_below_the_threshold_of_its_series_a_detection_counts_but_alerts_nobody() -> None:
    rules = AlertRules(thresholds={("cart", "latency_p99_ms"): 0.97})
    rows = detections({}, {"score": 0.98}, {"service": "web"}, {"anomalous": False, "revision": 1}, {"score": None})
    read = alerts_of_detections(rows, rules)
    assert [alert.alert_id for alert in read.alerts] == ["d1:0", "d2:0", "d3:1", "d4:0"], "an unknown score is no low one"
    assert read.below_threshold == 1
    hears = Lessons(thresholds=rules.thresholds).raises_alert
    assert [hears(Finding("d", "cart", "latency_p99_ms", score)) for score in (0.95, 0.98, float("nan"))] == [False, True, True]


def test_what_is_foreseen_is_a_warning_with_horizon_and_chance() -> None:
    foreseen = alerts_of_predictions(
        predictions({"alarm": False}, {}, {"timestamp": START + timedelta(minutes=5), "p_5min": 0.7})
    )
    first, second = foreseen.alerts
    assert (first.name, first.severity, first.value) == ("incident foreseen", Severity.WARNING, 0.9)
    assert [(alert.label("horizon"), alert.score) for alert in foreseen.alerts] == [("15 min", 0.6), ("5 min", 0.7)]
    assert first.fingerprint == second.fingerprint
    assert first.alert_id != second.alert_id
    assert foreseen.newest == START + timedelta(minutes=5)
    assert alerts_of_predictions(predictions({})).alerts[0].alert_id == first.alert_id


def test_no_rows_are_no_alerts() -> None:
    assert alerts_of_detections(telemetry_schemas.DETECTIONS.empty_table(), NO_RULES).alerts == ()
    assert alerts_of_predictions(telemetry_schemas.PREDICTIONS.empty_table()).newest is None


def test_while_a_stream_has_more_the_other_does_not_run_ahead() -> None:
    broker = MemoryStreams()
    for minute in range(2 * MOST_ENTRIES):
        broker.put(streams.DETECTIONS, detections({"detection_id": f"d{minute}", "timestamp": START + timedelta(minutes=minute)}))
    for minute in (3, 20, 31, 500):
        broker.put(streams.PREDICTIONS, predictions({"timestamp": START + timedelta(minutes=minute)}))
    inputs, offsets, seen = StreamInputs(broker), {}, []
    for _ in range(4):
        batch = inputs.read(offsets, NO_RULES)
        offsets = {**offsets, **batch.offsets}
        seen.append((len(batch.alerts), offsets.get(streams.PREDICTIONS), batch.more))
    assert seen == [(17, "1-0", True), (18, "3-0", True), (1, "4-0", False), (0, "4-0", False)]


def test_an_entry_without_rows_is_left_and_counted() -> None:
    broker = MemoryStreams()
    broker.put(streams.DETECTIONS, b"no arrow")
    broker.put(streams.DETECTIONS, detections({}))
    broker.put(streams.PREDICTIONS, detections({}))
    batch = StreamInputs(broker).read({}, NO_RULES)
    assert (len(batch.alerts), batch.unreadable, batch.offsets[streams.DETECTIONS]) == (1, 2, "2-0")


def test_by_events_the_clock_rests_with_them_and_lets_the_last_ones_settle() -> None:
    ticks = [0.0]
    clock = DeskClock("event", 60.0, lambda: START, lambda: ticks[0])
    assert clock.now() == EPOCH
    clock.saw(START)
    ticks[0] = 1.9
    clock.waits(1)
    assert clock.now() == START
    ticks[0] = 2.0
    clock.waits(0)
    assert clock.now() == START, "nothing waits: a restart moves no time"
    clock.waits(1)
    settled = clock.now()
    assert START + timedelta(seconds=60) < settled < START + timedelta(seconds=60.1)
    clock.saw(START + timedelta(seconds=10))
    assert clock.now() == settled, "it never goes back"
    clock.saw(START + timedelta(seconds=90))
    assert clock.now() == START + timedelta(seconds=90)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IncidentStore]:
    with empty_store(tmp_path) as opened:
        yield opened


def loop_of(store: IncidentStore, broker: MemoryStreams) -> tuple[DeskLoop, ResponderMetrics]:
    settings, metrics = ResponderSettings(clock="event", settle_s=1.0), ResponderMetrics()
    ticks = iter(range(10**6))
    clock = DeskClock("event", 1.0, lambda: START, lambda: float(next(ticks)))
    desk = Desk(store, settings, ServiceGraph.from_pairs([]))
    loop = DeskLoop(LoopParts(store, desk, StreamInputs(broker), clock, settings, metrics))
    loop.begin()
    return loop, metrics


def steps(loop: DeskLoop, count: int = 3) -> None:
    for _ in range(count):
        loop.step()


def value_of(metrics: ResponderMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, {"tenant": "default", **labels}) or 0.0


def test_without_its_broker_the_desk_still_takes_the_inbox_and_says_so_once(
    store: IncidentStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.incidents.responder.responder_loop.AWAY_S", 0.0)
    broker = MemoryStreams()
    broker.put(streams.DETECTIONS, detections({}))
    loop, metrics = loop_of(store, broker)
    steps(loop)
    broker.away = True
    with store.writing() as writer:
        writer.inbox_add(alerts_of_detections(detections({"detection_id": "x"}), NO_RULES).alerts, START)
    steps(loop, 5)
    assert store.counts()["alerts"] == 2
    assert loop.health()[BROKER] == "broker: it is away"
    assert [record.message for record in caplog.records].count("the desk waits: broker: it is away") == 1
    broker.away = False
    broker.put(streams.DETECTIONS, detections({"detection_id": "y"}))
    steps(loop)
    assert loop.health()[BROKER] == "ok"
    assert value_of(metrics, "aiops_alerts_total", source="detections") == 3
    assert value_of(metrics, "aiops_incidents_open") == 1


class Failing(Desk):
    """A desk whose database is away for some turns."""

    def __init__(self, store: IncidentStore, failures: int) -> None:
        super().__init__(store, ResponderSettings(clock="event"), ServiceGraph.from_pairs([]))
        self.failures = failures

    def take(self, alerts: Sequence, offsets: Mapping[str, str], now: datetime):  # type: ignore[no-untyped-def, type-arg]
        if alerts and self.failures:
            self.failures -= 1
            raise Unavailable("incident store: it is away")
        return super().take(alerts, offsets, now)


def test_what_the_database_did_not_take_is_read_again(store: IncidentStore) -> None:
    broker, ticks = MemoryStreams(), iter(range(10**6))
    broker.put(streams.DETECTIONS, detections({}))
    clock = DeskClock("event", 2.0, lambda: START, lambda: float(next(ticks)))
    parts = (store, Failing(store, 2), StreamInputs(broker), clock, ResponderSettings(), ResponderMetrics())
    loop = DeskLoop(LoopParts(*parts))
    loop.begin()
    steps(loop, 2)
    assert loop.health()[DATABASE] == "incident store: it is away"
    steps(loop)
    assert loop.health()[DATABASE] == "ok"
    assert store.counts()["alerts"] == 1


def test_thresholds_of_verdicts_hold_from_the_next_step(store: IncidentStore) -> None:
    broker = MemoryStreams()
    loop, metrics = loop_of(store, broker)
    with store.writing() as writer:
        writer.note("thresholds", [["cart", "latency_p99_ms", 0.99]])
    broker.put(streams.DETECTIONS, detections({}))
    steps(loop)
    assert store.counts()["alerts"] == 0
    assert value_of(metrics, "aiops_alerts_below_threshold_total") == 1
