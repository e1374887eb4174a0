"""What `feature_repo/feature_store.yaml` names: Feast's file registry and Redis store, placed by the suite's settings.

Feast imports this module by name; nothing else does. It is an entry point, so it reads `Settings()` itself.
"""

from pathlib import Path
from typing import Literal

from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.registry.file import FileRegistryStore
from feast.repo_config import RegistryConfig
from pydantic import Field, StrictStr

from aiops.settings.reading import read_settings
from orchestration.workspace.feature_store import connection_string
from serving.stream.broker_password import broker_url


def _default_connection() -> str:
    return connection_string(broker_url(read_settings()))


class HomeRegistryStore(FileRegistryStore):
    """Feast's file registry at `path` below AIOPS_HOME; a relative AIOPS_HOME counts from the folder above `feature_repo/`."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        home = repo_path.resolve().parent / read_settings().home.expanduser()
        file = home / registry_config.path
        file.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(registry_config.model_copy(update={"path": str(file)}), repo_path)


class BrokerRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Feast's Redis configuration whose connection string is the suite's broker unless the file gives one."""

    type: Literal["orchestration.feast_plugins.BrokerRedisOnlineStore"] = "orchestration.feast_plugins.BrokerRedisOnlineStore"  # type: ignore[assignment]  # Feast finds the class by it
    connection_string: StrictStr = Field(default_factory=_default_connection)


class BrokerRedisOnlineStore(RedisOnlineStore):
    """Feast's Redis store, unchanged."""
