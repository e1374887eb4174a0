"""A back-test: what a detector would have paged on recorded telemetry, beside the 3-sigma rule, before anything pages.

Everything is fitted on the history only; figures are of the replay. A page is an alarm of a service (or of a series, where the
labels are those of single series) that no page of it within the quiet time precedes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from aiops.types import FloatArray, IntArray
from data_contracts.series.series_name import SeriesName
from models.vectors.page_budget import UNSEEN_ERRORS, PageBudget, PageCounter, threshold_for_budget
from models.vectors.service_rows import US_PER_DAY, BoolArray, ServiceRows
from models.vectors.truth import Truth, detection_truth, outcome

SIGMA_OF_HALF = 3.0
"""Standard deviations with score 0.5: the 3-sigma rule."""
TOO_SHORT = "the earlier half of the history is too short for a second fit that scores the later half; give a longer history"
"""Why a threshold is not tuned."""
_HUGE = 1e140
"""A value whose square, times the length of a recording, may be no number any more."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Points in order of arrival: the series ("service|metric") and a point's number, time and value (n,); `replayed` (n,)
    False = history. `rows` are the same points by what is paged: the service, or the series.
    """

    series: tuple[str, ...]
    code: IntArray
    value: FloatArray
    replayed: BoolArray
    rows: ServiceRows
    truth: Truth
    labelled: bool


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """One rule on the replay; `pages_per_day` of all together, `false_pages_per_day` a day and service outside incidents.

    Precision: right pages among those that are right or false; recall: incidents with an alarm between onset and end. Both NaN
    without labels. Pages of another service during an incident count as neither. Lead: before an incident's start.
    """

    rule: str
    threshold: float
    pages: int
    pages_per_day: float
    false_pages_per_day: float
    precision: float
    recall: float
    mean_lead_min: float


@dataclass(frozen=True, slots=True)
class NoisySeries:
    """Alarms of one series in the replay, after its own quiet time."""

    series: str
    points: int
    alarms: int
    alarms_per_day: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """Rules on the same replay; `rules[0]` is the detector at its own threshold. `noisiest` first, at that threshold.

    `untuned`: why `rules[1]` is at the detector's own threshold too; empty = it is tuned.
    """

    detector: str
    points: int
    replayed_points: int
    unknown_share: float
    series: int
    incidents: int
    budget_per_day: float
    rules: tuple[RuleFigures, ...]
    noisiest: tuple[NoisySeries, ...]
    untuned: str


@dataclass(frozen=True, slots=True, eq=False)
class RecordedPoints:
    """Points in order of arrival: the number of each one's series, its time in us since 1970 and its value, (n,) each."""

    series: Sequence[SeriesName]
    code: IntArray
    time_us: IntArray
    value: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ScoredDetector:
    """A detector that is back-tested: its name, its own threshold, and its scores (n,).

    `unseen` (n,): scores by the same detector fitted to the earlier half of the history only; they set the tuned threshold.
    None = that half is too short for a fit: nothing is tuned, for scores of points that were fitted to promise too much.
    """

    name: str
    threshold: float
    score: FloatArray
    unseen: FloatArray | None


def recording(
    points: RecordedPoints,
    replayed: BoolArray,
    incidents: pa.Table,
    labelled_series: Mapping[str, str],
) -> Recording:
    """Return a recording of points.

    `labelled_series`: incident_id -> series as people read it, where incidents are those of single series; empty = of services.
    """
    code, numbers = points.code, points.value.reshape(-1, 1)
    names = [name.text for name in points.series]
    groups = list(names) if labelled_series else [name.service for name in points.series]
    distinct, of_series = np.unique(np.array(groups, dtype=object).astype(str), return_inverse=True)
    rows = ServiceRows(tuple(map(str, distinct)), of_series[code].astype(np.int64), points.time_us, ("value",), numbers)
    if labelled_series:
        owners = [labelled_series.get(str(number), "") for number in incidents["incident_id"].to_pylist()]
        place = incidents.schema.get_field_index("service")
        incidents = incidents.set_column(place, incidents.schema.field(place), pa.array(owners, pa.string()))
    truth = _series_truth(rows, incidents) if labelled_series else detection_truth(rows, incidents)
    return Recording(tuple(names), code, points.value, replayed, rows, truth, incidents.num_rows > 0)


