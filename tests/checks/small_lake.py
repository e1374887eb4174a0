"""A small home with a filled lake: simulated telemetry, truth and features, written by the suite's own pipeline."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiops.settings import Settings, TelemetrySettings
from aiops.simulator.config import DriftSpec, SimulationConfig
from orchestration.pipeline.features import Window, build_features
from orchestration.pipeline.ingest import ingest, ingest_truth
from orchestration.workspace import Workspace
from serving.sources.simulate import SimulatedSource

DAY = datetime(2025, 3, 3, tzinfo=UTC)
STEP_S = 300


def open_space(home: Path) -> Workspace:
    """Return a workspace whose ticks are five minutes apart."""
    return Workspace.open(Settings(home=home, telemetry=TelemetrySettings(step_s=STEP_S)))


def filled(home: Path, days: int = 3, services: int = 4, drift: DriftSpec | None = None) -> Workspace:
    """Return a workspace with `days` whole days from `DAY` on, eight incidents each."""
    workspace = open_space(home)
    config = SimulationConfig(services=services, hours=24 * days, step_s=STEP_S, incidents_per_day=8, drift=drift)
    source, end = SimulatedSource(config), DAY + timedelta(days=days)
    ingest_truth(workspace, source)
    ingest(workspace, source.name, source.batches(), end, lambda _: None)
    build_features(workspace, Window(DAY, end), lambda _: None)
    return workspace
