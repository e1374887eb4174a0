"""A collective anomaly by the simulator's truth: every value has been seen before, their course has not."""

from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.sequences import Sequences
from aiops.simulator.anomalies import InjectedAnomaly, with_anomalies
from aiops.simulator.simulate import simulate
from aiops.simulator.simulation_config import SimulationConfig
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray, SeriesBatch
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES
from data_contracts.telemetry.validate import validate
from models.detectors.isolation_forest import ForestConfig
from models.detectors.service_ensemble import ServiceEnsemble
from models.training.ensemble_training import EnsembleConfig, train_service_ensemble
from models.training.training_context import TrainingContext
from models.vectors.service_rows import ServiceRows, rows_of
from tests.testing.simulated_rows import MONDAY

pytestmark = pytest.mark.slow
CONFIG = SimulationConfig(seed=5, start=MONDAY, services=4, hours=48.0, incidents_per_day=0.0, step_s=60)
BEGIN = MONDAY + timedelta(hours=38)


@cache
def telemetry() -> pa.Table:
    return pa.concat_tables(list(simulate(CONFIG).telemetry())).combine_chunks()


def anomalies() -> list[InjectedAnomaly]:
    """Return one sustained anomaly of each service, an hour and a half long, all in the last ten hours."""
    services = sorted(set(telemetry()["service"].to_pylist()))
    return [
        InjectedAnomaly("sustained", service, "latency_p99_ms", BEGIN + timedelta(hours=2 * number), 90.0)
        for number, service in enumerate(services)
    ]


def frame(table: pa.Table) -> pa.Table:
    """Return the rows of all ticks with their sequences, as a training set has them."""
    end = CONFIG.start + timedelta(hours=CONFIG.hours)
    engine = FeatureEngine(EngineConfig(), ServiceGraph.from_edges(simulate(CONFIG).edges()))
    rows = engine.update(SeriesBatch(validate(table, end, "test").accepted)).service_features
    sequences = Sequences(60_000_000).update(rows)
    made = pa.Table.from_batches([rows])
    for place, name in enumerate(SEQUENCE_FEATURES):
        made = made.append_column(name, pa.array(sequences[:, place]))
    return made


@cache
def trained() -> ServiceEnsemble:
    context = TrainingContext("simulated", holdout_from=BEGIN)
    return train_service_ensemble(frame(telemetry()), None, context, EnsembleConfig(forest=ForestConfig(trees=100))).model


def inside(rows: ServiceRows) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which rows lie in a window, from its twentieth minute on: a course takes a while to be one."""
    within = np.zeros(len(rows), dtype=np.bool_)
    for anomaly in anomalies():
        first, last = (int(moment.timestamp() * 1e6) for moment in (anomaly.start + timedelta(minutes=20), anomaly.end))
        own = rows.code == rows.services.index(anomaly.service)
        within |= own & (rows.time_us >= first) & (rows.time_us < last)
    return within


def ranked(score: FloatArray, within: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> float:
    """Return the chance that a row of a window scores above one outside of all."""
    order = np.argsort(np.argsort(score, kind="stable"), kind="stable")
    positive = int(within.sum())
    return float((order[within].sum() - positive * (positive - 1) / 2) / (positive * (len(score) - positive)))


def test_the_sequence_ranks_it_above_what_the_forest_alone_does() -> None:
    model = trained()
    assert model.member_names == ("forest", "sequence")
    rows = rows_of(frame(with_anomalies(telemetry(), anomalies())))
    rows = rows.take(rows.time_us >= int(BEGIN.timestamp() * 1e6))
    within = inside(rows)
    matrix = rows.matrix(model.features)
    forest = replace(model, members=model.members[:1], combination=replace(model.combination, weights=np.ones(1)))
    together, alone = ranked(model.score(matrix)[:, 0], within), ranked(forest.evidence(matrix)[:, 0], within)
    assert together > alone + 0.05
    assert together > 0.65
