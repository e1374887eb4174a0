"""The training reference of a model version: what served rows are compared with."""

from datetime import datetime

import pandas as pd

from aiops.types import ModelVersion
from orchestration.pipeline.training_set import RECENT, training_set_of
from orchestration.workspace import Workspace


def load_reference(workspace: Workspace, version: ModelVersion) -> pd.DataFrame:
    """Return the rows the version was trained for: its training set, from the drift on where one made it necessary.

    Raises:
        TrainingImpossible: the training set is gone.
    """
    frame = training_set_of(workspace, version)
    recent = version.tags.get(RECENT, "")
    return frame[frame["event_timestamp"] >= datetime.fromisoformat(recent)] if recent else frame
