"""Kernels of OTLP's data points: rows of series, points of numbers and summaries, histograms to read later."""

from typing import Final, NamedTuple

import numpy as np

from aiops.jit import inlined, kernel
from serving.ingest.receive.wire.column_buffers import (
    CONTEXT,
    COUNT,
    FAULTY,
    FIRST,
    HASH,
    HISTOGRAMS_LEFT_OUT,
    KIND,
    OFFSET,
    PART,
    POINTS_LEFT_OUT,
    QUANTILE,
    RULE,
    SERIES,
    SIZE,
    START,
    TIME,
    VALUE,
    Rows,
    Tables,
    put,
)
from serving.ingest.receive.wire.decoded import STALE_NAN_BITS, Rule, SeriesKind
from serving.ingest.receive.wire.label_hash import pair_hash
from serving.ingest.receive.wire.machine_words import bits_of, int64
from serving.ingest.receive.wire.otlp_attributes import attribute_hash
from serving.ingest.receive.wire.remote_write_parts import Message, read_later
from serving.ingest.receive.wire.wire_fields import NO_ROOM, next_field

GAUGE: Final = 5 << 3 | 2
SUM: Final = 7 << 3 | 2
HISTOGRAM: Final = 9 << 3 | 2
EXPONENTIAL: Final = 10 << 3 | 2
SUMMARY: Final = 11 << 3 | 2
"""Tags of the kinds of a metric's data."""
DATA_POINT: Final = 1 << 3 | 2
WHOLE, SUMMARY_SUM, SUMMARY_COUNT, SUMMARY_QUANTILE, EXPLICIT_HISTOGRAM, EXPONENTIAL_HISTOGRAM = range(6)
"""What of a data point a row of series is: column PART."""

_START: Final = 2 << 3 | 1
_TIME: Final = 3 << 3 | 1
_DOUBLE: Final = 4 << 3 | 1
_INTEGER: Final = 6 << 3 | 1
_SUMMARY_COUNT: Final = 4 << 3 | 1
_SUMMARY_SUM: Final = 5 << 3 | 1
_QUANTILE_VALUE: Final = 6 << 3 | 2
_NO_VALUE: Final = int(Rule.VALUE_PRESENT)
_COUNTER: Final = int(SeriesKind.COUNTER)
_QUANTILE_KIND: Final = int(SeriesKind.GAUGE)
_THOUSAND: Final = np.uint64(1000)
_NO_RECORDED_VALUE: Final = np.uint64(1)


class Metric(NamedTuple):
    """What a metric's data points have in common. Its data begins at address `data` and ends before `end`."""

    hash: np.uint64
    kind: int
    rule: int
    data_tag: int
    data: int
    end: int
    context: int


class PointTags(NamedTuple):
    """Tags of fields that data points of all kinds have, under different numbers; 0 = not there."""

    attributes: int
    flags: int
    exemplar: int


class DataPoint(NamedTuple):
    """Fields of a data point; times in µs, 0 = not stated; `value` as bits, `valued` whether it is there."""

    hash: np.uint64
    time: int
    start: int
    value: int
    valued: bool
    stale: bool
    exemplars: int


class Place(NamedTuple):
    """Where a series stands: the message of its data point, and the row of the metric's context."""

    message: Message
    context: int


class Value(NamedTuple):
    """A number of a data point, as bits, its kind, which part it is, and the quantile of a summary's quantile, as bits."""

    value: int
    kind: int
    part: int
    quantile: int


@inlined
def tags_of(data_tag: int) -> PointTags:
    """Return the tags of data points of a kind of data."""
    if data_tag == HISTOGRAM:
        return PointTags(9 << 3 | 2, 10 << 3, 8 << 3 | 2)
    if data_tag == EXPONENTIAL:
        return PointTags(1 << 3 | 2, 10 << 3, 11 << 3 | 2)
    return PointTags(7 << 3 | 2, 8 << 3, 5 << 3 | 2 if data_tag != SUMMARY else 0)


@inlined
def part_of(data_tag: int) -> int:
    """Return what a data point of a kind of data is, where it is one series."""
    if data_tag == HISTOGRAM:
        return EXPLICIT_HISTOGRAM
    return EXPONENTIAL_HISTOGRAM if data_tag == EXPONENTIAL else WHOLE


