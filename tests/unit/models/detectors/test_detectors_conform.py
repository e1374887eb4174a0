"""Every model of the catalog passes the one conformance suite."""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from aiops.features.engine import EngineConfig
from aiops.incidents.labels import horizon_labels
from aiops.ports import Detector, VectorModel
from aiops.types import FloatArray, SeriesBatch
from models.artifacts.catalog import CATALOG, FittedModel, model_class
from models.detectors.isolation_forest import ForestConfig
from models.detectors.lstm_autoencoder import AutoencoderConfig, fit_autoencoder
from models.detectors.minute_grid import grid_of
from models.detectors.robust_stream import RobustStream
from models.detectors.sequence_autoencoder import SequenceAutoencoder
from models.detectors.service_ensemble import ServiceEnsemble
from models.detectors.surprise import SeriesSurprise
from models.detectors.system_deviation import SystemDeviation
from models.detectors.unit_normal import UnitConfig
from models.detectors.unit_surprise import UnitSurprise
from models.prediction.incident_predictor import PredictorConfig
from models.training.detector_training import train_robust_stream
from models.training.ensemble_training import EnsembleConfig, train_service_ensemble
from models.training.predictor_training import train_incident_predictor
from models.training.training_context import TrainingContext
from models.vectors.service_rows import rows_of
from tests.conformance.detector_suite import check_detector, check_fit_is_seeded, check_persistence, check_vector_model
from tests.testing.point_batches import regular
from tests.testing.sequence_rows import sequences
from tests.testing.series_names import named, points_of_table
from tests.testing.service_frames import START, history
from tests.testing.trained_forest import trained_forest

CONTEXT = TrainingContext("synthetic")


def telemetry(points: int = 700) -> pa.Table:
    rng = np.random.default_rng(2)
    times = [START + timedelta(minutes=minute) for minute in range(points) for _ in range(2)]
    services = ["cart", "web"] * points
    values = rng.normal(100.0, 5.0, 2 * points)
    return pa.table({"timestamp": times, "service": services, "metric": ["latency_p50_ms"] * (2 * points), "value": values})


def history_of(table: pa.Table) -> pa.Table:
    """Return rows as training reads them."""
    return pa.Table.from_batches([points_of_table(table).table])


def batch_of(table: pa.Table) -> SeriesBatch:
    return points_of_table(table)


def robust_stream() -> RobustStream:
    return train_robust_stream(history_of(telemetry()), None, CONTEXT, EngineConfig()).model


@cache
def isolation_forest() -> VectorModel:
    return trained_forest(history(days=5), CONTEXT, trees=40).model


@cache
def incident_predictor() -> VectorModel:
    past = history(days=5)
    labels = horizon_labels(past.frame, past.incidents)
    return train_incident_predictor(past.frame, labels, CONTEXT, PredictorConfig(rounds=20)).model


@cache
def service_ensemble() -> ServiceEnsemble:
    past = history(days=5)
    return train_service_ensemble(past.frame, past.incidents, CONTEXT, EnsembleConfig(ForestConfig(trees=40))).model


@cache
def autoencoder() -> SequenceAutoencoder:
    return fit_autoencoder(sequences(600), AutoencoderConfig(epochs=4))


def vectors(model: VectorModel) -> FloatArray:
    return rows_of(history(days=1, seed=9).frame).matrix(model.features)[:200]


POINT: dict[str, Callable[[], FittedModel]] = {
    "robust-stream": robust_stream,
    "series-surprise": SeriesSurprise,
    "system-deviation": lambda: SystemDeviation.fit(grid_of([regular(700).batch()])),
    "unit-surprise": lambda: UnitSurprise.fit(regular(700).batch(), UnitConfig(days=3)),
}
"""Point detectors: name -> how one is fitted (each call fits anew)."""
VECTOR: dict[str, Callable[[], tuple[VectorModel, FloatArray]]] = {
    "isolation-forest": lambda: (isolation_forest(), vectors(isolation_forest())),
    "incident-predictor": lambda: (incident_predictor(), vectors(incident_predictor())),
    "sequence-autoencoder": lambda: (autoencoder(), sequences(200, seed=5)),
    "service-ensemble": lambda: (service_ensemble(), vectors(service_ensemble())),
    "labelled-trees": lambda: (service_ensemble().members[1].model, vectors(service_ensemble().members[1].model)),
}
"""Models of vectors: name -> a fitted one and (n >= 32, features) rows for it, most of them known."""


