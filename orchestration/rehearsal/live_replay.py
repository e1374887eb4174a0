"""The live half of a run: broker, scoring service, consumer and responder as processes, a replay into them, a load beside it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx
import pyarrow as pa

from aiops.errors import Unavailable
from aiops.settings.tree import Settings
from orchestration.pipeline.deployment import current_version
from orchestration.pipeline.drift import WATCHED
from orchestration.suite import backlog, services
from orchestration.suite.free_ports import free_ports
from orchestration.suite.load_timeout import Patience
from orchestration.suite.metrics_page import MetricsPage
from orchestration.suite.processes import Supervisor
from orchestration.workspace.workspace import Workspace
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams

DRAIN_S = 180.0
ANALYSES_S = 60.0
PACE_ENTRIES = 4
EVENT_SETTLE_S = 120.0
"""Event time by which partitions may be apart in a replay: an alert that comes later is taken as of now."""


def with_free_ports(settings: Settings) -> Settings:
    """Return settings whose ports are free now, so that a run never meets a suite that is up already."""
    ports = free_ports(8)
    broker = settings.broker.model_copy(update={"port": ports[0]})
    serving = settings.serving.model_copy(update={"http_port": ports[1], "grpc_port": ports[2], "served_flush_s": 0.5})
    consumer = settings.consumer.model_copy(update={"metrics_port": ports[3], "archive_every_s": 1.0})
    responder = settings.responder.model_copy(update={"port": ports[4], "clock": "event", "settle_s": EVENT_SETTLE_S})
    ingest = settings.ingest.model_copy(update={"port": ports[5], "grpc_port": ports[6]})
    signals = settings.signals.model_copy(update={"metrics_port": ports[7]})
    sections = {"broker": broker, "serving": serving, "consumer": consumer, "responder": responder, "ingest": ingest}
    return settings.model_copy(update={**sections, "signals": signals})


class LiveLoop:
    """Broker, scoring service, consumer and responder while a run lasts; a context manager that ends them in order."""

    def __init__(self, workspace: Workspace, say: Callable[[str], None]) -> None:
        self._settings = workspace.settings
        self._broker = EmbeddedBroker(workspace.settings)
        self._children = Supervisor(workspace.settings.root / "logs", say)
        self._logs = workspace.settings.root / "logs"
        self._streams = open_streams(workspace.settings)
        self._load = Load(workspace.settings)
        self._champion = bool(current_version(workspace, WATCHED))

    def __enter__(self) -> Self:
        try:
            if self._settings.broker.own_url is None:
                self._broker.start()
                assert self._broker.pid is not None
                self._children.reaper.covers(self._broker.pid, needed=True)
            self._children.start(services.scorer(self._settings, self._champion))
            self._children.start(services.consumer(self._settings), services.responder(self._settings))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._load.stop()
        self._children.stop()
        self._broker.stop()

    @property
    def load(self) -> "Load":
        """Return the load that runs beside the replay."""
        return self._load

    def pid(self, name: str) -> int:
        """Return the process number of a child: scorer or consumer."""
        return next(child.process.pid for child in self._children.children if child.spec.name == name)

    def start_load(self, rows: pa.Table) -> None:
        """Ask the service about `rows` (service vectors) again and again until the end; not where there is nobody to answer."""
        if self._champion:
            self._load.start(rows)

    def check_alive(self) -> None:
        """Raise Unavailable, with the end of its log, where a process has ended; logs stay within their bound."""
        self._children.bound_logs()
        dead = next((child for child in self._children.children if child.process.poll() is not None), None)
        if dead is not None:
            raise Unavailable(f"{dead.spec.name} ended during the replay. Its log ({dead.log}) ends:\n{dead.tail()}")

    def pace(self) -> None:
        """Wait while the consumer is more than a few entries behind: a replay should not measure its own queue.

        Raises:
            Unavailable: a process has ended, or the consumer falls behind for too long.
        """
        broker, began, patience = self._streams, time.monotonic(), Patience(DRAIN_S)
        while max(self._behind(broker, partition) for partition in range(self._settings.broker.partitions)) > PACE_ENTRIES:
            self.check_alive()
            if time.monotonic() - began > patience.limit_s:
                raise Unavailable(f"the consumer was not up with the replay within {patience}; see {self._logs}")
            time.sleep(0.005)

    def _behind(self, broker: streams.Streams, partition: int) -> int:
        committed = broker.hash_all(streams.offset("stage1", partition)).get("ordinal", "0")
        return broker.added(partition) - int(committed)

    def drain(self) -> None:
        """Wait until everything published is scored, committed and in the lake.

        Raises:
            Unavailable: it takes too long, or a process has ended.
        """
        self._await_commits()
        time.sleep(3 * self._settings.serving.served_flush_s)
        self._await_analyses()

    def catch_up(self) -> None:
        """Wait until everything published is detected, correlated and explained; what was served may not be in the lake yet.

        Raises:
            Unavailable: it takes too long, or a process has ended.
        """
        self._await_commits()
        self._await_analyses()

    def _await_commits(self) -> None:
        broker, began, patience = self._streams, time.monotonic(), Patience(DRAIN_S)
        calm = 0
        while calm < 3:
            waiting = self._waiting(broker)
            calm = 0 if waiting else calm + 1
            self.check_alive()
            if time.monotonic() - began > patience.limit_s:
                raise Unavailable(f"not drained within {patience}: {', '.join(waiting)}; see {self._settings.root / 'logs'}")
            time.sleep(0.2)

    def _await_analyses(self) -> None:
        """Wait until the responder has taken all alerts and explained all incidents, for a minute at most."""
        url = f"http://{services.LOOPBACK}:{self._settings.responder.port}/metrics"
        waits = ("aiops_responder_lag_seconds", "aiops_alerts_settling", "aiops_rca_waiting")
        deadline, calm = time.monotonic() + Patience(ANALYSES_S).limit_s, 0
        while calm < 3 and time.monotonic() < deadline:
            self.check_alive()
            page = MetricsPage.fetch(url)
            calm = 0 if any(page.total(name) for name in waits) else calm + 1
            time.sleep(0.5)

    def _waiting(self, broker: streams.Streams) -> list[str]:
        """Return the streams that have entries which a reader has not committed."""
        return [waiting.stream for waiting in backlog.waiting(broker, self._settings.broker.partitions)]

    def counts(self) -> dict[str, int]:
        """Return the exact counters of all partitions."""
        return self._streams.totals(self._settings.broker.partitions)

    def scorer_metrics(self) -> MetricsPage:
        """Return what the scoring service says about itself."""
        return MetricsPage.fetch(f"http://{services.LOOPBACK}:{self._settings.serving.http_port}/metrics")

    def consumer_metrics(self) -> MetricsPage:
        """Return what the consumer says about itself."""
        return MetricsPage.fetch(f"http://{services.LOOPBACK}:{self._settings.consumer.metrics_port}/metrics")


@dataclass(slots=True)
class LoadCounts:
    """Requests sent and failed, and the model versions that answered, in order of appearance."""

    sent: int = 0
    failed: int = 0
    versions: tuple[str, ...] = ()


class Load:
    """One client that asks without pause, so that a swap that fails a request is seen."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"http://{services.LOOPBACK}:{settings.serving.http_port}/score"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.counts = LoadCounts()

    def start(self, rows: pa.Table) -> None:
        """Begin; a second call has no effect."""
        if self._thread is None:
            body = streams.to_ipc(rows)
            self._thread = threading.Thread(target=self._run, args=(body,), name="load", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End and wait for the last answer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, body: bytes) -> None:
        headers = {"content-type": "application/vnd.apache.arrow.stream"}
        with httpx.Client(timeout=30.0, headers=headers, trust_env=False) as client:
            while not self._stop.wait(0.02):
                self.counts.sent += 1
                try:
                    answer = client.post(self._url, content=body)
                except httpx.HTTPError:
                    self.counts.failed += 1
                    continue
                self._note(answer)

    def _note(self, answer: httpx.Response) -> None:
        if not answer.is_success:
            self.counts.failed += 1
            return
        version = answer.headers.get("x-model-version", "")
        if version not in self.counts.versions:
            self.counts.versions = (*self.counts.versions, version)
