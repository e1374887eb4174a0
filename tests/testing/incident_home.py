"""A home with detections that became incidents: the real lake, store, desk and rules, a graph of seven services."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from aiops.detection.decision import KIND, detection_id
from aiops.incidents.root_cause import RootCause, RootCauseReport
from aiops.incidents.verdict import Verdict, VerdictKind
from aiops.settings.responder_settings import ResponderSettings
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.telemetry_schemas import DETECTIONS
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.values.moments import microseconds_of
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.detection_alerts import AlertRules, alerts_of_detections
from serving.incidents.desk.verdict_draft import VerdictDraft, verdict_of
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from tests.testing.empty_store import empty_store

START = datetime(2026, 1, 1, tzinfo=UTC)
CALLS = [("web", "cart"), ("cart", "db"), ("bank", "ledger")]
SERVICES = ("web", "cart", "db", "bank", "ledger", "alone", "mail")
SETTINGS = ResponderSettings(quiet_s=300.0, settle_s=0.0, page_settle_s=0.0, clock="event")
METRIC = "latency_p99_ms"


class ServiceScore(NamedTuple):
    """A service with the score of its detection, or of it as a cause."""

    service: str
    score: float


@dataclass(slots=True)
class JudgedHome:
    """Time goes on with `detect`; `now` is after the last detection."""

    root: Path
    now: datetime = START
    lake: Lake = field(init=False)
    store: IncidentStore = field(init=False)
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        """Open lake, store and desk."""
        self.lake = open_lake(self.root / "lake").for_tenant(DEFAULT_TENANT)
        self.store = empty_store(self.root)
        self.desk = Desk(self.store, SETTINGS, ServiceGraph.from_pairs(CALLS, SERVICES))

    def detect(self, *detections: ServiceScore, rules: AlertRules | None = None) -> list[str]:
        """Store detections a second apart, take their alerts, wait until quiet; return the ids of incidents."""
        ids = self.begin(*detections, rules=rules)
        self.now += timedelta(seconds=400)
        self.desk.tick(self.now)
        return ids

    def begin(self, *detections: ServiceScore, rules: AlertRules | None = None) -> list[str]:
        """Store detections and take their alerts, as `detect`; what opens stays open."""
        rows = [_row(service, score, self.now + timedelta(seconds=at)) for at, (service, score) in enumerate(detections)]
        table = pa.Table.from_pylist(rows, schema=DETECTIONS)
        self.lake.write("detections", table, key=f"d-{microseconds_of(self.now)}")
        alerts = alerts_of_detections(table, rules or AlertRules()).alerts
        self.now += timedelta(seconds=len(detections))
        step = self.desk.take(alerts, {}, self.now)
        return [incident.incident_id for incident in step.outcome.incidents]

    def explain(self, incident_id: str, *causes: ServiceScore, decided: bool = True) -> None:
        """Store an analysis: causes with their scores, made now."""
        causes_named = tuple(
            RootCause(service, 0.5, f"{service}.", score, self.now - timedelta(minutes=10)) for service, score in causes
        )
        report = RootCauseReport(self.now, START, self.now, causes[0].service, causes_named, decided, "so")
        with self.store.writing() as write:
            write.put_report(incident_id, report)

    def verdict(self, incident_id: str, kind: VerdictKind, right: str = "", of: str = "", apart: str = "") -> Verdict:
        """Return a verdict given now; time goes on by a second."""
        self.now += timedelta(seconds=1)
        draft = VerdictDraft(incident_id, kind, right, of, unrelated=(apart,) if apart else ())
        return verdict_of(self.store, draft, self.now, "test", SERVICES)


def _row(service: str, score: float, at: datetime) -> dict[str, object]:
    return {
        "detection_id": detection_id(service, microseconds_of(at), KIND),
        "revision": 0,
        "timestamp": at,
        "service": service,
        "metric": METRIC,
        "value": 900.0,
        "score": score,
        "expected": 100.0,
        "lower": 50.0,
        "upper": 200.0,
        "tier": 1,
        "model_version": "1",
        "anomalous": True,
        "reason": "high",
        "route": None,
    }
