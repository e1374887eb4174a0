"""Training and the gate: train on the latest training set, register as challenger, judge, promote what passes."""

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

from aiops.errors import ModelNotFound, TrainingImpossible
from aiops.types import GateDecision, ModelVersion
from data_contracts.moments import microseconds_of
from models.audit import CHALLENGER, CHAMPION
from models.detector_training import detection_replay, train_robust_stream
from models.detectors.robust_stream import RobustStream
from models.ensemble_training import train_service_ensemble
from models.gate import Contender, GateConfig, decide
from models.page_budget import PageBudget
from models.registry import LoadedModel
from models.scorecard import Replay
from models.tier1_gate import LevelReplay, decide_levels, level_replay
from models.training import prediction_replay, train_incident_predictor
from models.training_context import TrainingContext
from models.training_run import Trained
from orchestration.pipeline.deployment import change
from orchestration.pipeline.training_set import RECENT, TAG, TrainingSet, labels_of, latest_training_set
from orchestration.workspace import Workspace

ENSEMBLE: Final = "service-ensemble"
HOLDOUT: Final = "holdout_start"
OLD_REGIME: Final = timedelta(hours=18)
"""After a drift, normal time also counts this much of the time before, so that the ensemble knows both regimes."""
RECENT_HOLDOUT: Final = 0.4
"""Share of the time since the drift that the ensemble does not see: the gate replays it."""
LEVEL_HISTORY: Final = timedelta(days=3)
"""Newest telemetry that tier 1's levels are fitted to (first part) and judged on (last part)."""
LEVEL_HOLDOUT: Final = 0.25


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a training gave; `version` is "" where the model could not be trained and `text` says why."""

    model: str
    version: str
    text: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate decided."""

    model: str
    version: str
    promoted: bool
    reason: str


def train_candidate(workspace: Workspace, name: str, at: datetime) -> Candidate:
    """Train `name` on the latest training set and register it as challenger; a history that cannot teach it is an answer."""
    trained_on = latest_training_set(workspace)
    try:
        trained = _TRAINERS[name](workspace, trained_on)
    except TrainingImpossible as error:
        return Candidate(name, "", f"{name} was not trained: {error}", {})
    tags = {TAG: trained_on.name, HOLDOUT: trained.holdout_start.isoformat()}
    if trained_on.recent_from is not None:
        tags[RECENT] = trained_on.recent_from.isoformat()
    why = f"trained on {trained_on.name}"
    registry = workspace.registry
    version = registry.register(trained.model, replace(trained.run, tags={**trained.run.tags, **tags}), change(at, why))
    registry.set_alias(name, CHALLENGER, version.version, change(at, why))
    return Candidate(name, version.version, f"{name} version {version.version} trained", trained.run.metrics)


def judge(workspace: Workspace, name: str, at: datetime) -> Judged:
    """Replay the challenger beside the champion, store the decision with the version, promote if it passes."""
    registry = workspace.registry
    challenger = _loaded(workspace, name, CHALLENGER)
    if challenger is None:
        return Judged(name, "", False, "no challenger: it was not trained, or is the champion already")
    champion = _loaded(workspace, name, CHAMPION)
    decision = _decide(workspace, name, challenger, champion)
    version = challenger.version.version
    registry.record_decision(name, version, decision, change(at, decision.reason))
    if decision.promoted:
        registry.set_alias(name, CHAMPION, version, change(at, decision.reason))
    return Judged(name, version, decision.promoted, decision.reason)


def _decide(workspace: Workspace, name: str, challenger: LoadedModel, champion: LoadedModel | None) -> GateDecision:
    trained_on = latest_training_set(workspace)
    if name == "robust-stream":
        levels = [(cast(RobustStream, one.model), one.version.version) for one in (challenger, champion) if one]
        return decide_levels(levels[0], levels[1] if champion else None, _level_replay(workspace, trained_on))
    config = GateConfig.of(workspace.settings.models)
    contenders = [Contender(one.model, one.version.version) for one in (challenger, champion) if one]  # type: ignore[arg-type]
    replay = _replay(workspace, name, trained_on, (challenger.version, champion.version if champion else None))
    return decide(contenders[0], contenders[1] if champion else None, replay, config, time.thread_time)


