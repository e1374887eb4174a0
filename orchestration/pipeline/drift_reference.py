"""The training reference of a model version: what served rows are compared with."""

from datetime import datetime
from typing import cast

import numpy as np
import pandas as pd

from aiops.ports import VectorModel
from aiops.types import ModelVersion
from models.evaluation.drift import DRIFT_COLUMNS, PREDICTION, is_seasonal
from orchestration.pipeline.training_set import RECENT, training_set_of
from orchestration.workspace.workspace import Workspace


def load_reference(workspace: Workspace, version: ModelVersion) -> pd.DataFrame:
    """Return the training set of a version with the version's own scores; levels from before a drift are unknown.

    Abnormality is relative to the last hour and outlives a change of level, so its older rows still show the baseline.

    Raises:
        TrainingImpossible: the training set is gone.
        ArtifactError: the model is damaged.
    """
    frame = training_set_of(workspace, version)
    model = cast(VectorModel, workspace.registry.load(version.name, version.version).model)
    frame[PREDICTION] = model.score(frame[list(model.features)].to_numpy(dtype=np.float64))[:, -1]
    recent = version.tags.get(RECENT, "")
    if recent:
        levels = [name for name in DRIFT_COLUMNS if is_seasonal(name)]
        frame.loc[frame["event_timestamp"] < datetime.fromisoformat(recent), levels] = np.nan
    return frame
