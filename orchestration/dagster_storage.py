"""What `dagster.yaml` names: Dagster's own storages, placed below the suite's home by the suite's settings.

Dagster imports this module by name; nothing else does. It is an entry point, so it reads the settings itself.
"""

from typing import Any, Self

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from aiops.settings.reading import read_settings


def _home() -> str:
    return str(read_settings().root)


class HomeSqliteStorage(DagsterSqliteStorage):
    """Dagster's runs, events and schedules as SQLite files below AIOPS_HOME."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the options in `dagster.yaml`: none."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return the storage below the home of the settings in force."""
        return cls.from_local(_home(), inst_data)


class HomeArtifactStorage(LocalArtifactStorage):
    """Dagster's artifacts below AIOPS_HOME."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the options in `dagster.yaml`: none."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return the storage below the home of the settings in force."""
        return cls(_home(), inst_data)


class HomeComputeLogs(LocalComputeLogManager):
    """Output of Dagster's steps below AIOPS_HOME."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the options in `dagster.yaml`: none."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return the logs below the home of the settings in force."""
        return cls(_home(), inst_data=inst_data)
