"""What the API is made of: ports to the store, the desk and the rest, each as narrow as its routes need it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from aiops.incidents.alert import Alert
from aiops.incidents.correlation.outcome import HeldBack
from aiops.incidents.correlation.suppression import MaintenanceWindow, Silence
from aiops.incidents.feedback.verdict_effects import VerdictEffect, VerdictPreview
from aiops.incidents.incident import Incident, IncidentState
from aiops.incidents.root_cause import ChangeEvent, RootCauseReport
from aiops.incidents.verdict import Verdict
from aiops.topology.graph import ServiceGraph
from serving.http.auth import Authenticator
from serving.http.cross_site import SiteRules
from serving.incidents.desk.verdict_draft import VerdictDraft
from serving.incidents.intake.alert_sources import AlertSources
from serving.incidents.store.records import (
    AuditCheck,
    AuditEntry,
    IncidentCase,
    IncidentFilter,
    IncidentGlance,
    IncidentSummary,
    Page,
    PageRequest,
    StoredAlert,
    StoreEvent,
)


class CaseReader(Protocol):
    """Reads incidents."""

    def case(self, incident_id: str) -> IncidentCase:
        """Return one; ContractError if unknown."""

    def cases(self, incident_filter: IncidentFilter, page: PageRequest) -> Page[IncidentSummary]:
        """Return those that fit, the newest first."""

    def glances(self, incident_ids: Sequence[str]) -> Mapping[str, IncidentGlance]:
        """Return what a list shows of them beside their lines."""

    def case_count(self, incident_filter: IncidentFilter) -> int:
        """Return how many fit, on all pages together."""

    def alerts(self, incident_id: str | None, page: PageRequest) -> Page[StoredAlert]:
        """Return the alerts of one."""

    def reports(self, incident_id: str) -> tuple[RootCauseReport, ...]:
        """Return its analyses, the oldest first."""

    def held_back(self) -> tuple[HeldBack, ...]:
        """Return those whose page waits."""


class EventReader(Protocol):
    """Reads what changed."""

    def last_event_seq(self) -> int:
        """Return the newest sequence number, 0 = there is none."""

    def events_after(self, seq: int, limit: int) -> tuple[StoreEvent, ...]:
        """Return the events after a sequence number, the oldest first."""


class WatchedStore(CaseReader, EventReader, Protocol):
    """What live events are made of."""


class AuditReader(Protocol):
    """Reads the audit log."""

    def audit(self, page: PageRequest) -> Page[AuditEntry]:
        """Return entries, the newest first."""

    def verify_audit(self) -> AuditCheck:
        """Return whether the chain of digests holds."""


class Actions(Protocol):
    """Changes incidents by a person's word."""

    def change(self, incident_id: str, state: IncidentState, at: datetime, by: str, note: str = "") -> Incident:
        """Change its state; ContractError if that cannot follow."""

    def merge(self, into: str, other: str, at: datetime, by: str) -> Incident:
        """Merge one into another, which is returned; ContractError if one of them is closed."""


class Silencing(Protocol):
    """Puts silences and maintenance windows in force."""

    def silence(self, rule: Silence | MaintenanceWindow, at: datetime, by: str) -> None:
        """Put one in force; one of the same name is replaced."""


class DeskPort(Actions, Silencing, Protocol):
    """What people change through the desk."""


class Writer(Protocol):
    """One transaction of the store."""

    def inbox_add(self, alerts: Sequence[Alert], received_at: datetime) -> int:
        """Keep alerts until the desk takes them; return how many are new."""

    def remove_silence(self, name: str) -> bool:
        """Drop a silence; return whether there was one."""

    def remove_window(self, name: str) -> bool:
        """Drop a maintenance window; return whether there was one."""

    def audit(self, at: datetime, by: str, what: str, subject: str, detail: Mapping[str, Any]) -> None:
        """Add a line to the audit log."""


class Writes(Protocol):
    """Opens transactions."""

    def writing(self) -> AbstractContextManager[Writer]:
        """Open one; it is committed on leaving, or leaves no trace."""


class SuppressionStore(Writes, Protocol):
    """Silences and maintenance windows."""

    def silences(self) -> tuple[Silence, ...]:
        """Return all silences."""

    def maintenance_windows(self) -> tuple[MaintenanceWindow, ...]:
        """Return all maintenance windows."""


class StorePort(CaseReader, EventReader, AuditReader, SuppressionStore, Protocol):
    """What the routes need of the store."""


class GraphReader(Protocol):
    """Reads the call graph."""

    def graph(self, at: datetime | None = None, learned: bool = False) -> ServiceGraph:
        """Return it as it is, or was at `at`; calls that were only learned where they are asked for."""


class ChangeLog(Protocol):
    """Keeps what was done to services."""

    def read(self, services: Collection[str] | None, since: datetime, until: datetime) -> tuple[ChangeEvent, ...]:
        """Return changes of [since, until] in order of time; `services` None = of all."""

    def write(self, events: Sequence[ChangeEvent]) -> int:
        """Write changes; the same ones again double nothing."""


class Teaching(Protocol):
    """Lets verdicts take effect."""

    def verdict(self, draft: VerdictDraft, at: datetime, by: str) -> Verdict:
        """Return what was said as a verdict; ContractError where it cannot be one."""

    def preview(self, verdict: Verdict, now: datetime) -> VerdictPreview:
        """Return what it would change."""

    def apply(self, verdict: Verdict) -> VerdictEffect:
        """Let it take effect and return what changed."""


class EvidenceFigures(Protocol):
    """Draws evidence."""

    def figure(self, incident: Incident, report: RootCauseReport) -> bytes:
        """Return the evidence of an analysis as SVG."""


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """`max_body_bytes` of a request, which must be there within `body_s`; `concurrency` = calls in progress at once.

    `watchers` = live streams at once; `poll_s`: how often the store is asked for events while somebody watches; `heartbeat_s`:
    silence on a stream at most.
    """

    max_body_bytes: int = 16 << 20
    body_s: float = 20.0
    concurrency: int = 256
    watchers: int = 100
    poll_s: float = 0.25
    heartbeat_s: float = 15.0


@dataclass(frozen=True, slots=True)
class ApiReadiness:
    """Whether the responder can work; `parts`: each with "ok" or what is wrong."""

    ready: bool
    """whether the responder can work"""
    parts: Mapping[str, str]
    """each part with "ok" or what is wrong with it"""


@dataclass(frozen=True, slots=True)
class TenantParts:
    """What belongs to one tenant. `now`: the desk's time, by which people act: in a replay that of the telemetry."""

    tenant: str
    store: StorePort
    desk: DeskPort
    now: Callable[[], datetime]
    figures: EvidenceFigures
    graphs: GraphReader
    changes: ChangeLog
    teaching: Teaching


Tenants = Callable[[str], TenantParts]
"""Gives the parts of a tenant; Unavailable where no more tenants can be served."""


@dataclass(frozen=True, slots=True)
class ApiParts:
    """Everything behind the routes. `clock` = the wall's time."""

    tenants: Tenants
    auth: Authenticator
    clock: Callable[[], datetime]
    registry: CollectorRegistry
    ready: Callable[[], ApiReadiness]
    limits: ApiLimits = field(default_factory=ApiLimits)
    alert_sources: AlertSources = field(default_factory=AlertSources)
    site: SiteRules | None = None
    """Host names of the API; None = this machine's, and with a key any number."""
