"""The responder process: desks, analyses, notifications, upkeep and API, in threads; drains on SIGTERM or Ctrl-C."""

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime

from aiops.errors import AiopsError
from aiops.settings.tree import Settings
from serving.http.auth import authenticator
from serving.http.cross_site import site_rules
from serving.http.server import ApiServer
from serving.incidents.api.app import create_app
from serving.incidents.api.ports import ApiLimits, ApiParts, ApiReadiness
from serving.incidents.desk import analyses
from serving.incidents.desk.desk_metrics import MetricFamilies
from serving.incidents.desk.stream_inputs import RoundReads
from serving.incidents.intake.alert_sources import read_alert_sources
from serving.incidents.notify.notify_metrics import expose
from serving.incidents.responder import upkeep
from serving.incidents.responder.responder_loop import BROKER, DESK
from serving.incidents.responder.rounds import DeskRounds
from serving.incidents.responder.tenant_desks import SharedParts, TenantDesk, TenantDesks
from serving.incidents.store.database_opening import opened_database
from serving.stream.broker import open_streams

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


class ResponderProcess:
    """The desks in the calling thread, the rest in threads beside it; the first failure of any stops all and is raised."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._failures: list[BaseException] = []
        self._metrics = MetricFamilies()
        self._notifiers: list[threading.Thread] = []

    def run(self) -> int:
        """Run until stopped; return 0.

        Raises:
            AiopsError: what stopped it before its time, first failure first.
        """
        with ExitStack() as stack:
            database = stack.enter_context(
                closing(opened_database(self._settings.incident_store_url, self._stop, memory_copy=True))
            )
            reads = RoundReads(open_streams(self._settings))
            desks = TenantDesks(SharedParts(self._settings, database, reads, self._metrics))
            stack.callback(desks.close)
            self._work(desks, DeskRounds(desks, database, reads, self._begin), stack)
        if self._failures:
            raise self._failures[0]
        log.info("drained: everything read is committed")
        return 0

    def _work(self, desks: TenantDesks, rounds: DeskRounds, stack: ExitStack) -> None:
        expose(lambda: _notified(desks), self._metrics.registry)
        try:
            rounds.begin()
            server = self._server(desks, rounds)
            server.start()
            stack.callback(server.stop)
            log.info("incidents on %s, store %s", server.url, self._settings.incident_store_url.partition("://")[0])
            threads = [
                self._thread("analyses", lambda stop: _explain(desks, stop)),
                self._thread("upkeep", lambda stop: _look_after(desks, stop)),
            ]
            for thread in threads:
                thread.start()
            self._guarded(rounds.run)
        finally:
            self._stop.set()
            for thread in self._notifiers:
                thread.join()
        for thread in threads:
            thread.join()

    def _begin(self, desk: TenantDesk) -> None:
        """Let the desk of a tenant begin, and its notifications go out."""
        desk.begin(self._settings)
        thread = self._thread(f"notifier {desk.tenant}", desk.dispatcher.run)
        self._notifiers.append(thread)
        thread.start()

    def _server(self, desks: TenantDesks, rounds: DeskRounds) -> ApiServer:
        serving = self._settings.serving
        api = ApiParts(
            tenants=desks.parts,
            auth=authenticator(serving, self._settings.tokens_path),
            clock=lambda: datetime.now(UTC),
            registry=self._metrics.registry,
            ready=lambda: _readiness(rounds),
            limits=ApiLimits(max_body_bytes=serving.max_body_bytes),
            alert_sources=read_alert_sources(self._settings.responder.alert_sources),
            site=site_rules(serving.allowed_hosts, serving.host, serving.jwt_key is None),
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


def _readiness(rounds: DeskRounds) -> ApiReadiness:
    """Return how the parts are; without the broker incidents are served and alerts taken in all the same.

    Everybody may ask, so addresses and reasons are in the log only.
    """
    health = rounds.health()
    parts = {part: word if word == "ok" or part == DESK else "no answer; the log says why" for part, word in health.items()}
    return ApiReadiness(all(word == "ok" for part, word in health.items() if part != BROKER), parts)


def _explain(desks: TenantDesks, stop: threading.Event) -> None:
    """Explain what is due, of each tenant one incident in turn, until stopped."""
    explained = False
    while not stop.is_set() and (explained or not stop.wait(analyses.LOOK_S)):
        explained = any([desk.analyses.look() for desk in desks.running()])  # noqa: C419 - of each one, also after the first


def _look_after(desks: TenantDesks, stop: threading.Event) -> None:
    """Look after each tenant until stopped."""
    while True:
        for desk in desks.running():
            desk.upkeep.look()
        if stop.wait(upkeep.LOOK_S):
            return


def _notified(desks: TenantDesks) -> dict[tuple[str, str, str], int]:
    return {(desk.tenant, *labels): count for desk in desks.running() for labels, count in desk.dispatcher.counts().items()}
