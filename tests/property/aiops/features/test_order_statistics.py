"""Order statistics as kernels equal numpy's."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.features.robust import (
    mad_of_places,
    mad_of_sorted,
    median_in_place,
    median_of_places,
    median_of_sorted,
    rank_in_place,
    score_of_z,
    scores_of_z,
    sort_in_place,
    sort_values,
)

NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, width=32))
VALUES = st.lists(NUMBERS, min_size=1, max_size=400)
SIZES = st.one_of(st.integers(1, 40), st.integers(1, 700))


@settings(deadline=None)
@given(VALUES)
def test_sorting_and_medians_equal_numpy(values: list[float]) -> None:
    ordered = np.array(values)
    sort_in_place(ordered)
    assert ordered.tolist() == sorted(values)
    median = float(np.median(values))
    assert median_of_sorted(ordered) == median
    assert median_in_place(np.array(values)) == median
    deviation = np.median(np.abs(np.array(values) - median))
    np.testing.assert_allclose(mad_of_sorted(ordered, median), deviation, rtol=1e-12)
    places = np.argsort(values).astype(np.uint16)
    assert median_of_places(np.array(values, np.float32), places) == median
    np.testing.assert_allclose(mad_of_places(np.array(values, np.float32), places, median), deviation, rtol=1e-12)


@settings(deadline=None)
@given(SIZES, st.sampled_from([2, 40, 10_000]), st.integers(0, 2**32))
def test_values_sorted_by_rank_equal_numpy(size: int, distinct: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, distinct, size).astype(np.float32)
    ordered, rank = np.empty(size, np.float32), np.empty(size, np.int32)
    sort_values(values, rank, ordered)
    assert ordered.tolist() == sorted(values.tolist())
    rank_in_place(values, rank)
    assert rank.tolist() == np.argsort(np.argsort(values, kind="stable")).tolist()


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(-100, 100), st.just(float("nan"))), max_size=20))
def test_scores_of_many_equal_the_score_of_one(z: list[float]) -> None:
    many = scores_of_z(np.array(z))
    np.testing.assert_allclose(many, [score_of_z(single) for single in z], rtol=1e-12, atol=1e-15)
    assert ((many >= 0) & (many < 1))[~np.isnan(many)].all()
