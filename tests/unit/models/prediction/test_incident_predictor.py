"""The predictor foresees what can be foreseen, is calibrated on its own slice, and says so where there is nothing to learn."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.errors import ArtifactError, ModelError, TrainingImpossible
from aiops.incidents.labels import HorizonLabels, horizon_labels
from data_contracts.values.moments import moment_of_us
from models.artifacts.training_run import Trained
from models.evaluation.measures import average_precision
from models.prediction.incident_predictor import PREDICTIVE, IncidentPredictor, PredictorConfig
from models.prediction.outlook import PAST, spans_of
from models.training.predictor_training import train_incident_predictor
from models.training.training_context import TrainingContext
from models.vectors.calibration import fit_floored, fit_platt, log_loss, sigmoid
from models.vectors.service_rows import rows_of
from models.vectors.temporal_split import SplitConfig, temporal_split
from tests.testing.service_frames import history

CONFIG = PredictorConfig(rounds=40)


@cache
def trained() -> Trained[IncidentPredictor]:
    past = history(days=10)
    return train_incident_predictor(past.frame, horizon_labels(past.frame, past.incidents), TrainingContext("synthetic"), CONFIG)


def test_foreseeable_incidents_are_foreseen_with_lead_beside_base_rate_and_naive_rule() -> None:
    figures = trained().run.metrics
    assert figures["pr_auc"] > 10 * figures["base_rate"]
    assert figures["incident_recall"] >= 0.5
    assert figures["lead_min"] > 20
    assert figures["false_pages_per_day_per_service"] <= 2.0
    assert figures["brier_p_60min"] < figures["brier_base_rate_p_60min"]
    for name in ("naive_pr_auc", "precision_at_recall_50", "alerts_per_day", "pr_auc_p_15min", "calibration_error_p_15min"):
        assert np.isfinite(figures[name])
    assert set(trained().run.figures) == {"precision_recall.svg", "reliability.svg", "score_over_time.svg"}


def test_the_longer_horizon_is_never_less_likely() -> None:
    model = trained().model
    scores = model.score(rows_of(history(days=2, seed=5).frame).matrix(model.features))
    assert model.outputs == ("p_5min", "p_15min", "p_60min")
    assert (np.diff(scores, axis=1) >= 0).all()


def test_a_resource_that_is_exhausted_sooner_never_lowers_the_risk() -> None:
    model = trained().model
    row = rows_of(history(days=1).frame).matrix(model.features)[:20]
    place = model.features.index("minutes_to_limit")
    risks = []
    for minutes in (1440.0, 240.0, 60.0, 20.0, 5.0, 0.0):
        row[:, place] = minutes
        risks.append(model.score(row))
    assert (np.diff(np.stack(risks), axis=0) >= 0).all()
    assert (risks[-1] > risks[0]).any()


def climbing(minutes: float) -> np.ndarray:
    """Return one row whose saturation has climbed for 15 min such that its limit is `minutes` away."""
    model = trained().model
    row = np.full((1, len(model.features)), 0.3)
    row[0, model.features.index("minutes_to_limit")] = 1440.0
    climb = 0.02 * np.arange(3)
    for span, place in enumerate(model.features.index(name) for name in spans_of("saturation_level")[-3:]):
        row[0, place] = 1.0 - 0.004 * (minutes + 2.5) - climb[-1] + climb[span]
    return row


def risen() -> IncidentPredictor:
    """Return a predictor of incidents that only the last 15 min announce."""
    rng = np.random.default_rng(1)
    minutes = rng.uniform(0.0, 200.0, 4000)
    rows = np.concatenate([climbing(float(minute)) for minute in minutes])
    soon = (minutes < 20.0).astype(np.float64)
    return IncidentPredictor.fit(rows, np.stack([soon] * 3, axis=1), CONFIG)


def test_a_limit_that_is_met_sooner_by_the_last_15_min_never_lowers_the_risk_and_is_the_reason() -> None:
    model = risen()
    rows = np.concatenate([climbing(minutes) for minutes in (180.0, 90.0, 45.0, 15.0, 5.0, 0.0)])
    risks = model.score(rows)
    assert (np.diff(risks, axis=0) >= 0).all()
    assert (risks[-1] > 5 * risks[0]).all()
    names, values, contributions = model.reasons(rows)
    assert values[:, names.index("minutes_to_limit_15min")] == pytest.approx([180.0, 90.0, 45.0, 15.0, 5.0, 0.0], abs=1e-6)
    about = [number for number, name in enumerate(names) if name.startswith(("saturation", "minutes_to_limit_"))]
    assert contributions[-1, about].sum() > 0.9 * contributions[-1].sum() > 0
    np.testing.assert_allclose(model.explain(rows).sum(axis=1), contributions.sum(axis=1))


def test_rows_without_a_past_are_scored_by_what_is_known() -> None:
    rows = climbing(5.0)
    rows[:, [CONFIG.features.index(name) for name in PAST]] = np.nan
    model = risen()
    assert np.isfinite(model.score(rows)).all()
    assert (model.score(rows) < model.score(climbing(5.0))).all()


def test_a_model_of_before_without_an_outlook_is_read_and_scores_the_same() -> None:
    rng = np.random.default_rng(0)
    rows = rng.random((2000, len(PREDICTIVE)))
    labels = np.stack([rows[:, 0] > 0.9] * 3, axis=1).astype(np.float64)
    model = IncidentPredictor.fit(rows, labels, PredictorConfig(features=PREDICTIVE, rounds=5))
    again = IncidentPredictor.from_state(model.state())
    assert again.reasons(rows[:3])[0] == PREDICTIVE
    np.testing.assert_array_equal(again.score(rows), model.score(rows))


def test_contributions_add_up_to_the_log_odds() -> None:
    model = trained().model
    rows = rows_of(history(days=1, seed=4).frame).matrix(model.features)[:100]
    log_odds = model.calibration[-1].slope * model.margins(rows)[:, -1] + model.calibration[-1].intercept
    np.testing.assert_allclose(model.explain(rows).sum(axis=1) + model.base(), log_odds, atol=1e-4)


def test_the_trees_start_from_the_trend_so_untrained_they_rank_by_it() -> None:
    past = history(days=8)
    labels = horizon_labels(past.frame, past.incidents)
    model = train_incident_predictor(
        past.frame, labels, TrainingContext("a"), PredictorConfig(rounds=1, learning_rate=1e-6)
    ).model
    rows = rows_of(past.frame).matrix(model.features)
    minutes = rows[:, model.features.index("minutes_to_limit")]
    assert (np.diff(model.score(rows)[np.argsort(minutes), -1]) <= 1e-6).all()


def test_a_system_without_limits_is_learnt_from_its_other_signals() -> None:
    rng = np.random.default_rng(0)
    rows = rng.random((3000, len(CONFIG.features)))
    rows[:, CONFIG.features.index("minutes_to_limit")] = np.nan
    risk = rows[:, CONFIG.features.index("latency_worst")] > 0.9
    model = IncidentPredictor.fit(rows, np.stack([risk] * 3, axis=1).astype(np.float64), CONFIG)
    assert average_precision(risk.astype(np.float64), model.score(rows)[:, -1]) > 0.99


def test_nothing_known_of_telemetry_is_unknown_even_where_the_hour_is_known() -> None:
    config = PredictorConfig(features=("minutes_to_limit", "hour"), rounds=2)
    past = history(days=5)
    labels = horizon_labels(past.frame, past.incidents)
    known = np.isfinite(labels.labels[:, 0])
    rows = rows_of(past.frame).matrix(config.features)
    model = IncidentPredictor.fit(rows[known], labels.labels[known], config)
    assert np.isnan(model.score(np.array([[np.nan, 12.0]]))).all()
    assert np.isfinite(model.score(np.array([[50.0, np.nan]]))).all()


def test_the_same_seed_gives_the_same_bytes() -> None:
    past = history(days=5)
    labels = horizon_labels(past.frame, past.incidents)
    config = PredictorConfig(rounds=5, max_negatives=500)
    models = [train_incident_predictor(past.frame, labels, TrainingContext("a"), config).model for _ in range(2)]
    first, second = (model.state() for model in models)
    assert {name: array.tobytes() for name, array in first.items()} == {name: array.tobytes() for name, array in second.items()}


def test_a_history_without_incidents_is_refused_with_the_reason() -> None:
    past = history(days=2)
    rows = past.frame.num_rows
    quiet = HorizonLabels(np.zeros((rows, 3)), np.full(rows, np.inf))
    with pytest.raises(TrainingImpossible, match="precedes an incident"):
        train_incident_predictor(past.frame, quiet, TrainingContext("quiet"))
    single = horizon_labels(past.frame, past.incidents.slice(0, 1))
    with pytest.raises(TrainingImpossible, match="longer history"):
        train_incident_predictor(past.frame, single, TrainingContext("one"))


def test_unknown_labels_and_wrong_shapes_are_refused() -> None:
    rows = np.zeros((10, len(CONFIG.features)))
    with pytest.raises(ModelError, match="NaN"):
        IncidentPredictor.fit(rows, np.full((10, 3), np.nan), CONFIG)
    with pytest.raises(ModelError, match="do not fit"):
        IncidentPredictor.fit(rows[:, :2], np.zeros((10, 3)), CONFIG)
    with pytest.raises(ModelError, match="both classes"):
        IncidentPredictor.fit(rows, np.zeros((10, 3)), CONFIG)


def test_the_parts_follow_each_other_with_an_embargo_and_labels_never_look_across() -> None:
    past = history(days=8)
    labels = horizon_labels(past.frame, past.incidents)
    time_us = rows_of(past.frame).time_us
    split = temporal_split(time_us, labels.labels[:, -1], SplitConfig(embargo_min=120))
    gap = 120 * 60_000_000
    assert time_us[split.train].max() + gap <= time_us[split.calibration].min() == split.calibration_start_us
    assert time_us[split.calibration].max() + gap <= time_us[split.test].min() == split.test_start_us
    for part, after in ((split.train, split.calibration_start_us), (split.calibration, split.test_start_us)):
        ahead = labels.minutes_to_start[part]
        looks_at = time_us[part] + np.minimum(ahead, 60.0) * 60_000_000
        assert looks_at.max() < after
        assert not np.isnan(labels.labels[part]).any()
    assert not (split.train & split.calibration | split.calibration & split.test).any()


def test_training_ignores_rows_after_its_part() -> None:
    past = history(days=8)
    labels = horizon_labels(past.frame, past.incidents)
    trained = train_incident_predictor(past.frame, labels, TrainingContext("a"), PredictorConfig(rounds=5))
    values = {name: past.frame[name].to_numpy().copy() for name in past.frame.column_names[2:]}
    rows = rows_of(past.frame)
    later = np.array([moment_of_us(int(time)) >= trained.holdout_start for time in rows.time_us])
    frame = past.frame
    for place, (name, column) in enumerate(values.items(), start=2):
        column[later] = 1e3
        frame = frame.set_column(place, name, [column])
    other = train_incident_predictor(frame, labels, TrainingContext("a"), PredictorConfig(rounds=5))
    assert {k: v.tobytes() for k, v in trained.model.state().items()} == {k: v.tobytes() for k, v in other.model.state().items()}


def test_platt_recovers_the_map_and_keeps_the_order() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 2, 40_000)
    label = (rng.random(40_000) < sigmoid(0.7 * margin - 1.5)).astype(np.float64)
    platt = fit_platt(margin, label)
    assert platt.slope == pytest.approx(0.7, abs=0.05)
    assert platt.intercept == pytest.approx(-1.5, abs=0.05)
    turned = fit_platt(margin, 1 - label)
    assert turned.slope == pytest.approx(1e-3)
    assert turned(margin).mean() == pytest.approx((1 - label).mean(), abs=0.01)
    separable = fit_platt(np.array([-1.0, -2.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert np.isfinite([separable.slope, separable.intercept]).all()
    with pytest.raises(ModelError, match="both classes"):
        fit_platt(margin, np.zeros_like(margin))


def unforeseeable(seed: int, floor: float, rows: int = 60_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return margins, labels and their true chances: most rows have no sign of anything, some a strong one."""
    rng = np.random.default_rng(seed)
    margin = np.where(rng.random(rows) < 0.95, rng.normal(-7, 0.5, rows), rng.normal(-2, 2.5, rows))
    chance = floor + (1 - floor) * sigmoid(2.5 * margin + 2.0)
    return margin, (rng.random(rows) < chance).astype(np.float64), chance


