"""Kernel of remote write 1.0 (message WriteRequest of Prometheus' prompb/remote.proto)."""

from typing import Final

import numpy as np

from aiops.jit import inlined, kernel
from serving.ingest.receive.wire.column_buffers import (
    FAULT_AT,
    N_METADATA,
    Rows,
    Tables,
    count,
    count_rows,
)
from serving.ingest.receive.wire.label_hash import pair_hash, text_hash
from serving.ingest.receive.wire.machine_words import byte_at, int64
from serving.ingest.receive.wire.remote_write_parts import Message, SeriesRow, close_series, read_later, read_sample
from serving.ingest.receive.wire.wire_fields import NO_ROOM, next_field

TIME_SERIES: Final = 1 << 3 | 2
METADATA: Final = 3 << 3 | 2
LABEL: Final = 1 << 3 | 2
LABEL_NAME: Final = 1 << 3 | 2
LABEL_VALUE: Final = 2 << 3 | 2
_SAMPLE: Final = 2 << 3 | 2
_EXEMPLAR: Final = 3 << 3 | 2
_HISTOGRAM: Final = 4 << 3 | 2
_SHORT: Final = np.uint64(0x80)


@kernel
def read_write_request(body: int, end: int, seed: np.uint64, tables: Tables) -> int:
    """Fill tables from a WriteRequest between two addresses; negative: one of FAULTS, at counts[FAULT_AT], or NO_ROOM."""
    at, rows = body, Rows(0, 0, 0, 0, 0)
    metadata = 0
    while at < end:
        count(tables, FAULT_AT, at - body)
        tag, begin, at, _ = next_field(at, end)
        if at < 0:
            return at
        if tag == TIME_SERIES:
            rows, status = _read_series(Message(rows.series, begin, at, body), seed, rows, tables)
            if status < 0:
                return status
        elif tag == METADATA:
            metadata += 1
    count(tables, N_METADATA, metadata)
    count_rows(tables, rows)
    return 0


@inlined
def _read_series(series: Message, seed: np.uint64, rows: Rows, tables: Tables) -> tuple[Rows, int]:
    """Read a TimeSeries; return how many rows there are then, and a negative fault or NO_ROOM."""
    status = 0 if rows.series < tables.room else NO_ROOM
    at, points, histograms, exemplars, labels = series.begin, rows.points, rows.histograms, rows.exemplars, seed
    while at < series.end and status >= 0:
        tag, begin, at, _ = next_field(at, series.end)
        message = Message(series.owner, begin, at, series.body)
        if at < 0:
            status = at
        elif tag == LABEL:
            label, status = label_hash(begin, at, seed)
            labels += label
        elif tag == _SAMPLE:
            status = read_sample(tables, points, message)
            points += 1
        elif tag == _HISTOGRAM:
            status = histograms = read_later(tables, tables.histograms, histograms, message)
        elif tag == _EXEMPLAR:
            status = exemplars = read_later(tables, tables.exemplars, exemplars, message)
    if status >= 0:
        close_series(tables, series, SeriesRow(labels, 0, 0, rows.points, points))
    return Rows(rows.series + 1, points, histograms, exemplars, 0), status


@kernel
def label_hash(begin: int, end: int, seed: np.uint64) -> tuple[np.uint64, int]:
    """Return the hash of a Label, and a negative fault or 0. Name and value, each below 128 bytes, are the usual form."""
    if end - begin >= 4 and byte_at(begin) == LABEL_NAME and int64(byte_at(begin + 1)) <= end - begin - 4:
        middle = begin + 2 + int64(byte_at(begin + 1))
        value_size = byte_at(middle + 1)
        if byte_at(middle) == LABEL_VALUE and value_size < _SHORT and middle + 2 + int64(value_size) == end:
            return pair_hash(text_hash(begin + 2, middle, seed), text_hash(middle + 2, end, seed)), 0
    name = value = text_hash(begin, begin, seed)
    at = begin
    while at < end:
        tag, inner, at, _ = next_field(at, end)
        if at < 0:
            return name, at
        if tag == LABEL_NAME:
            name = text_hash(inner, at, seed)
        elif tag == LABEL_VALUE:
            value = text_hash(inner, at, seed)
    return pair_hash(name, value), 0
