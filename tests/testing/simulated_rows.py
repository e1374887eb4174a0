"""Feature rows of a small simulated application, built once: telemetry through the contract and the engine, no disk."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.simulator.simulate import simulate
from aiops.simulator.simulation_config import SimulationConfig
from aiops.topology.graph import ServiceGraph
from aiops.types import SeriesBatch
from data_contracts.telemetry.validate import validate

MONDAY = datetime(2025, 3, 3, tzinfo=UTC)


@dataclass(frozen=True)
class Rows:
    """`frame`: service, event_timestamp, the service features and a score; `start` of the simulation."""

    frame: pd.DataFrame
    incidents: pd.DataFrame
    graph: ServiceGraph
    start: datetime

    def between(self, first_h: float, last_h: float) -> pd.DataFrame:
        """Return the rows of first_h <= hours since the start < last_h."""
        hours = (self.frame["event_timestamp"] - pd.Timestamp(self.start)) / timedelta(hours=1)
        return self.frame[(hours >= first_h) & (hours < last_h)]


def service_rows(config: SimulationConfig, every_s: int = 300) -> Rows:
    """Return the rows of every `every_s` seconds; the score is the worst signal, as a stand-in for a model's."""
    simulation = simulate(config)
    graph = ServiceGraph.from_edges(simulation.edges())
    engine = FeatureEngine(EngineConfig(step_s=config.step_s), graph)
    end = config.start + timedelta(hours=config.hours)
    parts = [
        engine.update(SeriesBatch(validate(chunk, end, "test").accepted)).service_features for chunk in simulation.telemetry()
    ]
    table = pa.Table.from_batches([*parts, engine.close_through(end).service_features])
    frame = table.to_pandas().drop(columns="available_at")
    frame = frame[frame["event_timestamp"] == frame["event_timestamp"].dt.floor(f"{every_s}s")]
    worst = frame[[name for name in frame.columns if name.endswith("_worst")]]
    frame = frame.assign(score=np.nan_to_num(worst.max(axis="columns").to_numpy())).reset_index(drop=True)
    return Rows(frame, simulation.incidents().to_pandas(), graph, config.start)
