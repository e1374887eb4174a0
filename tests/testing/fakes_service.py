"""The real BentoML service, linear models, features in memory: `bentoml serve tests.testing.fakes_service:Scorer`."""

import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
from prometheus_client import CollectorRegistry

from aiops.settings.tree import Settings
from data_contracts.series.tenant import folder_of
from serving.online.seasonal_bands import MemoryBands
from serving.root_cause.lake_explainer import RootCauseAnalyst
from serving.scoring.answers.memory_features import MemoryFeatures
from serving.scoring.runtime import Adapters, Runtime
from serving.scoring.service import create_service
from serving.scoring.slots.model_source import FolderModels
from tests.testing.fakes_models import load_linear, online_row
from tests.testing.season_bands import flat_bands
from tests.testing.series_names import rows_of_bands


class FileLake:
    """Writes every table to one Parquet file a key, below the folder of its tenant."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def for_tenant(self, tenant: str) -> "FileLake":
        return FileLake(self._root / folder_of(tenant))

    def write(self, table: str, rows: pa.Table, key: str) -> int:
        import pyarrow.parquet as pq

        folder = self._root / table
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{key}.part"  # a test may read at any moment
        pq.write_table(rows, partial)
        partial.replace(folder / f"part-{key}.parquet")
        return int(rows.num_rows)


def build(registry: CollectorRegistry) -> Runtime:
    settings = Settings()
    now = datetime.now(UTC)
    features = MemoryFeatures(timedelta(minutes=10))
    features.write_services(online_row("known", now, 0.125))
    features.write_services(online_row("stale", now - timedelta(hours=1), 0.125))
    features.for_tenant("acme").write_services(online_row("known", now, 0.5))
    bands = MemoryBands()
    bands.write_bands(rows_of_bands([flat_bands("known|requests", now)], now))
    bands.for_tenant("acme").write_bands(rows_of_bands([flat_bands("secret|requests", now)], now))
    bands.write_bands(rows_of_bands([flat_bands("stale|requests", now - timedelta(days=4))], now - timedelta(days=4)))
    models = FolderModels(Path(os.environ["TEST_MODELS"]), load_linear)
    lake, analyst = FileLake(settings.lake_path), partial(RootCauseAnalyst.of, settings)
    return Runtime(settings.serving, Adapters(models, features, lake, lambda: datetime.now(UTC), bands, analyst), registry)


Scorer = create_service(build)
