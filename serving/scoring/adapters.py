"""The adapters of a real deployment.

Models come from the registry or its export, features and seasonal bands from Redis; served rows go to the lake, and root
causes are named from its telemetry.
"""

from datetime import UTC, datetime
from functools import partial

from prometheus_client import CollectorRegistry

from aiops.settings.reading import read_settings
from aiops.settings.tree import Settings
from serving.lake.opening import open_lake
from serving.online.online_features import RedisFeatures
from serving.online.seasonal_bands import RedisBands
from serving.root_cause.lake_explainer import RootCauseAnalyst
from serving.scoring.runtime import Adapters, Runtime
from serving.scoring.slots.model_source import FolderModels, ModelSource, RegistryModels
from serving.stream.broker import connect


def runtime_from_environment(registry: CollectorRegistry) -> Runtime:
    """Build the runtime of this process from the settings in its environment. Nothing is connected yet."""
    settings = read_settings()
    client = connect(settings, timeout_s=settings.serving.timeout_s / 2)
    features, bands = RedisFeatures(client), RedisBands(client)
    analyst = partial(RootCauseAnalyst.of, settings)
    adapters = Adapters(
        models_of(settings), features, open_lake(settings), lambda: datetime.now(UTC), bands, analyst, settings.tokens_path
    )
    return Runtime(settings.serving, adapters, registry)


def models_of(settings: Settings) -> ModelSource:
    """Return where models come from: the MLflow registry, or the folder it exports to (no MLflow in the process)."""
    if settings.serving.models_from == "export":
        return FolderModels(settings.root / "models")
    return RegistryModels(settings)
