"""How each model is judged: what the descriptors of `models.artifacts.catalog` name as gates."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

import pandas as pd

from aiops.types import GateDecision
from data_contracts.values.moments import microseconds_of
from models.artifacts.catalog import ModelDescriptor
from models.artifacts.registry import LoadedModel
from models.detectors.robust_stream import RobustStream
from models.evaluation.gate import Contender, GateConfig, decide
from models.evaluation.scorecard import Replay, Replayable
from models.evaluation.tier1_gate import LevelContender, decide_levels, level_replay
from models.training.detector_training import detection_replay
from models.training.holdouts import RegimeChange, level_window
from models.training.predictor_training import prediction_replay
from models.training.training_context import replay_figures
from models.vectors.page_budget import PageBudget
from orchestration.pipeline.trainers import HOLDOUT
from orchestration.pipeline.training_set import TrainingSet, labels_of
from orchestration.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class GateInputs:
    """What every gate is given: the stores, the training set, the descriptor, and who stands against whom (None = nobody)."""

    workspace: Workspace
    trained_on: TrainingSet
    descriptor: ModelDescriptor
    challenger: LoadedModel
    champion: LoadedModel | None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a gate says, and figures of the challenger on the very rows that it was judged on, by file name."""

    decision: GateDecision
    figures: Mapping[str, bytes] = field(default_factory=dict)


def judge_levels(given: GateInputs) -> Ruling:
    """Replay alarm levels over telemetry that they were not fitted to."""
    space, trained_on = given.workspace, given.trained_on
    start, since = level_window(trained_on.start, trained_on.at)
    budget = PageBudget(space.settings.models.page_budget_per_day)
    history = space.lake.read("telemetry", start, trained_on.at)
    replay = level_replay(history, space.incidents(trained_on.at), space.engine_config, microseconds_of(since), budget)
    levels = [
        LevelContender(cast(RobustStream, loaded.model), loaded.version.version)
        for loaded in (given.challenger, given.champion)
        if loaded
    ]
    return Ruling(decide_levels(levels[0], levels[1] if given.champion else None, replay))


def judge_detector(given: GateInputs) -> Ruling:
    """Replay a detector of service vectors over the challenger's holdout."""
    return _ruled(given, _detection(given, _held_out(given)))


def judge_ensemble(given: GateInputs) -> Ruling:
    """Replay the service ensemble over rows that neither contender was fitted to.

    Without a drift: the challenger's holdout. After one, that is short, so the time between the champion's holdout and the
    challenger's own rows is replayed too: old incidents must still be found.
    """
    frame, recent = given.trained_on.frame(), given.trained_on.recent_from
    ticks, keep = frame["event_timestamp"], frame["event_timestamp"] >= _holdout_of(given.challenger)
    if recent is not None and given.champion is not None:
        keep |= RegimeChange(recent, given.trained_on.at).only_judged(ticks, _holdout_of(given.champion))
    return _ruled(given, _detection(given, frame[keep]))


def judge_predictor(given: GateInputs) -> Ruling:
    """Replay an incident predictor over the challenger's holdout."""
    rows = _held_out(given)
    return _ruled(given, prediction_replay(rows, labels_of(rows), 0))


def _holdout_of(contender: LoadedModel) -> datetime:
    return datetime.fromisoformat(contender.version.tags[HOLDOUT])


def _held_out(given: GateInputs) -> pd.DataFrame:
    frame = given.trained_on.frame()
    return frame[frame["event_timestamp"] >= _holdout_of(given.challenger)]


def _detection(given: GateInputs, rows: pd.DataFrame) -> Replay:
    return detection_replay(rows, given.workspace.incidents(given.trained_on.at), 0)


def _ruled(given: GateInputs, replay: Replay) -> Ruling:
    config = GateConfig.of(given.workspace.settings.models)
    pair = [
        Contender(cast(Replayable, loaded.model), loaded.version.version)
        for loaded in (given.challenger, given.champion)
        if loaded
    ]
    decision = decide(pair[0], pair[1] if given.champion else None, replay, config, time.thread_time)
    return Ruling(decision, replay_figures(pair[0].model, replay))
