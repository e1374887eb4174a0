"""`aiops run`: history → train → gate → deploy → replay through the broker → drift check → retrain and swap → act → report."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import dagster as dg
import pyarrow as pa

from aiops.errors import ConfigurationError
from aiops.replay.request_reader import RequestReader
from aiops.types import RequestRows
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES, SERVICE_FEATURES_TABLE
from models.artifacts.catalog import trained_models
from orchestration.dagster.job_runs import bands_config, outcomes, range_tags, run_job, run_training
from orchestration.dagster.resources import WorkspaceResource
from orchestration.dagster.sensors import drift_sensor
from orchestration.pipeline import ingest as ingestion
from orchestration.pipeline.deployment import current_version
from orchestration.pipeline.drift import WATCHED, Measured, measure
from orchestration.pipeline.replay import Replay
from orchestration.pipeline.replayed_requests import ReplayedRequests
from orchestration.pipeline.scenario import Scenario
from orchestration.pipeline.training import Judged
from orchestration.rehearsal import parity
from orchestration.rehearsal.acted_run import ActedRun
from orchestration.rehearsal.acted_span import ActedSpan
from orchestration.rehearsal.acting import ActedStory
from orchestration.rehearsal.live_replay import LiveLoop
from orchestration.suite.load_timeout import Patience
from orchestration.workspace.home_lock import LOCK, MARKER
from orchestration.workspace.workspace import Workspace
from serving.ingest.producer import ProducerConfig, TelemetryProducer, new_id
from serving.ingest.signal_producer import SignalProducer
from serving.stream.broker import open_streams

Say = Callable[[str], None]
KEPT: Final = ("logs", LOCK)
PATIENCE_S: Final = 60.0
SWAP_S: Final = 30.0
LOAD_ROWS: Final = 5
BANDS_EVERY: Final = timedelta(hours=24)
"""As the nightly schedule does it, in event time."""


@dataclass(slots=True)
class Story:
    """What happened, in order; filled while the run goes on."""

    history_points: int = 0
    replay: Replay | None = None
    checks: list[tuple[str, Measured]] = field(default_factory=list)
    retrained: int = 0
    gate: list[str] = field(default_factory=list)
    tenures: list[tuple[datetime, dict[str, str]]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    failed: int = 0
    swaps: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    parity: float = 0.0
    acted: tuple[ActedRun, ...] = ()
    stages_s: dict[str, float] = field(default_factory=dict)


def fresh_home(home: Path, keep: bool) -> None:
    """Empty a home that a former run made.

    Raises:
        ConfigurationError: it holds something that no run made.
    """
    home.mkdir(parents=True, exist_ok=True)
    if all(entry.name in KEPT for entry in home.iterdir()):
        (home / MARKER).touch()
    if keep:
        return
    if not (home / MARKER).exists():
        fix = "give another folder (AIOPS_HOME=…), or --keep to add to it"
        raise ConfigurationError(f"AIOPS_HOME {home} holds data that `aiops run` did not make; {fix}")
    for entry in home.iterdir():
        if entry.name not in KEPT:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    (home / MARKER).touch()


@dataclass(frozen=True, slots=True)
class ReplayedLoop:
    """A replay that goes on into the processes of a live loop."""

    live: LiveLoop
    replay: Replay
    requests: ReplayedRequests

    def publish(self, chunk: pa.Table) -> None:
        """Publish a chunk of telemetry, with what requests say of the same time."""
        self.live.check_alive()
        self.replay.publish([self.requests.beside(chunk)])

    def catch_up(self) -> None:
        """Wait until what was published is detected, correlated and explained."""
        self.live.catch_up()


class Run:
    """One run over one scenario; `go` does it all and leaves the story."""

    def __init__(self, workspace: Workspace, scenario: Scenario, say: Say, acted: ActedSpan | None = None) -> None:
        """`acted`: what is acted on after the replay; None = nothing, as where a source is a recording."""
        self._workspace = workspace
        self._scenario = scenario
        self._acted = acted
        self._say = say
        self.story = Story()
        self._cursor: str | None = None
        self._requests: ReplayedRequests | None = None
        self._bands_at = scenario.split.replay_start

    def go(self) -> Story:
        """Run every stage in order."""
        with self._stage("history: contract, lake, features"):
            self._prepare_history()
        with self._stage("train, judge, promote"):
            self._note_gate(run_training(self._workspace, self._scenario.split.history_end, self._say))
        with ExitStack() as running:
            with self._stage("start broker, scoring service, consumer, responder"):
                live = running.enter_context(LiveLoop(self._workspace, self._say))
            self._make_bands(self._scenario.split.replay_start)
            self._replay(live)
            if self._acted is not None:
                self._act(live, self._acted)
        with self._stage("stream against backfill"):
            split = self._scenario.split
            self.story.parity = parity.max_abs_diff(self._workspace, split.replay_start, split.replay_end)
        return self.story

    @contextmanager
    def _stage(self, title: str) -> Iterator[None]:
        self._say(f"▸ {title}")
        began = time.monotonic()
        yield
        self.story.stages_s[title] = self.story.stages_s.get(title, 0.0) + time.monotonic() - began

    def _prepare_history(self) -> None:
        scenario, space = self._scenario, self._workspace
        ingestion.ingest_truth(space, scenario.source)
        done = ingestion.ingest(space, scenario.source.name, scenario.history(), scenario.split.history_end, self._say)
        self.story.history_points = done.read
        tags = range_tags(scenario.split.history_start, scenario.split.history_end)
        self._say("Great Expectations and features over the history (Dagster job `ingest_and_features`)")
        run_job(space, "ingest_and_features", {}, tags)

    def _make_bands(self, at: datetime) -> None:
        """Make the seasonal bands that hold from `at` on and put them where the scoring service reads them."""
        with self._stage("seasonal bands"):
            run_job(self._workspace, "seasons", bands_config(at))
        self._bands_at = at

    def _replay(self, live: LiveLoop) -> None:
        story, split = self.story, self._scenario.split
        settings = self._workspace.settings
        partitions, broker = settings.broker.partitions, open_streams(settings)
        config = ProducerConfig(
            patience_s=PATIENCE_S, tenant=self._workspace.tenant, future_tolerance_s=settings.telemetry.future_tolerance_s
        )
        producer = TelemetryProducer(broker, partitions, new_id("run"), config)
        story.replay = Replay(producer, self._scenario.source.incidents(), split.replay_start, live.pace)
        reader = RequestReader(self._all_requests())
        signals = SignalProducer(broker, partitions, new_id("run-requests"), self._workspace.tenant)
        self._requests = ReplayedRequests(reader, signals, settings.signals)
        self._note_tenure(split.replay_start)
        live.start_load(self._load_rows())
        first_loads = live.scorer_metrics().total("aiops_scoring_model_swaps_total")
        times = (split.replay_start, *self._scenario.checks)
        for number, (begin, until) in enumerate(pairwise(times), 1):
            with self._stage(f"replay {number} of {len(times) - 1}"):
                self._publish(live, begin, until)
            self._say(f"{story.replay.points:,} points replayed, up to {until:%Y-%m-%d %H:%M}")
            self._check_drift(number, until, live)
            if until - self._bands_at >= BANDS_EVERY:
                self._make_bands(until)
        with self._stage("replay: the rest"):
            self._publish(live, times[-1], split.replay_end, close=True)
        story.counts = live.counts()
        story.swaps = int(live.scorer_metrics().total("aiops_scoring_model_swaps_total") - first_loads)
        consumer = live.consumer_metrics()
        story.p50_ms = consumer.quantile_ms("aiops_end_to_end_seconds", 0.5, stage="stage1")
        story.p99_ms = consumer.quantile_ms("aiops_end_to_end_seconds", 0.99, stage="stage1")
        live.load.stop()
        story.sent, story.failed = live.load.counts.sent, live.load.counts.failed

    def _all_requests(self) -> Iterator[RequestRows]:
        """Yield the requests of the replay, then those of the application that is acted on."""
        yield from self._scenario.requests()
        if self._acted is not None:
            yield from self._acted.application.requests()

    def _act(self, live: LiveLoop, acted: ActedSpan) -> None:
        assert self.story.replay is not None
        assert self._requests is not None
        loop = ReplayedLoop(live, self.story.replay, self._requests)
        with self._stage("act: plans, approvals, runs"), ActedStory(self._workspace, acted, loop, self._say) as story:
            self.story.acted = story.play()

    def _publish(self, live: LiveLoop, begin: datetime, until: datetime, close: bool = False) -> None:
        """Publish a part of the replay and wait until it is scored and stored; a process that died says so at once."""
        assert self.story.replay is not None
        assert self._requests is not None
        for chunk in self._scenario.replay(begin, until):
            live.check_alive()
            self.story.replay.publish([self._requests.beside(chunk)])
        if close:
            self.story.replay.close(until)
        live.drain()

    def _check_drift(self, number: int, at: datetime, live: LiveLoop) -> None:
        if not current_version(self._workspace, WATCHED):
            self._say(f"drift check {number}: nothing to check, the gate has passed no {WATCHED} yet")
            return
        with self._stage(f"drift check {number}"):
            measured = measure(self._workspace, at)
        self.story.checks.append((f"check {number}, {at:%d %b %H:%M}", measured))
        self._say(f"drift check {number}: {measured.report.reason}")
        request = self._asked_retraining()
        if request is None:
            return
        with self._stage("retrain, judge, swap"):
            run_job(self._workspace, "training", request.run_config, request.tags)
            self.story.retrained += 1
            judged = outcomes(self._workspace)
            self._note_gate(judged)
            self._await_swap(live, judged)
        self._note_tenure(at)

    def _asked_retraining(self) -> dg.RunRequest | None:
        """Return what the drift sensor asks for now; it is the sensor of the Dagster daemon, evaluated here."""
        resources = {"workspace": WorkspaceResource(home=str(self._workspace.settings.root))}
        with dg.build_sensor_context(cursor=self._cursor, resources=resources) as context:
            answer = drift_sensor(context)
        if isinstance(answer, dg.SkipReason):
            self._say(f"drift sensor: no retraining ({answer.skip_message})")
            return None
        assert isinstance(answer, dg.SensorResult)
        self._cursor = answer.cursor
        self._say("drift sensor: retraining asked for")
        return answer.run_requests[0] if answer.run_requests else None

    def _await_swap(self, live: LiveLoop, judged: list[Judged]) -> None:
        """Wait until the load sees the promoted version answer (for a while); the load goes on meanwhile."""
        ensemble = next(decision for decision in judged if decision.model == WATCHED)
        deadline = time.monotonic() + Patience(SWAP_S).limit_s
        while ensemble.promoted and live.load.counts.versions[-1:] != (ensemble.version,) and time.monotonic() < deadline:
            time.sleep(0.1)

    def _note_gate(self, judged: list[Judged]) -> None:
        for decision in judged:
            line = f"{decision.model} version {decision.version or '–'}: {decision.reason}"
            if line not in self.story.gate:
                self.story.gate.append(line)
                self._say(line)

    def _note_tenure(self, since: datetime) -> None:
        self.story.tenures.append((since, {name: current_version(self._workspace, name) for name in trained_models()}))

    def _load_rows(self) -> pa.Table:
        """Return a few service vectors of the history to ask the service about."""
        split = self._scenario.split
        columns = ("service", "event_timestamp", *SERVICE_FEATURES)
        rows = self._workspace.lake.read("service_features", split.history_start, split.history_end, columns)
        chosen = rows.slice(max(0, rows.num_rows - LOAD_ROWS))
        return chosen.cast(pa.schema([SERVICE_FEATURES_TABLE.field(name) for name in columns]))
