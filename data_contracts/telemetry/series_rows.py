"""Series of tables: ids of columns of names, computed once a distinct key, and points built from columns."""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import LAKE_TELEMETRY, SERIES
from data_contracts.series.hash_kernels import Int64s, KeyStrings, Strings, framed, ids_of, strings_of
from data_contracts.series.key import labels_of
from data_contracts.telemetry.names import bytes_of
from data_contracts.values.coerce import AnyArray, Column, whole
from data_contracts.values.kernels import Int32s, distinct

_NO_BYTES = np.zeros(0, np.uint8)


@dataclass(frozen=True, slots=True)
class PointColumns:
    """Columns of points, (n,) each: `labels` as canonical texts, None = no point has labels."""

    timestamp: Column
    service: Column
    metric: Column
    value: Column
    labels: "Column | None" = None


def points_of(columns: PointColumns, tenant: str) -> pa.RecordBatch:
    """Return points of one tenant as `schemas.SERIES`; names of any text type, times and values as the schema casts them."""
    service, metric, value = (whole(column) for column in (columns.service, columns.metric, columns.value))
    time = whole(columns.timestamp)
    none = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(value), np.int32), pa.int32()), pa.array([""]))
    labels = none if columns.labels is None else whole(columns.labels)
    ids = pa.array(ids_of_columns(service, metric, labels, tenant))
    made = [time, ids, _coded(service), _coded(metric), _coded(labels), value]
    arrays = [column if column.type == kind else column.cast(kind) for column, kind in zip(made, SERIES.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SERIES)


def with_series_id(table: pa.Table, tenant: str) -> pa.Table:
    """Return the table (service, metric, labels as canonical texts) with column series_id before service."""
    ids = ids_of_columns(whole(table["service"]), whole(table["metric"]), whole(table["labels"]), tenant)
    return table.add_column(table.schema.get_field_index("service"), LAKE_TELEMETRY.field("series_id"), pa.array(ids))


def ids_of_columns(service: AnyArray, metric: AnyArray, labels: AnyArray, tenant: str) -> Int64s:
    """Return (n,) series ids of columns of text without nulls; `labels` are canonical texts. Each distinct key is hashed once."""
    services, service_code = _codes(service)
    metrics, metric_code = _codes(metric)
    sets, set_code = _codes(labels)
    stream_code, streams = distinct(metric_code * max(1, len(sets)) + set_code)
    code, firsts = distinct(service_code * max(1, len(streams)) + stream_code)
    keys = KeyStrings(owner_strings(tenant, services), stream_strings(metrics, metric_code[streams], sets, set_code[streams]))
    ids: Int64s = ids_of(keys, service_code[firsts], stream_code[firsts].astype(np.int64))[code]
    return ids


def owner_strings(tenant: str, services: AnyArray) -> Strings:
    """Return the first halves of canonical bytes, by code of the service (distinct text or bytes)."""
    ends, data = bytes_of(services)
    return framed(np.frombuffer(_frame(tenant.encode()), np.uint8), data, ends)


def stream_strings(metrics: AnyArray, metric: Int32s | Int64s, label_texts: AnyArray, labels: Int32s | Int64s) -> Strings:
    """Return the second halves of canonical bytes of streams, given as codes (k,) of metrics and of canonical label texts."""
    if len(label_texts) <= 1 and not any(label_texts.to_pylist()):
        ends, data = bytes_of(metrics)
        whole_strings = framed(_NO_BYTES, data, ends)
        return Strings(whole_strings.words, whole_strings.starts[metric], whole_strings.sizes[metric])
    names = [_frame(str(text).encode()) for text in metrics.to_pylist()]
    sets = [b"".join(_frame(part.encode()) for pair in labels_of(str(text)) for part in pair) for text in label_texts.to_pylist()]
    pieces = [names[name] + sets[held] for name, held in zip(metric.tolist(), labels.tolist(), strict=True)]
    ends = np.cumsum([0, *(len(piece) for piece in pieces)], dtype=np.int64)
    return strings_of(np.frombuffer(b"".join(pieces), np.uint8), ends)


def _frame(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


def _coded(column: AnyArray) -> AnyArray:
    return column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()


def _codes(column: AnyArray) -> tuple[AnyArray, Int64s]:
    coded: Any = _coded(column)
    return coded.dictionary.cast(pa.string()), np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int64)
