"""What scores of multivariate units are worth: average precision by points, events at one threshold, no point adjustment.

An event is seen when a row at or above the threshold lies in it. Alarm rows are one episode over gaps of at most `GAP_ROWS`; an
episode that touches no event is a false one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.types import FloatArray, IntArray

GAP_ROWS: Final = 12
_CANDIDATES: Final = 120


@dataclass(frozen=True, slots=True, eq=False)
class JudgedUnit:
    """The test part of one unit: `score` (rows,), NaN = unknown; `events` (k, 2) first row and the row after the last."""

    score: FloatArray
    events: IntArray
    days: float

    def ranked(self) -> FloatArray:
        """Return the scores with unknown ones lowest."""
        return np.where(np.isnan(self.score), -np.inf, self.score)

    def labels(self) -> npt.NDArray[np.bool_]:
        """Return (rows,) whether a row lies in an event."""
        labels = np.zeros(len(self.score), np.bool_)
        for begin, end in self.events.tolist():
            labels[begin:end] = True
        return labels


@dataclass(frozen=True, slots=True)
class EventFigures:
    """Events of several units at one threshold; `delay_rows` = median from an event's start to its first alarm row."""

    recall: float
    precision: float
    f1: float
    false_per_day: float
    delay_rows: float


def average_precision(score: FloatArray, labels: npt.NDArray[np.bool_]) -> float:
    """Return the area under the point-wise precision-recall curve; ties share a step.

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
    0.8333333333333333
    """
    order = np.argsort(-score, kind="stable")
    ordered, right = score[order], np.cumsum(labels[order])
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(score) - 1)
    precision, recall = right[last] / (last + 1.0), right[last] / max(1, int(labels.sum()))
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def event_figures(units: Sequence[JudgedUnit], threshold: float) -> EventFigures:
    """Return what alarms (score >= threshold) of several units are worth together."""
    seen = events = true = episodes = 0
    delays: list[int] = []
    for unit in units:
        alarm = unit.ranked() >= threshold
        spans = _episodes(alarm)
        first = [np.flatnonzero(alarm[begin:end]) for begin, end in unit.events.tolist()]
        delays += [int(rows[0]) for rows in first if rows.size]
        seen, events = seen + sum(rows.size > 0 for rows in first), events + len(first)
        touching = [any(a < end and begin < b for begin, end in unit.events.tolist()) for a, b in spans]
        true, episodes = true + sum(touching), episodes + len(spans)
    recall, precision = seen / max(1, events), true / max(1, episodes)
    days = sum(unit.days for unit in units)
    f1 = 2.0 * recall * precision / max(recall + precision, 1e-12)
    delay = float(np.median(delays)) if delays else float("nan")
    return EventFigures(recall, precision, f1, (episodes - true) / max(days, 1e-9), delay)


def best_figures(units: Sequence[JudgedUnit]) -> EventFigures:
    """Return the figures at the threshold with the best F1 on these very units: kind to a rule without a threshold."""
    known = np.concatenate([unit.score[~np.isnan(unit.score)] for unit in units])
    shares = np.concatenate([np.linspace(0.5, 0.99, 40), 1.0 - np.geomspace(0.01, 1e-5, _CANDIDATES - 40)])
    thresholds = np.unique(np.quantile(known, shares))
    return max((event_figures(units, float(threshold)) for threshold in thresholds), key=lambda figures: figures.f1)


def _episodes(alarm: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    rows = np.flatnonzero(alarm)
    if not rows.size:
        return []
    cuts = np.flatnonzero(np.diff(rows) > GAP_ROWS)
    begins, ends = np.append(rows[0], rows[cuts + 1]), np.append(rows[cuts], rows[-1]) + 1
    return list(zip(begins.tolist(), ends.tolist(), strict=True))
