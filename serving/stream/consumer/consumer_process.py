"""The consumer process: wires the stages, runs them, drains on SIGTERM or Ctrl-C."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiops.errors import AiopsError, FencedError
from aiops.ports import FeatureWriter
from aiops.settings.setting_parts import setting_parts
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.http.cross_site import site_rules
from serving.http.loopback import is_loopback
from serving.stream import streams
from serving.stream.broker import connect, open_streams, wait_ready
from serving.stream.consumer.consumer_config import ConsumerConfig
from serving.stream.consumer.consumer_metrics import ConsumerMetrics, MetricsServer, StatePages
from serving.stream.consumer.export.export_metrics import ExportMetrics
from serving.stream.consumer.export.exported_series import ExportRules
from serving.stream.consumer.export.findings_export import ExportParts, FindingsExport
from serving.stream.consumer.feature_flush import FeatureFlush
from serving.stream.consumer.outlets import Outlets
from serving.stream.consumer.partition import PartitionConfig
from serving.stream.consumer.partition_sharing import Partitions, partitions_of
from serving.stream.consumer.scorer import Scorer, ScorerParts
from serving.stream.consumer.second_opinion import Watched
from serving.stream.consumer.stage1 import Stage1
from serving.stream.consumer.stage1_parts import Stage1Parts
from serving.stream.consumer.tenant_partitions import TenantsConfig
from serving.stream.consumer.tier1_source import tier1_source
from serving.stream.consumer.warm_up import warm_up
from serving.stream.ownership.ownership import Ownership
from serving.tables.call_graphs import call_graph

if TYPE_CHECKING:
    from aiops.settings.tree import Settings
    from serving.stream.archiver import ArchiveConfig, Archiver

_BROKER_WAIT_S: Final = 60.0

log = logging.getLogger(__name__)


def run_consumer(config: ConsumerConfig) -> int:
    """Run one consumer until SIGTERM, Ctrl-C or a failure; return the exit code (0 = drained)."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: stop.set())
    try:
        return ConsumerProcess(config, stop).run()
    except AiopsError as error:
        log.error("%s: %s", type(error).__name__, error)
        return error.exit_code


class ConsumerProcess:
    """Stage 1 in the calling thread; scorer, archiver and feature flush in threads beside it.

    A failure in any of them stops all: a process that works by half would hide it. The first failure is raised by `run`.
    """

    def __init__(self, config: ConsumerConfig, stop: threading.Event) -> None:
        self._config = config
        self._stop = stop
        self._late_stop = threading.Event()
        self._ended = threading.Event()
        self._failures: list[BaseException] = []
        self._metrics = ConsumerMetrics()
        self._ready = False
        self._findings = findings_export(config.settings, self._metrics, self._late_stop)

    def run(self) -> int:
        """Run until stopped; return 0.

        Raises:
            AiopsError: what stopped it before its time, first failure first.
        """
        settings = self._config.settings
        broker = open_streams(settings)
        wait_ready(broker, _BROKER_WAIT_S, lambda: not self._stop.is_set())
        serving = settings.serving
        site = site_rules(serving.allowed_hosts, serving.host, keyless=is_loopback(serving.host))
        pages = StatePages(lambda: self._ready, self._findings.page)
        server = MetricsServer(self._metrics, serving.host, settings.consumer.metrics_port, pages, site)
        server.start()
        shared = "shared by leases" if self._config.shared else str(self._config.partitions)
        log.info("partitions %s, metrics on http://%s:%d/metrics", shared, serving.host, server.port)
        try:
            self._work(broker, partitions_of(self._config, broker, self._metrics.registry))
        finally:
            server.stop()
        if self._failures:
            raise self._failures[0]
        log.info("drained: everything read is committed and checkpointed")
        return 0

    def _work(self, broker: streams.Streams, owned: Partitions) -> None:
        settings = self._config.settings
        early: list[threading.Thread] = []
        late: list[threading.Thread] = []
        outlets: Outlets | None = None
        if self._config.score:
            early.append(self._thread("scorer", self._scorer(broker, owned).run))
        if self._config.ingest:
            self._warm_up()
            flush = FeatureFlush(online_writers(settings), settings.consumer.feature_flush_s, self._metrics, self._late_stop)
            outlets = Outlets(flush, self._findings)
            late += [self._thread("feature flush", flush.run), self._thread("findings export", self._findings.run)]
            if settings.consumer.archive == "inside":
                archiver = self._archiver(broker, owned)
                late.append(self._thread("archiver", lambda: archiver.run(self._late_stop)))
        leases = owned.threads(self._thread, self._ended)
        for thread in (*leases, *early, *late):
            thread.start()
        try:
            self._ready = True
            if self._config.ingest:
                self._guarded(Stage1(self._stage1(broker, owned, outlets)).run)
            self._stop.wait()
        finally:
            self._stop.set()
            owned.retire()
            _join(early)
            self._late_stop.set()
            _join(late)
            self._ended.set()
            _join(leases)
        for loss in outlets.last_flush() if outlets is not None else ():
            log.warning("%s", loss)

    def _warm_up(self) -> None:
        started = time.perf_counter()
        warm_up(partition_config(self._config.settings))
        log.info("kernels are ready after %.1f s", time.perf_counter() - started)

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=self._guarded, args=(work,), name=name)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            if isinstance(error, FencedError):
                log.warning("stopping: %s", error)
            else:
                log.exception("stopping after a failure")
            self._failures.append(error)
            self._stop.set()

    def _stage1(self, broker: streams.Streams, owned: Partitions, outlets: Outlets | None) -> Stage1Parts:
        tenants = tenants_config(self._config.settings)
        return Stage1Parts(self._config, tenants, broker, self._metrics, outlets, self._stop, owned.ingest)

    def _scorer(self, broker: streams.Streams, owned: Partitions) -> Scorer:
        from serving.stream.consumer.scoring_client import ScoringClient
        from serving.stream.consumer.tenant_models import TenantModels

        settings = self._config.settings
        secret = settings.consumer.scoring_token
        timeout_s = min(float(settings.serving.timeout_s), settings.consumer.fallback_after_s)
        client = ScoringClient(settings.scoring_url, timeout_s, secret.get_secret_value() if secret else None)

        def models_of(tenant: str) -> TenantModels:
            return TenantModels(client, tenant)

        return Scorer(ScorerParts(self._config, broker, models_of, self._metrics, self._stop, owned.score))

    def _archiver(self, broker: streams.Streams, owned: Partitions) -> "Archiver":
        from serving.lake.opening import open_lake
        from serving.stream.archiver import Archiver

        lakes = open_lake(self._config.settings)
        config = archive_config(self._config, owned.ingest)
        return Archiver(broker, lakes.for_tenant, config, lambda table, rows: self._metrics.archived.labels(table).inc(rows))


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def archive_config(config: ConsumerConfig, ownership: Ownership) -> "ArchiveConfig":
    """Return how the archiver works beside the stages."""
    from serving.stream.archiver import ArchiveConfig

    settings = config.settings
    return ArchiveConfig(
        config.partitions,
        settings.consumer.archive_every_s,
        max_backlog=settings.consumer.max_backlog,
        future_tolerance_s=settings.telemetry.future_tolerance_s,
        ownership=ownership,
        signals_read=settings.signals.minutes,
    )


