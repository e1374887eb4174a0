"""Series of the default tenant by their texts, and points built from columns: how tests name what they are about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from aiops.features.bands import SeriesBands
from aiops.types import SeriesBatch
from data_contracts.schemas.telemetry_schemas import LAKE_TELEMETRY
from data_contracts.series.key import labels_text
from data_contracts.series.series_name import SeriesName
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.series.text import series_of
from data_contracts.telemetry.series_rows import PointColumns, points_of, with_series_id
from serving.online.seasonal_bands import band_rows


def named(text: str) -> SeriesName:
    """Return the series that a text names."""
    key = series_of(text, DEFAULT_TENANT)
    return SeriesName(key.series_id, key.service, key.metric, labels_text(key.labels))


def points(timestamp: Any, service: Any, metric: Any, value: Any, labels: Any = None) -> SeriesBatch:
    """Return points of Arrow columns; `labels` are canonical texts."""
    return SeriesBatch(points_of(PointColumns(timestamp, service, metric, value, labels), DEFAULT_TENANT))


def points_of_table(table: pa.Table) -> SeriesBatch:
    """Return the rows of a table (timestamp, service, metric, value) as points."""
    return points(*(table[name].combine_chunks() for name in ("timestamp", "service", "metric", "value")))


def lake_rows(table: pa.Table) -> pa.Table:
    """Return a table (timestamp, service, metric, value, available_at; labels where there are any) as the lake holds it."""
    if "labels" not in table.column_names:
        table = table.append_column("labels", pa.array([""] * table.num_rows, pa.string()))
    return with_series_id(table, DEFAULT_TENANT).select(LAKE_TELEMETRY.names).cast(LAKE_TELEMETRY)


def rows_of_bands(bands: Sequence[SeriesBands], available_at: datetime) -> pa.RecordBatch:
    """Return bands as rows of the lake table; each names its series by its text."""
    return band_rows(bands, [named(band.series) for band in bands], available_at)
