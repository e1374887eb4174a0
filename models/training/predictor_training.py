"""Training of the incident predictor: history in, fitted model and its run out. Knows no registry, clock or environment."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from aiops.incidents.labels import HORIZONS_MIN
from aiops.types import FloatArray
from data_contracts.values.moments import moment_of_us
from models.artifacts.training_run import Trained
from models.evaluation.measures import trend_to_limit
from models.evaluation.performance import ScoredLabels, predictor_metrics
from models.evaluation.scorecard import Replay
from models.prediction.incident_predictor import IncidentPredictor, PredictorConfig
from models.training.training_context import TrainingContext, example_of, run_of, scored_figures, with_figures
from models.vectors.page_budget import PageBudget, page_threshold
from models.vectors.service_rows import US_PER_MIN, ServiceRows, rows_of
from models.vectors.temporal_split import SplitConfig, TemporalSplit, temporal_split
from models.vectors.truth import Truth, prediction_truth

if TYPE_CHECKING:
    import pandas as pd


class Labels(Protocol):
    """Horizon labels aligned to a frame's rows, as `aiops.incidents.labels` makes them."""

    @property
    def labels(self) -> FloatArray:
        """Return (n, horizons) in {0, 1}; NaN while an incident of the service is in progress."""
        ...

    @property
    def minutes_to_start(self) -> FloatArray:
        """Return (n,) minutes until the next incident of the service starts; inf or NaN where none follows."""
        ...


def train_incident_predictor(
    frame: "pa.Table | pd.DataFrame",
    labels: Labels,
    context: TrainingContext,
    config: PredictorConfig | None = None,
) -> Trained[IncidentPredictor]:
    """Fit, calibrate and set thresholds on successive parts of the history; measure on the newest part.

    Rows while an incident of their service is in progress take no part, nor do those of the last horizon, of which nobody
    knows yet what follows. One threshold for all horizons: P(incident within the longest) from which a page is sent, set on the
    calibration part within the page budget (`page_threshold`). Shorter horizons say how urgent it is.

    Raises:
        TrainingImpossible: no labelled incident, or too few for a temporal split.
    """
    rows = rows_of(frame)
    chosen = config or PredictorConfig(seed=context.seed)
    split = _split(rows, labels.labels[:, -1], chosen.horizons_min[-1], context)
    matrix = rows.matrix(chosen.features)
    predictor = IncidentPredictor.fit(matrix[split.train], labels.labels[split.train], chosen)
    predictor = predictor.calibrated(matrix[split.calibration], labels.labels[split.calibration])
    in_progress = np.isnan(labels.labels[:, -1])
    truth = prediction_truth(rows, labels.minutes_to_start, in_progress, chosen.horizons_min[-1])
    score = predictor.score(matrix)
    predictor = predictor.with_thresholds(_thresholds(rows, truth, score, split, context.budget))
    newest = Replay(rows.take(split.test), truth.take(split.test), trend_to_limit(rows.take(split.test)))
    metrics = {
        "train_rows": float(split.train.sum()),
        "train_positives": float((labels.labels[split.train, -1] > 0).sum()),
        "calibration_rows": float(split.calibration.sum()),
        **predictor_metrics(newest, predictor, ScoredLabels(score[split.test], labels.labels[split.test]), context.budget),
    }
    params = {key: value for key, value in asdict(chosen).items() if key not in {"features", "horizons_min"}}
    params |= {"horizons_min": str(chosen.horizons_min), "embargo_min": context.embargo_min}
    run = run_of(rows, context, params, metrics, example_of(predictor, rows.take(split.train)))
    last = score[split.test, -1]
    figures = scored_figures(newest, last, float(predictor.thresholds[-1]))
    return Trained(predictor, with_figures(run, figures), moment_of_us(split.test_start_us))


def calibration_replay(frame: "pa.Table | pd.DataFrame", labels: Labels, context: TrainingContext) -> Replay:
    """Return the rows that calibrate and set the threshold when `train_incident_predictor` is given the same.

    Any other rule can be given its threshold on them, at the same price in false pages.

    Raises:
        TrainingImpossible: no labelled incident, or too few for a temporal split.
    """
    rows = rows_of(frame)
    horizon_min = HORIZONS_MIN[-1]
    part = _split(rows, labels.labels[:, -1], horizon_min, context).calibration
    truth = prediction_truth(rows, labels.minutes_to_start, np.isnan(labels.labels[:, -1]), float(horizon_min))
    return Replay(rows.take(part), truth.take(part), trend_to_limit(rows.take(part)))


def thresholds_by_budget(score: FloatArray, calibration: Replay, budgets: Sequence[PageBudget]) -> dict[float, float]:
    """Return by pages a day the threshold that a budget allows scores (n,) of any rule on the calibration rows."""
    return {budget.per_day: page_threshold(score, calibration.rows, calibration.truth, budget) for budget in budgets}


def prediction_replay(frame: "pa.Table | pd.DataFrame", labels: Labels, start_us: int, horizon_min: float = 60.0) -> Replay:
    """Return the gate's replay for predictors: rows from `start_us` on, with the trend to a limit as trivial baseline."""
    rows = rows_of(frame)
    truth = prediction_truth(rows, labels.minutes_to_start, np.isnan(labels.labels[:, -1]), horizon_min)
    newer = rows.time_us >= start_us
    return Replay(rows.take(newer), truth.take(newer), trend_to_limit(rows.take(newer)))


def _split(rows: ServiceRows, label: FloatArray, horizon_min: int, context: TrainingContext) -> TemporalSplit:
    """Return the temporal split of the rows whose label is known: those of the last horizon are still open."""
    closed = rows.time_us <= rows.time_us.max(initial=0) - horizon_min * US_PER_MIN
    return temporal_split(rows.time_us, np.where(closed, label, np.nan), SplitConfig(embargo_min=context.embargo_min))


def _thresholds(rows: ServiceRows, truth: Truth, score: FloatArray, split: TemporalSplit, budget: PageBudget) -> FloatArray:
    part = split.calibration
    return np.full(score.shape[1], page_threshold(score[part, -1], rows.take(part), truth.take(part), budget))
