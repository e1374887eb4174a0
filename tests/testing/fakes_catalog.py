"""A model that only its descriptor makes known: trained, judged, exported and served by code that has never heard of it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aiops.types import FloatArray, State
from models.artifacts.artifact import state_array
from models.artifacts.catalog import ModelDescriptor, ModelRoute
from models.artifacts.training_run import Trained
from models.training.training_context import example_of, run_of
from models.vectors.service_rows import rows_of
from orchestration.pipeline.trainers import TrainingInputs

NAME = "loudest-error"


@dataclass(frozen=True, slots=True)
class LoudestError:
    """The score is the worst error signal, and every row below `limit` is calm."""

    limit: float
    catalog_name: ClassVar[str] = NAME
    features: ClassVar[tuple[str, ...]] = ("errors_worst",)
    outputs: ClassVar[tuple[str, ...]] = ("score",)

    @property
    def thresholds(self) -> FloatArray:
        return np.array([self.limit])

    def score(self, rows: FloatArray) -> FloatArray:
        return np.clip(rows[:, :1], 0.0, 1.0)

    def explain(self, rows: FloatArray) -> FloatArray:
        return np.asarray(rows[:, :1], dtype=np.float64)

    def base(self) -> float:
        return 0.0

    def state(self) -> State:
        return {"limit": np.array([self.limit])}

    @classmethod
    def from_state(cls, state: State) -> "LoudestError":
        return cls(float(state_array(state, "limit")[0]))


def train(given: TrainingInputs) -> Trained[Any]:
    """Take the highest error signal of the older rows as the limit."""
    rows = rows_of(given.trained_on.frame())
    older = rows.time_us < given.context.holdout_us(rows)
    model = LoudestError(float(rows.take(older).matrix(LoudestError.features).max()) + 0.2)
    run = run_of(rows, given.context, {"rule": "maximum"}, {"limit": model.limit}, example_of(model, rows.take(older)))
    return Trained(model, run, given.trained_on.at - (given.trained_on.at - given.trained_on.start) * 0.2)


DESCRIPTOR = ModelDescriptor(
    name=NAME,
    model_class="tests.testing.fakes_catalog:LoudestError",
    trainer="tests.testing.fakes_catalog:train",
    gate="orchestration.pipeline.gates:judge_detector",
    feature_service="detection_v1",
    adapter="serving.scoring.slots.model_source:served_vectors",
    endpoint=ModelRoute("/loudest_error", "How loud the loudest error signal is"),
)