def _replay(
    workspace: Workspace, name: str, trained_on: TrainingSet, versions: tuple[ModelVersion, ModelVersion | None]
) -> Replay:
    """Return rows that neither contender was fitted to.

    Without a drift: the challenger's holdout. After one, an ensemble's holdout is short, so the time between the champion's
    holdout and the challenger's own rows is replayed too: old incidents must still be found.
    """
    frame, at = trained_on.frame(), trained_on.at
    held = datetime.fromisoformat(versions[0].tags[HOLDOUT])
    keep = frame["event_timestamp"] >= held
    champion = versions[1]
    if name == ENSEMBLE and trained_on.recent_from is not None and champion is not None:
        begin = datetime.fromisoformat(champion.tags[HOLDOUT])
        keep |= (frame["event_timestamp"] >= begin) & (frame["event_timestamp"] < trained_on.recent_from - OLD_REGIME)
    rows = frame[keep]
    if name == "incident-predictor":
        return prediction_replay(rows, labels_of(rows), 0)
    return detection_replay(rows, workspace.incidents(at), 0)


def _loaded(workspace: Workspace, name: str, alias: str) -> LoadedModel | None:
    try:
        return workspace.registry.load(name, alias)
    except ModelNotFound:
        return None


def _context(workspace: Workspace, trained_on: TrainingSet, feature_service: str) -> TrainingContext:
    return TrainingContext.of(workspace.settings.models, trained_on.name, feature_service, git_commit())


def _train_levels(workspace: Workspace, trained_on: TrainingSet) -> Trained[Any]:
    history = workspace.lake.read("telemetry", *_level_window(trained_on))
    context = _context(workspace, trained_on, "")
    return train_robust_stream(history, workspace.incidents(trained_on.at), context, workspace.engine_config)


def _train_ensemble(workspace: Workspace, trained_on: TrainingSet) -> Trained[Any]:
    frame, context = trained_on.frame(), _context(workspace, trained_on, "detection_v1")
    recent = trained_on.recent_from
    if recent is not None:
        ticks, since = frame["event_timestamp"], recent - OLD_REGIME
        champion = _loaded(workspace, ENSEMBLE, CHAMPION)
        if champion is not None:  # what it has not seen before the drift is the gate's
            frame = frame[(ticks < datetime.fromisoformat(champion.version.tags[HOLDOUT])) | (ticks >= since)]
        holdout = trained_on.at - RECENT_HOLDOUT * (trained_on.at - recent)
        context = replace(context, holdout_from=holdout, normal_from=since)
    at = trained_on.at
    return train_service_ensemble(frame, workspace.incidents(at), context, false_alarms=workspace.false_alarms(at))


def _train_predictor(workspace: Workspace, trained_on: TrainingSet) -> Trained[Any]:
    frame = trained_on.frame()
    return train_incident_predictor(frame, labels_of(frame), _context(workspace, trained_on, "incident_prediction_v1"))


def _level_window(trained_on: TrainingSet) -> tuple[datetime, datetime]:
    """Return the telemetry that levels are fitted to; the rest up to `at` is the gate's."""
    start = max(trained_on.at - LEVEL_HISTORY, trained_on.start)
    return start, trained_on.at - LEVEL_HOLDOUT * (trained_on.at - start)


def _level_replay(workspace: Workspace, trained_on: TrainingSet) -> LevelReplay:
    start, since = _level_window(trained_on)
    budget = PageBudget(workspace.settings.models.page_budget_per_day)
    history = workspace.lake.read("telemetry", start, trained_on.at)
    return level_replay(history, workspace.incidents(trained_on.at), workspace.engine_config, microseconds_of(since), budget)


_TRAINERS: Final[Mapping[str, Callable[[Workspace, TrainingSet], Trained[Any]]]] = {
    "robust-stream": _train_levels,
    ENSEMBLE: _train_ensemble,
    "incident-predictor": _train_predictor,
}


def git_commit() -> str:
    """Return the checkout's commit, "" outside of one: part of what the registry records of a training."""
    here = Path(__file__).parent
    found = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()
