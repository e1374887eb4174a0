"""Which model's bands a series gets: the seasonal profile's, unless a rival foresees every held-out day clearly better.

A rival that is better on the mean of few days alone is mostly lucky: that choice lost to the profile on data that it was not made
on (ADR 0048). It has to be better on each of them, which also ends most trials after one fit.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.features.bands import ESTABLISHED, SeriesBands
from models.season.rolling_origin import (
    CourseModel,
    attempt,
    bands_of,
    errors_of,
    flat_errors,
    origins_of,
    profile_errors,
)
from models.season.seasonal_profile import SeasonConfig, SeriesPoints, fit_bands, no_bands, not_enough

BETTER: Final = 0.1
"""Share by which a rival's error must be smaller, in the geometric mean of held-out days."""
NO_TIME: Final = "the time for other models was used up"


@dataclass(frozen=True, slots=True)
class Trial:
    """One rival: `gain` = how much smaller its error was than what it had to beat (NaN = given up), and why it was not taken."""

    model: str
    gain: float
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The bands of a series, and what was tried for them besides the profile."""

    bands: SeriesBands
    trials: tuple[Trial, ...]


class FitBudget:
    """Seconds that rivals may take together, and those that one may take of one series; looked at between fits. One thread."""

    def __init__(self, seconds: float, a_series_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ends = clock() + seconds
        self._a_series_s = a_series_s
        self._clock = clock

    def left(self) -> float:
        """Return the seconds that the next rival may take; 0 = none is left."""
        return max(0.0, min(self._a_series_s, self._ends - self._clock()))


def choose_bands(
    points: SeriesPoints, at_us: int, config: SeasonConfig, rivals: Sequence[CourseModel], budget: FitBudget
) -> Choice:
    """Return the bands from `at_us` on, made from earlier points alone, by the profile or by the rival that is clearly better.

    Where the profile is not established, a rival has to beat the flat median. A rival that cannot be fitted is left out.
    """
    return choose_beside(fit_bands(points, at_us, config), points, config, rivals, budget)


def choose_beside(
    profile: SeriesBands, points: SeriesPoints, config: SeasonConfig, rivals: Sequence[CourseModel], budget: FitBudget
) -> Choice:
    """Return the choice between the profile's bands and rivals'."""
    at_us = profile.starts_us
    known = points.before(at_us, config.history_days)
    origins = origins_of(known, at_us) if rivals and not not_enough(known, config) else []
    if len(origins) < 2:
        return Choice(profile, ())
    flat = flat_errors(origins)
    own = profile_errors(origins, config) if profile.status == ESTABLISHED else np.full(len(origins), np.nan)
    to_beat = np.where(np.isfinite(own), own, flat)
    log = bool((known.value > 0).all())
    trials, best, least = [], None, BETTER
    for model in rivals:
        if not budget.left():
            trials.append(Trial(model.name, float("nan"), 0.0, NO_TIME))
            continue
        tried = attempt(model, origins, to_beat, log, budget.left())
        gain = float("nan") if tried.reason else 1.0 - float(np.exp(np.mean(np.log(errors_of(origins, tried) / to_beat))))
        reason = tried.reason or ("" if gain > least else f"better by {gain:.0%} only")
        trials.append(Trial(model.name, gain, tried.seconds, reason))
        if not reason:
            best, least = (model, tried), gain
    bands = bands_of(points, at_us, config, *best) if best else profile
    return Choice(bands if bands.status == ESTABLISHED else profile, tuple(trials))


def fit_course_bands(points: SeriesPoints, at_us: int, config: SeasonConfig, model: CourseModel) -> SeriesBands:
    """Return the bands of one model alone; where it does not beat the flat median on held-out days, the status says so."""
    known = points.before(at_us, config.history_days)
    reason = not_enough(known, config)
    origins = [] if reason else origins_of(known, at_us)
    if reason or not origins:
        return no_bands(points.series, at_us, config, reason or "season not established: no day to test it on", model.name)
    log = bool((known.value > 0).all())
    tried = attempt(model, origins, np.full(len(origins), np.inf), log, float("inf"))
    if tried.reason:
        return no_bands(points.series, at_us, config, f"season not established: {model.name} {tried.reason}", model.name)
    bands = bands_of(points, at_us, config, model, tried)
    if bands.status == ESTABLISHED and bands.strength < config.min_strength:
        needed = f"(strength {bands.strength:.2f}, {config.min_strength:g} needed)"
        return bands.without_band(f"season not established: no daily season {needed}")
    return bands
