"""The outlook says when a forecast leaves its band or meets its limit, sees nothing but the row's own past, and knows NaN."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.features.sequences import Sequences
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SEQUENCE_STEPS, SERVICE_FEATURES, SERVICE_FEATURES_TABLE
from models.prediction.outlook import BREACHES, FAR_MIN, FAR_SPEECH, OUTLOOK, PAST, SPEECH, newest_of, outlook, spans_of, spoken
from models.prediction.predictor_terms import terms_of

QUIET = np.array([0.30, 0.31, 0.29, 0.30, 0.31, 0.29, 0.30, 0.30, 0.30, 0.30, 0.30, 0.30])


def past(**signals: np.ndarray) -> np.ndarray:
    """Return one row of a quiet service but for what is given, oldest span first."""
    row = np.tile(QUIET, len(PAST) // SEQUENCE_STEPS)
    for name, spans in signals.items():
        row[[PAST.index(column) for column in spans_of(name)]] = spans
    return row[None]


def outlook_of(row: np.ndarray) -> dict[str, float]:
    return dict(zip(OUTLOOK, outlook(row)[0].tolist(), strict=True))


def test_a_resource_that_fills_evenly_meets_its_limit_when_the_line_says_so() -> None:
    # 0.01 a minute, 0.80 at the tick: the newest span's mean lies 2.5 min back
    spans = 0.80 - 0.01 * (2.5 + 5.0 * np.arange(SEQUENCE_STEPS - 1, -1, -1))
    outlooks = outlook_of(past(saturation_level=spans))
    assert outlooks["minutes_to_limit_15min"] == pytest.approx(20.0)
    assert outlooks["minutes_to_limit_30min"] == pytest.approx(20.0)
    assert outlooks["saturation_by_trend"] == pytest.approx(0.80)
    assert outlooks["saturation_rise_15min"] == pytest.approx(0.15)
    assert outlooks["saturation_rise_1h"] == pytest.approx(0.55)
    assert outlooks["saturation_climbs_for_min"] == 55.0


def test_a_fresh_climb_is_seen_before_the_hour_shows_it() -> None:
    spans = np.array([0.5] * 9 + [0.6, 0.7, 0.8])
    outlooks = outlook_of(past(saturation_level=spans))
    assert outlooks["minutes_to_limit_15min"] == pytest.approx(7.5)
    assert outlooks["minutes_to_limit_30min"] > 10.0


def test_a_signal_leaves_its_band_when_its_forecast_does() -> None:
    band_levels, forecast = QUIET[:8], 0.30 + 0.003 * np.array([0.0, 1.0, 2.0, 3.0])
    outlooks = outlook_of(past(latency_level=np.concatenate([band_levels, forecast])))
    level, slope = 0.30 + 0.003 * 3.5, 0.003 / 5.0
    upper = band_levels.mean() + 3.0 * band_levels.std(ddof=1)
    assert outlooks["latency_leaves_band_in_min"] == pytest.approx((upper - level) / slope)
    assert 0.0 < outlooks["latency_leaves_band_in_min"] < 60.0
    assert outlooks["errors_leaves_band_in_min"] == FAR_MIN
    outside = outlook_of(past(latency_level=np.concatenate([band_levels, np.full(4, 0.6)])))
    assert outside["latency_leaves_band_in_min"] == 0.0
    falling = outlook_of(past(latency_level=np.concatenate([band_levels, 0.30 - 0.02 * np.arange(4)])))
    assert falling["latency_leaves_band_in_min"] == FAR_MIN


@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_band_breach_does_not_depend_on_the_unit(scale: float, shift: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spans = rng.normal(5.0, 1.0, SEQUENCE_STEPS) + np.r_[np.zeros(8), np.arange(4)]
    place = OUTLOOK.index("errors_leaves_band_in_min")
    minutes, minutes_scaled = (outlook(past(errors_level=values))[0, place] for values in (spans, spans * scale))
    assert minutes_scaled == pytest.approx(minutes, rel=1e-6, abs=1e-6)
    assert 0.0 <= outlook(past(errors_level=spans * scale + shift))[0, place] <= FAR_MIN


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_steeper_climb_never_takes_longer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spans = rng.uniform(0.2, 0.5, SEQUENCE_STEPS)
    climb = np.r_[np.zeros(SEQUENCE_STEPS - 3), 0.0, 0.1, 0.2]
    minutes = [
        outlook_of(past(saturation_level=spans + times * climb))["minutes_to_limit_15min"] for times in (0.0, 1.0, 2.0, 4.0)
    ]
    assert all(after <= before for before, after in pairwise(minutes))


def test_what_lacks_a_span_is_unknown_and_the_rest_is_not() -> None:
    row = past()
    row[0, PAST.index("latency_level_11_spans_ago")] = np.nan
    row[0, PAST.index("saturation_level_5_spans_ago")] = np.inf
    unknown = {name for name, value in outlook_of(row).items() if np.isnan(value)}
    of_saturation = {"saturation_leaves_band_in_min", "minutes_to_limit_30min", "saturation_climbs_for_min"}
    assert unknown == {"latency_leaves_band_in_min", *of_saturation}
    assert np.isnan(outlook(np.full((2, len(PAST)), np.nan))).all()
    assert outlook(np.empty((0, len(PAST)))).shape == (0, len(OUTLOOK))


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e12, 1e300, -1e300])
def test_extremes_are_finite(size: float) -> None:
    assert np.isfinite(outlook(np.full((3, len(PAST)), size))).all()


def test_a_row_is_the_same_whatever_lies_beside_it() -> None:
    rows = np.random.default_rng(2).normal(0.5, 0.2, (300, len(PAST)))
    whole = outlook(rows)
    np.testing.assert_array_equal(outlook(np.asfortranarray(rows)), whole)
    np.testing.assert_array_equal(outlook(rows[::3]), whole[::3])
    np.testing.assert_array_equal(np.concatenate([outlook(rows[place : place + 1]) for place in range(20)]), whole[:20])


def stream(minutes: int) -> np.ndarray:
    """Return the outlook of each minute of one service whose vectors are random, by the stream's own sequences."""
    rng = np.random.default_rng(3)
    values = rng.uniform(0.0, 1.0, (200, len(SERVICE_FEATURES)))[:minutes]
    times = pa.array(np.arange(minutes) * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    columns: list[pa.Array[Any]] = [
        times,
        times,
        pa.array(["a"] * minutes),
        *(pa.array(values[:, place]) for place in range(len(SERVICE_FEATURES))),
    ]
    rows = pa.RecordBatch.from_arrays(columns, names=SERVICE_FEATURES_TABLE.names)
    sequences = Sequences(60_000_000).update(rows).astype(np.float64)
    return outlook(sequences[:, [SEQUENCE_FEATURES.index(name) for name in PAST]])


def test_nothing_after_a_tick_changes_its_outlook_and_a_young_service_has_none() -> None:
    np.testing.assert_array_equal(stream(200)[:120], stream(120))
    assert np.isnan(stream(50)).all()
    assert np.isfinite(stream(120)[60:]).all()


def test_every_number_speaks() -> None:
    assert set(BREACHES) < set(OUTLOOK)
    assert spoken("latency_leaves_band_in_min", 12.3) == "latency leaves its band in 12 min"
    assert spoken("saturation_rise_15min", 0.151) == "saturation +0.151 in 15 min"
    assert spoken("minutes_to_limit", FAR_MIN) == "no limit in sight by the last hour"
    assert spoken("errors_leaves_band_in_min", float("nan")) == "errors_leaves_band_in_min unknown"
    assert all("{" not in spoken(name, 3.0) for name in SPEECH)
    assert set(FAR_SPEECH) <= set(SPEECH)


def test_terms_replace_the_past_by_its_outlook_and_give_it_an_owner() -> None:
    features = ("minutes_to_limit", *PAST, "errors_worst")
    terms = terms_of(features)
    assert terms.names == ("minutes_to_limit", "errors_worst", *OUTLOOK)
    row = np.concatenate([[30.0], past()[0], [0.7]])[None]
    np.testing.assert_array_equal(terms.values(row)[0, :2], [30.0, 0.7])
    np.testing.assert_array_equal(terms.values(row)[:, 2:], outlook(past()))
    given_back = terms.by_feature(np.ones((1, len(terms.names))), len(features))
    assert given_back.sum() == len(terms.names)
    assert given_back[0, features.index(newest_of("latency_leaves_band_in_min"))] == 1.0
    without = ("minutes_to_limit", *PAST[:-1])
    assert terms_of(without).names == without
