"""`aiops up`: a history and champions if there are none yet, then every process, watched until it is to stop."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from aiops.errors import ConfigurationError, DiskFull, SourceError, Unavailable
from aiops.settings.tree import Settings
from orchestration.console import print_table
from orchestration.pipeline.scenario import recorded
from orchestration.pipeline.telemetry_step import fitted_settings, live_settings, median_step_s
from orchestration.suite import services
from orchestration.suite.disk_watch import DiskWatch
from orchestration.suite.home_clock import check_clock
from orchestration.suite.processes import Supervisor
from orchestration.workspace.current_settings import forget_running, note_running
from orchestration.workspace.home_lock import hold, keep_for_good
from orchestration.workspace.source_choice import SourceChoice
from orchestration.workspace.watched_champion import has_champion
from serving.host.full_disk import is_full
from serving.stream.broker import EmbeddedBroker

WATCH_S = 1.0


def bring_up(settings: Settings, choice: SourceChoice, speed: float, stop: threading.Event, say: Callable[[str], None]) -> int:
    """Start everything and keep it running until `stop` is set; data stays below home. Return the exit code.

    Raises:
        Unavailable: a process did not become ready; the message holds the end of its log.
        ConfigurationError: another suite runs on this home, a port is taken, or its telemetry lies in the future.
    """
    try:
        with hold(settings.root, "aiops up"):
            refuse_taken_ports(settings)
            check_clock(settings.root, speed, datetime.now(UTC))
            keep_for_good(settings.root)
            if choice.listens or choice.follows:
                settings = live_settings(settings, choice.listens)
            fitted = fitted_settings(settings, source_step_s(settings, choice, speed))
            return _Suite(paced(fitted, speed), stop, say).run(choice, speed)
    except OSError as error:
        if not is_full(error):
            raise
        raise DiskFull(f"AIOPS_HOME {settings.root}: its disk is full ({error.strerror}); make room and start again") from error


def source_step_s(settings: Settings, choice: SourceChoice, speed: float) -> int:
    """Return how often the source's telemetry comes, in seconds; by settings where it sends by itself.

    Raises:
        ConfigurationError: the source cannot be used, or goes at its own pace and another one is asked for.
    """
    if (choice.listens or choice.follows) and speed != 1.0:
        raise ConfigurationError(f"--speed {speed:g}: the source {choice.name!r} is live, it goes at the pace of the clock")
    if choice.listens:
        choice.refuse_options()
        return settings.telemetry.step_s
    if choice.follows:
        live = choice.open_live()
        live.close()
        return live.step_s
    first = next(iter(recorded(choice.open()).history()), None)
    if first is None:
        raise SourceError(f"{choice.name}: it has no history; check --path, and history_share or start and end")
    return median_step_s(first, settings.telemetry.step_s)


def paced(settings: Settings, speed: float) -> Settings:
    """Return settings by which the responder goes by the telemetry's time where that is not the wall's.

    Faster or slower than real time: by the wall all incidents of hours would be one, and analyses would look for their telemetry
    where it is not.
    """
    if speed == 1.0:
        return settings
    waits = {name: getattr(settings.responder, name) * max(1.0, speed) for name in ("settle_s", "page_settle_s")}
    return settings.model_copy(update={"responder": settings.responder.model_copy(update={"clock": "event", **waits})})


def refuse_taken_ports(settings: Settings) -> None:
    """Check that every port that will be listened on is free.

    Raises:
        ConfigurationError: one is taken; the message names its setting.
    """
    ports = {
        "broker.port": settings.broker.port if settings.broker.own_url is None else 0,
        "serving.http_port": settings.serving.http_port,
        "serving.grpc_port": settings.serving.grpc_port,
        "consumer.metrics_port": settings.consumer.metrics_port,
        "responder.port": settings.responder.port,
        "ingest.port": settings.ingest.port,
        "ingest.grpc_port": settings.ingest.grpc_port,
        "signals.metrics_port": settings.signals.metrics_port if settings.signals.minutes else 0,
        "automation.port": settings.automation.port if settings.automation.enabled else 0,
        "console.port": settings.console.port,
        "explore.port": settings.explore.port,
        "up.mlflow_port": settings.up.mlflow_port,
        "up.dagster_port": settings.up.dagster_port,
    }
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((services.LOOPBACK, port))
            except OSError as error:
                variable = "AIOPS_" + name.upper().replace(".", "__")
                raise ConfigurationError(f"{name}: {port} is taken by another process; end it or set {variable}") from error


class _Suite:
    """All processes of one home."""

    def __init__(self, settings: Settings, stop: threading.Event, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._stop = stop
        self._say = say
        self._broker = EmbeddedBroker(settings) if settings.broker.own_url is None else None
        self._unnoted = False
        self._supervisor = Supervisor(settings.root / "logs", say, stop)
        self._disk = DiskWatch(settings.root, self._broker, say)

    def run(self, choice: SourceChoice, speed: float) -> int:
        try:
            if self._broker is not None:
                self._start(self._broker)
            code = self._prepare(choice)
            if code not in (0, services.NO_CHAMPION):
                return code
            if code == services.NO_CHAMPION:
                self._say(
                    "no champion: tier 1 watches alone; a training that passes the gate (`aiops train`) changes that at once"
                )
            self._start_all(choice, speed, champion=code == 0)
            self._watch()
            self._say("stopping: data is kept")
            return 0
        finally:
            forget_running(self._settings.root)
            self._supervisor.stop()
            if self._broker is not None:
                self._broker.stop()

    def _prepare(self, choice: SourceChoice) -> int:
        """Run the preparation with its messages on our stderr; return its exit code, 0 where we are stopped.

        A source that sends by itself has no history: what there is to learn from, the nightly training finds in the lake.
        """
        if choice.listens:
            return 0 if has_champion(self._settings) else services.NO_CHAMPION
        spec = services.preparation(self._settings, choice.arguments())
        command = [sys.executable, *spec.command]
        process = subprocess.Popen(command, env=spec.whole_environment(), stdout=sys.stderr, start_new_session=True)
        self._supervisor.reaper.covers(process.pid)
        while process.poll() is None and not self._stop.wait(0.1):
            continue
        if unfinished := process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._supervisor.reaper.releases(process.pid)
        return 0 if unfinished else process.returncode

    def _start_all(self, choice: SourceChoice, speed: float, champion: bool) -> None:
        if self._stop.is_set():
            return
        settings = self._settings
        services.place_dagster_instance(settings)
        self._say("starting MLflow, Dagster, the scoring service, the consumer, the responder and the receivers …")
        mlflow = services.mlflow_server(settings)
        if choice.listens:  # no preparation has made its tables, and two processes that make them at once fail
            self._supervisor.start(mlflow)
        self._supervisor.start(
            services.scorer(settings, champion),
            services.consumer(settings),
            services.responder(settings),
            services.receiver(settings),
            *services.signal_minutes(settings),
            *services.automation(settings),
            services.explore(settings),
            services.console(settings),
            *(() if choice.listens else (mlflow,)),
            services.dagster_webserver(settings),
            services.dagster_daemon(settings),
        )
        if not choice.listens:
            self._supervisor.start(services.feeder(settings, choice.arguments(), speed))
        if self._stop.is_set():
            return
        self._note()
        rows = [(child.spec.name, child.spec.show_url, child.log) for child in self._supervisor.children]
        print_table("Up", ("process", "url", "log"), [("broker", settings.redis_url.rpartition("@")[2], ""), *rows])
        if choice.listens:
            ingest = settings.ingest
            self._say(
                f"it listens: remote_write to http://{ingest.host}:{ingest.port}/api/v1/write, "
                f"OTLP over HTTP to http://{ingest.host}:{ingest.port}, over gRPC to {ingest.host}:{ingest.grpc_port}"
            )
        self._say(f"pages for people: http://{services.LOOPBACK}:{settings.console.port}")
        self._say("everything runs; `aiops status` shows its health, Ctrl-C ends it")

    def _note(self) -> None:
        pids = {child.spec.name: child.process.pid for child in self._supervisor.children}
        try:
            note_running(self._settings, pids)
        except OSError as error:
            if not is_full(error):
                raise
        else:
            self._unnoted = False
            return
        self._unnoted = True

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_S):
            try:
                self._look_after()
            except OSError as error:
                if not is_full(error):
                    raise
                self._disk.look()  # says so; what failed is tried again at the next look

    def _look_after(self) -> None:
        """Start again what ended, once."""
        self._disk.look()
        if self._broker is not None:
            self._broker.bound_log()
        if self._broker is not None and not self._broker.running:
            self._restart_broker(self._broker)
            self._disk.restarted()
        if self._supervisor.restart_dead() or self._unnoted:
            self._note()

    def _restart_broker(self, broker: EmbeddedBroker) -> None:
        self._say("the broker ended; starting it again")
        try:
            self._start(broker)
        except (Unavailable, ConfigurationError) as error:
            self._say(f"the broker does not start yet: {error}")

    def _start(self, broker: EmbeddedBroker) -> None:
        if broker.pid is not None:
            self._supervisor.reaper.releases(broker.pid)
        broker.start()
        assert broker.pid is not None
        self._supervisor.reaper.covers(broker.pid, needed=True)
