"""Order statistics as kernels equal numpy's, and ordered windows stay ordered whatever enters and leaves."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.features.robust import (
    mad_of_sorted,
    median_in_place,
    median_of_sorted,
    place_in,
    replace_ordered,
    score_of_z,
    scores_of_z,
    sort_in_place,
)
from aiops.features.series_state import SERIES_RECORD, Ring
from aiops.features.windows import order_window

NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, width=32))
VALUES = st.lists(NUMBERS, min_size=1, max_size=400)


@settings(deadline=None)
@given(VALUES)
def test_sorting_and_medians_equal_numpy(values: list[float]) -> None:
    ordered = np.array(values)
    sort_in_place(ordered)
    assert ordered.tolist() == sorted(values)
    median = float(np.median(values))
    assert median_of_sorted(ordered) == median
    assert median_in_place(np.array(values)) == median
    np.testing.assert_allclose(mad_of_sorted(ordered, median), np.median(np.abs(np.array(values) - median)), rtol=1e-12)


@settings(deadline=None)
@given(VALUES, NUMBERS)
def test_places_and_replacements(values: list[float], new: float) -> None:
    ordered = np.array(sorted(values))
    assert place_in(ordered, len(values), new) == np.searchsorted(ordered, new, side="left")
    replace_ordered(ordered, len(values), values[0], new)
    assert ordered.tolist() == sorted([*values[1:], new])


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=2, max_size=120), st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_a_window_that_moves_stays_ordered(values: list[float], moves: list[int]) -> None:
    count = len(values)
    record = np.zeros(1, SERIES_RECORD)
    record["count"] = count
    ring = Ring(np.arange(count), np.array(values), np.zeros(count))
    low, high = 0, 1
    for number, move in enumerate(moves):
        high = min(count, high + move)
        low = min(high - 1, low + (move if number % 2 else move // 3))
        order_window(record[0], ring, low, high)
        assert ring.ordered[: high - low].tolist() == sorted(values[low:high])


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(-100, 100), st.just(float("nan"))), max_size=20))
def test_scores_of_many_equal_the_score_of_one(z: list[float]) -> None:
    many = scores_of_z(np.array(z))
    np.testing.assert_allclose(many, [score_of_z(single) for single in z], rtol=1e-12, atol=1e-15)
    assert ((many >= 0) & (many < 1))[~np.isnan(many)].all()
