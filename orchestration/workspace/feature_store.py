"""Feast by code: the same project, registry and stores that `feature_repo/feature_store.yaml` describes.

Feast is imported inside functions: it takes seconds, and a command that needs no features should not pay for it.
"""

import importlib
import importlib.util
import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
import pandas as pd

from aiops.errors import ConfigurationError, Unavailable
from aiops.settings.tree import Settings
from data_contracts.schemas.feature_views import project_of
from data_contracts.schemas.telemetry_schemas import SERIES_FEATURES_TABLE, SERVICE_FEATURES_TABLE
from data_contracts.series.tenant import DEFAULT_TENANT
from orchestration.project.copies import feature_definitions
from orchestration.project.feature_definitions import load_definitions
from serving.lake.opening import open_lake
from serving.stream.broker_password import broker_url

if TYPE_CHECKING:
    from feast import FeatureStore

SPINE_ROWS: Final = 20_000
"""Spine rows a join takes at once: the join holds every row within a view's TTL, so this bounds its memory."""

_DUCKDB_LOCK: Final = threading.Lock()
_SPINE_ROW: Final = "spine_row"
_DECIDED_AT: Final = "event_timestamp"


@contextmanager
def _duckdb(settings: Settings) -> Iterator[None]:
    """Give Feast's offline store a DuckDB of its own, spilling below home, and close it: Feast itself never does."""
    import ibis

    spill = settings.root / "tmp"
    spill.mkdir(parents=True, exist_ok=True)
    with _DUCKDB_LOCK:
        before = ibis.options.default_backend
        backend = ibis.duckdb.connect(temp_directory=str(spill))
        ibis.set_backend(backend)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)  # ibis 12 on DuckDB 2: its own affair
                yield
        finally:
            ibis.options.default_backend = before
            backend.disconnect()


def _keep_metrics_in_process() -> None:
    """Import `feast.metrics` without its side effect.

    It sets two variables that turn Prometheus clients, also those of child processes, to files shared between workers;
    a client that is already imported has decided not to.
    """
    import prometheus_client  # noqa: F401 - first, on purpose

    names = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")
    before = {name: os.environ.get(name) for name in names}
    if importlib.util.find_spec("feast.metrics") is not None:
        importlib.import_module("feast.metrics")
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)


