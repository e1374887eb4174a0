"""Figures against references and by hand: curves, pages and their budget, truth of replays, leads."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from aiops.errors import ContractError
from aiops.incidents.labels import horizon_labels
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import INCIDENTS, TIMESTAMP
from models.evaluation.figures import RowsShown, precision_recall_figure, reliability_figure, timeline_figure
from models.evaluation.measures import (
    alarm_figures,
    average_precision,
    brier,
    precision_recall,
    reliability,
    trend_to_limit,
    worst_signal,
)
from models.vectors.page_budget import UNSEEN_ERRORS, PageBudget, PageCounter, page_threshold, threshold_for_budget
from models.vectors.service_rows import ServiceRows, rows_of
from models.vectors.truth import detection_truth, outcome, prediction_truth
from tests.testing.service_frames import START, history

MINUTE = 60_000_000


def minutes_of(services: list[int], minutes: list[int], values: list[float] | None = None) -> ServiceRows:
    names = tuple(f"s{number}" for number in range(max(services) + 1))
    column = np.array(values if values is not None else [0.0] * len(minutes)).reshape(-1, 1)
    start = int(START.timestamp() * 1e6)
    times = start + np.array(minutes, dtype=np.int64) * MINUTE
    return ServiceRows(names, np.array(services, dtype=np.int64), times, ("minutes_to_limit",), column)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9])), min_size=2, max_size=60))
@settings(max_examples=100)
def test_average_precision_equals_sklearn(pairs: list[tuple[bool, float]]) -> None:
    label = np.array([float(positive) for positive, _ in pairs])
    score = np.array([value for _, value in pairs])
    if label.sum() == 0:
        assert np.isnan(average_precision(label, score))
    else:
        assert average_precision(label, score) == pytest.approx(average_precision_score(label, score), abs=1e-12)


def test_unknown_scores_rank_last_and_ties_are_one_step() -> None:
    label = np.array([1.0, 0.0, 1.0, 0.0])
    curve = precision_recall(label, np.array([0.9, 0.5, 0.5, np.nan]))
    np.testing.assert_allclose(curve.recall, [0.5, 1.0, 1.0])
    np.testing.assert_allclose(curve.precision, [1.0, 2 / 3, 0.5])
    assert curve.precision_at(0.5) == 1.0
    assert curve.precision_at(0.6) == pytest.approx(2 / 3)


def test_brier_and_reliability_by_hand() -> None:
    label, probability = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.5, 1.0, np.nan])
    assert brier(label, probability) == pytest.approx(0.25 / 3)
    rng = np.random.default_rng(0)
    p = rng.random(50_000)
    honest = reliability((rng.random(50_000) < p).astype(float), p)
    assert honest.error < 0.02
    assert reliability((rng.random(50_000) < p**3).astype(float), p).error > 0.1


def test_pages_are_alarms_after_the_quiet_time_of_their_service() -> None:
    rows = minutes_of([0] * 5 + [1], [0, 10, 59, 60, 121, 5])
    counter = PageCounter.over(rows, np.ones(6, dtype=np.bool_), PageBudget(quiet_min=60))
    assert counter.pages(np.ones(6, dtype=np.bool_)) == 4  # s0 at 0, 60, 121; s1 at 5
    late = np.array([False, False, True, True, True, False])
    assert counter.pages(late) == 2  # at 59 and at 121
    only_first = PageCounter.over(rows, np.array([True] + [False] * 5), PageBudget(quiet_min=60))
    assert only_first.false_pages(np.ones(6, dtype=np.bool_)) == 1


def test_observed_time_counts_each_service_and_time_once() -> None:
    rows = minutes_of([0, 0, 0, 1, 1, 0, 0], [0, 5, 5, 0, 5, 10, 0])
    assert rows.service_days() == pytest.approx(5 * 5 / 1440)
    assert minutes_of([0], [0]).service_days() == pytest.approx(1 / 1440)


def test_a_page_opened_in_true_time_is_not_counted_as_false_later() -> None:
    rows = minutes_of([0, 0], [0, 30])
    counter = PageCounter.over(rows, np.array([False, True]), PageBudget(quiet_min=60))
    assert counter.false_pages(np.array([True, True])) == 0
    assert counter.false_pages(np.array([False, True])) == 1


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 8.0))
@settings(max_examples=40, deadline=None)
def test_the_threshold_keeps_the_budget_and_the_next_lower_score_would_not(seed: int, per_day: float) -> None:
    rng = np.random.default_rng(seed)
    size = 600
    rows = minutes_of(rng.integers(0, 3, size).tolist(), (5 * np.arange(size)).tolist())
    scores = np.round(rng.random(size), 2)
    scores[rng.random(size) < 0.05] = np.nan
    budget = PageBudget(per_day, 30)
    counter = PageCounter.over(rows, np.ones(size, dtype=np.bool_), budget)
    threshold = threshold_for_budget(scores, counter, budget)
    allowed = per_day * counter.service_days
    assert counter.false_pages(scores >= threshold) <= allowed
    lower = scores[np.isfinite(scores) & (scores < threshold)]
    if lower.size:
        assert counter.false_pages(scores >= lower.max()) > allowed


def days_of(services: int, seed: int) -> tuple[ServiceRows, np.ndarray]:
    """Return five days of rows every 5 min and scores; some services are noisier than others, as services are."""
    rng = np.random.default_rng(seed)
    times = np.tile(np.arange(0, 7_200, 5), services)
    noise = np.repeat(np.exp(rng.normal(0, 0.3, services)), times.size // services)
    return minutes_of(np.repeat(np.arange(services), times.size // services).tolist(), times.tolist()), rng.normal(0, noise)


def test_with_a_margin_the_budget_is_also_kept_by_services_that_set_no_threshold() -> None:
    budget, kept = PageBudget(1.0, 60), []
    for seed in range(100):
        rows, scores = days_of(40, seed)
        seen, false = rows.code < 10, np.ones(len(rows), dtype=np.bool_)
        counter = PageCounter.over(rows.take(seen), false[seen], budget)
        other = PageCounter.over(rows.take(~seen), false[~seen], budget)
        bare, safe = (threshold_for_budget(scores[seen], counter, budget, errors) for errors in (0.0, UNSEEN_ERRORS))
        assert safe >= bare
        assert counter.false_rate(scores[seen] >= safe, UNSEEN_ERRORS) <= 1.0
        kept.append([other.false_rate(scores[~seen] >= threshold) <= 1.0 for threshold in (bare, safe)])
    shares = np.mean(kept, axis=0)
    assert shares[0] < 0.6
    assert shares[1] > 0.8


def test_the_margin_counts_services_where_they_differ_and_pages_where_they_do_not() -> None:
    rows = minutes_of([0] * 48 + [1] * 48, [*range(0, 1440, 30)] * 2)
    counter = PageCounter.over(rows, np.ones(96, dtype=np.bool_), PageBudget(quiet_min=30))
    assert counter.service_days == pytest.approx(2.0)
    alike, alone = np.zeros(96, dtype=np.bool_), np.zeros(96, dtype=np.bool_)
    alike[[0, 10, 20, 30, 50, 60, 70, 80]] = True
    alone[:8] = True
    assert counter.false_rate(alike) == counter.false_rate(alone) == pytest.approx(4.0)
    assert counter.false_rate(alike, 1.0) == pytest.approx(4.0 + np.sqrt(8) / 2)
    assert counter.false_rate(alone, 1.0) == pytest.approx(4.0 + np.sqrt(32) / 2)


def test_pages_that_buy_little_warning_are_not_sent() -> None:
    """One service, an incident after ten days: scores rise from 20 h before it on, and are at 0.3 once a day for nothing."""
    minutes = np.arange(0, 14_400, 5)
    rows = minutes_of([0] * minutes.size, minutes.tolist())
    ahead = np.where(minutes < 14_000, 14_000.0 - minutes, np.inf)
    truth = prediction_truth(rows, ahead, np.zeros(minutes.size, dtype=np.bool_), 60.0)
    scores = np.where(minutes % 1440 == 0, 0.3, 0.1)
    rising = truth.positive
    scores[rising] = np.linspace(0.25, 0.95, int(rising.sum()))
    budget = PageBudget(4.0, 60.0)
    bare = threshold_for_budget(scores, PageCounter.over(rows, truth.false, budget), budget, UNSEEN_ERRORS)
    frugal = page_threshold(scores, rows, truth, budget)
    assert bare <= 0.25
    assert frugal > 0.3
    leads = [outcome(truth, rows.time_us, scores >= threshold).mean_lead_min for threshold in (bare, frugal)]
    assert leads[1] >= 0.9 * leads[0]
    nothing = truth.take(~truth.positive)
    assert page_threshold(scores[~rising], rows.take(~rising), nothing, budget) == pytest.approx(0.3)


@given(st.integers(0, 10_000), st.floats(0.2, 20.0))
@settings(max_examples=40, deadline=None)
def test_the_page_threshold_keeps_the_budget_and_nine_tenths_of_the_warning(seed: int, per_day: float) -> None:
    rng = np.random.default_rng(seed)
    minutes = np.arange(0, 2880, 5)
    rows = minutes_of([0] * minutes.size, minutes.tolist())
    starts = np.sort(rng.choice(minutes, 4, replace=False))
    gaps = starts[None, :] - minutes[:, None]
    ahead = np.where(gaps > 0, gaps, np.inf).min(axis=1).astype(np.float64)
    truth = prediction_truth(rows, ahead, np.zeros(minutes.size, dtype=np.bool_), 60.0)
    scores = np.round(rng.random(minutes.size) + 0.3 * truth.positive, 2)
    budget = PageBudget(per_day, 30.0)
    counter = PageCounter.over(rows, truth.false, budget)
    lowest, chosen = threshold_for_budget(scores, counter, budget, UNSEEN_ERRORS), page_threshold(scores, rows, truth, budget)
    assert chosen >= lowest
    assert counter.false_rate(scores >= chosen) <= per_day
    kept, most = (outcome(truth, rows.time_us, scores >= threshold).lead_min.sum() for threshold in (chosen, lowest))
    assert kept >= 0.9 * most
    higher = scores[scores > chosen]
    if most and higher.size:
        assert outcome(truth, rows.time_us, scores >= higher.min()).lead_min.sum() < 0.9 * most


def test_a_threshold_without_room_lies_above_every_score() -> None:
    rows = minutes_of([0] * 4, [0, 60, 120, 180])
    counter = PageCounter.over(rows, np.ones(4, dtype=np.bool_), PageBudget(0.1))
    scores = np.full(4, 0.7)
    assert threshold_for_budget(scores, counter, PageBudget(0.1)) > 0.7
    assert threshold_for_budget(np.full(4, np.nan), counter, PageBudget(0.1)) == 1.0


def test_detection_truth_leaves_out_what_may_be_the_incident_spreading() -> None:
    rows = minutes_of([0, 1, 0, 1, 0, 1, 0], [0, 0, 60, 60, 100, 100, 200])
    times = {"onset_at": 50, "starts_at": 60, "ends_at": 90, "known_at": 90}
    row = {"incident_id": "i", "service": "s0", "kind": "memory_leak"} | {
        name: START + timedelta(minutes=minute) for name, minute in times.items()
    }
    truth = detection_truth(rows, pa.Table.from_pylist([row], schema=INCIDENTS), grace_min=30)
    np.testing.assert_array_equal(truth.positive, [False, False, True, False, False, False, False])
    np.testing.assert_array_equal(truth.false, [True, True, False, False, False, False, True])


def test_leads_and_recall_by_hand() -> None:
    rows = minutes_of([0] * 4, [0, 30, 60, 90])
    truth = prediction_truth(rows, np.array([80.0, 50.0, 20.0, np.inf]), np.zeros(4, dtype=np.bool_), 60.0)
    np.testing.assert_array_equal(truth.caught, [-1, 0, 0, -1])
    caught = outcome(truth, rows.time_us, np.array([True, False, True, False]))
    assert (caught.recall, caught.mean_lead_min) == (1.0, 20.0)
    figures = alarm_figures(rows, truth, np.array([True, True, True, True]), PageBudget(quiet_min=25))
    assert figures.mean_lead_min == 50.0
    nothing = outcome(truth, rows.time_us, np.zeros(4, dtype=np.bool_))
    assert (nothing.recall, np.isnan(nothing.mean_lead_min)) == (0.0, True)


def test_incidents_whose_rows_are_gone_do_not_count() -> None:
    past = history(days=3)
    rows = rows_of(past.frame)
    labels = horizon_labels(past.frame, past.incidents)
    truth = prediction_truth(rows, labels.minutes_to_start, np.isnan(labels.labels[:, -1]), 60.0)
    assert truth.starts_us.size == past.incidents.num_rows
    newer = rows.time_us > rows.time_us.mean()
    part = truth.take(newer)
    assert 0 < part.starts_us.size < past.incidents.num_rows
    assert part.caught.max() == part.starts_us.size - 1
    np.testing.assert_array_equal(np.isfinite(labels.labels[newer, -1]) & (labels.labels[newer, -1] > 0), part.positive)


def test_trivial_baselines_read_what_they_say() -> None:
    rows = minutes_of([0, 0, 0], [0, 1, 2], [0.0, 99.0, np.nan])
    np.testing.assert_allclose(trend_to_limit(rows), [1.0, 0.01, 0.0])
    past = rows_of(history(days=1).frame)
    worst = worst_signal(past)
    own = [name for name in past.columns if name.endswith("_worst") and not name.startswith("call")]
    np.testing.assert_array_equal(worst, np.abs(past.matrix(own)).max(axis=1))


def test_frames_of_any_kind_give_the_same_rows_and_bad_ones_are_named() -> None:
    frame = history(days=1).frame
    arrow, pandas = rows_of(frame), rows_of(frame.to_pandas())
    for name in ("code", "time_us", "values"):
        np.testing.assert_array_equal(getattr(arrow, name), getattr(pandas, name))
    assert arrow.services == pandas.services
    naive = frame.set_column(1, "event_timestamp", frame["event_timestamp"].cast(pa.timestamp("us")))
    np.testing.assert_array_equal(rows_of(naive).time_us, arrow.time_us)
    with pytest.raises(ContractError, match="service"):
        rows_of(frame.drop_columns(["service"]))
    with pytest.raises(ContractError, match="no service feature"):
        rows_of(frame.select(["service", "event_timestamp"]))
    with pytest.raises(ContractError, match="nonsense"):
        arrow.matrix(("nonsense",))
    assert frame.schema.field("event_timestamp").type == TIMESTAMP


def test_figures_are_the_same_bytes_for_the_same_input() -> None:
    rng = np.random.default_rng(0)
    label: FloatArray = (rng.random(5000) < 0.1).astype(np.float64)
    score = np.clip(label * 0.3 + rng.random(5000) * 0.7, 0, 1)
    curve, bins = precision_recall(label, score), reliability(label, score)
    rows = minutes_of([0] * 5000, list(range(5000)))
    truth = prediction_truth(rows, np.where(label > 0, 30.0, np.inf), np.zeros(5000, dtype=np.bool_), 60.0)
    for make in (
        lambda: precision_recall_figure(curve, curve, 0.1, RowsShown(9, 1, 1)),
        lambda: reliability_figure(bins, RowsShown(9, 1, 1)),
        lambda: timeline_figure(rows, score, truth, 0.8),
    ):
        first = make()
        assert b"<svg" in first
        assert first == make()
