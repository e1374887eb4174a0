"""After a drift the gate judges what neither contender was fitted to; levels leave the newest part of the history to it."""

from datetime import UTC, datetime, timedelta

import pandas as pd

from models.training.holdouts import OLD_REGIME, RegimeChange, level_window

AT = datetime(2026, 3, 10, tzinfo=UTC)


def test_levels_are_fitted_to_three_quarters_of_the_newest_three_days() -> None:
    begin, end = level_window(AT - timedelta(days=30), AT)
    assert begin == AT - timedelta(days=3)
    assert end == AT - timedelta(hours=18)


def test_a_shorter_history_is_taken_whole() -> None:
    assert level_window(AT - timedelta(hours=8), AT) == (AT - timedelta(hours=8), AT - timedelta(hours=2))


def test_rows_before_the_drift_are_trained_on_or_judged_and_none_is_both() -> None:
    change = RegimeChange(AT - timedelta(hours=10), AT)
    champion_holdout = AT - timedelta(days=5)
    ticks = pd.Series(pd.date_range(AT - timedelta(days=9), AT, freq="1h"))
    trained, judged = change.trained(ticks, champion_holdout), change.only_judged(ticks, champion_holdout)
    assert (trained ^ judged).all()
    assert ticks[judged].min() == champion_holdout
    assert ticks[judged].max() < AT - timedelta(hours=10) - OLD_REGIME
    assert change.normal_from == AT - timedelta(hours=10) - OLD_REGIME
    assert change.holdout_from == AT - timedelta(hours=4)
