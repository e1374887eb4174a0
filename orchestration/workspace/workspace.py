"""Everything below AIOPS_HOME, opened once and handed on: settings, the lake, what is known of graph and incidents."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import SourceError
from aiops.features.engine import EngineConfig
from aiops.incidents.feedback.verdict_labels import KIND
from aiops.incidents.incident_labels import each_once
from aiops.settings.reading import read_settings
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from data_contracts.series.tenant import DEFAULT_TENANT, checked_tenant
from serving.host.private_files import tighten
from serving.lake.opening import open_lake
from serving.lake.port import Lake

if TYPE_CHECKING:
    from models.artifacts.registry import Registry


@dataclass(frozen=True, slots=True)
class Workspace:
    """Settings and a tenant's part of the stores they point at; cheap to open, safe to open twice."""

    settings: Settings
    lake: Lake

    @property
    def tenant(self) -> str:
        """Return whose workspace this is."""
        return self.lake.tenant

    def folder(self, name: str) -> Path:
        """Return the tenant's folder `name` below home."""
        return self.settings.folder(name, self.tenant)

    @classmethod
    def open(cls, settings: Settings | None = None, tenant: str | None = None) -> "Workspace":
        """Open the workspace of `settings` (read from the environment where None) for a tenant (that of the settings).

        Raises:
            ConfigurationError: a setting of the environment cannot be used.
            TenantError: the text is no name of a tenant.
        """
        chosen = settings or read_settings()
        if tenant is not None and tenant != chosen.tenant:
            chosen = chosen.model_copy(update={"tenant": checked_tenant(tenant)})
        tighten(chosen.root)
        return cls(chosen, open_lake(chosen).for_tenant(chosen.tenant))

    @property
    def registry(self) -> "Registry":
        """Return the model registry; imports MLflow (1 s) on first use."""
        from models.artifacts.registry import Registry

        return Registry(self.settings)

    @property
    def engine_config(self) -> EngineConfig:
        """Return the feature engine's configuration: the same for backfill and stream."""
        return EngineConfig.of(self.settings.telemetry)

    def newest_telemetry(self) -> datetime:
        """Return the newest event time of the tenant's telemetry.

        Raises:
            SourceError: the lake holds none.
        """
        newest = self.lake.newest("telemetry")
        if newest is None:
            whose = "" if self.tenant == DEFAULT_TENANT else f" of tenant {self.tenant}"
            raise SourceError(f"no telemetry in the lake{whose} below {self.settings.root}; ingest some first (`aiops ingest`)")
        return newest

    def newest_signal(self) -> datetime | None:
        """Return the newest time of the tenant's logs, spans and exemplars, None where there are none."""
        times = (self.lake.newest(table) for table in ("logs", "spans", "exemplars"))
        return max((at for at in times if at is not None), default=None)

    def graph(self) -> ServiceGraph:
        """Return the service graph as the lake knows it now."""
        return ServiceGraph.from_edges(self.lake.read("edges"))

    def incidents(self, known_by: datetime | None = None) -> pa.Table:
        """Return labelled incidents, those known at `known_by` only where it is given; verdicts repeat no incident."""
        return each_once(_known(self.lake.read("incidents"), "known_at", known_by))

    def announced(self, known_by: datetime) -> pa.Table:
        """Return incidents that were announced on the stream by `known_by`: those of sources, not those of verdicts."""
        table = _known(self.lake.read("incidents"), "known_at", known_by)
        return table.filter(pc.not_equal(table["kind"], pa.scalar(KIND)))

    def false_alarms(self, known_by: datetime) -> pa.Table:
        """Return service and timestamp of detections that people had called false alarms by `known_by`."""
        verdicts = _known(self.lake.read("verdicts"), "given_at", known_by).sort_by([("given_at", "ascending")])
        last = {str(row["detection_id"]): bool(row["right"]) for row in verdicts.to_pylist()}
        false = sorted(name for name, right in last.items() if not right)
        columns = ["detection_id", "revision", "service", "timestamp"]
        since = None if false else known_by  # without any, no day has to be opened
        rows = self.lake.read("detections", since, known_by, columns, where={"detection_id": false})
        return rows.filter(pc.equal(rows["revision"], pa.scalar(0, pa.int32()))).select(["service", "timestamp"])


def _known(rows: pa.Table, column: str, known_by: datetime | None) -> pa.Table:
    if known_by is None:
        return rows
    return rows.filter(pc.less_equal(rows[column], pa.scalar(known_by, rows[column].type)))