def test_every_model_of_the_catalog_is_in_the_suite() -> None:
    assert set(POINT) | set(VECTOR) == set(CATALOG)


@pytest.mark.parametrize("name", sorted(VECTOR))
def test_vector_models_conform(name: str, tmp_path: Path) -> None:
    model, rows = VECTOR[name]()
    check_vector_model(model, rows)
    check_persistence(model, tmp_path, rows)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(POINT))
def test_point_detectors_conform(name: str, tmp_path: Path) -> None:
    model = POINT[name]()
    check_detector(cast(Detector, model))
    check_fit_is_seeded(POINT[name])
    check_persistence(model, tmp_path, regular(200).batch())


def test_every_catalog_name_is_a_class_that_knows_its_name() -> None:
    for name in CATALOG:
        assert model_class(name).catalog_name == name  # type: ignore[attr-defined]


def test_levels_follow_each_series_and_unknown_series_get_the_catalogue() -> None:
    model = train_robust_stream(history_of(telemetry()), None, CONTEXT, EngineConfig()).model
    alarm_z, low, high = model.alarm_for([named("web|latency_p50_ms"), named("new|error_rate"), named("new|anything")])
    assert alarm_z[0] >= 6.0
    assert 0.0 < low[0] < 80.0
    assert 120.0 < high[0] < 200.0
    np.testing.assert_array_equal(alarm_z[1:], [6.0, 6.0])
    np.testing.assert_array_equal(low[1:], [0.0, -np.inf])
    np.testing.assert_array_equal(high[1:], [1.0, np.inf])


def test_a_static_limit_holds_in_warm_up_and_a_spike_alarms() -> None:
    table = telemetry(100)
    values = table["value"].to_numpy().copy()
    values[2], values[150] = 5000.0, 5000.0
    model: RobustStream = train_robust_stream(history_of(telemetry()), None, CONTEXT, EngineConfig()).model
    scores = model.score(batch_of(table.set_column(3, "value", pa.array(values))))
    assert scores[2] >= 0.5
    assert scores[150] >= 0.5
    assert np.isnan(scores[:2]).all()
    assert np.nanmax(model.score(batch_of(telemetry(100)))) < 0.5


def test_a_resource_without_history_of_exhaustion_alarms_before_its_limit() -> None:
    rng = np.random.default_rng(0)
    table = telemetry(700)
    table = table.set_column(2, "metric", pa.array(["disk_utilization"] * table.num_rows))
    table = table.set_column(3, "value", pa.array(rng.normal(0.4, 0.01, table.num_rows)))
    model = train_robust_stream(history_of(table), None, CONTEXT, EngineConfig()).model
    _, _, high = model.alarm_for([named("web|disk_utilization")])
    assert 0.42 < high[0] < 0.98


def test_incidents_do_not_raise_the_levels() -> None:
    table = telemetry(1400)
    values = table["value"].to_numpy().copy()
    values[1000:1060] += 400.0
    disturbed = table.set_column(3, "value", pa.array(values))
    incident = history(days=1).incidents.slice(0, 1).to_pylist()[0]
    times = {"onset_at": 495, "starts_at": 495, "ends_at": 540, "known_at": 540}
    incident |= {name: START + timedelta(minutes=minute) for name, minute in times.items()} | {"service": "web"}
    incidents = pa.Table.from_pylist([incident], schema=history(days=1).incidents.schema)
    with_incidents = train_robust_stream(history_of(disturbed), incidents, CONTEXT, EngineConfig()).model
    without_incidents = train_robust_stream(history_of(disturbed), None, CONTEXT, EngineConfig()).model
    assert (
        with_incidents.alarm_for([named("web|latency_p50_ms")])[2][0]
        < 200.0
        < without_incidents.alarm_for([named("web|latency_p50_ms")])[2][0]
    )
