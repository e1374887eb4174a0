"""The ensemble: better than its members where labels exist, honest where they do not, and it says who found what."""

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import ArtifactError, TrainingImpossible
from models.artifacts.catalog import trained_models
from models.artifacts.training_run import Trained
from models.detectors.isolation_forest import ForestConfig
from models.detectors.service_ensemble import ServiceEnsemble
from models.evaluation.gate import Contender, GateConfig, decide
from models.evaluation.measures import average_precision
from models.training.detector_training import detection_replay
from models.training.ensemble_training import EnsembleConfig, train_service_ensemble
from models.training.training_context import TrainingContext
from models.vectors.service_rows import ServiceRows, rows_of
from tests.testing.service_frames import START, History, history

CONTEXT = TrainingContext("synthetic")
CONFIG = EnsembleConfig(forest=ForestConfig(trees=40))


@cache
def past() -> History:
    return history(days=6)


@cache
def trained() -> Trained[ServiceEnsemble]:
    return train_service_ensemble(past().frame, past().incidents, CONTEXT, CONFIG)


def strange_rows() -> ServiceRows:
    return rows_of(history(days=1, seed=9).frame)


def test_labels_add_a_member_and_make_the_confidence_a_share() -> None:
    run, model = trained().run, trained().model
    assert model.member_names == ("forest", "labelled")
    assert model.combination.fitted
    assert "labelled incidents" in str(run.params["labelled"])
    assert "0.9 is meant as a share" in str(run.params["combination"])
    assert run.metrics["pr_auc"] > run.metrics["forest_pr_auc"] > run.metrics["base_rate"]
    assert run.metrics["brier"] < 0.5 * run.metrics["brier_base_rate"]
    assert run.metrics["calibration_error"] < 0.05
    assert {"reliability.svg", "precision_recall.svg", "score_over_time.svg"} == set(run.figures)
    assert "service-ensemble" in trained_models()


def test_without_labels_the_forest_speaks_alone_and_says_so() -> None:
    trained_alone = train_service_ensemble(past().frame, None, CONTEXT, CONFIG)
    assert trained_alone.model.member_names == ("forest",)
    assert not trained_alone.model.combination.fitted
    assert trained_alone.run.params["labelled"] == "left out: 0 labelled incidents, 5 are needed"
    assert str(trained_alone.run.params["combination"]).startswith("label-free: 0 labelled incidents")
    assert trained_alone.run.metrics["false_pages_per_day_per_service"] <= 3.0
    few = past().incidents.slice(0, 4)
    assert train_service_ensemble(past().frame, few, CONTEXT, CONFIG).model.member_names == ("forest",)


def test_the_gate_promotes_it_over_the_forest_alone() -> None:
    held = int(trained().holdout_start.timestamp() * 1e6)
    replay = detection_replay(past().frame, past().incidents, held)
    alone = train_service_ensemble(past().frame, None, CONTEXT, CONFIG).model
    decision = decide(Contender(trained().model, "2"), Contender(alone, "1"), replay, GateConfig(latency_budget_ms=1e3))
    assert decision.promoted, decision.reason


def test_shares_say_who_found_it_and_contributions_add_up() -> None:
    model, rows = trained().model, strange_rows()
    matrix = rows.matrix(model.features)
    scores, shares = model.score_and_shares(matrix)
    np.testing.assert_array_equal(scores, model.score(matrix))
    np.testing.assert_array_equal(shares, model.shares(matrix))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    log_odds = model.base() + model.explain(matrix).sum(axis=1)
    np.testing.assert_allclose(1.0 / (1.0 + np.exp(-log_odds)), scores[:, 0], atol=1e-9)
    worst = int(scores.argmax())
    named = model.features[int(model.explain(matrix)[worst].argmax())]
    assert named in {"errors_worst", "latency_worst", "saturation_worst", "abnormal_share", "minutes_to_limit"}


def test_a_member_without_its_columns_abstains() -> None:
    model = trained().model
    rows = strange_rows().matrix(model.features)[:5]
    blank = replace(model, members=model.members[:1])
    assert blank.features == model.features
    silent = np.full_like(rows, np.nan)
    assert np.isnan(model.score(silent)).all()
    assert np.isnan(model.shares(silent)).all()


def test_same_seed_same_ensemble() -> None:
    again = train_service_ensemble(past().frame, past().incidents, CONTEXT, CONFIG).model
    matrix = strange_rows().matrix(again.features)
    np.testing.assert_array_equal(again.score(matrix), trained().model.score(matrix))


def test_nothing_newer_than_the_holdout_is_seen() -> None:
    frame = past().frame
    newer = frame["event_timestamp"].to_numpy() >= np.datetime64(trained().holdout_start.replace(tzinfo=None))
    errors = np.where(newer, 9.0, frame["errors_worst"].to_numpy())
    changed = frame.set_column(frame.column_names.index("errors_worst"), "errors_worst", pa.array(errors))
    model = train_service_ensemble(changed, past().incidents, CONTEXT, CONFIG).model
    matrix = strange_rows().matrix(model.features)
    np.testing.assert_array_equal(model.score(matrix), trained().model.score(matrix))


def test_after_a_drift_the_new_normal_is_learned_and_labels_still_count() -> None:
    frame = past().frame
    column = frame.column_names.index("traffic_level")
    begin = START.timestamp() + 4.5 * 86_400
    late = frame["event_timestamp"].cast(pa.int64()).to_numpy() / 1e6 >= begin
    drifted = frame.set_column(column, "traffic_level", pa.array(np.where(late, 0.9, 0.0) + frame["traffic_level"].to_numpy()))
    since = trained().holdout_start.fromtimestamp(begin - 6 * 3600, tz=START.tzinfo)
    context = replace(CONTEXT, normal_from=since, holdout_from=START.fromtimestamp(begin + 86_400, tz=START.tzinfo))
    retrained = train_service_ensemble(drifted, past().incidents, context, CONFIG)
    assert retrained.holdout_start == context.holdout_from
    assert retrained.model.member_names == ("forest", "labelled")
    newest = rows_of(drifted.filter(pa.array(late)))
    replay = detection_replay(drifted, past().incidents, int(retrained.holdout_start.timestamp() * 1e6))
    new_score, old_score = (model.score(newest.matrix(model.features))[:, 0] for model in (retrained.model, trained().model))
    assert np.median(new_score) < np.median(old_score)
    label = replay.truth.positive[replay.truth.counted].astype(np.float64)
    assert (
        average_precision(label, retrained.model.score(replay.rows.matrix(retrained.model.features))[replay.truth.counted, 0])
        > 0.5
    )


def test_too_short_a_history_and_a_damaged_state_are_refused() -> None:
    with pytest.raises(TrainingImpossible, match="the ensemble needs 200"):
        train_service_ensemble(past().frame.slice(0, 60), None, CONTEXT, CONFIG)
    state = dict(trained().model.state())
    with pytest.raises(ArtifactError, match="do not fit the members"):
        ServiceEnsemble.from_state({**state, "weights": np.ones(5)})
    with pytest.raises(ArtifactError, match="tail of forest"):
        ServiceEnsemble.from_state({**state, "tail_forest_raw": np.ones(3)})
