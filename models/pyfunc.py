"""MLflow's loader of our artifacts: `mlflow.pyfunc.load_model` gives a data scientist the model without unpickling anything."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aiops.types import SeriesBatch
from data_contracts.schemas import SERIES
from models.artifact import load_model
from models.artifacts.catalog import FittedModel
from models.training_run import TrainingRun

if TYPE_CHECKING:
    import pandas as pd


class TabularModel:
    """What MLflow calls: a frame in, a frame of the model's outputs out."""

    def __init__(self, model: FittedModel) -> None:
        self._model = model

    def predict(self, frame: "pd.DataFrame", params: dict[str, object] | None = None) -> "pd.DataFrame":
        """Return one row an input row, a column an output; `params` is part of MLflow's contract and has no effect."""
        import pandas as pd

        model = self._model
        if hasattr(model, "explain"):
            scores = model.score(frame[list(model.features)].to_numpy(dtype=np.float64))  # type: ignore[attr-defined]
        else:
            points = pa.RecordBatch.from_pandas(frame[list(model.features)], preserve_index=False)
            columns = [points.column(name).cast(SERIES.field(name).type) for name in SERIES.names]
            batch = SeriesBatch(pa.RecordBatch.from_arrays(columns, schema=SERIES))
            scores = model.score(batch).reshape(-1, 1)  # type: ignore[attr-defined]
        return pd.DataFrame(scores, columns=list(model.outputs), index=frame.index)


def example_frame(model: FittedModel, run: TrainingRun) -> "pd.DataFrame":
    """Return example rows as a frame; of a model over single points, one point."""
    import pandas as pd

    if run.example is not None:
        return pd.DataFrame(run.example.rows, columns=list(model.features))
    point = {"timestamp": run.dataset.end.replace(tzinfo=None), "service": "checkout", "metric": "error_rate", "value": 0.0}
    return pd.DataFrame([[point[name] for name in model.features]], columns=list(model.features))


def _load_pyfunc(path: str) -> TabularModel:
    """Return the model below `path`: the entry point that MLflow's `loader_module` names."""
    return TabularModel(load_model(Path(path)))
