"""Latency and cost of each tier, and the share of points that leaves tier 1, on simulated telemetry with real components.

Tier 1 runs in this process, tiers 2 and 3 behind the real scoring service; then broker, consumer and service run together and
say how long it takes from producing a point to the committed detection.
"""

import csv
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from aiops.detection.detection_rows import feature_rows, season_question
from aiops.detection.routing import Router
from orchestration.bench.load.tier_probes import Probe, Stage1Run, probe_service, probe_tier1, tree_cpu_s
from orchestration.bench.load.tiers_world import World, WorldConfig, prepare
from orchestration.pipeline.bands import publish_bands
from orchestration.pipeline.replay import Replay
from orchestration.pipeline.route_answers import router_of
from orchestration.rehearsal.live_replay import LiveLoop
from orchestration.suite.metrics_page import MetricsPage
from serving.ingest.producer import ProducerConfig, TelemetryProducer, new_id
from serving.stream.broker import open_streams
from serving.stream.consumer.scoring_client import ScoringClient

TARGET_MS: Final = {1: 100.0, 2: 1000.0, 3: 5000.0}
TARGET_LEFT: Final = 0.05
CALLS: Final = 400
PATIENCE_S: Final = 120.0
WHAT: Final = {
    1: "one tick of all series, from bytes to candidates",
    2: "the points of one tick that leave tier 1, over HTTP",
    3: "the services of one tick that leave tier 1, over HTTP",
}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TierFigures:
    """Latency of one answer, and processor time a row, of the processes that answer; `met`: p99 below the target."""

    tier: int
    what: str
    p50_ms: float
    p99_ms: float
    target_ms: float
    met: bool
    cpu_us_per_row: float
    rows: int


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """Produced to committed while a replay runs through broker, consumer and service, ms; rows answered by each tier."""

    points: int
    stage1_p50_ms: float
    stage1_p99_ms: float
    stage2_p50_ms: float
    stage2_p99_ms: float
    asked: Mapping[str, int]
    fallbacks: Mapping[str, int]
    detections: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the bench measured; `left_share`: points that leave tier 1 (flagged, or scheduled) over all points."""

    tiers: Sequence[TierFigures]
    points: int
    left_share: float
    flagged_share: float
    target_share: float
    share_met: bool
    series: int
    routes: Mapping[str, int]
    seasons_established: int
    end_to_end: EndToEnd
    cores: int
    seconds: float


def bench_tiers(config: WorldConfig, out: Path | None, say: Say) -> Figures:
    """Measure everything in a folder that is removed afterwards; write the tiers' table to `out` where it is given."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aiops-bench-tiers-") as folder:
        world = prepare(Path(folder) / "home", config, say)
        say("tier 1 in this process …")
        stage1 = probe_tier1(world)
        say("tiers 2 and 3 behind the scoring service …")
        with LiveLoop(world.workspace, say) as live:
            publish_bands(world.workspace, world.bands)
            seasonal, learned = _probe_models(world, stage1, live)
            say("the replay through broker, consumer and service …")
            end_to_end = _replay(world, live)
        routes = _routes(router_of(world.workspace.settings))
    tiers = [_figures(tier, probe) for tier, probe in ((1, stage1.probe), (2, seasonal), (3, learned))]
    left, flagged = _left(stage1)
    if out is not None:
        _write(out, tiers)
    return Figures(
        tiers=tiers,
        points=stage1.points,
        left_share=left,
        flagged_share=flagged,
        target_share=TARGET_LEFT,
        share_met=left <= TARGET_LEFT,
        series=world.series,
        routes=routes,
        seasons_established=world.bands.established,
        end_to_end=end_to_end,
        cores=os.cpu_count() or 1,
        seconds=round(time.monotonic() - began, 1),
    )


def _probe_models(world: World, stage1: Stage1Run, live: LiveLoop) -> tuple[Probe, Probe]:
    """Ask the running service about what left tier 1, a tick at a time."""
    settings = world.workspace.settings
    pid = live.pid("scorer")
    named = [batch.filter(batch.column("metric").is_valid()) for batch in stage1.candidates]
    points = [season_question(batch) for batch in named]
    vectors = [feature_rows(batch) for batch in stage1.candidates]
    with ScoringClient(settings.scoring_url) as client:
        seasonal = probe_service(client.season, points, lambda: tree_cpu_s(pid), CALLS)
        learned = probe_service(client.score, vectors, lambda: tree_cpu_s(pid), CALLS)
    return seasonal, learned


def _replay(world: World, live: LiveLoop) -> EndToEnd:
    settings, split = world.workspace.settings, world.scenario.split
    config = ProducerConfig(
        patience_s=PATIENCE_S, tenant=world.workspace.tenant, future_tolerance_s=settings.telemetry.future_tolerance_s
    )
    producer = TelemetryProducer(open_streams(settings), settings.broker.partitions, new_id("bench-tiers"), config)
    replay = Replay(producer, world.scenario.source.incidents(), split.replay_start, live.pace)
    for chunk in world.scenario.replay(split.replay_start, split.replay_end):
        replay.publish([chunk])
    replay.close(split.replay_end)
    live.drain()
    page = live.consumer_metrics()
    name = "aiops_end_to_end_seconds"
    p50, p99 = ([page.quantile_ms(name, share, stage=stage) for stage in ("stage1", "stage2")] for share in (0.5, 0.99))
    asked = {f"tier {tier}": int(page.total("aiops_asked_total", tier=str(tier))) for tier in (2, 3)}
    detections = {f"tier {tier}": int(page.total("aiops_detections_total", tier=str(tier))) for tier in (1, 2, 3)}
    return EndToEnd(replay.points, p50[0], p99[0], p50[1], p99[1], asked, _fallbacks(page), detections)


def _fallbacks(page: MetricsPage) -> dict[str, int]:
    samples = [(labels, value) for name, labels, value in page.samples if name == "aiops_fallbacks_total"]
    return {f"tier {labels['tier']} {labels['reason']}": int(value) for labels, value in samples}


def _routes(router: Router) -> dict[str, int]:
    tiers = Counter(router.route(name).tier for name in router.measured)
    return {f"tier {tier}": tiers[tier] for tier in (1, 2, 3)}


def _figures(tier: int, probe: Probe) -> TierFigures:
    p50, p99 = probe.quantile_ms(0.5), probe.quantile_ms(0.99)
    return TierFigures(
        tier,
        WHAT[tier],
        round(p50, 3),
        round(p99, 3),
        TARGET_MS[tier],
        p99 < TARGET_MS[tier],
        round(probe.cpu_us_per_row, 2),
        probe.rows,
    )


def _left(stage1: Stage1Run) -> tuple[float, float]:
    """Return the shares of points that leave tier 1 at all, and of those that it flagged."""
    left = sum(batch.num_rows - batch.column("metric").null_count for batch in stage1.candidates)
    flagged = sum(batch.column("flagged").to_pylist().count(True) for batch in stage1.candidates)
    return round(left / max(1, stage1.points), 5), round(flagged / max(1, stage1.points), 5)


def _write(out: Path, tiers: Sequence[TierFigures]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, list(asdict(tiers[0])))
        rows.writeheader()
        rows.writerows(asdict(tier) for tier in tiers)
