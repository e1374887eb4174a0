"""Training and the gate: train on the training set that is given, register as challenger, judge, promote what passes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from aiops.errors import TrainingImpossible
from models.artifacts.audit import CHALLENGER, CHAMPION
from models.artifacts.catalog import descriptor_of
from models.artifacts.training_run import Trained
from orchestration.pipeline.deployment import change
from orchestration.pipeline.gates import GateInputs, Ruling
from orchestration.pipeline.trainers import HOLDOUT, TrainingInputs
from orchestration.pipeline.training_set import FACTS, RECENT, TAG, TrainingSet, training_set_of_challenger
from orchestration.workspace.workspace import Workspace


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


def train_candidate(workspace: Workspace, name: str, trained_on: TrainingSet, at: datetime) -> Candidate:
    """Train `name` on a training set and register it as challenger; a history that cannot teach it is an answer."""
    descriptor = descriptor_of(name)
    try:
        trained: Trained[Any] = descriptor.part("trainer")(TrainingInputs(workspace, trained_on, descriptor))
    except TrainingImpossible as error:
        return Candidate(name, "", f"{name} was not trained: {error}", {})
    tags = {TAG: trained_on.name, FACTS: trained_on.text, HOLDOUT: trained.holdout_start.isoformat()}
    if trained_on.recent_from is not None:
        tags[RECENT] = trained_on.recent_from.isoformat()
    why = f"trained on {trained_on.name}"
    registry = workspace.registry
    version = registry.register(trained.model, replace(trained.run, tags={**trained.run.tags, **tags}), change(at, why))
    registry.set_alias(name, CHALLENGER, version.version, change(at, why))
    return Candidate(name, version.version, f"{name} version {version.version} trained", trained.run.metrics)


def judge(workspace: Workspace, name: str, at: datetime) -> Judged:
    """Replay the challenger beside the champion, store the decision with the version, promote if it passes.

    The figures of the version become those of the rows that it was judged on.
    """
    registry, descriptor = workspace.registry, descriptor_of(name)
    challenger = registry.find(name, CHALLENGER)
    if challenger is None:
        return Judged(name, "", False, "no challenger: it was not trained, or is the champion already")
    champion = registry.find(name, CHAMPION)
    given = GateInputs(workspace, training_set_of_challenger(workspace, challenger.version), descriptor, challenger, champion)
    ruling: Ruling = descriptor.part("gate")(given)
    decision, version = ruling.decision, challenger.version.version
    registry.record_decision(name, version, decision, change(at, decision.reason))
    registry.replace_figures(name, version, ruling.figures)
    if decision.promoted:
        registry.set_alias(name, CHAMPION, version, change(at, decision.reason))
    return Judged(name, version, decision.promoted, decision.reason)
