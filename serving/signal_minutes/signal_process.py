"""The process that makes series of logs and spans: wires the stage, runs it, drains on SIGTERM or Ctrl-C."""

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aiops.errors import AiopsError
from serving.http.cross_site import site_rules
from serving.http.loopback import is_loopback
from serving.signal_minutes.minute_appends import AppendRules
from serving.signal_minutes.minute_series import Makers
from serving.signal_minutes.partition_minutes import PartitionRules
from serving.signal_minutes.signal_metrics import SignalMetrics, SignalPages
from serving.signal_minutes.signal_parts import SignalParts
from serving.signal_minutes.signal_stage import SignalStage
from serving.signal_minutes.tenant_minutes import MinuteRules
from serving.stream.broker import open_streams, wait_ready
from serving.stream.ownership.checkpoint_place import place_of
from serving.stream.ownership.lease_groups import SIGNALS, lease_group
from serving.stream.ownership.leases import Leases, Member
from serving.stream.ownership.ownership import LeasedOwnership, LeaseRules
from serving.stream.ownership.ownership_metrics import OwnershipMetrics
from serving.tables.graph_store import GraphStore
from serving.tables.signal_texts import SignalTextStore

if TYPE_CHECKING:
    from aiops.settings.tree import Settings
    from serving.stream.streams import Streams

_BROKER_WAIT_S: Final = 60.0

log = logging.getLogger(__name__)


def run_signals(settings: "Settings", makers: Makers) -> int:
    """Run until SIGTERM, Ctrl-C or a failure; return the exit code (0 = drained)."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: stop.set())
    try:
        return SignalProcess(settings, makers, stop).run()
    except AiopsError as error:
        log.error("%s: %s", type(error).__name__, error)
        return error.exit_code


class SignalProcess:
    """The stage in the calling thread; leases and pages beside it."""

    def __init__(self, settings: "Settings", makers: Makers, stop: threading.Event) -> None:
        self._settings = settings
        self._makers = makers
        self._stop = stop
        self._metrics = SignalMetrics()
        self._ready = False

    @property
    def is_ready(self) -> bool:
        """Return whether it does its work."""
        return self._ready

    def run(self) -> int:
        """Run until stopped; return 0.

        Raises:
            AiopsError: what stopped it before its time.
        """
        settings = self._settings
        broker = open_streams(settings)
        wait_ready(broker, _BROKER_WAIT_S, lambda: not self._stop.is_set())
        serving = settings.serving
        site = site_rules(serving.allowed_hosts, serving.host, keyless=is_loopback(serving.host))
        pages = SignalPages(self._metrics, serving.host, settings.signals.metrics_port, lambda: self.is_ready, site)
        pages.start()
        log.info("series of logs and spans; metrics on http://%s:%d/metrics", serving.host, pages.port)
        try:
            if settings.signals.minutes:
                self._work(broker)
            else:
                self._rest()
        finally:
            pages.stop()
        log.info("drained: everything read is committed and checkpointed")
        return 0

    def _rest(self) -> None:
        """Do nothing until stopped: the archiver does not wait for us either."""
        log.info("AIOPS_SIGNALS__MINUTES is off: logs and spans are stored, nothing is made of them")
        self._ready = True
        self._stop.wait()

    def _work(self, broker: "Streams") -> None:
        ownership, ended = self._ownership(broker), threading.Event()
        leases = threading.Thread(target=ownership.run, args=(ended,), name="leases of signals", daemon=True)
        leases.start()
        self._ready = True
        try:
            SignalStage(self._parts(broker, ownership)).run()
        finally:
            ownership.retire()
            ended.set()
            leases.join()

    def _ownership(self, broker: "Streams") -> LeasedOwnership:
        settings = self._settings
        place = place_of(settings.consumer.checkpoints(settings.root))
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        member = Member(name, time.time_ns() // 1_000_000, place, os.getpid())
        rules = LeaseRules(settings.consumer.checkpoint_wait_s)
        metrics = OwnershipMetrics(self._metrics.registry)
        return LeasedOwnership(Leases(broker, lease_group(settings, SIGNALS), member), metrics, rules)

    def _parts(self, broker: "Streams", ownership: LeasedOwnership) -> SignalParts:
        settings = self._settings
        return SignalParts(
            broker,
            partition_rules(settings),
            self._makers,
            append_rules(settings),
            self._metrics,
            ownership,
            settings.consumer.checkpoints(settings.root),
            self._stop,
            _graphs(settings) if settings.signals.graph else None,
            _texts(settings) if settings.signals.texts else None,
            settings.consumer.checkpoint_s,
        )


def partition_rules(settings: "Settings") -> PartitionRules:
    """Return when minutes close, and how many tenants a partition holds."""
    signals, telemetry = settings.signals, settings.telemetry
    minutes = MinuteRules(signals.lateness_s * 1_000_000, round(signals.idle_s * 1_000_000))
    return PartitionRules(minutes, telemetry.max_tenants, round(telemetry.tenant_idle_h * 3_600_000_000))


def append_rules(settings: "Settings") -> AppendRules:
    """Return how series are spread and how many entries a stream may hold."""
    return AppendRules(
        settings.broker.partitions,
        settings.consumer.max_backlog,
        settings.telemetry.future_tolerance_s,
        settings.consumer.archive != "off",
    )


def _texts(settings: "Settings") -> Callable[[str], SignalTextStore]:
    from serving.lake.opening import open_lake

    lakes = open_lake(settings)
    return lambda tenant: SignalTextStore(lakes.for_tenant(tenant))


def _graphs(settings: "Settings") -> Callable[[str], GraphStore]:
    from serving.lake.opening import open_lake

    lakes = open_lake(settings)
    return lambda tenant: GraphStore(lakes.for_tenant(tenant))
