"""The incident API as it is served: a real store and desk behind a real server, in a thread of the test's process."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import httpx
import jwt
from prometheus_client import CollectorRegistry

from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.settings.responder_settings import ResponderSettings
from aiops.topology.graph import ServiceGraph
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.http.auth import Authenticator
from serving.http.server import ApiServer
from serving.incidents.api.app import create_app
from serving.incidents.api.lake_ports import LakeChanges, LakeTeaching
from serving.incidents.api.ports import ApiLimits, ApiParts, ApiReadiness, TenantParts
from serving.incidents.desk.desk import Desk
from serving.incidents.intake.alert_sources import AlertSources
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from serving.root_cause.lake_explainer import AnalystConfig, RootCauseAnalyst
from serving.tables.graph_store import GraphStore
from tests.testing.deadlines import within
from tests.testing.empty_store import empty_file

KEY = "an-hs256-secret-for-this-test-only-0123456789"
JSON_TYPE = {"content-type": "application/json"}


@dataclass(frozen=True)
class RunningApi:
    """A served API with what lies behind it."""

    store: IncidentStore
    desk: Desk
    server: ApiServer
    lake: Lake
    client: httpx.Client
    tenants: "ApiTenants"

    def open_incident(self, service: str, severity: Severity = Severity.CRITICAL) -> str:
        """Open an incident at a service of its own and return its id."""
        before = {incident.incident_id for incident in self.desk.open_incidents()}
        now = datetime.now(UTC)
        self.desk.take([alert_at(service, now - timedelta(seconds=5), severity)], {}, now)
        (new,) = {incident.incident_id for incident in self.desk.open_incidents()} - before
        return new

    def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        return self.client.post(path, json={} if body is None else body, headers=headers)


def alert_at(service: str, at: datetime, severity: Severity = Severity.CRITICAL, name: str = "slow") -> Alert:
    labels = {"service": service, "alertname": name}
    return Alert(
        f"{service}-{name}-{at.timestamp()}", fingerprint_of(labels), service, name, severity, at, labels=labels, source="t"
    )


@dataclass
class ApiTenants:
    """Parts of each tenant, made when they are asked for."""

    folder: Path
    database: IncidentDatabase
    desk_clock: Callable[[], datetime] | None = None
    pages_per_hour: int = 1000
    known: dict[str, TenantParts] = field(default_factory=dict)

    def __call__(self, tenant: str) -> TenantParts:
        if tenant not in self.known:
            self.known[tenant] = self.made(tenant)
        return self.known[tenant]

    def made(self, tenant: str) -> TenantParts:
        store, lake = IncidentStore(self.database, tenant), self.lake(tenant)
        graphs = GraphStore(lake)
        rules = ResponderSettings(settle_s=0.0, page_settle_s=0.0, pages_per_hour=self.pages_per_hour)
        desk = Desk(store, rules, ServiceGraph.from_pairs([]))
        figures = RootCauseAnalyst(lake, lambda at: graphs.graph(at, learned=True), AnalystConfig())
        now = self.desk_clock or (lambda: datetime.now(UTC))
        teaching = LakeTeaching(store, desk, lake, graphs.graph)
        return TenantParts(tenant, store, desk, now, figures, graphs, LakeChanges(lake), teaching)

    def lake(self, tenant: str) -> Lake:
        return open_lake(self.folder / "lake").for_tenant(tenant)


@contextmanager
def running(
    folder: Path,
    key: str | None = None,
    limits: ApiLimits | None = None,
    sources: AlertSources | None = None,
    desk_clock: Callable[[], datetime] | None = None,
    pages_per_hour: int = 1000,
    memory_copy: bool = False,
) -> Iterator[RunningApi]:
    """Serve the API over a store in a folder."""
    with IncidentDatabase.open(f"sqlite:///{empty_file(folder / 'incidents.db')}", memory_copy) as database:
        tenants = ApiTenants(folder, database, desk_clock, pages_per_hour)
        own = tenants(DEFAULT_TENANT)
        parts = ApiParts(
            tenants=tenants,
            auth=Authenticator("HS256", key),
            clock=lambda: datetime.now(UTC),
            registry=CollectorRegistry(),
            ready=lambda: ApiReadiness(True, {"store": "ok"}),
            alert_sources=sources or AlertSources(),
            limits=limits or ApiLimits(max_body_bytes=1 << 20, poll_s=0.02, heartbeat_s=0.3),
        )
        server = ApiServer(create_app(parts), "127.0.0.1", 0)
        server.start()
        try:
            with httpx.Client(base_url=server.url, timeout=within(30)) as client:
                store, desk = cast("IncidentStore", own.store), cast("Desk", own.desk)
                yield RunningApi(store, desk, server, tenants.lake(DEFAULT_TENANT), client, tenants)
        finally:
            server.stop()


def bearer(role: str, subject: str = "ada", tenants: object = None) -> dict[str, str]:
    claims = {"role": role, "sub": subject, "exp": int(time.time()) + 60}
    claims |= {} if tenants is None else {"tenants": tenants}
    return {"authorization": f"Bearer {jwt.encode(claims, KEY, 'HS256')}"}


def ids(items: Sequence[dict[str, object]]) -> list[object]:
    return [item["incident_id"] for item in items]
