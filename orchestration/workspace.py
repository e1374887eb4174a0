"""Everything below AIOPS_HOME, opened once and handed on: settings, the lake, what is known of graph and incidents."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from aiops.feature_engine import EngineConfig
from aiops.graph import ServiceGraph
from aiops.settings import Settings
from orchestration.current_settings import read_settings
from serving.lake import Lake

if TYPE_CHECKING:
    from models.registry import Registry


@dataclass(frozen=True, slots=True)
class Workspace:
    """Settings and the stores they point at; cheap to open, safe to open twice."""

    settings: Settings
    lake: Lake

    @classmethod
    def open(cls, settings: Settings | None = None) -> "Workspace":
        """Open the workspace of `settings` (read from the environment where None).

        Raises:
            ConfigurationError: a setting of the environment cannot be used.
        """
        chosen = settings or read_settings()
        return cls(chosen, Lake(chosen.lake_path))

    @property
    def registry(self) -> "Registry":
        """Return the model registry; imports MLflow (1 s) on first use."""
        from models.registry import Registry

        return Registry(self.settings)

    @property
    def engine_config(self) -> EngineConfig:
        """Return the feature engine's configuration: the same for backfill and stream."""
        return EngineConfig.of(self.settings.telemetry)

    def graph(self) -> ServiceGraph:
        """Return the service graph as the lake knows it now."""
        return ServiceGraph.from_edges(self.lake.read("edges"))

    def incidents(self, known_by: datetime | None = None) -> pa.Table:
        """Return labelled incidents, those known at `known_by` only where it is given."""
        table = self.lake.read("incidents")
        if known_by is None:
            return table
        return table.filter(pc.less_equal(table["known_at"], pa.scalar(known_by, table["known_at"].type)))