def normal_history(recorded: Recording) -> BoolArray:
    """Return (n,) the history points to fit on: outside incidents, or where under a fifth is left, outside their own."""
    history = ~recorded.replayed
    quiet = history & recorded.truth.false
    return quiet if quiet.sum() >= 0.2 * history.sum() else history & ~recorded.truth.positive


def earlier_half(recorded: Recording) -> BoolArray:
    """Return (n,) the history points before the median of their times: half of the points, though maybe not half of the time.

    The middle of the time would leave a half without points where a single one is stamped long ago.
    """
    history = ~recorded.replayed
    time_us = recorded.rows.time_us
    return np.asarray(history & (time_us < np.median(time_us[history]))) if history.any() else history


def three_sigma(recorded: Recording, fit: BoolArray | None = None) -> FloatArray:
    """Return (n,) scores 1 - 2**(-|value - mean| / 3 std) by its series' mean and std in the points to fit on; NaN without one.

    `fit` (n,): those points; by default the normal ones of the history.
    """
    fit = normal_history(recorded) if fit is None else fit
    count = np.bincount(recorded.code[fit], minlength=len(recorded.series)).astype(np.float64)
    value = recorded.value / _scale(recorded)[recorded.code]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = np.bincount(recorded.code[fit], value[fit], len(recorded.series)) / count
        square = np.bincount(recorded.code[fit], (value[fit] - mean[recorded.code[fit]]) ** 2, len(recorded.series)) / count
        z = np.abs(value - mean[recorded.code]) / np.maximum(np.sqrt(square), 1e-12)[recorded.code]
        score: FloatArray = 1.0 - np.exp2(-z / SIGMA_OF_HALF)
    return score


def _scale(recorded: Recording) -> FloatArray:
    """Return (series,) what values are divided by, so that squares and sums of huge ones stay numbers; 1 for all others."""
    largest = np.zeros(len(recorded.series))
    np.maximum.at(largest, recorded.code, np.abs(recorded.value))
    return np.where(largest > _HUGE, largest, 1.0)


def backtest(recorded: Recording, detector: ScoredDetector, budget: PageBudget) -> Backtest:
    """Return the figures of a detector and of the 3-sigma rule, each also with the one that keeps the budget on the history.

    Where no half of the history is left that a fit has not seen, the threshold stays the rule's own, and its name says so.
    """
    name, threshold, score = detector.name, detector.threshold, detector.score
    naive = three_sigma(recorded)
    naive_unseen = three_sigma(recorded, normal_history(recorded) & earlier_half(recorded))
    own, sigma = _on_history(recorded, detector.unseen, budget), _on_history(recorded, naive_unseen, budget)
    rules = (
        figures_of(recorded, name, score, threshold, budget),
        figures_of(recorded, f"{name}, {_tuned(own)}", score, threshold if own is None else own, budget),
        figures_of(recorded, "3-sigma rule", naive, 0.5, budget),
        figures_of(recorded, f"3-sigma rule, {_tuned(sigma)}", naive, 0.5 if sigma is None else sigma, budget),
    )
    new = recorded.replayed
    unknown = float(np.isnan(score[new]).mean()) if new.any() else float("nan")
    incidents = int(recorded.truth.take(new).starts_us.size)
    noisy = noisiest(recorded, score >= threshold, budget)
    return Backtest(
        name,
        len(recorded.code),
        int(new.sum()),
        unknown,
        len(recorded.series),
        incidents,
        budget.per_day,
        rules,
        noisy,
        TOO_SHORT if own is None else "",
    )


