"""How the suite is: which processes answer, what waits too long, which champions answer, what the stream has counted.

All are asked at once, each for a short time; nothing heavy is imported, so that an answer takes less than a second.
"""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx

from aiops.errors import Unavailable
from aiops.settings.tree import Settings
from models.artifacts.catalog import trained_models
from models.artifacts.export import exported_version
from orchestration.suite import backlog, services
from orchestration.suite.dagster_health import code_fault
from orchestration.suite.partition_owners import OwnerLine, partition_owners
from orchestration.suite.processes import ChildSpec
from orchestration.suite.signal_reading import SignalLine, signal_reading
from orchestration.suite.topic_reading import TopicLine, topic_reading
from orchestration.workspace.current_settings import Running, read_running
from orchestration.workspace.watched_champion import has_champion
from serving.ingest.writers import writers
from serving.stream import streams
from serving.stream.broker import open_streams

PROBE_S: Final = 0.6
"""How long a process may take to answer here; one that is alive answers in milliseconds."""
WAITED_S: Final = 60.0
"""An entry that has waited longer than this (and longer than three rounds of its reader) is a fault."""


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One registered model version."""

    name: str
    version: str
    alias: str


@dataclass(frozen=True, slots=True)
class Health:
    """One process and whether it is well; `detail` says what is wrong, "" where nothing is."""

    name: str
    url: str
    healthy: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WriterLine:
    """Who writes telemetry: newest event and last write (aware UTC), and how far the newest event is behind the clock.

    `lag_s` is negative where a recording is played faster than the clock. `lasting` = it is to go on.
    """

    producer: str
    newest_event_at: datetime
    lag_s: float
    written_at: datetime
    lasting: bool


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The state of everything; `counts` is empty where the broker does not answer. `faults` are sentences."""

    processes: tuple[Health, ...]
    models: tuple[ModelLine, ...]
    counts: Mapping[str, int]
    faults: tuple[str, ...] = ()
    writers: tuple[WriterLine, ...] = ()
    partitions: tuple[OwnerLine, ...] = ()
    topics: tuple[TopicLine, ...] = ()
    signals: tuple[SignalLine, ...] = ()

    @property
    def healthy(self) -> bool:
        """Return whether every process answers and nothing waits too long."""
        return not self.faults and all(process.healthy for process in self.processes)


@dataclass(frozen=True, slots=True)
class _Broker:
    health: Health
    counts: Mapping[str, int]
    faults: tuple[str, ...]
    writers: tuple[WriterLine, ...] = ()
    partitions: tuple[OwnerLine, ...] = ()
    topics: tuple[TopicLine, ...] = ()
    signals: tuple[SignalLine, ...] = ()


def ask(settings: Settings) -> StatusReport:
    """Ask the broker and every process at once."""
    specs = (
        services.mlflow_server(settings),
        services.dagster_webserver(settings),
        services.scorer(settings, has_champion(settings)),
        services.consumer(settings),
        services.responder(settings),
        services.receiver(settings),
        *services.signal_minutes(settings),
        *services.automation(settings),
        services.explore(settings),
        services.console(settings),
    )
    with ThreadPoolExecutor(len(specs) + 1) as pool:
        broker = pool.submit(_broker, settings)
        probes = [(spec, pool.submit(_dagster if spec.name == "dagster" else _probe, spec)) for spec in specs]
        others = [Health(spec.name, spec.show_url, not probe.result(), probe.result()) for spec, probe in probes]
        broker_state = broker.result()
    silent = _silent(read_running(settings.root), {spec.name for spec in specs})
    processes = (broker_state.health, *others, *silent)
    known = (broker_state.counts, broker_state.faults, broker_state.writers, broker_state.partitions)
    return StatusReport(processes, _champions(settings.root), *known, broker_state.topics, broker_state.signals)


def _dagster(spec: ChildSpec) -> str:
    """Return what is wrong with Dagster: it may answer and yet have none of the suite's code."""
    return _probe(spec) or code_fault(spec.show_url, PROBE_S)


def _probe(spec: ChildSpec) -> str:
    """Return what is wrong with a process, "" where it says that it can work."""
    try:
        answer = httpx.get(spec.ready_url, timeout=PROBE_S, trust_env=False)
    except httpx.TimeoutException:
        return f"no answer within {PROBE_S:g} s"
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    return "" if answer.is_success else f"{answer.status_code}: {answer.text.strip()[:200]}"


def _broker(settings: Settings) -> _Broker:
    url, partitions = settings.redis_url.rpartition("@")[2], settings.broker.partitions
    broker = open_streams(settings, timeout_s=PROBE_S)
    try:
        counts = broker.totals(partitions)
        faults = [*_backlog_faults(broker, settings)]
        lines, standing = _writers(broker)
        owners, topics = partition_owners(broker, settings), topic_reading(broker, settings)
        signals = signal_reading(broker, partitions)
    except Unavailable as error:
        return _Broker(Health("broker", url, False, str(error)), {}, ())
    said = (*faults, *standing, *owners.faults, *topics.faults)
    return _Broker(Health("broker", url, True), counts, said, lines, owners.lines, topics.lines, signals)


def _writers(broker: streams.Streams) -> tuple[tuple[WriterLine, ...], list[str]]:
    """Return who writes, and sentences about those that stand still though they are to go on."""
    now_s = time.time()
    known = writers(broker, now_s)
    lines = tuple(
        WriterLine(
            writer.producer_id,
            datetime.fromtimestamp(writer.newest_s, UTC),
            round(writer.lag_s(now_s), 3),
            datetime.fromtimestamp(writer.written_s, UTC),
            writer.lasting,
        )
        for writer in known
    )
    standing = [
        f"{writer.producer_id} has written nothing for {now_s - writer.written_s:.0f} s; its newest event is of "
        f"{datetime.fromtimestamp(writer.newest_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
        for writer in known
        if writer.stands_still(now_s)
    ]
    return lines, standing


def _backlog_faults(broker: streams.Streams, settings: Settings) -> Iterator[str]:
    """Yield what waits too long, and streams whose producers have to wait."""
    consumer, now_ms = settings.consumer, time.time() * 1e3
    patience_s = max(WAITED_S, 3.0 * consumer.archive_every_s)
    for wait in backlog.waiting(broker, settings.broker.partitions, consumer.archive != "off", settings.signals.minutes):
        if wait.age_s(now_ms) > patience_s:
            lacks = "is not made into series" if wait.stage == "signals" else "is not scored"
            what = "is not copied to the lake" if wait.stage.startswith("archive-") else lacks
            yield f"{wait.stream}: what came {wait.age_s(now_ms):.0f} s ago {what} ({wait.stage} stands still or is too slow)"
    for partition in range(settings.broker.partitions):
        for stream in (streams.telemetry(partition), streams.signals(partition)):
            entries = broker.length(stream)
            if entries >= consumer.max_backlog:
                yield f"{stream} is full: {entries} of {consumer.max_backlog} entries, producers wait"


def _silent(running: Running | None, probed: set[str]) -> Iterator[Health]:
    """Yield the processes of a running suite that answer no URL: healthy while they live."""
    import psutil

    for name, pid in sorted(running.children.items()) if running else ():
        if name not in probed:
            lives = psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
            yield Health(name, f"process {pid}", lives, "" if lives else "it has ended")


def _champions(root: Path) -> tuple[ModelLine, ...]:
    """Return the champions as they were exported for the processes: with every move of an alias."""
    exported = ((name, exported_version(root / "models", name, "champion")) for name in trained_models())
    return tuple(ModelLine(name, version or "–", "champion") for name, version in exported)
