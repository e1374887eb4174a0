"""What a training is given beside its rows, and how what it leaves behind is put together."""

from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from aiops.settings.model_settings import ModelSettings
from aiops.types import FloatArray
from data_contracts.values.moments import microseconds_of
from models.artifacts.artifact import Example
from models.artifacts.training_run import TrainingRun, dataset_facts
from models.evaluation.figures import RowsShown, precision_recall_figure, reliability_figure, timeline_figure, undrawn_figure
from models.evaluation.measures import precision_recall, reliability
from models.evaluation.scorecard import Replay, Replayable
from models.vectors.page_budget import PageBudget
from models.vectors.service_rows import ServiceRows

EXAMPLE_ROWS = 16


@dataclass(frozen=True, slots=True)
class TrainingContext:
    """What a training is given beside its rows: where they come from, what pages may cost, and the seed.

    `holdout_from` (aware, None = by `holdout_share` of the rows): from here on rows are for measuring. `normal_from` (aware,
    None = all): after a drift, what was normal before says nothing.
    """

    dataset: str
    feature_service: str = ""
    git_commit: str = ""
    budget: PageBudget = field(default_factory=PageBudget)
    embargo_min: float = 120.0
    seed: int = 7
    holdout_share: float = 0.2
    holdout_from: datetime | None = None
    normal_from: datetime | None = None

    @classmethod
    def of(cls, settings: ModelSettings, dataset: str, feature_service: str = "", git_commit: str = "") -> "TrainingContext":
        """Return the context of the settings."""
        budget = PageBudget(settings.page_budget_per_day)
        return cls(dataset, feature_service, git_commit, budget, float(settings.embargo_min), settings.seed)

    @property
    def normal_from_us(self) -> int:
        """Return `normal_from` in us since the epoch, 0 for all."""
        return 0 if self.normal_from is None else microseconds_of(self.normal_from)

    def holdout_us(self, rows: ServiceRows) -> int:
        """Return the time in us from which rows are for measuring."""
        if self.holdout_from is not None:
            return microseconds_of(self.holdout_from)
        return int(np.quantile(rows.time_us, 1.0 - self.holdout_share)) if len(rows) else 0


def example_of(model: Replayable, rows: ServiceRows) -> Example:
    """Return evenly spaced rows with their scores."""
    picked = np.unique(np.linspace(0, len(rows) - 1, EXAMPLE_ROWS).astype(np.int64))
    matrix = rows.take(picked).matrix(model.features)
    return Example(matrix, model.score(matrix))


def scored_figures(replay: Replay, score: FloatArray, threshold: float) -> dict[str, bytes]:
    """Return the figures of scores (n,) on a replay, by file name; those that need a positive row say so where there is none."""
    counted, shown = replay.truth.counted, RowsShown.of(replay.truth)
    label = replay.truth.positive[counted].astype(np.float64)
    timeline = timeline_figure(replay.rows, score, replay.truth, threshold)
    if not label.any():
        missing = {"precision_recall.svg": "Precision and recall", "reliability.svg": "Reliability"}
        return {"score_over_time.svg": timeline, **{file: undrawn_figure(title, shown) for file, title in missing.items()}}
    curves = (precision_recall(label, score[counted]), precision_recall(label, replay.baseline[counted]))
    return {
        "score_over_time.svg": timeline,
        "precision_recall.svg": precision_recall_figure(*curves, float(label.mean()), shown),
        "reliability.svg": reliability_figure(reliability(label, score[counted]), shown),
    }


def replay_figures(model: Replayable, replay: Replay) -> dict[str, bytes]:
    """Return the figures of a model's last output on a replay."""
    score = model.score(replay.rows.matrix(model.features))[:, -1]
    return scored_figures(replay, score, float(model.thresholds[-1]))


def run_of(
    rows: ServiceRows,
    context: TrainingContext,
    params: dict[str, str | int | float],
    metrics: dict[str, float],
    example: Example | None,
) -> TrainingRun:
    """Return the run of a training on the given rows; what the page budget was is one of its parameters."""
    costs = {"page_budget_per_day": context.budget.per_day, "quiet_min": context.budget.quiet_min}
    facts = dataset_facts(context.dataset, rows)
    return TrainingRun({**params, **costs}, metrics, facts, example, {}, context.feature_service, context.git_commit)


def with_figures(run: TrainingRun, figures: dict[str, bytes]) -> TrainingRun:
    """Return the run with figures."""
    return replace(run, figures=figures)