def figures_of(recorded: Recording, rule: str, score: FloatArray, threshold: float, budget: PageBudget) -> RuleFigures:
    """Return what a rule (alarm: score >= threshold) pages on the replay."""
    new = recorded.replayed
    rows, truth, alarm = recorded.rows.take(new), recorded.truth.take(new), (score >= threshold)[new]
    counter = PageCounter.over(rows, truth.false, budget)
    opened = counter.opened(alarm)
    days = rows.service_days() / max(1, len(np.unique(rows.code)))
    right, false = int((opened & truth.positive).sum()), int((opened & truth.false).sum())
    caught = outcome(truth, rows.time_us, alarm)
    unknown = float("nan")
    return RuleFigures(
        rule,
        threshold,
        int(opened.sum()),
        float(opened.sum()) / days if days else unknown,
        false / counter.service_days if counter.service_days else unknown,
        right / (right + false) if recorded.labelled and right + false else unknown,
        caught.recall if recorded.labelled else unknown,
        caught.mean_lead_min if recorded.labelled else unknown,
    )


def noisiest(recorded: Recording, alarm: BoolArray, budget: PageBudget, most: int = 10) -> tuple[NoisySeries, ...]:
    """Return the series with most alarms in the replay, each alarm followed by its quiet time; those without any are left out."""
    new = recorded.replayed
    rows = ServiceRows(recorded.series, recorded.code[new], recorded.rows.time_us[new], (), np.empty((int(new.sum()), 0)))
    opened = PageCounter.over(rows, np.zeros(len(rows), np.bool_), budget).opened(alarm[new])
    alarms = np.bincount(rows.code[opened], minlength=len(recorded.series))
    points = np.bincount(rows.code, minlength=len(recorded.series))
    noisy = []
    for number in np.argsort(-alarms, kind="stable")[:most].tolist():
        if alarms[number]:
            days = _days(rows.time_us[rows.code == number])
            noisy.append(
                NoisySeries(recorded.series[number], int(points[number]), int(alarms[number]), float(alarms[number]) / days)
            )
    return tuple(noisy)


def _tuned(threshold: float | None) -> str:
    return "not tuned" if threshold is None else "autotuned"


def _on_history(recorded: Recording, unseen: FloatArray | None, budget: PageBudget) -> float | None:
    """Return the lowest threshold that keeps the budget on the later half of the history, with a margin for days not seen.

    A detector is kinder to what it was fitted to than to what comes later: the half that it did not see stands for the replay.
    None where it has no score there.
    """
    later = ~recorded.replayed & ~earlier_half(recorded)
    if unseen is None or not np.isfinite(unseen[later]).any():
        return None
    counter = PageCounter.over(recorded.rows.take(later), recorded.truth.false[later], budget)
    return threshold_for_budget(unseen[later], counter, budget, UNSEEN_ERRORS)


def _series_truth(rows: ServiceRows, incidents: pa.Table) -> Truth:
    """Return the truth where every series stands for itself: an incident of one says nothing about another."""
    caught, false = np.full(len(rows), -1, np.int64), np.ones(len(rows), np.bool_)
    starts: list[IntArray] = []
    order = np.argsort(rows.code, kind="stable")
    edges = np.searchsorted(rows.code[order], np.arange(len(rows.services) + 1))
    owners = incidents["service"].to_pylist()
    for number, name in enumerate(rows.services):
        own_rows = order[edges[number] : edges[number + 1]]
        own = incidents.filter(pa.array([owner == name for owner in owners], pa.bool_()))
        truth = detection_truth(rows.take(own_rows), own, grace_min=0.0)
        caught[own_rows] = np.where(truth.caught >= 0, truth.caught + sum(part.size for part in starts), -1)
        false[own_rows] = truth.false
        starts.append(truth.starts_us)
    return Truth(caught, false, np.concatenate(starts) if starts else np.empty(0, np.int64))


def _days(time_us: IntArray) -> float:
    """Return the span of some times in days, at least an hour."""
    return max(float(time_us.max() - time_us.min()) / US_PER_DAY, 1.0 / 24.0)
