"""A small home with a filled lake: simulated telemetry, truth and features, written by the suite's own pipeline."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiops.settings.telemetry_settings import TelemetrySettings
from aiops.settings.tree import Settings
from aiops.simulator.simulation_config import SimulationConfig
from orchestration.pipeline.features import Window, build_features
from orchestration.pipeline.ingest import ingest, ingest_truth
from orchestration.workspace.workspace import Workspace
from serving.ingest.pull.simulate import SimulatedSource

DAY = datetime(2025, 3, 3, tzinfo=UTC)
STEP_S = 300


def open_space(home: Path) -> Workspace:
    """Return a workspace whose ticks are five minutes apart."""
    return Workspace.open(Settings(home=home, telemetry=TelemetrySettings(step_s=STEP_S)))


BUSY = SimulationConfig(services=4, hours=72, step_s=STEP_S, incidents_per_day=8)
"""Three days with eight incidents each."""


def filled(home: Path, config: SimulationConfig = BUSY) -> Workspace:
    """Return a workspace with the whole simulation, which starts at `DAY`."""
    workspace = open_space(home)
    source, end = SimulatedSource(config), DAY + timedelta(hours=config.hours)
    ingest_truth(workspace, source)
    ingest(workspace, source.name, source.batches(), end, lambda _: None)
    build_features(workspace, Window(DAY, end), lambda _: None)
    return workspace