@kernel
def point_of(at: int, end: int, tags: PointTags, known: np.uint64, seed: np.uint64) -> tuple[DataPoint, int]:
    """Return what a data point says, and a negative fault or 0; `known` is the hash of its metric."""
    time, start, value, flags = np.uint64(0), np.uint64(0), int64(0), np.uint64(0)
    valued, exemplars, status = False, 0, 0
    while at < end and status == 0:
        tag, begin, at, bits = next_field(at, end)
        if at < 0:
            status = at
        elif tag == tags.attributes:
            pair, status = attribute_hash(begin, at, seed)
            known += pair
        elif tag == _TIME:
            time = bits
        elif tag == _START:
            start = bits
        elif tag == _DOUBLE:
            value, valued = int64(bits), True
        elif tag == _INTEGER:
            value, valued = bits_of(float(int64(bits))), True
        elif tag == tags.flags:
            flags = bits
        elif tag == tags.exemplar:
            exemplars += 1
    stale = flags & _NO_RECORDED_VALUE != np.uint64(0)
    return DataPoint(known, int64(time // _THOUSAND), int64(start // _THOUSAND), value, valued, stale, exemplars), status


@kernel
def read_data(body: int, metric: Metric, seed: np.uint64, tables: Tables, rows: Rows) -> tuple[Rows, int]:
    """Read all data points of a metric; return how many rows there are then, and a negative fault or NO_ROOM."""
    at, tags, status = metric.data, tags_of(metric.data_tag), 0
    while at < metric.end:
        tag, inner, at, _ = next_field(at, metric.end)
        if at < 0:
            return rows, at
        while tag == metric.data_tag and inner < at:
            field, begin, inner, _ = next_field(inner, at)
            if inner < 0:
                return rows, inner
            if field == DATA_POINT:
                point, status = point_of(begin, inner, tags, metric.hash, seed)
                message = Message(rows.series, begin, inner, body)
                if status == 0 and point.exemplars > 0:
                    rows, status = _note_exemplars(message, tags.exemplar, tables, rows)
                if status == 0:
                    rows, status = _read_point(message, metric, point, tables, rows)
                if status < 0:
                    return rows, status
    return rows, 0


@inlined
def _read_point(message: Message, metric: Metric, point: DataPoint, tables: Tables, rows: Rows) -> tuple[Rows, int]:
    if metric.rule != 0:
        return _leave_out(Place(message, metric.context), metric, point, tables, rows)
    if metric.data_tag == SUMMARY:
        return read_summary(message, metric, point, tables, rows)
    if metric.data_tag in (HISTOGRAM, EXPONENTIAL):
        return _note_histogram(message, metric, point, tables, rows)
    if not (point.valued or point.stale):
        return _leave_out(Place(message, metric.context), metric, point, tables, rows)
    value = Value(STALE_NAN_BITS if point.stale else point.value, metric.kind, WHOLE, 0)
    return put_value(Place(message, metric.context), point, value, tables, rows)


@kernel
def put_value(place: Place, point: DataPoint, value: Value, tables: Tables, rows: Rows) -> tuple[Rows, int]:
    """Append a series and its only point; return how many rows there are then, and 0 or NO_ROOM."""
    if max(rows.series, rows.points) >= tables.room:
        return rows, NO_ROOM
    _put_series(tables, rows, place, value, point.hash)
    put(tables, tables.series, COUNT, rows.series, 1)
    put(tables, tables.points, VALUE, rows.points, value.value)
    put(tables, tables.points, TIME, rows.points, point.time)
    put(tables, tables.points, START, rows.points, point.start)
    put(tables, tables.points, SERIES, rows.points, rows.series)
    return Rows(rows.series + 1, rows.points + 1, rows.histograms, rows.exemplars, rows.faults), 0


@kernel
def _put_series(tables: Tables, rows: Rows, place: Place, value: Value, known: np.uint64) -> None:
    """Write a row of a series without points."""
    put(tables, tables.series, HASH, rows.series, int64(known))
    put(tables, tables.series, KIND, rows.series, value.kind)
    put(tables, tables.series, FIRST, rows.series, rows.points)
    put(tables, tables.series, COUNT, rows.series, 0)
    put(tables, tables.series, OFFSET, rows.series, place.message.begin - place.message.body)
    put(tables, tables.series, SIZE, rows.series, place.message.end - place.message.begin)
    put(tables, tables.series, CONTEXT, rows.series, place.context)
    put(tables, tables.series, PART, rows.series, value.part)
    put(tables, tables.series, QUANTILE, rows.series, value.quantile)


@kernel
def _note_histogram(message: Message, metric: Metric, point: DataPoint, tables: Tables, rows: Rows) -> tuple[Rows, int]:
    """Append a series, and its histogram to those that are read later."""
    if rows.series >= tables.room:
        return rows, NO_ROOM
    value = Value(0, metric.kind, part_of(metric.data_tag), 0)
    _put_series(tables, rows, Place(message, metric.context), value, point.hash)
    histograms = read_later(tables, tables.histograms, rows.histograms, message)
    return Rows(rows.series + 1, rows.points, histograms, rows.exemplars, rows.faults), min(histograms, 0)


@kernel
def _leave_out(place: Place, metric: Metric, point: DataPoint, tables: Tables, rows: Rows) -> tuple[Rows, int]:
    """Append a series without points, and its fault."""
    if max(rows.series, rows.faults) >= tables.room:
        return rows, NO_ROOM
    whole = metric.data_tag in (HISTOGRAM, EXPONENTIAL)
    _put_series(tables, rows, place, Value(0, metric.kind, part_of(metric.data_tag), 0), point.hash)
    put(tables, tables.faults, RULE, rows.faults, metric.rule if metric.rule != 0 else _NO_VALUE)
    put(tables, tables.faults, FAULTY, rows.faults, rows.series)
    put(tables, tables.faults, POINTS_LEFT_OUT, rows.faults, 0 if whole else 1)
    put(tables, tables.faults, HISTOGRAMS_LEFT_OUT, rows.faults, 1 if whole else 0)
    return Rows(rows.series + 1, rows.points, rows.histograms, rows.exemplars, rows.faults + 1), 0


@kernel
def _note_exemplars(message: Message, exemplar: int, tables: Tables, rows: Rows) -> tuple[Rows, int]:
    """Append the exemplars of a data point, whose fields were read before, to those that are read later."""
    at, exemplars = message.begin, rows.exemplars
    while at < message.end and exemplars >= 0:
        tag, begin, at, _ = next_field(at, message.end)
        if tag == exemplar:
            exemplars = read_later(tables, tables.exemplars, exemplars, Message(message.owner, begin, at, message.body))
    return Rows(rows.series, rows.points, rows.histograms, exemplars, rows.faults), min(exemplars, 0)


@kernel
def read_summary(message: Message, metric: Metric, point: DataPoint, tables: Tables, rows: Rows) -> tuple[Rows, int]:
    """Append count, sum and quantiles of a summary's data point, a series each; its fields were read before."""
    place, at, observations, total = Place(message, metric.context), message.begin, np.uint64(0), int64(0)
    status = 0
    while at < message.end and status == 0:
        tag, begin, at, bits = next_field(at, message.end)
        if tag == _SUMMARY_COUNT:
            observations = bits
        elif tag == _SUMMARY_SUM:
            total = int64(bits)
        elif tag == _QUANTILE_VALUE:
            value, status = _quantile_of(begin, at, point.stale)
            if status == 0:
                rows, status = put_value(place, _with_part(point, value), value, tables, rows)
    for part, bits_kept in ((SUMMARY_COUNT, bits_of(float(observations))), (SUMMARY_SUM, total)):
        if status == 0:
            value = Value(STALE_NAN_BITS if point.stale else bits_kept, _COUNTER, part, 0)
            rows, status = put_value(place, _with_part(point, value), value, tables, rows)
    return rows, status


@kernel
def _quantile_of(at: int, end: int, stale: bool) -> tuple[Value, int]:
    """Return the value of a ValueAtQuantile, and a negative fault or 0."""
    quantile, value = int64(0), int64(0)
    while at < end:
        tag, _, at, bits = next_field(at, end)
        if at < 0:
            return Value(0, 0, 0, 0), at
        if tag == 1 << 3 | 1:
            quantile = int64(bits)
        elif tag == 2 << 3 | 1:
            value = int64(bits)
    return Value(STALE_NAN_BITS if stale else value, _QUANTILE_KIND, SUMMARY_QUANTILE, quantile), 0


@inlined
def _with_part(point: DataPoint, value: Value) -> DataPoint:
    """Return a data point with the hash of one of its parts."""
    known = point.hash + pair_hash(np.uint64(value.part), np.uint64(value.quantile))
    return DataPoint(known, point.time, point.start, 0, True, point.stale, 0)
