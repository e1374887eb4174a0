"""The incident API as it is served: a real store and desk behind a real server, in a thread of the test's process."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
from prometheus_client import CollectorRegistry

from aiops.alert import Alert, Severity, fingerprint_of
from aiops.graph import ServiceGraph
from aiops.responder_settings import ResponderSettings
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.alerts_in.mapping import AlertSources
from serving.api.app import create_app
from serving.api.lake_parts import LakeChanges, LakeTeaching
from serving.api.parts import ApiLimits, ApiParts, ApiReadiness
from serving.graph_store import GraphStore
from serving.http.auth import Authenticator
from serving.http.server import ApiServer
from serving.incident_store.store import IncidentStore
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from serving.responder.desk import Desk
from serving.root_cause import AnalystConfig, RootCauseAnalyst

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

    def open_incident(self, service: str, severity: Severity = Severity.CRITICAL) -> str:
        """Open an incident at a service of its own and return its id."""
        before = {one.incident_id for one in self.desk.open_incidents()}
        now = datetime.now(UTC)
        self.desk.take([alert_at(service, now - timedelta(seconds=5), severity)], {}, now)
        (new,) = {one.incident_id for one in self.desk.open_incidents()} - before
        return new

    def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        return self.client.post(path, json={} if body is None else body, headers=headers)


def alert_at(service: str, at: datetime, severity: Severity = Severity.CRITICAL, name: str = "slow") -> Alert:
    labels = {"service": service, "alertname": name}
    return Alert(
        f"{service}-{name}-{at.timestamp()}", fingerprint_of(labels), service, name, severity, at, labels=labels, source="t"
    )


@contextmanager
def running(
    folder: Path,
    key: str | None = None,
    limits: ApiLimits | None = None,
    sources: AlertSources | None = None,
    desk_clock: Callable[[], datetime] | None = None,
    pages_per_hour: int = 1000,
) -> Iterator[RunningApi]:
    """Serve the API over a store in a folder."""
    with IncidentStore.open(f"sqlite:///{folder}/incidents.db", "default") as store:
        lake = open_lake(folder / "lake").for_tenant(DEFAULT_TENANT)
        graphs = GraphStore(lake)
        desk = Desk(
            store, ResponderSettings(settle_s=0.0, page_settle_s=0.0, pages_per_hour=pages_per_hour), ServiceGraph.from_pairs([])
        )
        parts = ApiParts(
            store=store,
            desk=desk,
            auth=Authenticator("HS256", key),
            clock=lambda: datetime.now(UTC),
            registry=CollectorRegistry(),
            ready=lambda: ApiReadiness(True, {"store": "ok"}),
            figures=RootCauseAnalyst(lake, lambda at: graphs.graph(at, learned=True), AnalystConfig()),
            graphs=graphs,
            changes=LakeChanges(lake),
            teaching=LakeTeaching(store, desk, lake, graphs.graph),
            alert_sources=sources or AlertSources(),
            desk_clock=desk_clock,
            limits=limits or ApiLimits(max_body_bytes=1 << 20, poll_s=0.02, heartbeat_s=0.3),
        )
        server = ApiServer(create_app(parts), "127.0.0.1", 0)
        server.start()
        try:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                yield RunningApi(store, desk, server, lake, client)
        finally:
            server.stop()


def bearer(role: str, subject: str = "ada") -> dict[str, str]:
    claims = {"role": role, "sub": subject, "exp": int(time.time()) + 60}
    return {"authorization": f"Bearer {jwt.encode(claims, KEY, 'HS256')}"}


def ids(items: Sequence[dict[str, object]]) -> list[object]:
    return [one["incident_id"] for one in items]
