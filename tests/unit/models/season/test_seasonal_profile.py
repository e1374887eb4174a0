"""Seasonal profile and Prophet's bands on series whose truth is known: seasons, weekends, shifts, gaps, and honest unknowns."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.features.bands import ESTABLISHED, SeriesBands, band_at, distance, judge, words
from aiops.types import FloatArray, IntArray
from models.season.prophet_bands import MODEL as PROPHET
from models.season.prophet_bands import ProphetConfig, ProphetCourse, forecast_capacity
from models.season.seasonal_choice import fit_course_bands
from models.season.seasonal_level import last_shift, levels_after
from models.season.seasonal_profile import DAY_US, SeasonConfig, SeriesPoints, fit_bands

MONDAY_US = 1_741_564_800_000_000  # 2025-03-10T00:00Z
STEP_US = 300_000_000
CONFIG = SeasonConfig()


def times_of(days: float, start_us: int = MONDAY_US, step_us: int = STEP_US) -> IntArray:
    return start_us + np.arange(round(days * DAY_US / step_us)) * step_us


def business_day(times: IntArray, seed: int = 0, weekend: float = 1.0, noise: float = 3.0) -> FloatArray:
    """Return traffic that peaks in the afternoon, by a factor lower at weekends."""
    hour = times % DAY_US / 3.6e9
    level = np.where((times // DAY_US + 3) % 7 >= 5, weekend, 1.0)
    return level * (100 + 50 * np.sin((hour - 9) / 24 * 2 * np.pi)) + np.random.default_rng(seed).normal(0, noise, times.size)


def history(days: float, **how: float) -> SeriesPoints:
    times = times_of(days)
    return SeriesPoints("shop|orders", times, business_day(times, **how))  # type: ignore[arg-type]


def after(days: float, at_us: int, **how: float) -> tuple[IntArray, FloatArray]:
    times = times_of(days, at_us)
    return times, business_day(times, seed=99, **how)  # type: ignore[arg-type]


def covered(bands: SeriesBands, times: IntArray, value: FloatArray) -> float:
    score = judge([bands], np.zeros(times.size, np.int64), times, value).score
    assert np.isfinite(score).all()
    return float((score < 0.5).mean())


def test_a_daily_season_is_found_and_its_band_holds_and_is_narrow() -> None:
    bands = fit_bands(history(14), MONDAY_US + 14 * DAY_US, CONFIG)
    assert (bands.status, bands.model) == (ESTABLISHED, "seasonal-profile")
    times, value = after(2 - 1e-6, bands.starts_us)
    assert 0.97 <= covered(bands, times, value) <= 1.0
    expected, lower, upper = band_at(bands, times)
    truth = business_day(times, noise=0.0)
    assert np.abs(expected - truth).mean() < 2.0
    assert (upper - lower).mean() < 30.0  # 99 % of a normal of 3 are 15 wide; the values span 100
    assert bands.strength > 0.8


def test_weekends_are_apart_from_the_first_one_on() -> None:
    """Twelve days from a Monday: one weekend seen, the next one begins where the bands start."""
    bands = fit_bands(history(12, weekend=0.5), MONDAY_US + 12 * DAY_US, CONFIG)
    times, value = after(1.99, bands.starts_us, weekend=0.5)
    assert covered(bands, times, value) >= 0.95
    assert covered(bands, times, business_day(times)) < 0.4  # a working day's traffic on a Saturday


def test_a_usual_day_value_at_night_is_far_out() -> None:
    bands = fit_bands(history(10), MONDAY_US + 10 * DAY_US, CONFIG)
    night = np.array([bands.starts_us + 3 * 3_600_000_000])
    judged = judge([bands], np.zeros(1, np.int64), night, np.array([140.0]))
    assert judged.score[0] > 0.9
    assert judged.rarity[0] <= 0.001
    assert words(140.0, judged, 0).startswith("140 is above the seasonal band ")
    assert "under 0.1 % of this series' held-out history" in words(140.0, judged, 0)


@pytest.mark.parametrize("fit", [fit_bands, lambda *given: fit_course_bands(*given, ProphetCourse(ProphetConfig()))])
def test_without_a_season_the_answer_is_unknown_and_says_why(fit) -> None:  # type: ignore[no-untyped-def]
    times = times_of(10)
    noise = np.random.default_rng(1).normal(50, 5, times.size)
    at_us = MONDAY_US + 10 * DAY_US
    cases = {
        "no daily season (strength": SeriesPoints("a|b", times, noise),
        "the series never moves": SeriesPoints("a|b", times, np.full(times.size, 7.0)),
        "0.9 days of history, 3 needed": SeriesPoints("a|b", times[-259:], business_day(times[-259:])),
        "no history outside incidents": SeriesPoints("a|b", times, np.full(times.size, np.nan)),
        "a point every 3.0 h": SeriesPoints("a|b", times[::36], business_day(times[::36])),
    }
    for reason, points in cases.items():
        bands = fit(points, at_us, CONFIG)
        assert bands.status.startswith("season not established: "), bands.status
        assert reason in bands.status
        assert bands.expected.size == bands.upper.size == bands.tail.size == 0
        assert np.isnan(judge([bands], np.zeros(1, np.int64), np.array([at_us + STEP_US]), np.ones(1)).score).all()


def test_masked_incidents_leave_no_trace_in_the_band() -> None:
    calm = history(14)
    wild, masked = calm.value.copy(), calm.value.copy()
    hour = calm.time_us % DAY_US // 3_600_000_000
    struck = (hour >= 14) & (hour < 17) & (calm.time_us >= MONDAY_US + 9 * DAY_US)  # on each of the last five days
    wild[struck] += 400.0
    masked[struck] = np.nan
    at_us = MONDAY_US + 14 * DAY_US
    of_masked, of_wild, undisturbed = (
        fit_bands(replace(calm, value=value), at_us, CONFIG) for value in (masked, wild, calm.value)
    )
    afternoon = np.array([at_us + 15 * 3_600_000_000])
    highest = [float(band_at(bands, afternoon)[2][0]) for bands in (of_masked, of_wild, undisturbed)]
    assert highest[0] == pytest.approx(highest[2], rel=0.1)
    assert highest[1] > 2 * highest[2]


def test_after_a_level_shift_the_band_follows_within_a_day() -> None:
    calm = history(14)
    shifted = calm.value + np.where(calm.time_us >= MONDAY_US + 12 * DAY_US, 200.0, 0.0)
    at_us = MONDAY_US + 14 * DAY_US
    bands = fit_bands(replace(calm, value=shifted), at_us, CONFIG)
    times, _ = after(1, at_us)
    expected = band_at(bands, times)[0]
    assert np.abs(expected - business_day(times, noise=0.0) - 200.0).mean() < 10.0


def test_the_level_goes_on_from_the_last_shift_and_along_a_trend() -> None:
    rng = np.random.default_rng(0)
    quiet = rng.normal(100, 1, 14)
    assert last_shift(quiet) == 0
    shifted = np.concatenate((quiet, rng.normal(160, 1, 2)))
    assert last_shift(shifted) == 14
    assert levels_after(shifted)["of a week"] == pytest.approx(160, abs=2)
    rising = 100.0 + 3.0 * np.arange(14)
    assert levels_after(rising)["along the trend"] == pytest.approx(142, abs=4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.floats(-1e6, 1e6))
def test_what_comes_after_the_start_changes_nothing(seed: int, later: float) -> None:
    """Causal: any values from the bands' start on give the same bands, bit for bit."""
    points, at_us = history(6, seed=seed), MONDAY_US + 5 * DAY_US
    changed = replace(points, value=np.where(points.time_us >= at_us, later, points.value))
    first, second = fit_bands(points, at_us, CONFIG), fit_bands(changed, at_us, CONFIG)
    for name in ("expected", "lower", "upper", "tail"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.status == second.status == ESTABLISHED
    assert first.strength == second.strength


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([1e-6, 1e-2, 1e3, 1e9]))
def test_bands_scale_with_the_unit(seed: int, factor: float) -> None:
    points, at_us = history(8, seed=seed), MONDAY_US + 8 * DAY_US
    plain, scaled = fit_bands(points, at_us, CONFIG), fit_bands(replace(points, value=points.value * factor), at_us, CONFIG)
    np.testing.assert_allclose(scaled.expected, plain.expected * factor, rtol=1e-6)
    np.testing.assert_allclose(scaled.upper, plain.upper * factor, rtol=1e-6)