def test_what_no_margin_shows_is_a_floor_and_the_rest_is_calibrated() -> None:
    margin, label, _ = unforeseeable(0, 0.004)
    floored, plain = fit_floored(margin, label), fit_platt(margin, label)
    assert floored.floor == pytest.approx(0.004, rel=0.3)
    assert floored.slope == pytest.approx(2.5, rel=0.2)
    margin, label, chance = unforeseeable(1, 0.004)
    errors = [np.abs(fitted(margin) - chance)[margin > -5].mean() for fitted in (floored, plain)]
    assert errors[0] < 0.5 * errors[1]
    assert log_loss(label, floored(margin)) < log_loss(label, plain(margin))


@given(st.integers(0, 1000), st.floats(0.0, 0.05))
@settings(max_examples=15, deadline=None)
def test_a_floor_never_makes_the_labels_less_likely_nor_turns_the_order_around(seed: int, floor: float) -> None:
    margin, label, _ = unforeseeable(seed, floor, 400)
    label[np.argmax(margin)], label[np.argmin(margin)] = 1.0, 0.0
    fitted = fit_floored(margin, label)
    assert log_loss(label, fitted(margin)) <= log_loss(label, fit_platt(margin, label)(margin)) + 1e-12
    chances = fitted(np.sort(margin))
    assert (np.diff(chances) >= 0).all()
    assert 0.0 <= fitted.floor <= label.mean()
    assert ((chances >= 0) & (chances <= 1)).all()


def test_a_model_of_before_without_a_floor_is_read() -> None:
    state = dict(trained().model.state())
    model = IncidentPredictor.from_state({**state, "calibration": state["calibration"][:, :2]})
    assert [platt.floor for platt in model.calibration] == [0.0] * 3
    assert [platt.slope for platt in model.calibration] == [platt.slope for platt in trained().model.calibration]


def test_a_damaged_booster_is_refused() -> None:
    state = dict(trained().model.state())
    with pytest.raises(ArtifactError, match="UBJ"):
        IncidentPredictor.from_state({**state, "p_15min.ubj": state["p_15min.ubj"][: len(state["p_15min.ubj"]) // 2]})
    with pytest.raises(ArtifactError, match="columns"):
        IncidentPredictor.from_state({**state, "features": np.frombuffer(b'["minutes_to_limit"]', dtype=np.uint8)})
    with pytest.raises(ArtifactError, match="calibration"):
        IncidentPredictor.from_state({**state, "calibration": np.zeros((1, 2))})
