"""What `dagster.yaml` names: Dagster's own storages, placed below the suite's home by the suite's settings.

Dagster imports this module by name; nothing else does. It is an entry point, so it reads the settings itself.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from aiops.settings.reading import read_settings

LOCK: Final = "dagster.lock"


def _home() -> str:
    return str(read_settings().root)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let one process at a time open the storage of a home.

    Dagster makes its tables first and notes their version afterwards. A second process that comes between notes an old version
    beside the new one, and from then on nobody can open the storage: web server and daemon start together.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


class HomeSqliteStorage(DagsterSqliteStorage):
    """Dagster's runs, events and schedules as SQLite files below AIOPS_HOME."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the options in `dagster.yaml`: none."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return the storage below the home of the settings in force."""
        home = _home()
        with _alone(Path(home)):
            return cls.from_local(home, inst_data)


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
