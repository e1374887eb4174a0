"""The breach forecast learns from the first part of a series alone, and stands beside rankings that need no model."""

import numpy as np

from aiops.types import FloatArray
from models.breach.breach_features import NAMES
from models.breach.breach_forecast import ForecastConfig, SeriesHistory
from models.breach.naive_rankings import naive_rankings
from models.training.breach_training import fitted_rows, learned_reference, train_breach_forecast

SHARE = 0.6
CONFIG = ForecastConfig(rounds=5)


def nightly(rows: int = 2_000) -> FloatArray:
    """Noise with a job of three rows at the same time of each day."""
    value = np.random.default_rng(1).normal(50.0, 1.0, rows)
    for lag in range(3):
        value[100 + lag :: 288] += 8.0
    return value


def history(value: FloatArray) -> SeriesHistory:
    return SeriesHistory(value, np.asarray(1.7e9 + 300.0 * np.arange(len(value)), dtype=np.float64))


def test_rows_after_the_first_part_change_nothing() -> None:
    value = nightly()
    other = value.copy()
    other[fitted_rows(history(value), SHARE) :] += 1_000.0
    features = np.random.default_rng(2).normal(size=(300, len(NAMES)))
    first, second = history(value), history(other)
    reference = learned_reference(first, SHARE, CONFIG)
    assert reference.limit == learned_reference(second, SHARE, CONFIG).limit == np.quantile(value[:1200], CONFIG.quantile)
    scores = [train_breach_forecast([part], SHARE, CONFIG).score_rows(features, reference) for part in (first, second)]
    np.testing.assert_array_equal(scores[0], scores[1])


def test_naive_rankings_are_higher_nearer_to_the_limit_and_for_a_steeper_climb() -> None:
    features = np.zeros((3, len(NAMES)))
    features[:, NAMES.index("gap")] = [-1.0, -0.1, -0.1]
    features[:, NAMES.index("slope_12")] = [0.1, 0.1, -0.1]
    reference = learned_reference(history(nightly()), SHARE, CONFIG)
    rankings = naive_rankings(features, reference)
    assert rankings["own_base_rate"].tolist() == [reference.own_rate] * 3
    assert rankings["distance_to_limit"].tolist() == [-1.0, -0.1, -0.1]
    assert rankings["trend_to_limit"][1] > rankings["trend_to_limit"][0]
    assert np.isneginf(rankings["trend_to_limit"][2])
