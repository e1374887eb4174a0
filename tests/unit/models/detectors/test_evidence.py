"""Evidence of members, and the confidence that is made of it."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiops.errors import ModelError
from aiops.types import FloatArray
from models.detectors.evidence import (
    LEAST_SHARE,
    MOST_EVIDENCE,
    Combination,
    EmpiricalTail,
    fit_combination,
    label_free,
    shares_of,
)


def drawn(rows: int = 40_000, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Evidence of two members and labels whose log odds are -4 + 0.8 first + 0.3 second."""
    rng = np.random.default_rng(seed)
    evidence = rng.exponential(1.5, (rows, 2))
    chance = 1.0 / (1.0 + np.exp(4.0 - 0.8 * evidence[:, 0] - 0.3 * evidence[:, 1]))
    return evidence, (rng.random(rows) < chance).astype(np.float64)


def test_evidence_is_how_rare_a_score_is() -> None:
    tail = EmpiricalTail.fit(np.random.default_rng(0).exponential(1.0, 20_000))
    for share in (0.5, 0.1, 0.01, 0.001):
        np.testing.assert_allclose(tail(np.array([-np.log(share)])), -np.log(share), rtol=0.12, atol=0.02)
    beyond = tail(np.array([14.0, 16.0]))
    assert beyond[1] - beyond[0] == pytest.approx(2.0, rel=0.25)  # the tail goes on at the rate of an exponential one
    assert tail(np.array([1e9]))[0] == MOST_EVIDENCE
    assert np.isnan(tail(np.array([np.nan]))[0])
    assert tail(np.array([-5.0]))[0] < 0.01


@example([1.0] * 18 + [5e-324, -2e-313], [0.0, 1.0])
@given(st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=60), st.lists(st.floats(-2e6, 2e6), min_size=2, max_size=20))
def test_evidence_never_falls_with_the_score(raw: list[float], asked: list[float]) -> None:
    evidence = EmpiricalTail.fit(np.array(raw))(np.sort(np.array(asked)))
    assert np.isfinite(evidence).all()
    assert (np.diff(evidence) >= 0.0).all()
    assert (evidence >= 0.0).all()


def test_few_scores_are_no_tail() -> None:
    with pytest.raises(ModelError, match="3 calibration rows have a score; a tail needs 20"):
        EmpiricalTail.fit(np.array([1.0, 2.0, 3.0, np.nan]))


def test_a_fit_finds_the_weights_and_its_confidence_is_a_share() -> None:
    evidence, label = drawn()
    combination = fit_combination(evidence, label)
    assert combination.fitted
    assert combination.intercept == pytest.approx(-4.0, abs=0.25)
    assert combination.weights[0] > 2 * combination.weights[1] > 0.0
    fresh, truth = drawn(seed=1)
    confidence = combination.confidence(fresh)
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1.0)):
        inside = (confidence >= low) & (confidence < high)
        assert truth[inside].mean() == pytest.approx(confidence[inside].mean(), abs=0.05)


def test_no_weight_is_negative_even_where_a_member_misleads() -> None:
    evidence, label = drawn()
    misled = np.column_stack([evidence[:, 0], evidence[:, 0].max() - evidence[:, 0]])
    combination = fit_combination(misled, label)
    assert (combination.weights > 0.0).all()
    assert combination.weights[1] == pytest.approx(LEAST_SHARE * combination.weights.sum())
    with pytest.raises(ModelError, match="0 of 40000 calibration rows are anomalous"):
        fit_combination(evidence, np.zeros(len(label)))


def test_one_that_abstains_leaves_its_weight_to_the_others() -> None:
    pair = Combination(np.array([0.5, 1.5]), -3.0, fitted=True)
    rows = np.array([[2.0, 2.0], [2.0, np.nan], [np.nan, 2.0], [np.nan, np.nan]])
    parts = pair.parts(rows)
    np.testing.assert_allclose(pair.log_odds(parts)[:3], -3.0 + 2.0 * 2.0)
    assert np.isnan(pair.confidence(rows)[3])
    np.testing.assert_allclose(shares_of(parts)[:3], [[0.25, 0.75], [1.0, np.nan], [np.nan, 1.0]])
    np.testing.assert_allclose(shares_of(np.zeros((1, 2))), 0.5)


def test_without_labels_one_half_is_the_budget() -> None:
    evidence = np.random.default_rng(3).exponential(1.0, (10_000, 2))
    combination = label_free(evidence, budget_share=0.01)
    assert not combination.fitted
    assert (combination.confidence(evidence) >= 0.5).mean() == pytest.approx(0.01, abs=0.002)
    with pytest.raises(ModelError, match="no calibration row has evidence"):
        label_free(np.full((5, 2), np.nan), 0.01)
