"""Two tenants with the same incident, each marked with its own name in everything that is kept, and what lies in each table."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import select

from aiops.automation.earning import Hold
from aiops.automation.limits import SuiteLimits
from aiops.automation.run import Approval
from aiops.automation.run_ledger import Switch
from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.correlation.suppression import MaintenanceWindow, Matcher, Silence
from aiops.incidents.root_cause import ChangeEvent, RootCause, RootCauseReport
from aiops.incidents.verdict import VerdictKind
from aiops.settings.responder_settings import ResponderSettings
from aiops.topology.graph import ServiceGraph
from serving.automation.ledger.run_records import LedgerRules, LinkUse
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.incidents.desk import feedback
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_transaction import Audience
from serving.incidents.desk.detection_alerts import DETECTED
from serving.incidents.desk.verdict_draft import VerdictDraft, verdict_of
from serving.incidents.notify.messages import PAGERDUTY
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.incident_tables import METADATA
from serving.incidents.store.records import MessageKind, OutboxMessage
from serving.lake.port import Lake
from serving.tables.changes import write_changes
from serving.tables.graph_store import GraphStore
from tests.testing.made_plans import Wish, plan_of

TENANTS: Final = ("acme-marked", "shop-marked")
RULES: Final = ResponderSettings(settle_s=0.0, page_settle_s=0.0, pages_per_hour=1)


def this_second() -> datetime:
    """Return the time by which two tenants are filled: what was long ago is over when a command asks for it."""
    return datetime.now(UTC).replace(microsecond=0)


def filled(database: IncidentDatabase, lake: Lake, now: datetime) -> list[str]:
    """Fill every table of a tenant, as of now; return four incidents, which have the ids of the other tenant's."""
    tenant = lake.tenant
    store = IncidentStore(database, tenant)
    desk = Desk(store, RULES, ServiceGraph.from_pairs([]), Audience((PAGERDUTY,)))
    opened = [_opened(desk, tenant, service, now) for service in ("cart", "mail", "db", "till")]
    _opened(desk, tenant, f"only-{tenant}", now)
    matchers = (Matcher("owner", "=", tenant),)
    desk.silence(Silence("quiet", matchers, now, now + timedelta(hours=1)), now, tenant)
    desk.silence(MaintenanceWindow("work", matchers, now, now + timedelta(hours=1)), now, tenant)
    for number in opened:
        cause = RootCause("cart", 0.8, f"of {tenant}", 1.0, now)
        report = RootCauseReport(now, now - timedelta(minutes=5), now, "cart", (cause,), True, f"of {tenant}")
        with store.writing() as writer:
            writer.put_report(number, report)
    draft = VerdictDraft(opened[3], VerdictKind.WRONG_CAUSE, "cart", note=f"of {tenant}")
    feedback.apply(store, desk, lake, verdict_of(store, draft, now, tenant, ("cart",)))
    payload = {"headline": f"of {tenant}"}
    with store.writing() as writer:
        writer.enqueue([OutboxMessage("m-1", PAGERDUTY, opened[0], MessageKind.PAGE, "m-1", payload, now)])
        writer.inbox_add([alert_of(tenant, "inbox", now)], now)
    _acted(store, tenant, now)
    write_changes(lake, [ChangeEvent.of(now - timedelta(hours=1), "cart", "deployment", f"of {tenant}")])
    GraphStore(lake).replace_configured([(f"web-{tenant}", "cart")], now - timedelta(hours=1))
    return opened


def _acted(store: IncidentStore, tenant: str, now: datetime) -> None:
    """Fill the tables of the run log."""
    ledger = StoreRunLedger(store, LedgerRules(SuiteLimits()))
    plan = ledger.propose(plan_of(Wish(made_at=now, requested_by=tenant))).plan
    link = LinkUse("link-1", plan.plan_id, plan.fingerprint, plan.expires_at)
    ledger.approve_by_link(link, Approval(tenant, now, plan.fingerprint), "operator")
    ledger.hold(Hold("restart", "cart", tenant, now), held=True)
    ledger.turn(Switch(True, now, tenant))


def _opened(desk: Desk, tenant: str, service: str, now: datetime) -> str:
    before = {incident.incident_id for incident in desk.open_incidents()}
    desk.take([alert_of(tenant, service, now - timedelta(seconds=5))], {}, now)
    (new,) = {incident.incident_id for incident in desk.open_incidents()} - before
    return new


def alert_of(tenant: str, service: str, at: datetime) -> Alert:
    """Return an alert whose id and fingerprint are the same for each tenant."""
    labels = {"service": service, "alertname": "slow"}
    kept = {**labels, "owner": tenant, "metric": "latency_p99_ms"}
    named = (f"{service}-1:0", fingerprint_of(labels), service, f"slow of {tenant}")
    return Alert(*named, Severity.CRITICAL, at, labels=kept, source=DETECTED, score=0.9)


def kept_of(database: IncidentDatabase, lake: Lake) -> dict[str, list[str]]:
    """Return all that is kept of a tenant, table by table, behind the store's back."""
    with database.reading() as connection:
        tables = {
            table.name: sorted(str(tuple(row)) for row in connection.execute(select(table).where(table.c.tenant == lake.tenant)))
            for table in METADATA.tables.values()
        }
    files = {name: sorted(map(str, lake.read(name).to_pylist())) for name in ("changes", "edges", "incidents", "verdicts")}
    return {**tables, **{f"lake {name}": rows for name, rows in files.items()}}
