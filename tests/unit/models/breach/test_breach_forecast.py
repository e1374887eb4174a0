"""Breach forecasting: what a breach is, what the kernels count, and that the forecast learns what can be foreseen."""

import numpy as np
import pytest

from aiops.errors import ModelError, TrainingImpossible
from aiops.types import FloatArray
from models.breach.breach_features import NAMES, WARM_UP, breach_features, passage_log_odds, reference_of
from models.breach.breach_forecast import BreachForecast, ForecastConfig, SeriesHistory, learned_limit
from models.breach.breach_kernels import (
    Season,
    breaches_of,
    coming_max,
    fit_slope,
    labels_of,
    previous_period,
    recent_rate,
    renewal,
    rolling_max,
    rolling_mean,
    rows_since,
    seasonal,
)
from models.evaluation.measures import average_precision

STEP_S = 300.0
HORIZON = 12


def times(rows: int) -> FloatArray:
    return np.asarray(1.7e9 + STEP_S * np.arange(rows), dtype=np.float64)


def nightly(seed: int, rows: int = 3_000, scale: float = 1.0) -> SeriesHistory:
    """Noise with a job of three rows at the same time of each day, high enough to be the limit's cause."""
    value = np.random.default_rng(seed).normal(0.0, 1.0, rows)
    for lag in range(3):
        value[100 + seed * 17 + lag :: 288] += 8.0
    return SeriesHistory(scale * (50.0 + value), times(rows))


@pytest.fixture(scope="module")
def forecast() -> BreachForecast:
    return BreachForecast.fit([nightly(seed) for seed in range(4)], ForecastConfig())


def test_a_breach_starts_after_calm_and_is_labelled_before_it() -> None:
    above = np.zeros(60, np.bool_)
    above[[20, 22, 40]] = True
    calm, start = breaches_of(above, HORIZON)
    assert np.flatnonzero(start).tolist() == [20, 40]
    assert np.flatnonzero(~calm).tolist() == [*range(20, 34), *range(40, 52)]
    assert np.flatnonzero(labels_of(start, HORIZON)).tolist() == [*range(8, 20), *range(28, 40)]


def test_the_first_row_starts_no_breach() -> None:
    assert not breaches_of(np.ones(30, np.bool_), HORIZON)[1].any()


@pytest.mark.parametrize("window", [1, 3, 12])
def test_rolling_figures_are_those_of_the_window(window: int) -> None:
    value = np.random.default_rng(3).normal(size=50)
    windows = [value[max(0, t + 1 - window) : t + 1] for t in range(50)]
    np.testing.assert_allclose(rolling_mean(value, window), [part.mean() for part in windows], atol=1e-12)
    assert rolling_max(value, window).tolist() == [part.max() for part in windows]


def test_slope_is_that_of_least_squares() -> None:
    value = np.random.default_rng(3).normal(size=40)
    slope = fit_slope(value, 12)
    assert np.isnan(slope[:11]).all()
    assert slope[30] == pytest.approx(np.polyfit(np.arange(12), value[19:31], 1)[0])


def test_rows_since_an_event() -> None:
    assert rows_since(np.array([False, True, False, False, True]))[1:].tolist() == [0, 1, 2, 0]
    assert np.isnan(rows_since(np.array([False]))[0])


def test_a_rhythm_raises_the_hazard_when_its_time_has_come() -> None:
    start = np.zeros(1_000, np.bool_)
    start[50::100] = True
    hazard, survivors = renewal(start, HORIZON)
    assert np.isnan(hazard[:150]).all()
    assert hazard[940] > 0.7
    assert hazard[910] < 0.1
    assert survivors[910] == 1.0


def test_the_recent_rate_moves_from_the_prior_to_what_is_seen() -> None:
    label, calm = np.ones(2_000), np.ones(2_000, np.bool_)
    rate = recent_rate(label, calm, HORIZON, 600.0, 0.05)
    assert (rate[:HORIZON] == 0.05).all()
    assert 0.8 < rate[-1] < 1.0
    assert (np.diff(rate[HORIZON:]) > 0).all()


def test_a_season_of_breaches_is_known_after_a_few_days() -> None:
    rows = 288 * 8
    above = np.zeros(rows, np.bool_)
    above[200::288] = True
    calm, start = breaches_of(above, HORIZON)
    label, ahead = labels_of(start, HORIZON), coming_max(above.astype(np.float64), HORIZON)
    rate, level = seasonal(label, calm, ahead, times(rows) - times(1)[0], Season(HORIZON, 86_400.0))
    before, elsewhere = 288 * 7 + 194, 288 * 7 + 50
    assert rate[before] > 1.0
    assert rate[elsewhere] < 0.0
    assert level[before] > 0.5 > level[elsewhere] == 0.0
    ago = previous_period(ahead, times(rows), HORIZON, 86_400.0)
    assert ago[before] == 1.0
    assert np.isnan(ago[:288]).all()


