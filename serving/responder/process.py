"""The responder process: desk, analyses, notifications, upkeep and API, each in a thread; drains on SIGTERM or Ctrl-C."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aiops.errors import AiopsError, Unavailable
from aiops.settings import Settings
from data_contracts.moments import EPOCH
from data_contracts.series.tenant import DEFAULT_TENANT
from serving import streams
from serving.alerts_in.mapping import read_alert_sources
from serving.api.app import create_app
from serving.api.lake_parts import LakeChanges, LakeTeaching
from serving.api.parts import ApiLimits, ApiParts, ApiReadiness
from serving.broker import connect
from serving.graph_store import GraphStore
from serving.http.auth import authenticator
from serving.http.server import ApiServer
from serving.http.site import site_rules
from serving.incident_store.store import IncidentStore
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from serving.notify.channels import channels_of, escalation_names
from serving.notify.dispatcher import Dispatcher
from serving.notify.escalation import Escalations
from serving.notify.metrics import expose
from serving.responder.analyses import Analyses, AnalysisParts
from serving.responder.clock import DeskClock
from serving.responder.desk import Desk, Step
from serving.responder.inputs import StreamInputs
from serving.responder.loop import BROKER, DESK, DeskLoop, LoopParts
from serving.responder.metrics import ResponderMetrics
from serving.responder.upkeep import Upkeep, UpkeepParts
from serving.responder.wiring import audience_of, desk_of, keep_terms
from serving.root_cause import AnalystConfig, RootCauseAnalyst, graph_at

_DATABASE_WAIT_S: Final = 60.0

log = logging.getLogger(__name__)


def run_responder(settings: Settings) -> int:
    """Run one responder until SIGTERM, Ctrl-C or a failure; return the exit code (0 = drained)."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: stop.set())
    try:
        return ResponderProcess(settings, stop).run()
    except AiopsError as error:
        log.error("%s: %s", type(error).__name__, error)
        return error.exit_code


@dataclass(frozen=True, slots=True)
class _Parts:
    """What all threads share."""

    store: IncidentStore
    desk: Desk
    lake: Lake
    graphs: GraphStore
    clock: DeskClock
    analyst: RootCauseAnalyst


