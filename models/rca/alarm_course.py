"""How what alerted went: how far it strayed at most and now, what is left of it, how long it lasted.

A false alarm lets go by itself, and nobody notices it. Looked at are resources, latency and errors of the alerted services and of
the likeliest cause; latency and errors of all candidates say what users notice. Steps are smoothed by a running median of up to
three minutes, so that one wild step is neither peak nor end.
"""

from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.types import FloatArray
from data_contracts.schemas.metrics import spec_of
from models.rca.baseline import medians_of
from models.rca.grid import SeriesGrid
from models.rca.inputs import step_s
from models.rca.ranking import BEYOND, MOST
from models.rca.signals import is_call
from models.rca.timing import STRAYED
from models.rca.weighing import Frame

SMOOTHED_MIN: Final = 3
"""Minutes, and steps, that a running median reaches over at most."""
MOST_RISE: Final = 2.0
LEAST_PEAK: Final = 0.7
"""Log excess below which a peak counts as this much: noise has no peak that could be left."""


@dataclass(frozen=True, slots=True)
class AlarmCourse:
    """Of the alerted services and the likeliest cause, if not said otherwise; excesses are log(1 + spreads beyond the bound).

    `peak`, `now`: of any resource, latency or errors; `resource_peak`, `users_peak` (latency, errors): of these alone. `left`:
    share, 0..1, of its peak at which the loudest series is now; `users_left`: what latency and errors have left of theirs;
    `widest_left`: that of the loudest latency or errors of any candidate. `rise`: by how much the excess grew over the last two
    spans of smoothing. `resource_min`: log(1 + minutes for which a resource strayed). `alerted`: log(1 + alerted services).
    """

    peak: float
    now: float
    resource_peak: float
    users_peak: float
    left: float
    users_left: float
    widest_left: float
    rise: float
    resource_min: float
    alerted: float

    def vector(self) -> FloatArray:
        """Return what is weighed, in the order of `CourseWeights`."""
        return np.array(astuple(self))


@dataclass(frozen=True, slots=True)
class CourseWeights:
    """Weights of `AlarmCourse` for "nothing began", and their constant."""

    peak: float
    now: float
    resource_peak: float
    users_peak: float
    left: float
    users_left: float
    widest_left: float
    rise: float
    resource_min: float
    alerted: float
    constant: float


NOTHING: Final = CourseWeights(-1.126, -0.455, 1.777, -0.902, -2.692, 0.283, -0.677, 0.377, -0.16, -3.031, 3.556)
"""Fitted by `aiops bench rca-calibration --refit` on its fit seeds, after each of its waits, incidents of minutes among them."""
MOST_SURE: Final = 6.0
"""Log odds beyond which more says no more: a few thousand alarms were fitted to."""
FALSE_FROM: Final = 0.5
"""Probability of "nothing began" from which an alarm is called false. On seeds 25 to 40 at most .014 of the true ones are."""


def log_odds_of_nothing(course: AlarmCourse, weights: CourseWeights = NOTHING) -> float:
    """Return the log odds that nothing began, by metrics alone; never surer than alarms on simulated seeds can show."""
    odds = float(course.vector() @ np.array(astuple(weights)[:-1])) + weights.constant
    return max(-MOST_SURE, min(MOST_SURE, odds))


def course_of(frame: Frame, likeliest: str) -> AlarmCourse:
    """Return how an alarm went until now. O(steps x series)."""
    focus = frozenset((*frame.alerted, likeliest))
    deviations = _Deviations.of(frame)
    near = np.array([service in focus for service in deviations.services], dtype=np.bool_)
    users, resources = ~deviations.is_resource, deviations.is_resource
    all_near, users_near = deviations.excess(near), deviations.excess(near & users)
    return AlarmCourse(
        peak=all_near.peak,
        now=all_near.now,
        resource_peak=deviations.excess(near & resources).peak,
        users_peak=users_near.peak,
        left=deviations.left_of_loudest(near),
        users_left=min(1.0, users_near.now / max(users_near.peak, LEAST_PEAK)),
        widest_left=deviations.left_of_loudest(users),
        rise=float(np.clip(all_near.now - all_near.before, -MOST_RISE, MOST_RISE)),
        resource_min=deviations.strayed_min(near & resources),
        alerted=float(np.log1p(len(frame.alerted))),
    )


