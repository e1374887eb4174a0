"""Rolling origin: the newest days of a series, each expected from the points before it alone, by any model of its course.

Source: Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 5.10.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from aiops.features.bands import ESTABLISHED, SeriesBands, band_at, distance, tail_of
from aiops.types import FloatArray, IntArray
from models.season.seasonal_bounds import DaySlots, bounds_of
from models.season.seasonal_profile import DAY_US, SeasonConfig, SeriesPoints, fit_bands, no_bands

HELD_OUT_DAYS: Final = 3
_LEAST_PAST_DAYS: Final = 2.0
_FLAT_DAYS: Final = (2, 7)
"""Days of which a flat course is the median."""
_LEAST_POINTS: Final = 12
"""Points that a held-out day has: one every two hours."""
_SLOT_US: Final = 1_800_000_000
_FIT_ERRORS: Final = (ValueError, ArithmeticError, LookupError, RuntimeError)
"""What libraries raise of a series that they cannot fit; `LinAlgError` is a ValueError."""


class CourseModel(Protocol):
    """Expects the course of a series from its points; immutable."""

    @property
    def name(self) -> str:
        """Return the name that bands carry."""
        ...

    def predict(self, known: SeriesPoints, times: IntArray, log: bool) -> FloatArray:
        """Return expected values (n,) at times (n,) after the points, ascending; logarithms where `log`.

        Raises:
            ValueError: the points do not suffice; other errors of libraries are `Origin`'s matter, too.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The points before a held-out day, and those of the day."""

    past: SeriesPoints
    day: SeriesPoints
    at_us: int


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """What a model expects of held-out days (a tuple of (n,), logarithms where `log`), and how long it took.

    `reason`: why it was given up, "" = it was not.
    """

    expected: tuple[FloatArray, ...]
    log: bool
    seconds: float
    reason: str


def origins_of(known: SeriesPoints, at_us: int) -> list[Origin]:
    """Return the newest held-out days that have enough points, two days before them and one in the last week; newest first."""
    origins = []
    for back in range(1, HELD_OUT_DAYS + 1):
        begin = at_us - back * DAY_US
        before, inside = known.time_us < begin, (known.time_us >= begin) & (known.time_us < begin + DAY_US)
        past, day = (SeriesPoints(known.series, known.time_us[part], known.value[part]) for part in (before, inside))
        lasting = past.time_us.size > 1 and past.time_us[-1] - past.time_us[0] >= _LEAST_PAST_DAYS * DAY_US
        recent = past.time_us.size > 0 and begin - past.time_us[-1] <= _FLAT_DAYS[-1] * DAY_US
        if lasting and recent and day.time_us.size >= _LEAST_POINTS and np.ptp(past.value) > 0:
            origins.append(Origin(past, day, begin))
    return origins


def flat_errors(origins: Sequence[Origin]) -> FloatArray:
    """Return the mean absolute error (days,) of the flat median, of the last two or seven days, whichever is better."""
    errors = []
    for origin in origins:
        ages = (origin.at_us - origin.past.time_us) / DAY_US
        flats = [origin.past.value[ages <= days] for days in _FLAT_DAYS]
        errors.append(min(float(np.mean(np.abs(origin.day.value - np.median(flat)))) for flat in flats if flat.size))
    return np.array(errors)


def profile_errors(origins: Sequence[Origin], config: SeasonConfig) -> FloatArray:
    """Return the mean absolute error (days,) of the seasonal profile; NaN where it is not established."""
    errors = []
    for origin in origins:
        bands = fit_bands(origin.past, origin.at_us, config)
        expected = band_at(bands, origin.day.time_us)[0]
        errors.append(_error(origin, expected) if bands.status == ESTABLISHED and np.isfinite(expected).any() else np.nan)
    return np.array(errors)


def attempt(model: CourseModel, origins: Sequence[Origin], to_beat: FloatArray, log: bool, most_s: float) -> Attempt:
    """Return what a model expects of held-out days, given up at the first on which its error is not below `to_beat` (days,).

    It is given up, too, once its fits have taken `most_s` seconds, for the next would not be paid for, and where a fit fails.
    """
    began, expected = time.monotonic(), []
    for origin, error in zip(origins, to_beat.tolist(), strict=True):
        if time.monotonic() - began > most_s:
            return Attempt((), log, time.monotonic() - began, f"took longer than {most_s:g} s")
        line, reason = predicted(model, origin.past, origin.day.time_us, log)
        if not reason and not _error(origin, np.exp(line) if log else line) < error:
            reason = "not better on a held-out day"
        if reason:
            return Attempt((), log, time.monotonic() - began, reason)
        expected.append(line)
    return Attempt(tuple(expected), log, time.monotonic() - began, "" if expected else "no day to test it on")


def predicted(model: CourseModel, known: SeriesPoints, times: IntArray, log: bool) -> tuple[FloatArray, str]:
    """Return what a model expects at times (n,), and "" or why it cannot."""
    try:
        expected = model.predict(known, times, log)
    except _FIT_ERRORS as error:
        return np.full(times.size, np.nan), f"cannot be fitted: {str(error)[:120]}"
    return expected, "" if np.isfinite(expected).all() else "expects no finite value"


def errors_of(origins: Sequence[Origin], tried: Attempt) -> FloatArray:
    """Return the mean absolute error (days,) of an attempt."""
    lines = zip(origins, tried.expected, strict=True)
    return np.array([_error(origin, np.exp(line) if tried.log else line) for origin, line in lines])


def bands_of(points: SeriesPoints, at_us: int, config: SeasonConfig, model: CourseModel, tried: Attempt) -> SeriesBands:
    """Return a model's bands from `at_us` on, with bounds from what it got wrong on the held-out days of an attempt."""
    known = points.before(at_us, config.history_days)
    origins = origins_of(known, at_us)
    times = at_us + np.arange(config.horizon_s // config.slot_s + 1) * (config.slot_s * 1_000_000)
    course, reason = predicted(model, known, times, tried.log)
    if reason:
        return no_bands(points.series, at_us, config, f"season not established: {model.name} {reason}", model.name)
    value, tested = np.concatenate([origin.day.value for origin in origins]), np.concatenate(tried.expected)
    slot = _slots(np.concatenate([origin.day.time_us for origin in origins]))
    bounds = bounds_of(value, tested, DaySlots(slot, DAY_US // _SLOT_US), tried.log, config.coverage)
    lines = bounds.around(tested, slot, tried.log)
    strength = 1.0 - float(np.mean(errors_of(origins, tried)) / max(float(np.mean(flat_errors(origins))), 1e-300))
    expected, lower, upper = bounds.around(course, _slots(times), tried.log)
    tail = tail_of(distance(value, *lines))
    slot_s = float(config.slot_s)
    return SeriesBands(points.series, at_us, slot_s, expected, lower, upper, tail, strength, model.name, ESTABLISHED)


def _slots(times: IntArray) -> IntArray:
    return (times % DAY_US) // _SLOT_US


def _error(origin: Origin, expected: FloatArray) -> float:
    known = np.isfinite(expected)
    return float(np.mean(np.abs(origin.day.value[known] - expected[known])))