def test_gaps_and_coarse_steps_are_taken() -> None:
    points, at_us = history(12), MONDAY_US + 12 * DAY_US
    keep = np.random.default_rng(3).random(points.time_us.size) > 0.4
    gappy = SeriesPoints("a|b", points.time_us[keep], points.value[keep])
    hourly = SeriesPoints("a|b", points.time_us[::12], points.value[::12])
    for sparse in (gappy, hourly):
        bands = fit_bands(sparse, at_us, CONFIG)
        assert bands.status == ESTABLISHED
        times, value = after(1, at_us)
        assert covered(bands, times, value) > 0.9


def test_prophet_gives_a_band_that_holds_the_same_twice() -> None:
    points, at_us = history(14), MONDAY_US + 14 * DAY_US
    bands, again = (fit_course_bands(points, at_us, CONFIG, ProphetCourse(ProphetConfig())) for _ in range(2))
    assert (bands.status, bands.model) == (ESTABLISHED, PROPHET)
    np.testing.assert_array_equal(bands.upper, again.upper)
    times, value = after(1.99, at_us)
    assert covered(bands, times, value) > 0.95


def test_a_holiday_in_the_history_does_not_bend_the_next_week_where_the_country_is_known() -> None:
    """Traffic halves on Good Friday (18 April 2025); the Friday after it is as usual."""
    start_us = 1_743_379_200_000_000  # 2025-03-31, a Monday
    times = times_of(24, start_us)
    friday = (times >= start_us + 18 * DAY_US) & (times < start_us + 19 * DAY_US)
    value = business_day(times) * np.where(friday, 0.5, 1.0)
    points, at_us = SeriesPoints("shop|orders", times, value), start_us + 24 * DAY_US
    next_friday = times_of(1, at_us + DAY_US - STEP_US)
    errors = []
    for country in ("", "DE"):
        bands = fit_course_bands(points, at_us, CONFIG, ProphetCourse(ProphetConfig(country)))
        assert bands.status == ESTABLISHED, bands.status
        errors.append(np.abs(band_at(bands, next_friday)[0] - business_day(next_friday, noise=0.0)).mean())
    assert errors[1] < 0.8 * errors[0]


