"""Sender, receiver, broker and consumer as processes of their own, and what each of them used over a while."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from aiops.errors import Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.ingest_settings import IngestSettings
from aiops.settings.telemetry_settings import TelemetrySettings
from aiops.settings.tree import Settings
from orchestration.bench.load.committed_rows import Committed, CommittedPoints, CommittedSignals
from orchestration.bench.load.sent_bodies import SIGNALS, SendPlan
from orchestration.bench.load.wire_sender import Phase, Sent, serve
from orchestration.rehearsal.live_replay import with_free_ports
from orchestration.suite import services
from orchestration.suite.metrics_page import MetricsPage
from orchestration.suite.processes import Supervisor
from serving.stream.broker import EmbeddedBroker, open_streams

Say = Callable[[str], None]
_DRAIN_S: Final = 120.0
_LOOK_S: Final = 0.05
_SAMPLE_S: Final = 1.0
_TRIM_S: Final = 0.1
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """How many series are allowed, whether points are archived, and how many entries a stream may hold until a checkpoint.

    `signals`: logs or spans are sent, everything is as in `aiops up`.
    """

    series: int
    archive: bool = False
    max_backlog: int = 5000
    signals: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """One phase: points committed until all of it was, by process: CPU seconds, memory at its start, middle and end (MiB)."""

    sent: Sent
    points: int
    seconds: float
    cpu_s: Mapping[str, float]
    memory_mib: Mapping[str, tuple[float, ...]]
    commit_p50_s: float
    commit_p99_s: float
    lag_s: float

    @property
    def points_per_s(self) -> float:
        """Return points a second, from the first request to the last commit."""
        return self.points / self.seconds

    def cpu_s_per_million(self) -> dict[str, float]:
        """Return CPU seconds of each process for a million points."""
        return {name: round(spent / max(1, self.points) * 1e6, 3) for name, spent in self.cpu_s.items()}


def pipeline_settings(home: Path, config: PipelineConfig) -> Settings:
    """Return settings of a home of its own, with free ports and room for the series."""
    own = ConsumerSettings()
    points = ConsumerSettings(archive="inside" if config.archive else "off", max_backlog=config.max_backlog)
    room = 2 * config.series + 1000
    settings = Settings(
        home=home,
        broker=BrokerSettings(partitions=1),
        consumer=own if config.signals else points,
        telemetry=TelemetrySettings(max_series=room),
        ingest=IngestSettings(max_series=room, points_per_s=1_000_000_000),
    )
    settings = with_free_ports(settings)
    if not config.signals:
        return settings
    consumer = settings.consumer.model_copy(update={"archive_every_s": own.archive_every_s})
    return settings.model_copy(update={"consumer": consumer})


class StreamPipeline:
    """All processes while the bench runs; a context manager. `run` sends one phase and waits until it is committed."""

    def __init__(self, settings: Settings, plan: SendPlan, say: Say) -> None:
        self._settings = settings
        self._plan = replace(plan, port=settings.ingest.port)
        self._broker = EmbeddedBroker(settings)
        self._children = Supervisor(settings.root / "logs", say)
        self._ended = threading.Event()
        self._memory = _Memory()
        self._committed = _committed(settings, plan)
        self._answered = 0
        self.points_a_round = 0

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def run(self, phase: Phase) -> Use:
        """Send a phase and wait until all of it is committed.

        Raises:
            Unavailable: a process ended, or what is to commit it does not come after.
        """
        committed = self._committed
        before, rows, cpu, began = committed.page(), committed.rows(), self._cpu_s(), time.perf_counter()
        self._memory.begin()
        self._commands.send(phase)
        while not self._commands.poll(_SAMPLE_S):
            self._check()
        sent = self._commands.recv()
        if isinstance(sent, Exception):
            raise Unavailable(f"the sender ended: {sent}") from sent
        self._answered += sent.points
        wanted = rows + sent.points
        deadline = time.monotonic() + _DRAIN_S
        stopped = time.perf_counter()
        while (done := committed.rows()) < wanted:
            self._check()
            if time.monotonic() > deadline:
                raise Unavailable(f"{wanted - done} rows are not committed {_DRAIN_S:.0f} s after the last request")
            time.sleep(_LOOK_S)
        ended = time.perf_counter()
        spent = {name: used - cpu[name] for name, used in self._cpu_s().items()}
        commits = _difference(committed.page(), before)
        p50, p99 = (commits.quantile_ms(committed.end_to_end, share) / 1e3 for share in (0.5, 0.99))
        return Use(sent, done - rows, ended - began, spent, self._memory.since(), p50, p99, ended - stopped)

    def counts(self) -> Mapping[str, int]:
        """Return where rows went so far.

        Raises:
            Unavailable: not all that was answered is there.
        """
        return self._committed.counts(self._answered)

    def _start(self) -> None:
        self._broker.start()
        assert self._broker.pid is not None
        children = self._children.start(services.receiver(self._settings), *self._committed.children)
        context = multiprocessing.get_context("spawn")
        self._commands, theirs = context.Pipe()
        self._sender = context.Process(target=serve, args=(self._plan, theirs), daemon=True)
        self._sender.start()
        self.points_a_round = self._receive_rounds()
        pids = {"sender": self._sender.pid, "broker": self._broker.pid}
        pids |= {child.spec.name: child.process.pid for child in children}
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        threading.Thread(target=self._beside, name="beside", daemon=True).start()

    def _receive_rounds(self) -> int:
        while not self._commands.poll(_SAMPLE_S):
            self._check()
        return int(self._commands.recv())

    def _beside(self) -> None:
        """Note memory, and take from the outputs what nobody reads here: candidates without a scorer."""
        broker = open_streams(self._settings)
        due = 0.0
        while not self._ended.wait(_TRIM_S):
            if time.monotonic() >= due:
                due = time.monotonic() + _SAMPLE_S
                self._memory.note({name: process.memory_info().rss / _MIB for name, process in self._processes.items()})
            for stream in self._committed.unread:
                broker.client.xtrim(stream, maxlen=0, approximate=False)

    def _cpu_s(self) -> dict[str, float]:
        times = {name: process.cpu_times() for name, process in self._processes.items()}
        return {name: spent.user + spent.system for name, spent in times.items()}

    def _check(self) -> None:
        dead = next((child for child in self._children.children if child.process.poll() is not None), None)
        if dead is not None:
            raise Unavailable(f"{dead.spec.name} ended. Its log ({dead.log}) ends:\n{dead.tail()}")
        if not self._sender.is_alive():
            raise Unavailable("the sender ended")

    def _end(self) -> None:
        self._ended.set()
        sender: Connection | None = getattr(self, "_commands", None)
        if sender is not None and self._sender.is_alive():
            sender.send(None)
            self._sender.join(10)
        self._children.stop()
        self._broker.stop()


@dataclass(slots=True)
class _Memory:
    """Resident memory of the processes, a sample a second."""

    samples: list[Mapping[str, float]] = field(default_factory=list)
    first: int = 0

    def note(self, sample: Mapping[str, float]) -> None:
        """Add a sample."""
        self.samples.append(sample)

    def begin(self) -> None:
        """Forget where the last phase began."""
        self.first = max(0, len(self.samples) - 1)

    def since(self) -> dict[str, tuple[float, ...]]:
        """Return for each process its memory at the start, in the middle and at the end of the phase."""
        taken = self.samples[self.first :]
        chosen = [taken[0], taken[len(taken) // 2], taken[-1]] if taken else []
        return {name: tuple(round(sample[name], 1) for sample in chosen) for name in taken[0]} if taken else {}


def _committed(settings: Settings, plan: SendPlan) -> Committed:
    signal = next((signal for signal in SIGNALS if signal == plan.protocol), None)
    return CommittedSignals(settings, signal, open_streams(settings)) if signal else CommittedPoints(settings)


def _difference(after: MetricsPage, before: MetricsPage) -> MetricsPage:
    """Return the samples of one page less those of an earlier one."""
    known = {(name, frozenset(labels.items())): value for name, labels, value in before.samples}
    samples = ((name, labels, value - known.get((name, frozenset(labels.items())), 0.0)) for name, labels, value in after.samples)
    return MetricsPage(tuple(samples))