def connection_string(url: str) -> str:
    """Return Feast's form (`host:port,db=0,…`) of a redis:// or rediss:// URL.

    >>> connection_string("redis://:secret@cache:6379/2")
    'cache:6379,db=2,password="secret"'

    Raises:
        ConfigurationError: another scheme, or no host.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise ConfigurationError(
            f"broker.url: scheme {parts.scheme!r} cannot hold online features; use redis://host:port/db or rediss://host:port/db"
        )
    options = [f"{parts.hostname}:{parts.port or 6379}", f"db={parts.path.strip('/') or '0'}"]
    if parts.username:
        options.append(f'username="{unquote(parts.username)}"')
    if parts.password:
        options.append(f'password="{unquote(parts.password)}"')
    if parts.scheme == "rediss":
        options.append("ssl=true")
    options += [f"{name}={value}" for name, value in parse_qsl(parts.query)]
    return ",".join(options)


def open_store(settings: Settings, tenant: str = DEFAULT_TENANT) -> "FeatureStore":
    """Return the feature store of a tenant below `settings.root`, online in the broker; nothing is contacted yet."""
    _keep_metrics_in_process()
    from feast import FeatureStore, RepoConfig
    from feast.repo_config import RegistryConfig

    registry = settings.folder("feast", tenant) / "registry.db"
    registry.parent.mkdir(parents=True, exist_ok=True)
    return FeatureStore(
        config=RepoConfig(
            project=project_of(tenant),
            provider="local",
            registry=RegistryConfig(path=str(registry), cache_ttl_seconds=60),
            offline_store={"type": "duckdb"},
            online_store={"type": "redis", "connection_string": connection_string(broker_url(settings))},
            entity_key_serialization_version=3,
            repo_path=feature_definitions(settings).parent,
        )
    )


def apply(settings: Settings, tenant: str = DEFAULT_TENANT) -> tuple[str, ...]:
    """Apply the `feature_repo/definitions.py` in force over a tenant's lake, as `feast apply` does; return the view names.

    Raises:
        ConfigurationError: the file is missing or broken; the message says which one and where.
    """
    store = open_store(settings, tenant)
    from feast import OnDemandFeatureView
    from feast.repo_contents import RepoContents
    from feast.repo_operations import extract_objects_for_apply_delete

    defined = load_definitions(feature_definitions(settings), open_lake(settings).for_tenant(tenant))
    views = list(defined.views.values())
    contents = RepoContents(
        projects=[defined.project],
        data_sources=[*defined.sources.values(), *defined.push_sources.values()],
        entities=list(defined.entities.values()),
        feature_views=[view for view in views if not isinstance(view, OnDemandFeatureView)],
        feature_services=list(defined.services.values()),
        on_demand_feature_views=[view for view in views if isinstance(view, OnDemandFeatureView)],
        stream_feature_views=[],
        label_views=[],
        permissions=[],
    )
    split: Any = extract_objects_for_apply_delete
    wanted, unwanted, _, _ = split(store.project, store.registry, contents)
    with redirect_stdout(io.StringIO()):
        store.apply(wanted, objects_to_delete=unwanted, partial=False)
    return tuple(sorted(defined.views))


def feature_names(settings: Settings, feature_service: str) -> tuple[str, ...]:
    """Return the features of `feature_service` in order.

    Raises:
        ConfigurationError: no such feature service was applied.
    """
    return _names(_service(open_store(settings), feature_service))


def _service(store: "FeatureStore", name: str) -> Any:
    from feast.errors import FeatureServiceNotFoundException

    try:
        return store.get_feature_service(name)
    except (FeatureServiceNotFoundException, FileNotFoundError) as error:
        raise ConfigurationError(
            f"feature service {name!r} is not in the registry {store.config.registry.path}; run `feast apply` in feature_repo/"
        ) from error


def _names(service: Any) -> tuple[str, ...]:
    return tuple(field.name for view in service.feature_view_projections for field in view.features)


def training_frame(settings: Settings, spine: pd.DataFrame, feature_service: str, tenant: str = DEFAULT_TENANT) -> pd.DataFrame:
    """Return `spine` (same rows, order, index, columns) with the features of `feature_service` known at each decision time.

    `spine` holds `service` (or `series`) and `event_timestamp`, the decision time (aware UTC), and any labels. A feature is
    float64; NaN where no row was available by then or the newest available one is older than its view's TTL.
    Through Feast's point-in-time join in DuckDB: O(rows within TTL of the spine), `SPINE_ROWS` at a time.

    Raises:
        ConfigurationError: no such feature service, a column is missing or naive, or the lake holds no feature rows.
    """
    store = open_store(settings, tenant)
    service = _service(store, feature_service)
    names = _names(service)
    _check_spine(spine, names)
    _check_lake(settings, service, store)
    ordered = spine.assign(**{_SPINE_ROW: np.arange(len(spine), dtype=np.int64)})
    ordered[_DECIDED_AT] = ordered[_DECIDED_AT].dt.tz_convert("UTC").dt.as_unit("us")
    ordered = ordered.sort_values([_DECIDED_AT, _SPINE_ROW])
    with _duckdb(settings):
        parts = [_join(store, service, ordered.iloc[i : i + SPINE_ROWS]) for i in range(0, len(ordered), SPINE_ROWS)]
    if not parts:
        return spine.assign(**{name: pd.Series(dtype="float64") for name in names})
    joined = pd.concat(parts, ignore_index=True).set_index(_SPINE_ROW).sort_index()
    if len(joined) != len(spine):
        raise Unavailable(f"feature store: {len(joined)} rows came back for {len(spine)} asked; the offline store is not usable")
    features = joined[list(names)].astype("float64").set_axis(spine.index, axis="index")
    return pd.concat([spine, features], axis="columns")


def _join(store: "FeatureStore", service: Any, spine: pd.DataFrame) -> pd.DataFrame:
    keys = [name for name in ("service", "series") if name in spine.columns]
    asked = spine[[*keys, _DECIDED_AT, _SPINE_ROW]].reset_index(drop=True)
    frame: pd.DataFrame = store.get_historical_features(entity_df=asked, features=service).to_df()
    return frame


def _check_spine(spine: pd.DataFrame, features: tuple[str, ...]) -> None:
    if _DECIDED_AT not in spine.columns or not {"service", "series"} & set(spine.columns):
        raise ConfigurationError(f"spine: columns {list(spine.columns)} lack a key or time; give service and event_timestamp")
    if not isinstance(spine[_DECIDED_AT].dtype, pd.DatetimeTZDtype):
        raise ConfigurationError(f"spine.event_timestamp: {spine[_DECIDED_AT].dtype} has no time zone; give aware UTC times")
    taken = sorted(({_SPINE_ROW} | set(features)) & set(spine.columns))
    if taken:
        raise ConfigurationError(f"spine: columns {taken} have names of features; rename or drop them")


def _check_lake(settings: Settings, service: Any, store: "FeatureStore") -> None:
    for projection in service.feature_view_projections:
        if not _has_rows(store.get_feature_view(projection.name)):
            raise ConfigurationError(
                f"lake: no feature rows for view {projection.name} below {settings.lake_path}; fill it first (`aiops ingest`)"
            )


def _has_rows(view: Any) -> bool:
    return any(Path(view.batch_source.path).glob("**/*.parquet"))


def materialize(settings: Settings, start: datetime, end: datetime, tenant: str = DEFAULT_TENANT) -> None:
    """Write the newest feature rows available in [start, end] to the online store, by Feast's own path.

    For a cold start or after the loss of the online store; the stream keeps it fresh afterwards.

    Raises:
        ConfigurationError: `start` or `end` is naive, `end` does not lie after `start`, or the lake holds no feature rows.
        Unavailable: the online store does not answer.
    """
    import redis

    if start.tzinfo is None or end.tzinfo is None or end - start <= timedelta(0):
        raise ConfigurationError(f"materialize: [{start}, {end}] is no span of aware UTC times; give start < end")
    store = open_store(settings, tenant)
    views = [view.name for view in store.list_feature_views() if _has_rows(view)]
    if not views:
        raise ConfigurationError(f"lake: no feature rows below {settings.lake_path}; fill it first (`aiops ingest`)")
    try:
        with _duckdb(settings), redirect_stdout(io.StringIO()):
            store.materialize(start_date=start, end_date=end, feature_views=views)
    except redis.ConnectionError as error:
        raise Unavailable("online feature store: the broker does not answer; start it or set AIOPS_BROKER__URL") from error


def push(settings: Settings, frame: pd.DataFrame, table: str = "service_features", tenant: str = DEFAULT_TENANT) -> None:
    """Push rows of lake table `table` (all its columns) to the online store of a tenant through Feast's push source.

    Raises:
        ConfigurationError: an unknown table, or columns of it are missing.
        Unavailable: the online store does not answer.
    """
    import redis

    schemas = {"service_features": SERVICE_FEATURES_TABLE, "series_features": SERIES_FEATURES_TABLE}
    if table not in schemas:
        raise ConfigurationError(f"push: table {table!r} has no push source; use one of {sorted(schemas)}")
    missing = sorted(set(schemas[table].names) - set(frame.columns))
    if missing:
        raise ConfigurationError(f"push: columns {missing} of {table} are missing; give the whole row")
    try:
        open_store(settings, tenant).push(f"{table}_push", frame)
    except redis.ConnectionError as error:
        raise Unavailable("online feature store: the broker does not answer; start it or set AIOPS_BROKER__URL") from error