class ResponderProcess:
    """The desk in the calling thread, the rest in threads beside it; the first failure of any stops all and is raised."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._failures: list[BaseException] = []
        self._metrics = ResponderMetrics()

    def run(self) -> int:
        """Run until stopped; return 0.

        Raises:
            AiopsError: what stopped it before its time, first failure first.
        """
        with ExitStack() as stack:
            store = stack.enter_context(closing(self._opened_store()))
            keep_terms(self._settings, store)
            self._work(self._parts(store), stack)
        if self._failures:
            raise self._failures[0]
        log.info("drained: everything read is committed")
        return 0

    def _work(self, parts: _Parts, stack: ExitStack) -> None:
        analyses = Analyses(
            AnalysisParts(parts.store, parts.analyst, audience_of(self._settings), self._metrics, parts.clock.now, self._lag_s())
        )
        loop = self._loop(parts, analyses.see)
        loop.begin()
        server = self._server(parts, loop)
        server.start()
        stack.callback(server.stop)
        log.info("incidents on %s, store %s", server.url, self._settings.incident_store_url.partition("://")[0])
        dispatcher = self._dispatcher(parts, stack)
        threads = [
            self._thread("analyses", analyses.run),
            self._thread("notifier", dispatcher.run),
            self._thread("upkeep", self._upkeep(parts).run),
        ]
        for thread in threads:
            thread.start()
        self._guarded(loop.run)
        self._stop.set()
        for thread in threads:
            thread.join()

    def _lag_s(self) -> float:
        """Return how long telemetry may take to the lake, where that is much event time."""
        return 2 * self._settings.consumer.archive_every_s + 1.0 if self._settings.responder.clock == "event" else 0.0

    def _opened_store(self) -> IncidentStore:
        """Return the incident store; a server that does not answer yet is waited for.

        Raises:
            AiopsError: it cannot be opened, or did not answer within a minute.
        """
        deadline = time.monotonic() + _DATABASE_WAIT_S
        while True:
            try:
                return IncidentStore.open(self._settings.incident_store_url, DEFAULT_TENANT)
            except Unavailable:
                if time.monotonic() > deadline or self._stop.wait(1.0):
                    raise

    def _parts(self, store: IncidentStore) -> _Parts:
        responder = self._settings.responder
        lake = open_lake(self._settings).for_tenant(DEFAULT_TENANT)
        graphs = GraphStore(lake)
        settled_s = responder.settle_s + responder.page_settle_s
        clock = DeskClock(responder.clock, settled_s, lambda: datetime.now(UTC), time.monotonic)
        analyst = RootCauseAnalyst(lake, lambda at: graph_at(graphs, at), AnalystConfig.of(self._settings))
        return _Parts(store, desk_of(self._settings, store), lake, graphs, clock, analyst)

    def _loop(self, parts: _Parts, tell: Callable[[Step], None]) -> DeskLoop:
        inputs = StreamInputs(streams.Streams(connect(self._settings)))
        told = (parts.store, parts.desk, inputs, parts.clock, self._settings.responder)
        return DeskLoop(LoopParts(*told, self._metrics, tell))

    def _dispatcher(self, parts: _Parts, stack: ExitStack) -> Dispatcher:
        responder = self._settings.responder
        channels = channels_of(responder, lambda: datetime.now(UTC))
        for channel in channels:
            stack.callback(channel.close)
        after_s = responder.escalate_after_min * 60
        escalations = Escalations(parts.store, escalation_names(responder), after_s, parts.clock.now)
        dispatcher = Dispatcher(parts.store, channels, lambda: datetime.now(UTC), escalations)
        expose(dispatcher.counts, self._metrics.registry)
        return dispatcher

    def _upkeep(self, parts: _Parts) -> Upkeep:
        retention = timedelta(days=self._settings.responder.retention_days)
        return Upkeep(UpkeepParts(parts.store, parts.desk, parts.lake, parts.graphs, retention, parts.clock.now))

    def _server(self, parts: _Parts, loop: DeskLoop) -> ApiServer:
        serving = self._settings.serving
        api = ApiParts(
            store=parts.store,
            desk=parts.desk,
            auth=authenticator(serving),
            clock=lambda: datetime.now(UTC),
            registry=self._metrics.registry,
            ready=lambda: _readiness(loop),
            limits=ApiLimits(max_body_bytes=serving.max_body_bytes),
            figures=parts.analyst,
            graphs=parts.graphs,
            changes=LakeChanges(parts.lake),
            alert_sources=read_alert_sources(self._settings.responder.alert_sources),
            teaching=LakeTeaching(parts.store, parts.desk, parts.lake, parts.graphs.graph),
            site=site_rules(serving.allowed_hosts, serving.host, serving.jwt_key is None),
            desk_clock=lambda: parts.clock.now() if parts.clock.now() > EPOCH else datetime.now(UTC),
        )
        return ApiServer(create_app(api), serving.host, self._settings.responder.port)

    def _thread(self, name: str, work: Callable[[threading.Event], None]) -> threading.Thread:
        return threading.Thread(target=self._guarded, args=(work,), name=name)

    def _guarded(self, work: Callable[[threading.Event], None]) -> None:
        try:
            work(self._stop)
        except Exception as error:
            log.exception("stopping after a failure")
            self._failures.append(error)
            self._stop.set()


def _readiness(loop: DeskLoop) -> ApiReadiness:
    """Return how the parts are; without the broker incidents are served and alerts taken in all the same.

    Everybody may ask, so addresses and reasons are in the log only.
    """
    health = loop.health()
    told = {part: word if word == "ok" or part == DESK else "no answer; the log says why" for part, word in health.items()}
    return ApiReadiness(all(word == "ok" for part, word in health.items() if part != BROKER), told)
