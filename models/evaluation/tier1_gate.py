"""The gate of tier 1: alarm levels replayed over points that they were not fitted to, beside the champion's or the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.features.engine import EngineConfig
from aiops.types import GateDecision, Scorecard
from models.detectors.history_points import points_of
from models.detectors.robust_stream import PointSample, RobustStream
from models.evaluation.gate_outcome import LEVEL_WORDS, figure, outcome
from models.evaluation.measures import AlarmFigures, alarm_figures
from models.vectors.page_budget import PageBudget
from models.vectors.service_rows import ServiceRows
from models.vectors.truth import Truth, detection_truth

DEFAULTS: Final = "catalogue defaults"


@dataclass(frozen=True, slots=True)
class LevelReplay:
    """Points with their z scores, of which those from `since_us` on are judged; `truth` is aligned to the points."""

    sample: PointSample
    rows: ServiceRows
    truth: Truth
    since_us: int
    budget: PageBudget


@dataclass(frozen=True, slots=True)
class LevelContender:
    """Alarm levels and the version that they are registered as."""

    model: RobustStream
    version: str


def level_replay(history: pa.Table, incidents: pa.Table, engine: EngineConfig, since_us: int, budget: PageBudget) -> LevelReplay:
    """Return the replay of a history (timestamp, service, metric, value, in order of arrival); at least one point."""
    sample, rows = points_of(history, engine)
    return LevelReplay(sample, rows, detection_truth(rows, incidents), since_us, budget)


def decide_levels(challenger: LevelContender, champion: LevelContender | None, replay: LevelReplay) -> GateDecision:
    """Return whether the challenger's levels may replace the champion's (the catalogue's defaults where there is none).

    They may lose no incident, and must be better on a figure: more incidents, or fewer false pages a day and service. A champion
    that spends more than the page budget may be replaced by levels that lose incidents only through spending less.
    """
    ours = _figures(challenger.model, replay)
    theirs = _figures(champion.model if champion else _without_levels(challenger.model), replay)
    overspent = theirs.false_pages_per_day > max(replay.budget.per_day, 1.1 * ours.false_pages_per_day)
    checks = {
        "levels_are_finite": bool(np.isfinite(challenger.model.alarm_z).all()),
        "recall_kept": not ours.recall < theirs.recall or overspent,
        "better_somewhere": ours.recall > theirs.recall or ours.false_pages_per_day < theirs.false_pages_per_day,
    }
    promoted = all(checks.values())
    card, other = _card(challenger.version, ours), _card(champion.version if champion else DEFAULTS, theirs)
    return GateDecision(promoted, _reason(promoted, checks, card, other), card, other if champion else None, checks)


def _without_levels(model: RobustStream) -> RobustStream:
    """Return levels that know no series: the default alarm z and the catalogue's ranges for all."""
    empty = np.empty(0)
    return RobustStream(np.empty(0, np.int64), (), empty, empty, empty, model.default_alarm_z, model.engine, {})


def _figures(model: RobustStream, replay: LevelReplay) -> AlarmFigures:
    sample = replay.sample
    levels = np.stack(model.alarm_for(sample.series))[:, sample.code]
    alarm = (np.abs(sample.z) >= levels[0]) | (sample.value < levels[1]) | (sample.value > levels[2])
    judged = replay.rows.time_us >= replay.since_us
    return alarm_figures(replay.rows.take(judged), replay.truth.take(judged), alarm[judged], replay.budget)


def _card(version: str, figures: AlarmFigures) -> Scorecard:
    metrics = {
        "incidents": float(figures.incidents),
        "recall": figures.recall,
        "false_pages_per_day": figures.false_pages_per_day,
        "pages_per_day": figures.pages_per_day,
    }
    return Scorecard("robust-stream", version, metrics)


def _reason(promoted: bool, checks: Mapping[str, bool], card: Scorecard, other: Scorecard) -> str:
    ours, theirs = card.metrics, other.metrics
    recall = "no labelled incident to tell recall by"
    if ours["incidents"]:
        compared = f"recall {figure(ours['recall'])} ({other.version}: {figure(theirs['recall'])})"
        recall = f"{compared} of {ours['incidents']:.0f} incidents"
    pages = f"{ours['false_pages_per_day']:.2f} ({other.version}: {theirs['false_pages_per_day']:.2f})"
    return outcome(promoted, checks, f"{recall}, false pages a day and service {pages}", LEVEL_WORDS)
