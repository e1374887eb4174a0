"""The responder as it runs: killed at random moments it comes back with exactly the incidents of one that never was."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow as pa

from aiops.incidents.incident import IncidentState
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from data_contracts.schemas import telemetry_schemas
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentFilter, MessageKind, PageRequest
from serving.lake.opening import open_lake
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from tests.testing.deadlines import within
from tests.testing.stream_harness import free_ports, wait_until

ROOT = Path(__file__).parents[4]
START = datetime(2026, 3, 2, tzinfo=UTC)
EDGES = (("web", "cart"), ("cart", "db"), ("user", "search"))
SERVICES = ("web", "cart", "db", "user", "search", "alone")
METRICS = ("latency_p99_ms", "error_rate", "cpu_utilization")
ENTRIES = 120
KILLS = 3
ALL = PageRequest(limit=1000)
StoredTexts = tuple[list[str], list[tuple[str, str, str]], list[str]]


def entries(seed: int) -> list[tuple[str, pa.Table]]:
    """Return what the consumer would write: detections of six services with revisions, now and then predictions."""
    rng = random.Random(seed)
    made: list[tuple[str, pa.Table]] = []
    for number in range(ENTRIES):
        at = START + timedelta(seconds=10 * number)
        rows = [detection(rng, at, service, f"d{number}-{service}") for service in rng.sample(SERVICES, rng.randint(1, 3))]
        made.append((streams.DETECTIONS, pa.Table.from_pylist(rows, schema=telemetry_schemas.DETECTIONS)))
        if number % 20 == 0:
            prediction = {"timestamp": at, "service": "search", "p_5min": 0.1, "p_15min": 0.6, "p_60min": 0.8, "alarm": True}
            row = {**prediction, "model_version": "1", "reason": ""}
            made.append((streams.PREDICTIONS, pa.Table.from_pylist([row], schema=telemetry_schemas.PREDICTIONS)))
    return made


def detection(rng: random.Random, at: datetime, service: str, number: str) -> dict[str, object]:
    anomalous = rng.random() < 0.8
    named = {"detection_id": number, "timestamp": at, "service": service, "metric": rng.choice(METRICS)}
    judged = {"revision": 0 if anomalous else rng.randint(0, 1), "score": rng.uniform(0.5, 1.0), "anomalous": anomalous}
    return {**named, **judged, "value": 1.0, "tier": 1, "model_version": "", "reason": "strange"}


@dataclass
class Home:
    """One home with its broker; the responder is started over it any number of times."""

    settings: Settings
    broker: EmbeddedBroker

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.responder.port}"

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIOPS_")}
        responder = {"PORT": str(self.settings.responder.port), "CLOCK": "event", "QUIET_S": "120", "STORM_PER_MIN": "40"}
        return {
            **kept,
            "OMP_NUM_THREADS": "1",
            "AIOPS_CONSUMER__ARCHIVE_EVERY_S": "0.5",
            "AIOPS_HOME": str(self.settings.root),
            "AIOPS_BROKER__PORT": str(self.settings.broker.port),
            **{f"AIOPS_RESPONDER__{name}": value for name, value in responder.items()},
        }

    def responder(self) -> "subprocess.Popen[bytes]":
        with (self.settings.root / "responder.log").open("ab") as sink:
            command = [sys.executable, "-m", "serving.incidents.responder"]
            return subprocess.Popen(command, env=self.environment(), stdout=sink, stderr=sink, cwd=ROOT)

    def log(self) -> str:
        return (self.settings.root / "responder.log").read_text()

    def store(self) -> IncidentStore:
        return IncidentStore.open(self.settings.incident_store_url, "default")


@contextmanager
def home(folder: Path) -> Iterator[Home]:
    broker_port, port = free_ports(2)
    settings = Settings(home=folder, broker=BrokerSettings(port=broker_port))
    settings = settings.model_copy(update={"responder": settings.responder.model_copy(update={"port": port})})
    rows = [{"caller": caller, "callee": callee, "valid_from": START} for caller, callee in EDGES]
    open_lake(settings).for_tenant(DEFAULT_TENANT).write(
        "edges", pa.Table.from_pylist(rows, schema=telemetry_schemas.EDGES), "graph"
    )
    with EmbeddedBroker(settings) as broker:
        yield Home(settings, broker)


def stored_texts(store: IncidentStore) -> StoredTexts:
    """Return incidents, fates of alerts, and pages."""
    incidents = [str(store.case(incident.incident_id).incident) for incident in store.cases(IncidentFilter(), ALL).items]
    fates = sorted((alert.alert.alert_id, alert.incident_id, alert.fate) for alert in store.alerts(None, ALL).items)
    messages = [
        message for incident in store.cases(IncidentFilter(), ALL).items for message in store.messages(incident.incident_id)
    ]
    return incidents, fates, sorted(message.message_id for message in messages if message.kind is MessageKind.PAGE)


def settled(store: IncidentStore, alerts: int) -> bool:
    return store.counts()["alerts"] == alerts and all(alert.fate for alert in store.alerts(None, ALL).items)


def expected_alerts(sent: list[tuple[str, pa.Table]]) -> int:
    return sum(
        row.get("alarm", False) or row.get("anomalous", False) or row.get("revision", 0) > 0
        for _, rows in sent
        for row in rows.to_pylist()
    )


def publish(broker: streams.Streams, sent: list[tuple[str, pa.Table]]) -> None:
    for stream, rows in sent:
        broker.client.xadd(stream, {"k": streams.KIND_SERVICE, "b": streams.to_ipc(rows), "t": time.time_ns()})


def never_killed(folder: Path, sent: list[tuple[str, pa.Table]]) -> StoredTexts:
    """Return what one desk makes of everything, read at once."""
    from serving.incidents.desk.desk_clock import DeskClock
    from serving.incidents.desk.desk_factory import desk_of
    from serving.incidents.desk.desk_metrics import ResponderMetrics
    from serving.incidents.desk.stream_inputs import StreamInputs
    from serving.incidents.responder.responder_loop import DeskLoop, LoopParts

    with home(folder) as killed_home, killed_home.store() as store:
        responder_settings = killed_home.settings.responder.model_copy(
            update={"clock": "event", "quiet_s": 120.0, "storm_per_min": 40}
        )
        settings = killed_home.settings.model_copy(update={"responder": responder_settings})
        broker = open_streams(settings)
        publish(broker, sent)
        monotonic = iter(range(0, 10**6, 5))
        clock = DeskClock("event", 2.0, lambda: START, lambda: float(next(monotonic)))
        desk = desk_of(settings, store)
        loop = DeskLoop(LoopParts(store, desk, StreamInputs(broker), clock, settings.responder, ResponderMetrics()))
        loop.begin()
        for _ in range(50):
            loop.step()
        assert settled(store, expected_alerts(sent))
        return stored_texts(store)


def test_killed_at_any_moment_no_alert_is_lost_or_doubled(tmp_path: Path) -> None:
    sent = entries(seed=3)
    whole = never_killed(tmp_path / "whole", sent)
    rng = random.Random(11)
    with home(tmp_path / "killed") as killed_home:
        broker = open_streams(killed_home.settings)
        process, share = killed_home.responder(), len(sent) // (KILLS + 1)
        try:
            with killed_home.store() as store:
                assert wait_until(lambda: answers(f"{killed_home.url}/readyz"), 30), killed_home.log()
                for kill in range(KILLS):
                    publish(broker, sent[share * kill : share * (kill + 1)])
                    time.sleep(rng.uniform(0.0, 0.4))
                    process.kill()
                    process.wait()
                    process = killed_home.responder()
                    assert wait_until(lambda: answers(f"{killed_home.url}/livez"), 30), killed_home.log()
                publish(broker, sent[share * KILLS :])
                assert wait_until(lambda: settled(store, expected_alerts(sent)), 30), killed_home.log()
                assert stored_texts(store) == whole
                assert store.verify_audit().intact
                number = incident_by_webhook(killed_home.url)
                acted = httpx.post(f"{killed_home.url}/incidents/{number}/acknowledge", json={"note": "on it"})
                assert acted.is_success, acted.text
                assert store.case(number).incident.state is IncidentState.ACKNOWLEDGED
                assert wait_until(lambda: store.reports(number), 20), "explained, if only to say what is missing"
                families = [
                    line for line in httpx.get(f"{killed_home.url}/metrics").text.splitlines() if line.startswith("# TYPE")
                ]
                assert len(families) == len(set(families)), "Prometheus refuses a page that tells a family twice"
            killed_home.broker.kill()
            assert wait_until(lambda: "no answer" in httpx.get(f"{killed_home.url}/readyz").json()["parts"]["broker"], 20)
            assert httpx.get(f"{killed_home.url}/incidents").json()["items"]
            process.terminate()
            assert process.wait(within(20)) == 0, killed_home.log()
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in killed_home.log()


def incident_by_webhook(url: str) -> str:
    """Send an alert as Alertmanager does and return the incident that comes of it."""
    labels = {"alertname": "CardReaderDown", "service": "till", "severity": "critical"}
    times = {"startsAt": "2026-03-02T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {},
        **times,
        "generatorURL": "",
        "fingerprint": "0123456789abcdef",
    }
    grouped = {"groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "receiver": "aiops"}
    payload = {"version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", **grouped, "alerts": [alert]}
    taken = httpx.post(f"{url}/alerts/alertmanager", json=payload)
    assert taken.status_code == 202, taken.text

    def matches() -> list[dict[str, str]]:
        return list(httpx.get(f"{url}/incidents", params={"service": "till"}).json()["items"])

    assert wait_until(matches, 20)
    return matches()[0]["incident_id"]


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=within(2)).is_success
    except httpx.HTTPError:
        return False
