"""The system score of a minute knows that minute and the past only, and treats all series alike."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detectors.minute_grid import MinuteGrid
from models.detectors.system_deviation import SystemDeviation
from tests.testing.system_grids import quiet, with_fault, with_values

MODEL = SystemDeviation.fit(quiet())


@st.composite
def troubled(draw: st.DrawFn) -> MinuteGrid:
    """Draw a system with faults, missing cells, silent services, infinite and huge values."""
    grid = quiet(120, seed=draw(st.integers(0, 50)), noise=draw(st.sampled_from([0.05, 0.5])))
    for start in draw(st.lists(st.integers(0, 119), max_size=4)):
        grid = with_fault(grid, f"service-{start % 4}", start, 1 + start % 6)
    values = grid.values.copy()
    rng = np.random.default_rng(draw(st.integers(0, 50)))
    values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.3]))] = np.nan
    values[rng.integers(120, size=3), rng.integers(values.shape[1], size=3)] = draw(st.sampled_from([1e300, np.inf, -1e300, 0.0]))
    silent = draw(st.integers(0, 110))
    values[silent : silent + draw(st.integers(0, 20))] = np.nan
    return with_values(grid, values)


@settings(max_examples=40, deadline=None)
@given(grid=troubled(), cut=st.integers(1, 119))
def test_no_score_depends_on_the_future(grid: MinuteGrid, cut: int) -> None:
    whole, part = MODEL.judge(grid), MODEL.judge(with_values(grid, grid.values[:cut].copy()))
    np.testing.assert_array_equal(part.score, whole.score[:cut])
    np.testing.assert_array_equal(part.level, whole.level[:cut])
    np.testing.assert_array_equal(part.counted, whole.counted[:cut])


@settings(max_examples=25, deadline=None)
@given(grid=troubled(), seed=st.integers(0, 50))
def test_the_order_of_series_does_not_matter(grid: MinuteGrid, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(grid.series))
    mixed = MinuteGrid(0, 60, tuple(grid.series[column] for column in order), grid.values[:, order])
    np.testing.assert_allclose(MODEL.judge(mixed).level, MODEL.judge(grid).level, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(grid=troubled())
def test_scores_are_finite_or_unknown_and_inputs_are_left_alone(grid: MinuteGrid) -> None:
    before = grid.values.copy()
    scores = MODEL.judge(grid)
    np.testing.assert_array_equal(grid.values, before)
    known = scores.score[~np.isnan(scores.score)]
    assert ((known >= 0.0) & (known <= len(grid.series) / 2)).all()
    assert np.isnan(scores.score[~np.isfinite(grid.values).any(axis=1)]).all()
