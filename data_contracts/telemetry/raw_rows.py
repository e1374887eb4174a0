"""Raw telemetry as columns of numbers and codes, before any of its rows is judged."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import TELEMETRY
from data_contracts.series.hash_kernels import KeyStrings, Strings
from data_contracts.telemetry.label_sets import Streams, labelled, read_labels
from data_contracts.telemetry.names import Names, ranges, read_names
from data_contracts.telemetry.series_rows import owner_strings, stream_strings
from data_contracts.values import kernels
from data_contracts.values.coerce import AnyArray, Column, SchemaError, frozen, read_numbers, read_times, whole
from data_contracts.values.kernels import Float64s, Int64s, Points
from data_contracts.values.last_made import LastMade

_ANY: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RawRows:
    """The columns of raw telemetry of one tenant, read; what is later than `latest` is too far ahead."""

    columns: dict[str, AnyArray]
    points: Points
    services: Names
    streams: Streams
    latest: datetime
    tenant: str


@dataclass(frozen=True, slots=True)
class RowSeries:
    """(n,) the series id of each row, and whether the row names a series; the id is 0 where it does not."""

    series_id: Int64s
    named: npt.NDArray[np.bool_]


def series_of_rows(table: pa.Table | pa.RecordBatch, tenant: str) -> RowSeries:
    """Return of which series raw rows of a tenant are: the ids are those that `validate` gives.

    Raises:
        SchemaError: see `read_rows`.
    """
    rows = read_rows(table, _ANY, tenant)
    points = rows.points
    bad_service, bad_stream = np.append(points.bad_service, 1), np.append(points.bad_stream, 1)  # code -1 reads the last
    reason = np.where((bad_service[points.service] | bad_stream[points.stream]) == 0, kernels.ACCEPTED, kernels.NAME)
    series_id = np.zeros(len(reason), np.int64)
    kernels.identify_sparse(points, reason.astype(np.uint8), key_strings(rows), series_id)
    return RowSeries(series_id, reason == kernels.ACCEPTED)


def key_strings(rows: RawRows) -> KeyStrings:
    """Return the canonical bytes of the keys of rows, by code of service and stream."""
    streams = rows.streams
    owners = _OWNERS.of(rows.services.values, rows.tenant)
    if streams.plain:
        return KeyStrings(owners, _PLAIN.of(streams.metrics))
    return KeyStrings(owners, stream_strings(streams.metrics, streams.metric, streams.label_texts, streams.labels))


def _plain_strings(metrics: AnyArray, _: str) -> Strings:
    """Return the second halves of canonical bytes of metrics without labels."""
    count = len(metrics)
    return stream_strings(metrics, np.arange(count, dtype=np.int32), pa.array([""]), np.zeros(count, np.int32))


_OWNERS: Final = LastMade(lambda services, tenant: owner_strings(tenant, services))
_PLAIN: Final = LastMade(_plain_strings)


def read_rows(table: pa.Table | pa.RecordBatch, latest: datetime, tenant: str) -> RawRows:
    """Return what a table of raw telemetry holds.

    Raises:
        SchemaError: a required column is absent, comes twice, or has a type that cannot hold its contract.
    """
    columns = {field.name: whole(_column(table, field.name)) for field in TELEMETRY if _has(table, field)}
    times = read_times(columns["timestamp"], "timestamp")
    numbers = read_numbers(columns["value"], "value")
    services, metrics = read_names(columns["service"], "service"), read_names(columns["metric"], "metric")
    labels = read_labels(columns["labels"]) if "labels" in columns else None
    streams = Streams.without_labels(metrics) if labels is None else labelled(metrics, labels)
    low, high = _ranges(streams)
    points = Points(
        value=frozen(numbers.value),
        missing=frozen(numbers.missing),
        time_us=frozen(times.us),
        unknown_time=frozen(times.unknown),
        service=frozen(services.codes),
        stream=frozen(streams.codes),
        low=frozen(low),
        high=frozen(high),
        bad_service=frozen(services.bad()),
        bad_stream=frozen(streams.bad()),
    )
    return RawRows(columns, points, services, streams, latest, tenant)


def _ranges(streams: Streams) -> tuple[Float64s, Float64s]:
    """Return (k,) lowest and highest valid value of streams; unbounded where the metric or its labels are refused."""
    low, high = (bound[streams.metric] for bound in ranges(streams.metrics))
    refused = list(streams.faults)
    low[refused], high[refused] = -np.inf, np.inf
    return low, high


def _has(table: pa.Table | pa.RecordBatch, field: "pa.Field[Any]") -> bool:
    count = len(table.schema.get_all_field_indices(field.name))
    if count == 0 and not field.nullable:
        present = ", ".join(table.schema.names) or "none"
        raise SchemaError(f"column {field.name!r} is absent (columns: {present}); telemetry v2 requires it: add or map it")
    if count > 1:
        raise SchemaError(f"column {field.name!r} comes {count} times; telemetry v2 has it once: drop or rename the others")
    return count == 1


def _column(table: pa.Table | pa.RecordBatch, name: str) -> Column:
    column: Column = table.column(name)
    return column
