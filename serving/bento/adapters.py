"""The adapters of a real deployment: models from the registry or its export, features from Redis, served rows to the lake."""

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from aiops.settings import Settings
from serving.bento.model_source import FolderModels, ModelSource, RegistryModels
from serving.bento.runtime import Adapters, Runtime
from serving.broker import connect
from serving.feast_online import RedisFeatures
from serving.lake import Lake


def runtime_from_environment(registry: CollectorRegistry) -> Runtime:
    """Build the runtime of this process from the settings in its environment. Nothing is connected yet."""
    settings = Settings()
    features = RedisFeatures(connect(settings, timeout_s=settings.serving.timeout_s / 2))
    adapters = Adapters(models_of(settings), features, Lake(settings.lake_path), lambda: datetime.now(UTC))
    return Runtime(settings.serving, adapters, registry)


def models_of(settings: Settings) -> ModelSource:
    """Return where models come from: the MLflow registry, or the folder it exports to (no MLflow in the process)."""
    if settings.serving.models_from == "export":
        return FolderModels(settings.root / "models")
    return RegistryModels(settings)