def tenants_config(settings: "Settings") -> TenantsConfig:
    """Return how the tenants of a partition are processed."""
    telemetry = settings.telemetry
    idle_us = round(telemetry.tenant_idle_h * 3.6e9)
    return TenantsConfig(partition_config(settings), lambda tenant: call_graph(settings, tenant), telemetry.max_tenants, idle_us)


def partition_config(settings: "Settings") -> PartitionConfig:
    """Return how the default tenant is processed: engine limits, call graph of the lake, tier 1 levels."""
    from aiops.features.engine import EngineConfig

    telemetry = settings.telemetry
    return PartitionConfig(
        engine=EngineConfig.of(telemetry),
        graph=call_graph(settings, DEFAULT_TENANT),
        tier1=tier1_source(settings).champion(),
        step_us=telemetry.step_s * 1_000_000,
        lateness_us=telemetry.lateness_s * 1_000_000,
        predict_every_us=settings.consumer.predict_every_s * 1_000_000,
        future_tolerance_s=telemetry.future_tolerance_s,
        max_series=telemetry.max_series,
        second=Watched(settings.consumer.novelty, settings.consumer.safety_net),
        partitions=settings.broker.partitions,
    )


def findings_export(settings: "Settings", metrics: ConsumerMetrics, stop: threading.Event) -> FindingsExport:
    """Return the export of findings: always the page, and remote write where the settings name an address."""
    export = settings.export
    rules = ExportRules(setting_parts(export.select), export.max_series, int(export.keep_min * 60_000_000))
    parts = ExportParts(rules, export.every_s, ExportMetrics(metrics.registry), lambda: metrics.beat("findings export"), stop)
    if export.url is None:
        return FindingsExport(parts)
    from serving.stream.consumer.export.remote_writer import Receiver, RemoteWriter

    token = export.token.get_secret_value() if export.token else None
    writer = RemoteWriter(Receiver(export.url, export.user, token, export.org_id))
    return FindingsExport(replace(parts, write=writer.write))


def online_writers(settings: "Settings") -> Callable[[str], FeatureWriter]:
    """Return the writer of a tenant's online features."""
    from serving.online.online_features import RedisFeatures

    client = connect(settings)
    return RedisFeatures(client).for_tenant
