"""The gate: equal budget for all, no recall lost, contracts and latency kept, a first model beats the trivial baseline."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import ConfigurationError
from aiops.types import FloatArray
from models.detectors.isolation_forest import IsolationForest
from models.evaluation.gate import Contender, GateConfig, decide
from models.evaluation.scorecard import Replay, Replayable
from models.training.detector_training import detection_replay
from models.training.training_context import TrainingContext
from models.vectors.page_budget import PageBudget
from tests.testing.service_frames import history
from tests.testing.trained_forest import trained_forest

CONFIG = GateConfig(PageBudget(1.0), latency_budget_ms=1e6, latency_calls=20)


@cache
def forest() -> IsolationForest:
    return trained_forest(history(days=4), TrainingContext("a"), trees=20).model


@cache
def replay() -> Replay:
    past = history(days=4, seed=8)
    return detection_replay(past.frame, past.incidents, 0)


@dataclass(frozen=True)
class Changed:
    """The forest with its scores changed by a function of (scores, rows)."""

    inner: IsolationForest
    change: Callable[[FloatArray, FloatArray], FloatArray]
    thresholds: FloatArray
    catalog_name: ClassVar[str] = "isolation-forest"

    @property
    def features(self) -> tuple[str, ...]:
        return self.inner.features

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.inner.outputs

    def score(self, rows: FloatArray) -> FloatArray:
        return self.change(self.inner.score(rows), rows)

    def explain(self, rows: FloatArray) -> FloatArray:
        return self.inner.explain(rows)

    def state(self) -> dict[str, np.ndarray]:
        return dict(self.inner.state())


def changed(change: Callable[[FloatArray, FloatArray], FloatArray]) -> Changed:
    return Changed(forest(), change, forest().thresholds)


def noise(rows: FloatArray) -> FloatArray:
    """Return deterministic pseudo-random numbers in 0..1 of rows."""
    return np.where(np.isfinite(rows).any(axis=1), np.abs(np.sin(np.nansum(rows, axis=1) * 1e4)), np.nan).reshape(-1, 1)


def gate(model: Replayable, champion: Replayable | None = None, config: GateConfig = CONFIG) -> tuple[bool, str, set[str]]:
    rival = Contender(champion, "1") if champion is not None else None
    decision = decide(Contender(model, "2"), rival, replay(), config)
    return decision.promoted, decision.reason, {name for name, passed in decision.checks.items() if not passed}


def test_a_first_model_that_beats_the_baseline_is_promoted_with_figures() -> None:
    weak = replace(replay(), baseline=noise(replay().rows.values)[:, 0])
    decision = decide(Contender(forest(), "1"), None, weak, CONFIG)
    assert decision.promoted
    assert decision.champion is None
    figures = decision.challenger.metrics
    assert figures["recall_at_budget"] > figures["baseline_recall_at_budget"]
    assert f"recall at the budget {figures['recall_at_budget']:.3f} (trivial baseline" in decision.reason


def test_a_first_model_that_does_not_is_refused_unless_allowed() -> None:
    perfect = replace(replay(), baseline=replay().truth.positive.astype(np.float64))
    refused = decide(Contender(forest(), "1"), None, perfect, CONFIG)
    assert not refused.promoted
    assert "trivial baseline" in refused.reason
    assert not refused.checks["beats_baseline"]
    assert decide(Contender(forest(), "1"), None, perfect, replace(CONFIG, allow_first=True)).promoted


def test_without_an_incident_the_sentence_says_so_and_knows_no_nan() -> None:
    for champion in (None, Contender(forest(), "0")):
        decision = decide(Contender(forest(), "1"), champion, quiet_replay(5.0), CONFIG)
        assert "no labelled incident to tell recall by" in decision.reason
        assert "nan" not in decision.reason


def quiet_replay(hours: float) -> Replay:
    """Return the beginning of a replay without any incident."""
    rows = replay().rows
    early = rows.time_us < rows.time_us.min() + int(hours * 3.6e9)
    return detection_replay(history(days=4, seed=8).frame.filter(pa.array(early)), None, 0)


def paging(every: int) -> Changed:
    """Return a model whose score is at its threshold in every `every`-th row, and 0 in the others."""
    level = forest().thresholds[0]
    return changed(lambda score, _: np.where(np.arange(len(score))[:, None] % every == 0, level, 0.0) + 0.0 * score)


def test_without_incidents_a_page_in_a_short_replay_may_be_chance_and_pages_all_day_are_not() -> None:
    short, long = quiet_replay(2.0), quiet_replay(48.0)
    once = decide(Contender(paging(10**9), "1"), None, short, CONFIG)
    assert once.challenger.metrics["false_pages_shipped"] > CONFIG.budget.per_day
    assert once.checks["keeps_page_budget"]
    always = decide(Contender(paging(5), "1"), None, long, CONFIG)
    assert not always.checks["keeps_page_budget"]
    assert "not by chance" in always.reason


def test_a_model_that_loses_recall_is_refused_and_the_better_one_promoted() -> None:
    blind = changed(lambda _, rows: noise(rows))
    promoted, reason, failed = gate(blind, forest())
    assert not promoted
    assert "recall_kept_at_budget" in failed
    assert "catches fewer incidents at the same alert budget" in reason
    promoted, reason, failed = gate(forest(), blind)
    assert promoted, reason
    assert failed == set()


def test_an_equal_model_is_not_swapped_in() -> None:
    promoted, reason, failed = gate(forest(), forest())
    assert not promoted
    assert failed == {"better_somewhere"}
    assert "better on no figure" in reason


def test_at_equal_recall_the_one_that_keeps_its_page_budget_wins() -> None:
    chatty = forest().with_thresholds(np.array([0.3]))
    assert gate(forest(), chatty)[0]
    assert gate(chatty, forest())[2] == {"better_somewhere"}


def test_a_shipped_threshold_that_sleeps_is_refused() -> None:
    asleep = forest().with_thresholds(np.array([1.0]))
    assert "recall_kept_as_shipped" in gate(asleep, forest())[2]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda score, _: score * 2.0, "scores_in_0_to_1"),
        (lambda score, _: np.where(score > 0.6, np.nan, score), "scores_in_0_to_1"),
        (lambda score, _: np.nan_to_num(score), "unknown_stays_unknown"),
        (lambda score, _: score - score.mean() / 10, "deterministic"),
        (lambda score, _: score**2, "round_trip_equal"),
    ],
)
def test_broken_contracts_are_named(change: Callable[[FloatArray, FloatArray], FloatArray], check: str) -> None:
    promoted, _, failed = gate(changed(change), forest())
    assert not promoted
    assert check in failed


def test_a_model_that_raises_breaks_the_contract_instead_of_the_gate() -> None:
    calls = iter(range(10**9))

    def moody(score: FloatArray, _: FloatArray) -> FloatArray:
        if next(calls) > 75:
            raise ValueError("no more")
        return score

    assert "round_trip_equal" in gate(changed(moody), None, replace(CONFIG, allow_first=True))[2]


def test_a_slow_model_is_refused_by_the_clock_it_is_measured_with() -> None:
    ticks = iter(np.arange(0, 10**6, 0.05))
    decision = decide(
        Contender(forest(), "2"),
        None,
        replay(),
        replace(CONFIG, allow_first=True, latency_budget_ms=10),
        lambda: float(next(ticks)),
    )
    assert not decision.checks["within_latency_budget"]
    assert decision.challenger.metrics["latency_p99_ms"] == pytest.approx(50.0)


def test_without_incidents_recall_is_a_tie_and_without_rows_there_is_no_replay() -> None:
    past = history(days=2, seed=8)
    quiet = detection_replay(past.frame, None, 0)
    chatty = forest().with_thresholds(np.array([0.3]))
    assert decide(Contender(forest(), "2"), Contender(chatty, "1"), quiet, CONFIG).promoted
    assert not decide(Contender(chatty, "2"), Contender(forest(), "1"), quiet, CONFIG).promoted
    with pytest.raises(ConfigurationError, match="0 rows"):
        decide(Contender(forest(), "2"), None, detection_replay(past.frame, None, 2**60), CONFIG)
