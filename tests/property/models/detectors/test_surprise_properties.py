"""Surprise on random series: no look-ahead, any split, any company, any scale, always within 0..1, quiet after an alarm."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.types import FloatArray
from models.detectors.surprise import SeriesSurprise
from models.detectors.surprise_bank import SurpriseConfig
from tests.testing.point_batches import MINUTE_US, START_US, Points

MODEL = SeriesSurprise(SurpriseConfig(windows=(1, 5), lags=32, nearest_lag=4, warmup_rows=6, refractory_rows=9, alarm=3.0))
FEW = settings(max_examples=40, deadline=None)


@st.composite
def series(draw: st.DrawFn) -> Points:
    """Return rows of up to three series, interleaved at random, with repeated and backward times and rare wild values."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(1, 400))
    value = rng.choice([rng.normal(5.0, 2.0, rows), np.round(rng.normal(0.0, 1.0, rows)), np.cumsum(rng.normal(size=rows))])
    wild = rng.random(rows) < draw(st.sampled_from([0.0, 0.02]))
    value = np.where(wild, value * 10.0 ** rng.integers(-30, 30, rows), value)
    time = START_US + np.cumsum(rng.integers(-1, 30, rows)) * MINUTE_US
    return Points(time, rng.integers(0, 3, rows), value, ("a", "b", "c"))


def scores(rows: Points) -> FloatArray:
    return MODEL.score(rows.batch())


@FEW
@given(series(), st.floats(0.0, 1.0))
def test_the_future_changes_nothing_and_a_split_is_the_whole(rows: Points, share: float) -> None:
    whole = scores(rows)
    assert ((whole >= 0.0) & (whole <= 1.0))[np.isfinite(whole)].all()
    cut = int(share * whole.size)
    first, rest = rows.take(np.arange(cut)), rows.take(np.arange(cut, whole.size))
    np.testing.assert_array_equal(scores(first), whole[:cut])
    stream = MODEL.stream()
    np.testing.assert_array_equal(stream.score(first.batch()), whole[:cut])
    np.testing.assert_array_equal(MODEL.stream(stream.snapshot()).score(rest.batch()), whole[cut:])


@FEW
@given(series())
def test_other_series_change_nothing(rows: Points) -> None:
    whole = scores(rows)
    for code in range(3):
        own = np.flatnonzero(rows.code == code)
        np.testing.assert_array_equal(scores(rows.take(own)), whole[own])


@FEW
@given(series(), st.integers(-40, 40))
def test_the_unit_of_a_series_changes_nothing(rows: Points, power: int) -> None:
    np.testing.assert_array_equal(scores(rows.scaled(2.0**power)), scores(rows))
    np.testing.assert_array_equal(scores(rows.scaled(-1.0)), scores(rows))


@FEW
@given(series())
def test_a_series_is_quiet_after_an_alarm(rows: Points) -> None:
    whole = scores(rows)
    for code in range(3):
        alarms = np.flatnonzero(whole[rows.code == code] >= 0.5)
        assert (np.diff(alarms) > MODEL.config.refractory_rows).all()


@FEW
@given(series())
def test_an_explanation_is_that_of_the_score(rows: Points) -> None:
    whole = scores(rows)
    asked = list(range(0, whole.size, 7))
    for why in MODEL.explanations(rows.batch(), asked):
        np.testing.assert_equal(why.score, whole[why.row])
        total = sum(stream.nats**1.5 for stream in why.streams)
        level = total / (total + MODEL.config.alarm**1.5)
        if np.isfinite(why.score):
            assert np.isclose(why.score, level) or np.isclose(why.score, 0.5 * level, rtol=1e-5)
        for stream in why.streams:
            assert 0.0 < stream.share <= 1.0
            assert stream.text
