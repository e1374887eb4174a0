"""Kernel of OTLP metrics (message ExportMetricsServiceRequest of opentelemetry-proto 1).

Fields of a message may stand in any order: what belongs to all of its data points is read in a first pass that hops over them.
Histograms and exemplars are noted and read later.
"""

from typing import Final, NamedTuple

import numpy as np

from aiops.jit import inlined, kernel
from serving.ingest.receive.wire.column_buffers import (
    FAULT_AT,
    METRIC,
    METRIC_SIZE,
    N_CONTEXTS,
    RESOURCE,
    RESOURCE_SIZE,
    SCOPE,
    SCOPE_SIZE,
    Rows,
    Tables,
    count,
    count_rows,
    counted,
    put,
)
from serving.ingest.receive.wire.decoded import Rule, SeriesKind
from serving.ingest.receive.wire.label_hash import declared_hash, pair_hash, text_hash
from serving.ingest.receive.wire.machine_words import int64
from serving.ingest.receive.wire.otlp_attributes import attribute_hash, attributes_hash
from serving.ingest.receive.wire.otlp_points import EXPONENTIAL, GAUGE, HISTOGRAM, SUM, SUMMARY, Metric, read_data
from serving.ingest.receive.wire.wire_fields import NO_ROOM, next_field

FIRST: Final = 1 << 3 | 2
"""Resource metrics of a request, the resource of resource metrics, the scope of scope metrics."""
SECOND: Final = 2 << 3 | 2
"""Scope metrics of resource metrics, metrics of scope metrics."""
NAME: Final = 1 << 3 | 2
UNIT: Final = 3 << 3 | 2
_SCOPE_NAME: Final = 1 << 3 | 2
_SCOPE_VERSION: Final = 2 << 3 | 2
_SCOPE_ATTRIBUTES: Final = 3 << 3 | 2
_TEMPORALITY: Final = 2 << 3 | 0
_MONOTONIC: Final = 3 << 3 | 0
_DELTA: Final = 1
_CUMULATIVE: Final = 2
_RULE: Final = int(Rule.TEMPORALITY_STATED)
_KIND_COUNTER: Final = int(SeriesKind.COUNTER)
_KIND_GAUGE: Final = int(SeriesKind.GAUGE)
_KIND_DELTA: Final = int(SeriesKind.DELTA)
_KIND_HISTOGRAM: Final = int(SeriesKind.HISTOGRAM)
_KIND_HISTOGRAM_DELTA: Final = int(SeriesKind.HISTOGRAM_DELTA)
_KIND_SUMMARY: Final = int(SeriesKind.SUMMARY)


class Surroundings(NamedTuple):
    """Where a metric stands: addresses of the body, the resource metrics and the scope metrics, and the hash of both."""

    body: int
    resource: int
    resource_end: int
    scope: int
    scope_end: int
    hash: np.uint64


@kernel
def read_metrics(body: int, end: int, seed: np.uint64, tables: Tables) -> int:
    """Fill tables from the request between two addresses; negative: one of FAULTS, at counts[FAULT_AT], or NO_ROOM."""
    at, rows, status = body, Rows(0, 0, 0, 0, 0), 0
    count(tables, N_CONTEXTS, 0)
    while at < end:
        count(tables, FAULT_AT, at - body)
        tag, begin, at, _ = next_field(at, end)
        if at < 0:
            return at
        if tag == FIRST:
            rows, status = _read_resource(Surroundings(body, begin, at, 0, 0, seed), seed, tables, rows)
            if status < 0:
                return status
    count_rows(tables, rows)
    return 0


@inlined
def _read_resource(around: Surroundings, seed: np.uint64, tables: Tables, rows: Rows) -> tuple[Rows, int]:
    known, at, status = seed, around.resource, 0
    while at < around.resource_end and status >= 0:
        tag, begin, at, _ = next_field(at, around.resource_end)
        if at < 0:
            status = at
        elif tag == FIRST:
            attributes, status = attributes_hash(begin, at, FIRST, seed)
            known += attributes
    at = around.resource
    while at < around.resource_end and status >= 0:
        tag, begin, at, _ = next_field(at, around.resource_end)
        if tag == SECOND:
            inner = Surroundings(around.body, around.resource, around.resource_end, begin, at, known)
            rows, status = _read_scope(inner, seed, tables, rows)
    return rows, status