def test_a_walk_that_drifts_to_the_limit_is_the_more_likely_to_pass_it() -> None:
    gap = np.full(300, -1.0) + 0.05 * np.random.default_rng(1).normal(size=300)
    still, rising = passage_log_odds(gap, np.zeros(300), HORIZON), passage_log_odds(gap, np.full(300, 0.08), HORIZON)
    assert still[-1] < rising[-1]
    assert passage_log_odds(np.zeros(300), np.zeros(300), HORIZON)[-1] > 0
    extreme = passage_log_odds(np.where(np.arange(300) % 2, 5.0, -5.0), np.full(300, 9.0), HORIZON)
    assert np.isfinite(extreme).all()


def test_the_forecast_foresees_what_comes_every_night(forecast: BreachForecast) -> None:
    """On a series that it was not fitted to."""
    history = nightly(9)
    fitted = 1_800
    reference = reference_of(history.value[:fitted], learned_limit(history.value[:fitted], 0.98), HORIZON)
    score = forecast.score(history, reference)
    calm, start = breaches_of(history.value > reference.limit, HORIZON)
    rows = fitted + np.flatnonzero(calm[fitted : 3_000 - HORIZON])
    label = labels_of(start, HORIZON)[rows]
    assert label.mean() < 0.35
    assert average_precision(label, score[rows]) > label.mean() + 0.2
    assert abs(float(score[rows].mean()) - label.mean()) < 0.1


def test_the_first_rows_are_unknown(forecast: BreachForecast) -> None:
    history = nightly(1)
    score = forecast.score(history, reference_of(history.value, 56.0, HORIZON))
    assert np.isnan(score[:WARM_UP]).all()
    assert ((score[WARM_UP:] > 0) & (score[WARM_UP:] < 1)).all()


def test_fitting_twice_gives_the_same_scores(forecast: BreachForecast) -> None:
    again = BreachForecast.fit([nightly(seed) for seed in range(4)], ForecastConfig())
    history = nightly(7)
    reference = reference_of(history.value, 56.0, HORIZON)
    np.testing.assert_array_equal(again.score(history, reference), forecast.score(history, reference))


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**30])
def test_the_unit_of_a_series_does_not_matter(forecast: BreachForecast, scale: float) -> None:
    plain, scaled = nightly(5), nightly(5, scale=scale)
    expected = forecast.score(plain, reference_of(plain.value, 56.0, HORIZON))
    np.testing.assert_allclose(forecast.score(scaled, reference_of(scaled.value, 56.0 * scale, HORIZON)), expected, rtol=1e-4)


def test_a_limit_never_reached_is_forecast_by_drift_and_spread(forecast: BreachForecast) -> None:
    rows = 600
    noise = np.random.default_rng(2).normal(0.0, 0.2, rows)
    flat, filling = SeriesHistory(50.0 + noise, times(rows)), SeriesHistory(np.linspace(0.0, 99.0, rows) + noise, times(rows))
    reference = [reference_of(history.value, 100.0, HORIZON) for history in (flat, filling)]
    assert not any(history.reached for history in reference)
    low, high = (forecast.score(history, known)[-1] for history, known in zip((flat, filling), reference, strict=True))
    assert low < high


def test_contributions_add_up_to_the_score(forecast: BreachForecast) -> None:
    history = nightly(3)
    reference = reference_of(history.value, 56.0, HORIZON)
    rows = breach_features(history.value, history.time_s, reference, HORIZON)
    score = forecast.score_rows(rows, reference)[-200:]
    rest = np.log(score / (1 - score)) - forecast.explain(rows[-200:]).sum(axis=1)
    assert rest.std() < 1e-4


@pytest.mark.parametrize("value", [np.full(500, 3.0), np.arange(500.0), np.zeros(500)])
def test_constant_and_odd_series_give_known_probabilities(forecast: BreachForecast, value: FloatArray) -> None:
    history = SeriesHistory(value, np.zeros(500))
    reference = reference_of(value, float(value.max()), HORIZON)
    assert np.isfinite(forecast.score(history, reference)[WARM_UP:]).all()


def test_an_empty_series_gives_no_score(forecast: BreachForecast) -> None:
    reference = reference_of(nightly(1).value, 56.0, HORIZON)
    assert forecast.score(SeriesHistory(np.empty(0), np.empty(0)), reference).shape == (0,)


def test_histories_without_a_breach_cannot_teach() -> None:
    with pytest.raises(TrainingImpossible, match="give longer histories or more series"):
        BreachForecast.fit([SeriesHistory(np.zeros(1_000), times(1_000))], ForecastConfig())
    with pytest.raises(TrainingImpossible, match="0 of 0 rows"):
        BreachForecast.fit([], ForecastConfig())


def test_what_is_not_finite_is_refused() -> None:
    value = np.zeros(200)
    with pytest.raises(ModelError, match="finite limit"):
        reference_of(value, np.nan, HORIZON)
    with pytest.raises(ModelError, match="at least 100 finite rows, not 50"):
        reference_of(value[:50], 1.0, HORIZON)
    reference = reference_of(value, 1.0, HORIZON)
    value[7] = np.nan
    with pytest.raises(ModelError, match="must be finite"):
        breach_features(value, times(200), reference, HORIZON)


def test_every_feature_has_a_column() -> None:
    history = nightly(2, 300)
    rows = breach_features(history.value, history.time_s, reference_of(history.value, 55.0, HORIZON), HORIZON)
    assert rows.shape == (300, len(NAMES)) == (300, len(set(NAMES)))
