"""The factory of the lake: the only place outside the implementation that knows it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiops.settings.tree import Settings
from data_contracts.series.tenant import DEFAULT_TENANT, folder_of, tenant_of
from serving.lake.layout import Moved, migrate, refuse_old
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
    """Return the lakes below a folder, or below the home of the settings; nothing is created or opened yet.

    Raises:
        StateError: the folder holds a lake of version 0.1; the message names the command that moves it.
    """
    root = at.lake_path if isinstance(at, Settings) else at
    refuse_old(root)
    return _ParquetLakes(root)


def migrate_lake(settings: Settings, say: Callable[[str], None]) -> Moved:
    """Move what version 0.1 wrote into the lake of the default tenant (see `layout.migrate`)."""
    root = settings.lake_path
    return migrate(root, _ParquetLakes(root).for_tenant(DEFAULT_TENANT), say)
