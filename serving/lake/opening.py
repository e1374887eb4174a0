"""The factory of the lake: the only place outside the implementation that knows it."""

from dataclasses import dataclass
from pathlib import Path

from aiops.settings import Settings
from data_contracts.series.tenant import folder_of, tenant_of
from serving.lake.parquet_lake import ParquetLake
from serving.lake.port import Lake, Lakes


@dataclass(frozen=True, slots=True)
class _ParquetLakes:
    root: Path

    def for_tenant(self, tenant: str) -> Lake:
        return ParquetLake(self.root / folder_of(tenant), tenant)

    def tenants(self) -> tuple[str, ...]:
        return tuple(sorted(tenant_of(path.name) for path in self.root.glob("tenant=*")))


def open_lake(at: Path | Settings) -> Lakes:
    """Return the lakes below a folder, or below the home of the settings; nothing is created or opened yet."""
    return _ParquetLakes(at.lake_path if isinstance(at, Settings) else at)
