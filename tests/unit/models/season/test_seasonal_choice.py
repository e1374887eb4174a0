"""Choice by rolling origin: the profile stays unless a rival is better on every held-out day; what fails is left out."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from aiops.features.bands import ESTABLISHED, SeriesBands, band_at, judge
from aiops.types import FloatArray, IntArray
from models.season.arima_courses import ArimaCourse, MstlCourse
from models.season.rolling_origin import CourseModel, flat_errors, origins_of
from models.season.seasonal_choice import NO_TIME, FitBudget, choose_bands, fit_course_bands
from models.season.seasonal_profile import DAY_US, SeasonConfig, SeriesPoints

MONDAY_US = 1_741_564_800_000_000
STEP_US = 600_000_000
CONFIG = SeasonConfig(coverage=0.95)
AT_US = MONDAY_US + 14 * DAY_US
ENOUGH = FitBudget(1e6, 1e6)


def truth(times: IntArray) -> FloatArray:
    """Return traffic with a day's season."""
    return 100.0 + 40.0 * np.sin(times / DAY_US * 2 * np.pi)


def wandering(seed: int = 0) -> SeriesPoints:
    """Return a level that wanders with the hours and has no season."""
    times = MONDAY_US + np.arange(15 * 144) * STEP_US
    steps = np.random.default_rng(seed).normal(0, 1, times.size)
    value = np.empty(times.size)
    level = 0.0
    for place, step in enumerate(steps.tolist()):
        level = 0.998 * level + step
        value[place] = 50.0 + level
    return SeriesPoints("db|memory", times, value)


def seasonal(seed: int = 0, noise: float = 6.0) -> SeriesPoints:
    times = MONDAY_US + np.arange(15 * 144) * STEP_US
    return SeriesPoints("web|requests", times, truth(times) + np.random.default_rng(seed).normal(0, noise, times.size))


@dataclass(frozen=True)
class Oracle:
    """Knows the truth; `off` is added on the days of `bad` (number of days before the bands)."""

    name: str = "oracle"
    off: float = 0.0
    bad: tuple[int, ...] = ()

    def predict(self, known: SeriesPoints, times: IntArray, log: bool) -> FloatArray:
        back = (AT_US - int(times[0])) // DAY_US + 1
        line = truth(times) + (self.off if back in self.bad else 0.0)
        return np.log(line) if log else line


@dataclass(frozen=True)
class Failing:
    """Fails as libraries do, or answers with what is no number."""

    error: Exception | None
    name: str = "failing"

    def predict(self, known: SeriesPoints, times: IntArray, log: bool) -> FloatArray:
        if self.error is not None:
            raise self.error
        return np.full(times.size, np.nan)


def covered(bands: SeriesBands, points: SeriesPoints) -> float:
    day = (points.time_us >= AT_US) & (points.time_us < AT_US + DAY_US)
    score = judge([bands], np.zeros(day.sum(), np.int64), points.time_us[day], points.value[day]).score
    return float((score < 0.5).mean())


def test_held_out_days_are_the_newest_and_only_what_is_before_each_is_known() -> None:
    origins = origins_of(seasonal().before(AT_US, 28), AT_US)
    assert [origin.at_us for origin in origins] == [AT_US - back * DAY_US for back in (1, 2, 3)]
    for origin in origins:
        assert origin.past.time_us.max() < origin.at_us <= origin.day.time_us.min()
        assert origin.day.time_us.max() < origin.at_us + DAY_US


def test_a_rival_that_is_no_better_on_one_of_the_days_is_not_taken() -> None:
    noisy = seasonal(noise=1.0)
    stepped = replace(noisy, value=noisy.value + np.random.default_rng(9).normal(0, 25, 15).repeat(144))  # levels of days
    lucky, steady = (choose_bands(stepped, AT_US, CONFIG, [rival], ENOUGH) for rival in (Oracle(bad=(2,), off=500.0), Oracle()))
    assert lucky.bands.model == "seasonal-profile"
    assert lucky.trials[0].reason == "not better on a held-out day"
    assert np.isnan(lucky.trials[0].gain)
    assert steady.trials[0].reason in ("", "not better on a held-out day")


