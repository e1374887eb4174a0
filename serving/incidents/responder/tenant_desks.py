"""The desks of all tenants in one process: each with its own store, clock, lake, call graph and notifications."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiops.errors import AiopsError, Unavailable
from aiops.settings.tree import Settings
from data_contracts.series.tenant import DEFAULT_TENANT, checked_tenant
from data_contracts.values.moments import EPOCH
from serving.incidents.api.lake_ports import LakeChanges, LakeTeaching
from serving.incidents.api.ports import TenantParts
from serving.incidents.desk.analyses import Analyses, AnalysisParts
from serving.incidents.desk.desk_clock import DeskClock
from serving.incidents.desk.desk_factory import audience_of, desk_of, keep_terms
from serving.incidents.desk.desk_metrics import MetricFamilies, ResponderMetrics
from serving.incidents.desk.stream_inputs import Reads, StreamInputs
from serving.incidents.notify.channels import channels_of, escalation_names
from serving.incidents.notify.delivery import Channel
from serving.incidents.notify.dispatcher import Dispatcher
from serving.incidents.notify.escalation import Escalations
from serving.incidents.notify.routes import routed
from serving.incidents.responder.responder_loop import DeskLoop, LoopParts
from serving.incidents.responder.upkeep import Upkeep, UpkeepParts
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.opening import open_lake
from serving.root_cause.lake_explainer import AnalystConfig, RootCauseAnalyst, graph_at
from serving.tables.graph_store import GraphStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TenantDesk:
    """All that works for one tenant."""

    tenant: str
    store: IncidentStore
    loop: DeskLoop
    analyses: Analyses
    upkeep: Upkeep
    dispatcher: Dispatcher
    channels: tuple[Channel, ...]
    parts: TenantParts

    def begin(self, settings: Settings) -> None:
        """Find where the desk stands, and note for commands beside it what it goes by.

        Raises:
            AiopsError: the database does not answer, or what is stored cannot be read.
        """
        keep_terms(settings, self.store)
        self.loop.begin()


@dataclass(frozen=True, slots=True)
class SharedParts:
    """What the desks of all tenants share; none of it holds anything of a tenant."""

    settings: Settings
    database: IncidentDatabase
    broker: Reads
    metrics: MetricFamilies


class TenantDesks:
    """Desks by tenant, made when something of a tenant comes. Thread-safe. Memory: that of `responder.max_tenants` desks.

    A desk that somebody only asked for is made without running; it gives way where others need its place.
    """

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared
        self._most = shared.settings.responder.max_tenants
        self._desks: dict[str, TenantDesk] = {}
        self._running: dict[str, TenantDesk] = {}
        self._refused: set[str] = set()
        self._lock = threading.RLock()

    def running(self) -> tuple[TenantDesk, ...]:
        """Return the desks that run, that of `default` first."""
        with self._lock:
            return tuple(self._running[name] for name in sorted(self._running, key=lambda name: (name != DEFAULT_TENANT, name)))

    def parts(self, tenant: str) -> TenantParts:
        """Return what the API needs of a tenant.

        Raises:
            Unavailable: as many tenants as may be are served already.
        """
        return self.at(tenant).parts

    def at(self, tenant: str) -> TenantDesk:
        """Return the desk of a tenant.

        Raises:
            Unavailable: as many tenants as may be are served already.
            TenantError: the text is no name of a tenant.
        """
        with self._lock:
            desk = self._desks.get(checked_tenant(tenant))
            if desk is None:
                self._make_room(tenant)
                desk = self._desks[tenant] = self._made(tenant)
            return desk

    def run(self, tenant: str) -> TenantDesk | None:
        """Return a desk that begins to run now; None where it runs already, or there is no place for it (said once)."""
        with self._lock:
            if tenant in self._running:
                return None
            try:
                desk = self._running[tenant] = self.at(tenant)
            except AiopsError as error:
                if tenant == DEFAULT_TENANT:
                    raise
                if tenant not in self._refused:
                    self._refused.add(tenant)
                    log.error("nobody is notified of what happens to a tenant: %s", error)
                self._shared.metrics.refused.set(len(self._refused))
                return None
            self._shared.metrics.tenants.set(len(self._running))
            return desk

    def close(self) -> None:
        """Let go of connections to receivers."""
        with self._lock:
            for desk in self._desks.values():
                for channel in desk.channels:
                    channel.close()

    def _make_room(self, tenant: str) -> None:
        if len(self._desks) < self._most:
            return
        idle = next((name for name in self._desks if name not in self._running), None)
        if idle is None:
            rule = f"{self._most} tenants are served already (responder.max_tenants)"
            raise Unavailable(
                f"tenant {tenant!r}: {rule}; raise the setting, or run another responder with a database of its own"
            )
        for channel in self._desks.pop(idle).channels:
            channel.close()

    def _made(self, tenant: str) -> TenantDesk:
        shared, responder = self._shared, routed(self._shared.settings.responder, tenant)
        store, lake = IncidentStore(shared.database, tenant), open_lake(shared.settings).for_tenant(tenant)
        graphs, metrics = GraphStore(lake), ResponderMetrics(shared.metrics, tenant)
        clock = _clock(shared.settings)
        desk = desk_of(shared.settings, store)
        analyst = RootCauseAnalyst(lake, lambda at: graph_at(graphs, at), AnalystConfig.of(shared.settings))
        audience = audience_of(shared.settings, tenant)
        analyses = Analyses(AnalysisParts(store, analyst, audience, metrics, clock.now, _lag_s(shared.settings)))
        inputs = StreamInputs(shared.broker, tenant)
        loop = DeskLoop(LoopParts(store, desk, inputs, clock, responder, metrics, analyses.see))
        upkeep = Upkeep(UpkeepParts(store, desk, lake, graphs, timedelta(days=responder.retention_days), clock.now))
        channels = channels_of(responder, _wall)
        escalations = Escalations(store, escalation_names(responder), responder.escalate_after_min * 60, clock.now)
        dispatcher = Dispatcher(store, channels, _wall, escalations)
        teaching = LakeTeaching(store, desk, lake, graphs.graph)
        parts = TenantParts(tenant, store, desk, _acting(clock), analyst, graphs, LakeChanges(lake), teaching)
        return TenantDesk(tenant, store, loop, analyses, upkeep, dispatcher, channels, parts)


def _wall() -> datetime:
    return datetime.now(UTC)


def _clock(settings: Settings) -> DeskClock:
    responder = settings.responder
    return DeskClock(responder.clock, responder.settle_s + responder.page_settle_s, _wall, time.monotonic)


def _acting(clock: DeskClock) -> Callable[[], datetime]:
    """Return the time by which people act: the desk's, the wall's where it has seen none yet."""
    return lambda: now if (now := clock.now()) > EPOCH else _wall()


def _lag_s(settings: Settings) -> float:
    """Return how long telemetry may take to the lake, where that is much event time."""
    return 2 * settings.consumer.archive_every_s + 1.0 if settings.responder.clock == "event" else 0.0
