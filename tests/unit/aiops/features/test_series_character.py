"""The character of a series: strength of its season, gaps, noise, range; nothing is claimed from too little."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.features.series_character import DAY_US, SLOT_US, SeriesCharacter, character_rows, characters_of, measure, rarity
from tests.testing.series_names import named
from tests.testing.stream_harness import START

STEP_US = 300_000_000
RNG = np.random.default_rng(4)


def series(days: float, amplitude: float, noise: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return five-minute points of a daily sine of that amplitude around 100, with normal noise."""
    times = np.arange(int(days * DAY_US / STEP_US), dtype=np.int64) * STEP_US
    rng = np.random.default_rng(seed)
    season = amplitude * np.sin(2 * np.pi * times / DAY_US)
    return times, 100 + season + noise * rng.standard_normal(times.size)


def test_a_clear_season_is_strong_and_pure_noise_has_none() -> None:
    assert measure(*series(7, 20, 1)).seasonality > 0.95
    for seed in range(5):
        assert measure(*series(2, 0, 1, seed)).seasonality < 0.02, "two days must not explain each other's noise"


def test_noise_takes_its_share_of_the_strength() -> None:
    times, values = series(14, 10, 10 / np.sqrt(2))
    assert measure(times, values).seasonality == pytest.approx(0.5, abs=0.05)


def test_an_incident_hides_no_season_and_makes_none() -> None:
    times, values = series(7, 20, 1)
    values[1000:1012] += 2000
    assert measure(times, values).seasonality > 0.6
    times, values = series(7, 0, 1)
    values[1000:1012] += 2000
    assert measure(times, values).seasonality < 0.05


@pytest.mark.parametrize("days", [0.5, 1.0, 1.9])
def test_under_two_days_nothing_is_said_of_the_season(days: float) -> None:
    assert np.isnan(measure(*series(days, 20, 1)).seasonality)


def test_days_with_too_few_points_do_not_count() -> None:
    times, values = series(3, 20, 1)
    kept = (times // SLOT_US % 24 < 6) | (times >= 2 * DAY_US)
    assert np.isnan(measure(times[kept], values[kept]).seasonality)


def test_a_step_over_an_hour_shows_no_course_of_a_day() -> None:
    times = np.arange(100, dtype=np.int64) * 2 * SLOT_US
    assert np.isnan(measure(times, np.sin(times / 1e9)).seasonality)


def test_a_constant_series_has_no_season_no_noise_and_no_gaps() -> None:
    measured = measure(np.arange(1000, dtype=np.int64) * STEP_US, np.full(1000, 5.0))
    assert (measured.seasonality, measured.noise, measured.intermittence, measured.step_s) == (0.0, 0.0, 0.0, 300.0)


def test_zeros_and_gaps_are_intermittence() -> None:
    times = np.arange(100, dtype=np.int64) * STEP_US
    values = np.ones(100)
    values[10:40] = 0
    kept = np.ones(100, dtype=bool)
    kept[50:70] = False
    assert measure(times, values).intermittence == pytest.approx(0.3)
    assert measure(times[kept], values[kept]).intermittence == pytest.approx(0.5)


def test_noise_is_the_spread_from_point_to_point_over_the_level() -> None:
    assert measure(*series(7, 20, 5)).noise == pytest.approx(0.05, abs=0.01), "the season moves slowly and is no noise"
    assert np.isnan(measure(np.arange(9, dtype=np.int64), np.zeros(9)).noise)


def test_no_points_and_one_point_say_nothing() -> None:
    none = measure(np.empty(0, np.int64), np.empty(0))
    assert none.points == 0
    assert np.isnan([none.seasonality, none.intermittence, none.noise, none.highest]).all()
    single = measure(np.zeros(1, np.int64), np.ones(1))
    assert np.isnan([single.step_s, single.seasonality, single.intermittence, single.noise]).all()
    assert single.highest == single.lowest == 1.0
    assert rarity(1.0, none) == ""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2000.0, "higher than all of its last 2,000 points"),
        (-1.0, "lower than all of its last 2,000 points"),
        (1998.5, "higher than all but 0.1 % of its last 2,000 points"),
        (0.5, "lower than all but 0.1 % of its last 2,000 points"),
        (1990.0, "higher than all but 1 % of its last 2,000 points"),
        (9.0, "lower than all but 1 % of its last 2,000 points"),
        (1000.0, "within the usual range of its last 2,000 points"),
        (float("nan"), ""),
    ],
)
def test_rarity_counts_points_of_the_history(value: float, words: str) -> None:
    history = RNG.permutation(2000).astype(float)
    assert rarity(value, measure(np.arange(2000, dtype=np.int64) * STEP_US, history)) == words


def test_few_points_support_no_small_shares() -> None:
    measured = measure(np.arange(50, dtype=np.int64) * STEP_US, np.arange(50.0))
    assert rarity(48.99, measured) == "within the usual range of its last 50 points"


values = st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=60)


@given(values, st.floats(-2e9, 2e9))
def test_what_the_words_claim_is_true_of_the_points(history: list[float], value: float) -> None:
    points = np.array(history)
    said = rarity(value, measure(np.arange(points.size, dtype=np.int64) * STEP_US, points))
    assert ("higher than all of" in said) == bool((points < value).all())
    assert ("lower than all of" in said) == bool((points > value).all())


@given(values)
def test_measuring_is_deterministic_and_bounded(history: list[float]) -> None:
    points = np.array(history)
    times = np.arange(points.size, dtype=np.int64) * SLOT_US
    measured = measure(times, points)
    assert repr(measured) == repr(measure(times.copy(), points.copy()))
    for share in (measured.seasonality, measured.intermittence):
        assert np.isnan(share) or 0.0 <= share <= 1.0


def test_rows_and_back() -> None:
    cart, ann = named("cart|cpu"), named('ann|x{a="b"}')
    characters = {cart: measure(*series(7, 20, 1)), ann: SeriesCharacter(0, *[float("nan")] * 10)}
    rows = character_rows(START, characters)
    assert rows.column("service").to_pylist() == ["ann", "cart"]
    assert rows.column("seasonality").to_pylist()[0] is None
    back = characters_of(rows)
    assert repr(back) == repr({ann: characters[ann], cart: characters[cart]})