def test_a_model_that_is_clearly_better_is_taken_and_its_bounds_hold() -> None:
    points = wandering()
    choice = choose_bands(points, AT_US, CONFIG, [ArimaCourse()], ENOUGH)
    (trial,) = choice.trials
    assert trial.model == "auto-arima"
    assert trial.seconds > 0
    if not trial.reason:
        assert (choice.bands.model, choice.bands.status) == ("auto-arima", ESTABLISHED)
        assert trial.gain > 0.1
    other = SeriesPoints("x|y", points.time_us, truth(points.time_us) * (1.0 + 0.2 * np.sin(points.time_us / DAY_US)))
    taken = choose_bands(other, AT_US, CONFIG, [_Known(other)], ENOUGH)
    assert (taken.bands.model, taken.bands.status, taken.trials[0].reason) == ("known", ESTABLISHED, "")
    assert covered(taken.bands, other) == 1.0


@dataclass(frozen=True)
class _Known:
    """Knows what comes."""

    points: SeriesPoints
    name: str = "known"

    def predict(self, known: SeriesPoints, times: IntArray, log: bool) -> FloatArray:
        line = np.interp(times, self.points.time_us, self.points.value)
        return np.log(line) if log else line


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("too few"), "cannot be fitted: too few"),
        (ZeroDivisionError("x"), "cannot be fitted: x"),
        (np.linalg.LinAlgError("singular"), "cannot be fitted: singular"),
        (RuntimeError("no convergence"), "cannot be fitted: no convergence"),
        (None, "expects no finite value"),
    ],
)
def test_a_model_that_fails_on_a_series_leaves_the_profile_and_a_reason(error: Exception | None, reason: str) -> None:
    rivals: list[CourseModel] = [Failing(error), Oracle()]
    choice = choose_bands(seasonal(), AT_US, CONFIG, rivals, ENOUGH)
    assert choice.bands.status == ESTABLISHED
    assert choice.trials[0].reason == reason
    assert len(choice.trials) == 2


def test_time_is_bounded_for_a_series_and_for_all_of_them() -> None:
    now = [0.0]
    budget = FitBudget(10.0, 4.0, clock=lambda: now[0])
    assert budget.left() == 4.0
    now[0] = 8.0
    assert budget.left() == 2.0
    now[0] = 11.0
    assert budget.left() == 0.0
    choice = choose_bands(seasonal(), AT_US, CONFIG, [Oracle()], budget)
    assert (choice.bands.model, choice.trials[0].reason) == ("seasonal-profile", NO_TIME)


@pytest.mark.parametrize("model", [MstlCourse(), ArimaCourse()])
def test_the_arima_family_foresees_a_season_the_same_twice_and_from_the_past_alone(model: CourseModel) -> None:
    points = seasonal()
    later = replace(points, value=np.where(points.time_us >= AT_US, 1e6, points.value))
    bands, again = (fit_course_bands(series, AT_US, CONFIG, model) for series in (points, later))
    assert (bands.status, bands.model) == (ESTABLISHED, model.name)
    np.testing.assert_array_equal(bands.expected, again.expected)
    np.testing.assert_array_equal(bands.upper, again.upper)
    times = points.time_us[points.time_us >= AT_US]
    assert np.abs(band_at(bands, times)[0] - truth(times)).mean() < 6.0
    assert covered(bands, points) > 0.85


def test_gaps_that_are_too_wide_are_a_reason() -> None:
    points = seasonal()
    hours = (points.time_us // 3_600_000_000) % 24
    day_only = replace(points, value=np.where((hours >= 8) & (hours < 18), points.value, np.nan))
    bands = fit_course_bands(day_only, AT_US, CONFIG, ArimaCourse())
    assert "hours have points" in bands.status
    assert bands.expected.size == 0


def test_a_week_without_a_point_before_a_held_out_day_is_no_reason_to_fail() -> None:
    early = seasonal()
    times = np.where(early.time_us < MONDAY_US + 4 * DAY_US, early.time_us, early.time_us + 9 * DAY_US)
    seen = SeriesPoints("web|requests", times, early.value)
    at_us = MONDAY_US + 15 * DAY_US
    known = SeriesPoints(seen.series, times[times < at_us], seen.value[times < at_us])
    assert flat_errors(origins_of(known, at_us)).shape == (1,)
    assert [origin.at_us for origin in origins_of(known, at_us)] == [MONDAY_US + 14 * DAY_US], "the day before it is known, too"