def test_capacity_is_forecast_with_an_interval_or_not_at_all() -> None:
    times = times_of(10, step_us=600_000_000)
    disk = 0.3 + 0.05 * (times - times[0]) / DAY_US + np.random.default_rng(0).normal(0, 0.004, times.size)
    at_us = MONDAY_US + 10 * DAY_US
    state = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]  # noqa: NPY002
    forecast = forecast_capacity(SeriesPoints("db|disk_utilization", times, disk), at_us, 1.0, 14, ProphetConfig())
    assert forecast.crosses_at is not None
    assert forecast.earliest is not None
    assert forecast.earliest <= forecast.crosses_at
    days = (forecast.crosses_at.timestamp() * 1e6 - at_us) / DAY_US
    assert 3.0 < days < 5.0  # 0.8 now, 0.05 a day
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # type: ignore[index]  # noqa: NPY002
    level = SeriesPoints("db|disk_utilization", times, np.random.default_rng(0).normal(0.3, 0.004, times.size))
    flat = forecast_capacity(level, at_us, 1.0, 14, ProphetConfig())
    assert (flat.crosses_at, flat.reason) == (None, "does not reach 1 within 14 days")


def test_the_bound_scores_half_whatever_the_side() -> None:
    far = distance(np.array([3.0, 6.0, 5.0, np.nan]), np.full(4, 5.0), np.full(4, 3.0), np.full(4, 6.0))
    np.testing.assert_array_equal(far, [1.0, 1.0, 0.0, np.nan])
    no_width = distance(np.array([5.0, 5.1]), np.full(2, 5.0), np.full(2, 5.0), np.full(2, 5.0))
    np.testing.assert_array_equal(no_width, [0.0, np.inf])


def test_an_hour_that_was_never_seen_is_unknown_and_says_so() -> None:
    points, at_us = history(10), MONDAY_US + 10 * DAY_US
    hour = points.time_us % DAY_US // 3_600_000_000
    short = fit_bands(SeriesPoints("a|b", points.time_us[hour != 3], points.value[hour != 3]), at_us, CONFIG)
    assert np.isfinite(short.expected).all()  # half an hour from what was seen, a straight line will do
    bands = fit_bands(SeriesPoints("a|b", points.time_us[hour // 2 != 1], points.value[hour // 2 != 1]), at_us, CONFIG)
    assert bands.status == ESTABLISHED
    times = at_us + np.array([3.0, 12.0]) * 3_600_000_000
    judged = judge([bands], np.zeros(2, np.int64), times.astype(np.int64), np.array([100.0, 100.0]))
    np.testing.assert_array_equal(np.isnan(judged.score), [True, False])
    assert judged.status == ("no band for this time: the history holds no such hour of such a day", ESTABLISHED)
