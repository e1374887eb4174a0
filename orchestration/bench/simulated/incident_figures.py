"""What rules for foreseeing incidents are worth on scored seeds: by budget, by kind of incident, by horizon."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from aiops.simulator.simulation_config import BUILDUP_KINDS, INCIDENT_KINDS
from aiops.types import FloatArray, IntArray
from models.evaluation.measures import average_precision, brier, reliability
from models.evaluation.scorecard import Replay
from models.vectors.page_budget import PageBudget, PageCounter
from models.vectors.service_rows import US_PER_MIN, BoolArray, times_of
from models.vectors.truth import Truth

ENOUGH_MIN = 10.0
LIKELY = 0.05


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to foresee: `score` (n,) and the threshold by budget of false pages a day and service, fitted elsewhere."""

    name: str
    score: FloatArray
    thresholds: Mapping[float, float]

    def alarm(self, per_day: float) -> BoolArray:
        """Return (n,) whether the threshold of that budget is reached; NaN never does."""
        return np.asarray(self.score >= self.thresholds[per_day])


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """One rule at the threshold of one budget, on the foreseeable kinds; false pages a day and service, over all time.

    Leads are from the first alarm within the last hour before the start; `page_*`: from the first page that opens there, which is
    later where a page of before that hour is still within its quiet time (and was counted as a false one).
    """

    rule: str
    budget: float
    threshold: float
    false_pages: float
    recall: float
    recall_10min: float
    lead_min: float
    page_recall: float
    page_lead_min: float


@dataclass(frozen=True, slots=True)
class KindFigures:
    """Both rules on the incidents of one kind, at the full budget."""

    kind: str
    foreseeable: bool
    incidents: int
    recall: float
    lead_min: float
    naive_recall: float
    naive_lead_min: float


@dataclass(frozen=True, slots=True)
class Horizon:
    """Ranking and calibration at one horizon, over all kinds: rows at the prediction cadence, none during an incident.

    Most rows are far from any incident and easy to be right about: `likely_error` is the reliability error of those with a
    probability of `LIKELY` or more alone.
    """

    horizon_min: int
    base_rate: float
    pr_auc: float
    naive_pr_auc: float
    reliability_error: float
    likely_error: float
    likely_rows: int
    brier: float
    base_rate_brier: float


def kinds_of(replay: Replay, incidents: pa.Table) -> tuple[str, ...]:
    """Return the kind of every incident of the replay's truth, in its numbering; `incidents` has `schemas.INCIDENTS`."""
    rows, truth = replay.rows, replay.truth
    starts: list[int] = times_of(incidents, "starts_at").tolist()
    named = zip(incidents["service"].to_pylist(), starts, incidents["kind"].to_pylist(), strict=True)
    kinds = {(str(service), start): str(kind) for service, start, kind in named}
    numbers, first = np.unique(truth.caught[truth.positive], return_index=True)
    service = rows.code[truth.positive][first]
    incident_starts = zip(service.tolist(), truth.starts_us[numbers].tolist(), strict=True)
    return tuple(kinds[rows.services[code], start] for code, start in incident_starts)


def leads(truth: Truth, time_us: IntArray, alarm: BoolArray) -> FloatArray:
    """Return (incidents,) minutes from the first right alarm to the start; NaN where there was none."""
    right = alarm & truth.positive
    first = np.full(truth.starts_us.size, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(first, truth.caught[right], time_us[right])
    return np.where(first < np.iinfo(np.int64).max, (truth.starts_us - first) / US_PER_MIN, np.nan)


def rule_figures(rule: Rule, replay: Replay, kinds: tuple[str, ...], budget: PageBudget) -> tuple[RuleFigures, ...]:
    """Return the figures of a rule at each of its thresholds, the largest budget first."""
    foreseeable = np.isin(kinds, BUILDUP_KINDS)
    counter = PageCounter.over(replay.rows, replay.truth.false, budget)
    figures = []
    for per_day in sorted(rule.thresholds, reverse=True):
        alarm = rule.alarm(per_day)
        lead = leads(replay.truth, replay.rows.time_us, alarm)[foreseeable]
        paged = leads(replay.truth, replay.rows.time_us, counter.opened(alarm))[foreseeable]
        figures.append(
            RuleFigures(
                rule.name,
                per_day,
                rule.thresholds[per_day],
                counter.false_rate(alarm),
                _share(np.isfinite(lead)),
                _share(lead >= ENOUGH_MIN),
                _mean(lead),
                _share(np.isfinite(paged)),
                _mean(paged),
            )
        )
    return tuple(figures)


def kind_figures(ours: Rule, naive: Rule, replay: Replay, kinds: tuple[str, ...], per_day: float) -> tuple[KindFigures, ...]:
    """Return both rules on every kind that occurs, foreseeable ones first."""
    our_lead, naive_lead = (leads(replay.truth, replay.rows.time_us, rule.alarm(per_day)) for rule in (ours, naive))
    figures = []
    for kind in INCIDENT_KINDS:
        own = np.array([incident_kind == kind for incident_kind in kinds], dtype=np.bool_)
        if own.any():
            ahead, naively = our_lead[own], naive_lead[own]
            shares = (_share(np.isfinite(ahead)), _mean(ahead), _share(np.isfinite(naively)), _mean(naively))
            figures.append(KindFigures(kind, kind in BUILDUP_KINDS, int(own.sum()), *shares))
    return tuple(figures)


def horizon_figures(horizons_min: tuple[int, ...], labels: FloatArray, score: FloatArray, naive: FloatArray) -> list[Horizon]:
    """Return ranking and calibration of scores (n, horizons) against labels (n, horizons), NaN = not counted."""
    horizons = []
    for column, horizon_min in enumerate(horizons_min):
        known = np.isfinite(labels[:, column])
        label, probability = labels[known, column], score[known, column]
        rate = float(label.mean())
        areas = (average_precision(label, probability), average_precision(label, naive[known]))
        likely = probability >= LIKELY
        errors = reliability(label, probability).error, reliability(label[likely], probability[likely]).error
        horizons.append(
            Horizon(horizon_min, rate, *areas, *errors, int(likely.sum()), brier(label, probability), rate * (1 - rate))
        )
    return horizons


def _share(mask: BoolArray) -> float:
    return float(mask.mean()) if mask.size else float("nan")


def _mean(lead_min: FloatArray) -> float:
    known = lead_min[np.isfinite(lead_min)]
    return float(known.mean()) if known.size else float("nan")
