"""The console as people have it: the APIs over real stores, the console's process in front of them, a browser before that."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from aiops.incidents.alert import Severity
from aiops.incidents.incident import AlertEntry, Incident, IncidentState
from aiops.incidents.root_cause import RootCauseReport
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.automation.api.automation_app import create_app
from serving.automation.api.automation_ports import AutomationApiParts, TenantRuns
from serving.automation.ledger.run_records import LedgerRules
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.explore.explore_app import create_app as create_explore_app
from serving.explore.explore_ports import ExploreParts
from serving.http.auth import Authenticator
from serving.http.server import ApiServer
from serving.incidents.api.ports import ApiReadiness
from serving.lake.opening import open_lake
from tests.conformance.run_ledger_suite import WIDE
from tests.testing.explored_lake import fill
from tests.testing.free_ports import free_port
from tests.testing.incident_api import RunningApi, running
from tests.testing.made_plans import Wish, plan_of
from tests.testing.peer_process import PeerProcess
from tests.testing.peer_process import running as running_process

HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe\u200b'\"&lt;" + "ä" * 10_000


@dataclass(frozen=True)
class ConsoleWorld:
    """A served console with what lies behind it."""

    url: str
    incidents: RunningApi
    runs: StoreRunLedger
    process: PeerProcess

    def put(self, incidents: Sequence[Incident], kind: str = "") -> None:
        """Store incidents as they are; with a kind of event they are told live."""
        with self.incidents.store.writing() as writer:
            writer.put_incidents(incidents)
            for incident in incidents if kind else ():
                fields = {"severity": incident.severity.name.lower(), "anchor": incident.anchor}
                writer.event(datetime.now(UTC), kind, incident.incident_id, fields)

    def explain(self, incident_id: str, report: RootCauseReport) -> None:
        """Store an analysis."""
        with self.incidents.store.writing() as writer:
            writer.put_report(incident_id, report)

    def propose(self, incident_id: str) -> str:
        """Make a plan that waits for approval and return its id."""
        return self.runs.propose(plan_of(Wish(incident=incident_id, made_at=datetime.now(UTC)))).plan.plan_id


def incident_of(incident_id: str, service: str, severity: Severity = Severity.CRITICAL, alerts: int = 1) -> Incident:
    """Return an open incident with so many different alerts of one service."""
    now = datetime.now(UTC)
    began = now - timedelta(minutes=7)
    entries = tuple(
        AlertEntry(f"{number:016x}", service, f"alert {number}", severity, began, now, firing=1) for number in range(alerts)
    )
    opened = Incident(incident_id, IncidentState.OPEN, severity, began, now, service, (service,), entries, alerts, timeline=())
    return replace(opened, notified_at=now)


@contextmanager
def console_world(folder: Path, key: str | None = None) -> Iterator[ConsoleWorld]:
    """Serve the console in front of the APIs over one store; `key` checks tokens, None = callers on this machine."""
    with running(folder, key) as incidents, ExitStack() as served:
        ledger = StoreRunLedger(incidents.store, LedgerRules(WIDE))
        automation, explore = _automation(ledger, key), _explore(folder / "lake", key)
        for server in (automation, explore):
            server.start()
            served.callback(server.stop)
        url = f"http://127.0.0.1:{(port := free_port())}"
        env = {
            "AIOPS_HOME": str(folder / "home"),
            "AIOPS_CONSOLE__PORT": str(port),
            "AIOPS_CONSOLE__RESPONDER_URL": incidents.server.url,
            "AIOPS_CONSOLE__AUTOMATION_URL": automation.url,
            "AIOPS_CONSOLE__EXPLORE_URL": explore.url,
            **({} if key is None else {"AIOPS_SERVING__JWT_KEY": key}),
        }
        command = [sys.executable, "-m", "serving.console"]
        process = served.enter_context(running_process(command, folder / "console", f"{url}/livez", os.environ | env))
        yield ConsoleWorld(url, incidents, ledger, process)


def _automation(ledger: StoreRunLedger, key: str | None) -> ApiServer:
    parts = AutomationApiParts(
        lambda tenant: TenantRuns(tenant, ledger, lambda: datetime.now(UTC)),
        Authenticator("HS256", key),
        CollectorRegistry(),
        lambda: ApiReadiness(True, {"store": "ok"}),
    )
    return ApiServer(create_app(parts), "127.0.0.1", 0)


def _explore(root: Path, key: str | None) -> ApiServer:
    ready = ApiReadiness(True, {"lake": "ok"})
    lakes = open_lake(root)
    fill(lakes.for_tenant(DEFAULT_TENANT))
    parts = ExploreParts(lakes, Authenticator("HS256", key), CollectorRegistry(), lambda: ready)
    return ApiServer(create_explore_app(parts), "127.0.0.1", 0)
