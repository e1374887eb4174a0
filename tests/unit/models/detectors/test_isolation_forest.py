"""The flat forest equals sklearn's, explains itself additively, and its scores and threshold mean what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.errors import ArtifactError, ModelError
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES
from models.detectors.forest_kernels import filled_codes, ordered_code
from models.detectors.isolation_forest import OUTSIDE_CALENDAR, ForestConfig, IsolationForest
from models.vectors.service_rows import CALENDAR

WIDTH = len(OUTSIDE_CALENDAR)


def sample(rows: int = 1500, seed: int = 0, gaps: float = 0.1) -> FloatArray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((rows, WIDTH)) * rng.uniform(0.01, 100, WIDTH)
    values[rng.random(values.shape) < gaps] = np.nan
    return values


def test_the_kernel_equals_sklearn_to_1e_9() -> None:
    from sklearn.ensemble import IsolationForest as SklearnForest

    rows = sample()
    config = ForestConfig(trees=60, seed=3)
    ours = IsolationForest.fit(rows, config)
    filled = np.where(np.isnan(rows), ours.medians, rows).astype(np.float32)
    theirs = SklearnForest(n_estimators=60, max_samples=256, random_state=3).fit(filled)
    fresh = sample(seed=1)
    fresh_filled = np.where(np.isnan(fresh), ours.medians, fresh).astype(np.float32)
    np.testing.assert_allclose(ours.raw_score(fresh), -theirs.score_samples(fresh_filled), rtol=0, atol=1e-9)


def test_values_on_a_split_go_left_as_in_sklearn() -> None:
    from sklearn.ensemble import IsolationForest as SklearnForest

    rows = np.random.default_rng(0).integers(0, 4, (400, WIDTH)).astype(np.float64)
    ours = IsolationForest.fit(rows, ForestConfig(trees=30))
    theirs = SklearnForest(n_estimators=30, max_samples=256, random_state=7).fit(rows.astype(np.float32))
    on_splits = np.array([[split] * WIDTH for tree in theirs.estimators_ for split in tree.tree_.threshold[:20]])
    np.testing.assert_allclose(ours.raw_score(on_splits), -theirs.score_samples(on_splits.astype(np.float32)), atol=1e-9)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=50))
@settings(max_examples=200)
def test_codes_keep_the_order_of_floats(values: list[float]) -> None:
    single = np.array(values, dtype=np.float32)
    codes = ordered_code(single)
    np.testing.assert_array_equal(codes[:, None] > codes[None, :], single[:, None] > single[None, :])


def test_contributions_add_up_and_name_the_cause() -> None:
    rows = sample(gaps=0.0)
    forest = IsolationForest.fit(rows, ForestConfig(trees=100))
    strange = rows[:50].copy()
    strange[:, 4] += 40 * rows[:, 4].std()
    contributions = forest.explain(strange)
    np.testing.assert_allclose(contributions.sum(axis=1), np.log2(forest.raw_score(strange)) - forest.base(), atol=1e-9)
    assert contributions.mean(axis=0).argmax() == 4
    assert (contributions.argmax(axis=1) == 4).mean() > 0.7


def test_scores_are_tails_of_the_training_rows() -> None:
    rows = sample(20_000, gaps=0.0)
    forest = IsolationForest.fit(rows, ForestConfig(trees=50))
    scores = forest.score(rows)[:, 0]
    for tail in (0.1, 0.01, 0.001):
        assert (scores >= 1 - tail**0.25).mean() == pytest.approx(tail, rel=0.1)
    order = np.argsort(forest.raw_score(rows))
    assert (np.diff(scores[order]) >= 0).all()
    stranger = forest.score(np.full((1, WIDTH), 1e6))[0, 0]
    assert scores.max() < stranger <= 1


def test_missing_values_are_read_as_typical_and_nothing_known_is_unknown() -> None:
    forest = IsolationForest.fit(sample(), ForestConfig(trees=20))
    row = np.where(np.arange(WIDTH) == 3, 0.5, np.nan).reshape(1, -1)
    filled = np.where(np.isnan(row), forest.medians, row)
    np.testing.assert_array_equal(forest.score(row), forest.score(filled))
    assert np.isnan(forest.score(np.full((1, WIDTH), np.nan))).all()
    assert np.isnan(forest.explain(np.full((1, WIDTH), np.nan))).all()


def test_calendar_columns_are_left_out() -> None:
    assert set(OUTSIDE_CALENDAR) == set(SERVICE_FEATURES) - set(CALENDAR)


def test_the_seed_decides_the_forest() -> None:
    rows = sample(400)
    first, same, other = (IsolationForest.fit(rows, ForestConfig(trees=10, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.score(rows), same.score(rows))
    assert not np.array_equal(first.score(rows), other.score(rows))


def test_too_little_to_learn_from_is_refused() -> None:
    with pytest.raises(ModelError, match="at least 2"):
        IsolationForest.fit(np.full((10, WIDTH), np.nan), ForestConfig())
    with pytest.raises(ModelError, match="a column a feature"):
        IsolationForest.fit(np.zeros((10, 3)), ForestConfig())


def test_a_state_that_points_outside_its_arrays_is_refused() -> None:
    state = dict(IsolationForest.fit(sample(300), ForestConfig(trees=3)).state())
    for row, column, value in ((0, 0, WIDTH), (0, 2, 10**6), (0, 2, -1), (1, 0, -5)):
        nodes = state["forest_nodes"].copy()
        nodes[row, column] = value
        with pytest.raises(ArtifactError, match="do not fit together"):
            IsolationForest.from_state({**state, "forest_nodes": nodes})
    with pytest.raises(ArtifactError, match="missing"):
        IsolationForest.from_state({name: array for name, array in state.items() if name != "medians"})


def test_one_pass_fills_clips_and_codes_as_the_steps_do() -> None:
    rows = sample(50)
    rows[0, :4] = [np.inf, -np.inf, 1e300, -1e300]
    rows[1, :3] = [0.0, -0.0, 1e-300]
    rows[2] = np.nan
    medians = np.linspace(-2, 2, WIDTH)
    codes, known = filled_codes(rows, medians)
    filled = np.clip(np.where(np.isfinite(rows), rows, medians), -1e30, 1e30)
    np.testing.assert_array_equal(codes, ordered_code(filled.astype(np.float32)))
    np.testing.assert_array_equal(known, np.isfinite(rows).any(axis=1))