@inlined
def _read_scope(around: Surroundings, seed: np.uint64, tables: Tables, rows: Rows) -> tuple[Rows, int]:
    known, at, status = around.hash, around.scope, 0
    while at < around.scope_end and status >= 0:
        tag, begin, at, _ = next_field(at, around.scope_end)
        if at < 0:
            status = at
        elif tag == FIRST:
            scope, status = _scope_hash(begin, at, seed)
            known += scope
    at = around.scope
    while at < around.scope_end and status >= 0:
        tag, begin, at, _ = next_field(at, around.scope_end)
        if tag == SECOND:
            metric, status = metric_of(begin, at, known, seed)
            if status == 0:
                status = _put_context(around, begin, at, tables)
            if status >= 0:
                placed = Metric(metric.hash, metric.kind, metric.rule, metric.data_tag, metric.data, at, status)
                rows, status = read_data(around.body, placed, seed, tables, rows)
    return rows, status


@kernel
def _scope_hash(at: int, end: int, seed: np.uint64) -> tuple[np.uint64, int]:
    """Return the hash of an InstrumentationScope: name, version and attributes; and a negative fault or 0."""
    name = version = text_hash(at, at, seed)
    total, status = np.uint64(0), 0
    while at < end:
        tag, begin, at, _ = next_field(at, end)
        if at < 0:
            return total, at
        if tag == _SCOPE_NAME:
            name = text_hash(begin, at, seed)
        elif tag == _SCOPE_VERSION:
            version = text_hash(begin, at, seed)
        elif tag == _SCOPE_ATTRIBUTES:
            pair, status = attribute_hash(begin, at, seed)
            total += pair
            if status < 0:
                return total, status
    return total + pair_hash(version, name), 0


@kernel
def _put_context(around: Surroundings, begin: int, end: int, tables: Tables) -> int:
    """Append where a metric stands; return the row, or NO_ROOM."""
    row = counted(tables, N_CONTEXTS)
    if row >= tables.room:
        return NO_ROOM
    put(tables, tables.contexts, RESOURCE, row, around.resource - around.body)
    put(tables, tables.contexts, RESOURCE_SIZE, row, around.resource_end - around.resource)
    put(tables, tables.contexts, SCOPE, row, around.scope - around.body)
    put(tables, tables.contexts, SCOPE_SIZE, row, around.scope_end - around.scope)
    put(tables, tables.contexts, METRIC, row, begin - around.body)
    put(tables, tables.contexts, METRIC_SIZE, row, end - begin)
    count(tables, N_CONTEXTS, row + 1)
    return row


@kernel
def metric_of(begin: int, end: int, known: np.uint64, seed: np.uint64) -> tuple[Metric, int]:
    """Return what the data points of a Metric have in common, and a negative fault or 0; the last kind of data counts."""
    name = unit = text_hash(begin, begin, seed)
    at, data_tag, data = begin, 0, end
    while at < end:
        before = at
        tag, inner, at, _ = next_field(at, end)
        if at < 0:
            return Metric(known, 0, 0, 0, end, end, 0), at
        if tag == NAME:
            name = text_hash(inner, at, seed)
        elif tag == UNIT:
            unit = text_hash(inner, at, seed)
        elif tag in (GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY) and tag != data_tag:
            data_tag, data = tag, before
    kind, status = kind_of(data, end, data_tag)
    rule = _RULE if kind == 0 else 0
    return Metric(known + pair_hash(unit, name) + declared_hash(kind, name), kind, rule, data_tag, data, end, 0), min(status, 0)


@kernel
def kind_of(at: int, end: int, data_tag: int) -> tuple[int, int]:
    """Return the kind of a metric's data, 0 where it lacks a temporality, and a negative fault or 0."""
    temporality, monotonic = 0, False
    if data_tag in (GAUGE, SUMMARY):
        return _KIND_GAUGE if data_tag == GAUGE else _KIND_SUMMARY, 0
    while at < end:
        tag, inner, at, _ = next_field(at, end)
        while tag == data_tag and inner < at:
            field, _, inner, value = next_field(inner, at)
            if inner < 0:
                return 0, inner
            if field == _TEMPORALITY:
                temporality = int64(value & np.uint64(0xFFFFFFFF))
            elif field == _MONOTONIC:
                monotonic = value != np.uint64(0)
    if data_tag == SUM and temporality in (_DELTA, _CUMULATIVE):
        return _KIND_DELTA if temporality == _DELTA else _KIND_COUNTER if monotonic else _KIND_GAUGE, 0
    if temporality in (_DELTA, _CUMULATIVE):
        return _KIND_HISTOGRAM_DELTA if temporality == _DELTA else _KIND_HISTOGRAM, 0
    return 0, 0
