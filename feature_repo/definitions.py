"""What Feast knows: entities, sources, feature views, feature services. Names, TTLs and units come from `data_contracts`.

The join key in time is `available_at`: when a row could be known. A correction that arrives late is joined only from then on.
Apply with `feast apply` in this folder, or with `aiops`; both read this file. A copy that `aiops init` wrote is yours to edit:
views, sources and services that you add are applied with the suite's own, which training needs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from feast import Entity, FeatureService, FeatureView, Field, FileSource, Project, PushSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Array, Float64, Int64, String

from aiops.settings.reading import read_settings
from data_contracts.schemas.feature_views import (
    AVAILABLE_AT,
    FEATURE_SERVICES,
    TICK,
    VIEWS,
    FeatureServiceSpec,
    ViewSpec,
    describe,
    project_of,
)
from data_contracts.schemas.season_schema import BAND_LIST
from serving.lake.opening import open_lake

OWNER = "aiops-suite"
TYPES = {pa.float64(): Float64, pa.int64(): Int64, pa.string(): String, BAND_LIST: Array(Float64)}
TAGS = {"suite": "aiops", "time": AVAILABLE_AT}


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything Feast knows, by name, over one lake."""

    project: Project
    entities: dict[str, Entity]
    sources: dict[str, FileSource]
    push_sources: dict[str, PushSource]
    views: dict[str, FeatureView]
    services: dict[str, FeatureService]


def entity(name: str, description: str) -> Entity:
    """Return the entity `name`, its own join key."""
    return Entity(name=name, join_keys=[name], value_type=ValueType.STRING, description=description, tags=dict(TAGS), owner=OWNER)


def table_source(folder: Path) -> FileSource:
    """Return the lake table in `folder`: Parquet files by day."""
    return FileSource(
        name=folder.name,
        path=str(folder),
        file_format=ParquetFormat(),
        timestamp_field=AVAILABLE_AT,
        created_timestamp_column=TICK,
        description=f"Lake table {folder.name}, hive-partitioned by day; a row counts from the time it became available.",
        tags=dict(TAGS),
        owner=OWNER,
    )


def push_source(source: FileSource) -> PushSource:
    """Return the push source that feeds all views over `source`."""
    return PushSource(
        name=f"{source.name}_push",
        batch_source=source,
        description=f"Newest rows of {source.name}, for the online store only; the lake has a writer of its own.",
        tags=dict(TAGS),
        owner=OWNER,
    )


def feature_view(spec: ViewSpec, of: Entity, source: PushSource) -> FeatureView:
    """Return the Feast view of `spec`."""
    kinds = [spec.table.field(name).type for name in spec.features]
    fields = [
        Field(name=name, dtype=TYPES[kind], description=describe(name)) for name, kind in zip(spec.features, kinds, strict=True)
    ]
    return FeatureView(
        name=spec.name,
        entities=[of],
        ttl=timedelta(seconds=spec.ttl_s),
        schema=[Field(name=spec.entity, dtype=String), *fields],
        source=source,
        online=True,
        description=spec.description,
        tags=dict(TAGS),
        owner=OWNER,
    )


def feature_service(spec: FeatureServiceSpec, views: dict[str, FeatureView]) -> FeatureService:
    """Return the Feast service of `spec`."""
    return FeatureService(
        name=spec.name,
        features=[views[name] for name in spec.views],
        description=spec.description,
        tags=dict(TAGS),
        owner=OWNER,
    )


def define(folder_of: Callable[[str], Path], tenant: str) -> Definitions:
    """Return everything Feast knows, over the tables of a tenant's lake, each in the folder that `folder_of` says.

    A tenant is a project of Feast: part of every online key, and a registry of its own.
    """
    entities = {
        "series": entity("series", 'One series as people read it: service|metric{key="value"}.'),
        "service": entity("service", "One service of the call graph."),
    }
    sources = {name: table_source(folder_of(name)) for name in ("series_features", "service_features", "seasonal_bands")}
    pushes = {name: push_source(source) for name, source in sources.items()}
    views = {spec.name: feature_view(spec, entities[spec.entity], pushes[spec.table_name]) for spec in VIEWS}
    return Definitions(
        project=Project(name=project_of(tenant), description="Open-source AIOps: features of series and services.", owner=OWNER),
        entities=entities,
        sources=sources,
        push_sources=pushes,
        views=views,
        services={spec.name: feature_service(spec, views) for spec in FEATURE_SERVICES},
    )


SETTINGS = read_settings()
HOME = Path(__file__).resolve().parents[1] / SETTINGS.home.expanduser()
DEFINED = define(open_lake(HOME / "lake").for_tenant(SETTINGS.tenant).folder, SETTINGS.tenant)

# `feast apply` collects what stands at module level: all that define() returns. What you add goes into define().
globals().update(
    {
        f"{kind}_{name}": value
        for kind in ("entities", "sources", "push_sources", "views", "services")
        for name, value in getattr(DEFINED, kind).items()
    }
)
project = DEFINED.project