@dataclass(frozen=True, slots=True)
class _Excess:
    """The greatest log excess of some series: at most, now, and two spans of smoothing ago."""

    peak: float
    now: float
    before: float


@dataclass(frozen=True, slots=True, eq=False)
class _Deviations:
    """Smoothed deviations (steps, series) in spreads, and of each series its service and whether it is a resource."""

    services: tuple[str, ...]
    is_resource: npt.NDArray[np.bool_]
    spreads: FloatArray
    step_min: float
    span: int

    @classmethod
    def of(cls, frame: Frame) -> "_Deviations":
        window, ranker, candidates = frame.window, frame.ranker, frozenset((*frame.services, *frame.alerted))
        signals = [spec_of(metric).signal for _, metric in window.series]
        chosen = [
            number
            for number, (service, metric) in enumerate(window.series)
            if service in candidates
            and signals[number] in ("latency", "errors", "saturation")
            and (service, metric) in ranker.baseline
            and not is_call(metric)
        ]
        series = [window.series[number] for number in chosen]
        level, width = (np.array([known[name] for name in series]) for known in (ranker.baseline, ranker.width))
        away = np.clip((window.values[:, chosen] - level) / width, -MOST, MOST)
        step_min = _step_min(window)
        span = max(1, min(SMOOTHED_MIN, round(SMOOTHED_MIN / step_min)))
        is_resource = np.array([signals[number] == "saturation" for number in chosen], dtype=np.bool_)
        return cls(tuple(service for service, _ in series), is_resource, _smoothed(away, span), step_min, span)

    def excess(self, chosen: npt.NDArray[np.bool_]) -> _Excess:
        """Return the greatest log excess of the chosen series; 0 where there is none."""
        rows = _log_excess(self.spreads[:, chosen]).max(axis=1, initial=0.0)
        if not rows.size:
            return _Excess(0.0, 0.0, 0.0)
        before = rows[-2 * self.span - 1] if rows.size > 2 * self.span else rows[0]
        return _Excess(float(rows.max()), float(rows[-1]), float(before))

    def left_of_loudest(self, chosen: npt.NDArray[np.bool_]) -> float:
        """Return at which share of its peak the loudest of the chosen series is now."""
        spreads = self.spreads[:, chosen]
        if not spreads.size:
            return 0.0
        peaks = np.maximum(spreads.max(axis=0), 0.0)
        loudest = int(peaks.argmax())
        return float(max(spreads[-1, loudest], 0.0) / max(peaks[loudest], BEYOND))

    def strayed_min(self, chosen: npt.NDArray[np.bool_]) -> float:
        """Return log(1 + minutes) for which one of the chosen series strayed."""
        return float(np.log1p(self.step_min * (self.spreads[:, chosen] > STRAYED).any(axis=1).sum()))


def _step_min(window: SeriesGrid) -> float:
    seconds = step_s(window)
    return seconds / 60.0 if np.isfinite(seconds) else 1.0


def _log_excess(spreads: FloatArray) -> FloatArray:
    excess: FloatArray = np.log1p(np.maximum(0.0, spreads - BEYOND))
    return excess


def _smoothed(away: FloatArray, span: int) -> FloatArray:
    """Return running medians of the known values of the last `span` steps; 0 where none is; the first steps as they are."""
    steps, count = away.shape
    smoothed = away.copy()
    if span > 1 and steps >= span:
        layers = np.stack([away[first : steps - span + 1 + first] for first in range(span)])
        smoothed[span - 1 :] = medians_of(layers.reshape(span, -1)).reshape(-1, count)
    return np.nan_to_num(smoothed)
