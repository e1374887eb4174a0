"""The named metrics of a training run: each of the model's figures beside the naive rule's and the base rate."""

from dataclasses import dataclass

import numpy as np

from aiops.types import FloatArray
from models.evaluation.measures import AlarmFigures, alarm_figures, brier, figures_at_budget, precision_recall, reliability
from models.evaluation.scorecard import Replay, alarms
from models.prediction.incident_predictor import IncidentPredictor
from models.vectors.page_budget import PageBudget


def detector_metrics(replay: Replay, score: FloatArray, threshold: float, budget: PageBudget) -> dict[str, float]:
    """Return the figures of detector scores (n,) on rows that were not trained on."""
    return {**_ranking(replay, score), **_alarm_metrics(replay, score >= threshold, budget), **_naive_metrics(replay, budget)}


@dataclass(frozen=True, slots=True, eq=False)
class ScoredLabels:
    """Scores and labels of the same rows, (n, outputs) each."""

    score: FloatArray
    labels: FloatArray


def predictor_metrics(replay: Replay, predictor: IncidentPredictor, scored: ScoredLabels, budget: PageBudget) -> dict[str, float]:
    """Return the figures of a predictor on rows that were not trained on.

    `pr_auc`, `base_rate`, … are those of the longest horizon; every horizon also has them with its output's name as suffix.
    """
    score, labels = scored.score, scored.labels
    metrics = {**_ranking(replay, score[:, -1])}
    for column, name in enumerate(predictor.outputs):
        known = np.isfinite(labels[:, column])
        label, probability = labels[known, column], score[known, column]
        curve = precision_recall(label, probability)
        rate = float(label.mean()) if label.size else float("nan")
        metrics |= {
            f"pr_auc_{name}": curve.area,
            f"base_rate_{name}": rate,
            f"naive_pr_auc_{name}": precision_recall(label, replay.baseline[known]).area,
            f"precision_at_recall_50_{name}": curve.precision_at(0.5),
            f"brier_{name}": brier(label, probability),
            f"brier_base_rate_{name}": rate * (1 - rate),
            f"calibration_error_{name}": reliability(label, probability).error,
        }
    alarm = alarms(score, predictor.thresholds)
    return {**metrics, **_alarm_metrics(replay, alarm, budget), **_naive_metrics(replay, budget)}


def _ranking(replay: Replay, score: FloatArray) -> dict[str, float]:
    counted = replay.truth.counted
    label = replay.truth.positive[counted].astype(np.float64)
    curve = precision_recall(label, score[counted])
    return {
        "pr_auc": curve.area,
        "base_rate": float(label.mean()) if label.size else float("nan"),
        "naive_pr_auc": precision_recall(label, replay.baseline[counted]).area,
        "precision_at_recall_50": curve.precision_at(0.5),
    }


def _alarm_metrics(replay: Replay, alarm: "np.ndarray[tuple[int], np.dtype[np.bool_]]", budget: PageBudget) -> dict[str, float]:
    figures = alarm_figures(replay.rows, replay.truth, alarm, budget)
    services = np.unique(replay.rows.code).size
    return {
        "incidents": float(figures.incidents),
        "incident_recall": figures.recall,
        "lead_min": figures.mean_lead_min,
        "alerts_per_day": figures.pages_per_day * services,
        "false_pages_per_day_per_service": figures.false_pages_per_day,
    }


def _naive_metrics(replay: Replay, budget: PageBudget) -> dict[str, float]:
    """Return what the naive rule catches with the same budget, spent with hindsight on these very rows."""
    naive: AlarmFigures = figures_at_budget(replay.rows, replay.truth, replay.baseline, budget)
    return {"naive_incident_recall": naive.recall, "naive_lead_min": naive.mean_lead_min}
