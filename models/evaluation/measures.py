"""Evaluation: every figure beside the base rate and beside a naive rule. Plain numpy; NaN scores count as never alarming."""

from dataclasses import dataclass

import numpy as np

from aiops.types import FloatArray
from models.vectors.page_budget import PageBudget, PageCounter, threshold_for_budget
from models.vectors.service_rows import BoolArray, ServiceRows
from models.vectors.truth import Truth, outcome


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Curve from the highest threshold down: at `threshold[i]` (alarm: score >= it) precision and recall are those."""

    threshold: FloatArray
    precision: FloatArray
    recall: FloatArray

    @property
    def area(self) -> float:
        """Return average precision, the step-wise area under the curve; NaN without a positive row."""
        if not self.recall.size:
            return float("nan")
        return float((np.diff(self.recall, prepend=0.0) * self.precision).sum())

    def precision_at(self, recall: float) -> float:
        """Return the best precision among thresholds with at least this recall; NaN without a positive row."""
        reached = self.precision[self.recall >= recall - 1e-12]
        return float(reached.max()) if reached.size else float("nan")


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of equal numbers of rows: mean probability, observed share and rows of each."""

    predicted: FloatArray
    observed: FloatArray
    rows: FloatArray

    @property
    def error(self) -> float:
        """Return the expected calibration error: mean |predicted - observed|, weighted by rows."""
        return float(np.average(np.abs(self.predicted - self.observed), weights=self.rows)) if self.rows.size else float("nan")


@dataclass(frozen=True, slots=True)
class AlarmFigures:
    """What an alarm rule does on a replay; pages are alarms after the quiet time, rates are a day and service."""

    recall: float
    incidents: int
    mean_lead_min: float
    pages_per_day: float
    false_pages_per_day: float


def precision_recall(label: FloatArray, score: FloatArray) -> PrecisionRecall:
    """Return the curve of labels (n,) in {0, 1} and scores (n,); equal scores are one step. O(n log n)."""
    key = np.where(np.isnan(score), -np.inf, score)
    order = np.argsort(-key, kind="stable")
    hits = np.cumsum(label[order] > 0)
    if not hits.size or not hits[-1]:
        return PrecisionRecall(np.empty(0), np.empty(0), np.empty(0))
    last = np.flatnonzero(np.append(key[order][1:] != key[order][:-1], True))
    return PrecisionRecall(key[order][last], hits[last] / (last + 1.0), hits[last] / hits[-1])


def average_precision(label: FloatArray, score: FloatArray) -> float:
    """Return the area under the precision-recall curve.

    >>> average_precision(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.9, 0.4]))
    1.0
    """
    return precision_recall(label, score).area


def brier(label: FloatArray, probability: FloatArray) -> float:
    """Return the mean squared error of probabilities, over rows whose probability is known; NaN where none is."""
    known = np.isfinite(probability)
    return float(((probability[known] - label[known]) ** 2).mean()) if known.any() else float("nan")


def reliability(label: FloatArray, probability: FloatArray, bins: int = 10) -> Reliability:
    """Return reliability over `bins` bins of (nearly) equal numbers of rows with known probability."""
    known = np.isfinite(probability)
    order = np.argsort(probability[known], kind="stable")
    parts = [part for part in np.array_split(order, bins) if part.size]
    p, y = probability[known], label[known]
    return Reliability(
        np.array([p[part].mean() for part in parts]),
        np.array([y[part].mean() for part in parts]),
        np.array([float(part.size) for part in parts]),
    )


def trend_to_limit(rows: ServiceRows) -> FloatArray:
    """Return the naive rule's score (n,): 1 / (1 + minutes until a resource's trend meets its limit); 0 where none does."""
    minutes = rows.matrix(("minutes_to_limit",))[:, 0]
    return np.where(np.isfinite(minutes), 1.0 / (1.0 + np.maximum(minutes, 0.0)), 0.0)


def worst_signal(rows: ServiceRows) -> FloatArray:
    """Return the trivial detector's score (n,): the worst abnormality among the service's golden signals; NaN = unknown."""
    columns = [name for name in rows.columns if name.endswith("_worst") and not name.startswith(("callers", "callees"))]
    values = np.abs(rows.matrix(columns))
    known = np.isfinite(values)
    worst = np.where(known, values, 0.0).max(axis=1, initial=0.0)
    return np.where(known.any(axis=1), worst, np.nan)


def alarm_figures(rows: ServiceRows, truth: Truth, alarm: BoolArray, budget: PageBudget) -> AlarmFigures:
    """Return what the alarms (n,) caught and cost."""
    counter = PageCounter.over(rows, truth.false, budget)
    caught = outcome(truth, rows.time_us, alarm)
    days = rows.service_days()
    return AlarmFigures(
        caught.recall,
        caught.incidents,
        caught.mean_lead_min,
        counter.pages(alarm) / days if days else 0.0,
        counter.false_pages(alarm) / counter.service_days if counter.service_days else 0.0,
    )


def figures_at_budget(rows: ServiceRows, truth: Truth, score: FloatArray, budget: PageBudget) -> AlarmFigures:
    """Return the figures at the lowest threshold that keeps the budget on these very rows: the same cost for every model."""
    threshold = threshold_for_budget(score, PageCounter.over(rows, truth.false, budget), budget)
    return alarm_figures(rows, truth, score >= threshold, budget)
