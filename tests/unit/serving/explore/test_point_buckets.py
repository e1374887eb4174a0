"""Buckets hold what the points hold, however these are cut into parts."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.explore.point_buckets import LEAST_BUCKETS, PointBuckets, bucket_us

S = 1_000_000


def gathered(time_us: list[int], value: list[float], cuts: list[int], most: int = 10) -> PointBuckets:
    buckets = PointBuckets(1_000 * S, 5_000 * S, most)
    times, values = np.array(time_us, np.int64), np.array(value, np.float64)
    bounds = [0, *sorted(min(cut, len(time_us)) for cut in cuts), len(time_us)]
    for start, end in pairwise(bounds):
        buckets.add(times[start:end], values[start:end])
    return buckets


@given(
    st.lists(
        st.tuples(st.integers(1_000, 4_999), st.floats(-1e6, 1e6)), min_size=11, max_size=80, unique_by=lambda point: point[0]
    ),
    st.lists(st.integers(0, 80), max_size=3),
)
def test_each_bucket_says_what_its_points_are(points: list[tuple[int, float]], cuts: list[int]) -> None:
    points = sorted(points)
    columns = gathered([at * S for at, _ in points], [value for _, value in points], cuts).columns()
    assert not columns.raw
    assert columns.step_s is not None
    assert len(columns.time_s) <= 10
    assert sum(columns.count) == len(points)
    for row, begin in enumerate(columns.time_s):
        values = [value for at, value in points if begin <= at < begin + columns.step_s]
        assert columns.count[row] == len(values)
        if not values:
            assert np.isnan([columns.min[row], columns.mean[row], columns.max[row]]).all()
            continue
        assert (columns.min[row], columns.max[row]) == (min(values), max(values))
        assert columns.mean[row] == pytest.approx(float(np.mean(values)), abs=1e-6)


def test_few_points_stay_as_they_are() -> None:
    columns = gathered([1_000 * S, 1_500 * S + 250_000], [3.0, 4.0], [1]).columns()
    assert (columns.raw, columns.step_s) == (True, None)
    assert columns.time_s == [1000.0, 1500.25]
    assert columns.min == columns.mean == columns.max == [3.0, 4.0]


def test_no_points_are_no_points() -> None:
    assert gathered([], [], []).columns().time_s == []


@given(st.integers(0, 10**10), st.integers(1, 10**10), st.integers(LEAST_BUCKETS, 2000))
def test_no_range_has_more_buckets_than_are_wanted(since_us: int, length_us: int, most: int) -> None:
    buckets = PointBuckets(since_us, since_us + length_us, most)
    grid = buckets.grid_us
    assert len(grid) <= most
    assert grid[0] <= since_us
    assert grid[-1] < since_us + length_us <= grid[-1] + bucket_us(since_us, since_us + length_us, most)
    assert (grid % S == 0).all()
