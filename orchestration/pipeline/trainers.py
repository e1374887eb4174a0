"""How each model is trained on a stored training set: what the descriptors of `models.artifacts.catalog` name as trainers."""

import shutil
import subprocess
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from models.artifacts.audit import CHAMPION
from models.artifacts.catalog import ModelDescriptor
from models.artifacts.training_run import Trained
from models.training.detector_training import train_robust_stream
from models.training.ensemble_training import train_service_ensemble
from models.training.holdouts import RegimeChange, level_window
from models.training.predictor_training import train_incident_predictor
from models.training.training_context import TrainingContext
from orchestration.pipeline.training_set import TrainingSet, labels_of
from orchestration.project.copies import checkout
from orchestration.workspace.workspace import Workspace

HOLDOUT: Final = "holdout_start"
"""Tag of a model version: from this time on rows were seen neither by its fit nor by its thresholds."""


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """What every trainer is given: the stores, the training set, and the descriptor of the model that it trains."""

    workspace: Workspace
    trained_on: TrainingSet
    descriptor: ModelDescriptor

    @property
    def context(self) -> TrainingContext:
        """Return the context of a training on this set with the features of the descriptor."""
        settings = self.workspace.settings.models
        return TrainingContext.of(settings, self.trained_on.name, self.descriptor.feature_service, git_commit())


def train_levels(given: TrainingInputs) -> Trained[Any]:
    """Fit tier 1's alarm levels to the newest telemetry but its last part."""
    space, trained_on = given.workspace, given.trained_on
    history = space.lake.read("telemetry", *level_window(trained_on.start, trained_on.at))
    return train_robust_stream(history, space.incidents(trained_on.at), given.context, space.engine_config)


def train_ensemble(given: TrainingInputs) -> Trained[Any]:
    """Train the service ensemble; after a drift on rows that leave the gate what the champion has not seen either."""
    space, trained_on = given.workspace, given.trained_on
    frame, context = trained_on.frame(), given.context
    recent = trained_on.recent_from
    if recent is not None:
        change = RegimeChange(recent, trained_on.at)
        champion = space.registry.find(given.descriptor.name, CHAMPION)
        if champion is not None:
            frame = frame[change.trained(frame["event_timestamp"], datetime.fromisoformat(champion.version.tags[HOLDOUT]))]
        context = replace(context, holdout_from=change.holdout_from, normal_from=change.normal_from)
    at = trained_on.at
    return train_service_ensemble(frame, space.incidents(at), context, false_alarms=space.false_alarms(at))


def train_predictor(given: TrainingInputs) -> Trained[Any]:
    """Train the incident predictor on the labels of the training set."""
    frame = given.trained_on.frame()
    return train_incident_predictor(frame, labels_of(frame), given.context)


def git_commit() -> str:
    """Return the checkout's commit, "" outside of one: part of what the registry records of a training.

    A wheel may lie in somebody else's repository, and a machine may have no git.
    """
    here, git = checkout(), shutil.which("git")
    if here is None or git is None:
        return ""
    answer = subprocess.run([git, "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return answer.stdout.strip()
