"""MLflow's loader of our artifacts: `mlflow.pyfunc.load_model` gives a data scientist the model without unpickling anything."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aiops.types import SeriesBatch
from data_contracts.series.key import labels_text
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.series.text import metric_of
from data_contracts.telemetry.series_rows import PointColumns, points_of
from models.artifacts.artifact import load_model
from models.artifacts.catalog import FittedModel
from models.artifacts.training_run import TrainingRun

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
            batch = SeriesBatch(_points(pa.Table.from_pandas(frame[list(model.features)], preserve_index=False)))
            scores = model.score(batch).reshape(-1, 1)  # type: ignore[attr-defined]
        return pd.DataFrame(scores, columns=list(model.outputs), index=frame.index)


def _points(rows: pa.Table) -> pa.RecordBatch:
    """Return rows (timestamp, service, metric with its labels as people read them, value) as points of the default tenant."""
    coded = rows["metric"].combine_chunks().dictionary_encode()
    parsed = [metric_of(str(text)) for text in coded.dictionary.to_pylist()]
    metric = pa.array([name for name, _ in parsed], pa.string()).take(coded.indices)
    labels = pa.array([labels_text(held) for _, held in parsed], pa.string()).take(coded.indices)
    return points_of(PointColumns(rows["timestamp"], rows["service"], metric, rows["value"], labels), DEFAULT_TENANT)


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
