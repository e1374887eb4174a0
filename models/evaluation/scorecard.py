"""Scorecard of one model on one replay: the same labelled rows, the same alert budget, beside a trivial baseline."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np

from aiops.errors import AiopsError
from aiops.ports import VectorModel
from aiops.types import FloatArray, Scorecard
from models.artifacts.artifact import load_artifact, save_model
from models.artifacts.catalog import FittedModel
from models.evaluation.measures import alarm_figures, average_precision, figures_at_budget
from models.vectors.page_budget import UNSEEN_ERRORS, PageBudget, PageCounter
from models.vectors.service_rows import CALENDAR, ServiceRows
from models.vectors.truth import Truth

WARM_UP = 50
CONTRACT_ROWS = 512


class Replayable(VectorModel, FittedModel, Protocol):
    """A vector model of the catalog."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Labelled rows that no contender was trained on, and the trivial baseline's score (n,) of each."""

    rows: ServiceRows
    truth: Truth
    baseline: FloatArray


def alarms(score: FloatArray, thresholds: FloatArray) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return (n,) whether any output of (n, outputs) reaches its threshold; NaN never does.

    >>> alarms(np.array([[0.1, 0.9], [np.nan, np.nan]]), np.array([0.5, 0.5])).tolist()
    [True, False]
    """
    return np.asarray((score >= thresholds).any(axis=1))


def score_on(model: Replayable, version: str, replay: Replay, budget: PageBudget) -> Scorecard:
    """Return the figures of a model on the replay; the alarms at the budget are those of its last output.

    `*_at_budget` = at the threshold that spends the budget on these rows, `*_shipped` = at the model's own thresholds,
    `*_least` = what cannot be chance.
    """
    rows, truth = replay.rows, replay.truth
    score = model.score(rows.matrix(model.features))
    equal = figures_at_budget(rows, truth, score[:, -1], budget)
    raised = alarms(score, model.thresholds)
    shipped = alarm_figures(rows, truth, raised, budget)
    counter = PageCounter.over(rows, truth.false, budget)
    trivial = figures_at_budget(rows, truth, replay.baseline, budget)
    counted, label = truth.counted, truth.positive.astype(np.float64)
    metrics = {
        "rows": float(len(rows)),
        "incidents": float(equal.incidents),
        "base_rate": float(label[counted].mean()) if counted.any() else float("nan"),
        "pr_auc": average_precision(label[counted], score[counted, -1]),
        "baseline_pr_auc": average_precision(label[counted], replay.baseline[counted]),
        "recall_at_budget": equal.recall,
        "lead_min_at_budget": equal.mean_lead_min,
        "false_pages_at_budget": equal.false_pages_per_day,
        "recall_shipped": shipped.recall,
        "lead_min_shipped": shipped.mean_lead_min,
        "false_pages_shipped": shipped.false_pages_per_day,
        "false_pages_shipped_least": max(0.0, counter.false_rate(raised, -UNSEEN_ERRORS)),
        "pages_shipped": shipped.pages_per_day,
        "baseline_recall_at_budget": trivial.recall,
        "baseline_lead_min_at_budget": trivial.mean_lead_min,
    }
    return Scorecard(model.catalog_name, version, metrics)


def contract_checks(model: Replayable, rows: ServiceRows) -> dict[str, bool]:
    """Return which contracts the model keeps on (a sample of) the rows; a model that raises breaks that contract."""
    step = max(1, len(rows) // CONTRACT_ROWS)
    sample = rows.matrix(model.features)[::step]
    checks: dict[str, Callable[[Replayable, FloatArray], bool]] = {
        "scores_in_0_to_1": _in_range,
        "unknown_stays_unknown": _unknown_is_nan,
        "deterministic": _deterministic,
        "round_trip_equal": _round_trip_equal,
    }
    return {name: _holds(check, model, sample) for name, check in checks.items()}


def latency_ms(model: VectorModel, rows: FloatArray, calls: int, clock: Callable[[], float]) -> FloatArray:
    """Return (calls,) milliseconds of scoring one row, after a warm-up; `clock` returns seconds."""
    taken = np.empty(calls)
    for call in range(-WARM_UP, calls):
        row = rows[call % len(rows)].reshape(1, -1)
        before = clock()
        model.score(row)
        taken[max(call, 0)] = (clock() - before) * 1e3
    return taken


def _holds(check: Callable[[Replayable, FloatArray], bool], model: Replayable, sample: FloatArray) -> bool:
    try:
        return check(model, sample)
    except (AiopsError, ValueError, IndexError, TypeError, OSError):
        return False


def _in_range(model: Replayable, sample: FloatArray) -> bool:
    score = model.score(sample)
    telemetry = [column for column, name in enumerate(model.features) if name not in CALENDAR]
    known = score[np.isfinite(sample[:, telemetry]).any(axis=1)]
    shaped = score.shape == (len(sample), len(model.outputs)) and score.dtype == np.float64
    return bool(shaped and np.isfinite(known).all() and (known >= 0).all() and (known <= 1).all())


def _unknown_is_nan(model: Replayable, sample: FloatArray) -> bool:
    return bool(np.isnan(model.score(np.full((2, sample.shape[1]), np.nan))).all())


def _deterministic(model: Replayable, sample: FloatArray) -> bool:
    before = sample.copy()
    first, second, reverse = model.score(sample), model.score(sample), model.score(np.ascontiguousarray(sample[::-1]))[::-1]
    alone = np.concatenate([model.score(row.reshape(1, -1)) for row in sample[:8]])
    unchanged = np.array_equal(sample, before, equal_nan=True)
    return unchanged and all(
        np.array_equal(first_scores, other, equal_nan=True)
        for first_scores, other in ((first, second), (first, reverse), (first[:8], alone))
    )


def _round_trip_equal(model: Replayable, sample: FloatArray) -> bool:
    with TemporaryDirectory(prefix="gate-") as folder:
        save_model(model, Path(folder))
        loaded = load_artifact(Path(folder)).model
    again = loaded.score(sample)  # type: ignore[attr-defined]  # the same class: a vector model
    return np.array_equal(model.score(sample), again, equal_nan=True)
