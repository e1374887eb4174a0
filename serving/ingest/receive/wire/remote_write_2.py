"""Kernel of remote write 2.0 (message Request of io.prometheus.write.v2).

Labels are references into a table of symbols. The table may stand behind the series, as any field of a message may: a first pass
reads it, hopping over the series.
"""

from typing import Final, NamedTuple

import numpy as np

from aiops.jit import inlined, kernel
from serving.ingest.receive.wire.column_buffers import (
    FAULT_AT,
    FAULTY,
    HISTOGRAMS_LEFT_OUT,
    N_SYMBOLS,
    POINTS_LEFT_OUT,
    RULE,
    START,
    SYMBOL_HASH,
    SYMBOL_OFFSET,
    SYMBOL_SIZE,
    Rows,
    Tables,
    cell,
    count,
    count_rows,
    counted,
    put,
)
from serving.ingest.receive.wire.decoded import Rule
from serving.ingest.receive.wire.label_hash import declared_hash, pair_hash, text_hash
from serving.ingest.receive.wire.machine_words import int64, word_at
from serving.ingest.receive.wire.remote_write_parts import Message, SeriesRow, close_series, read_later, read_sample
from serving.ingest.receive.wire.wire_fields import NO_ROOM, microseconds, next_field, short_varint

SYMBOL: Final = 4 << 3 | 2
TIME_SERIES: Final = 5 << 3 | 2
REFERENCES: Final = 1 << 3 | 2
REFERENCE: Final = 1 << 3 | 0
_SAMPLE: Final = 2 << 3 | 2
_HISTOGRAM: Final = 3 << 3 | 2
_EXEMPLAR: Final = 4 << 3 | 2
METADATA: Final = 5 << 3 | 2
_START: Final = 6 << 3 | 0
_TYPE: Final = 1 << 3 | 0
_HELP: Final = 3 << 3 | 0
_UNIT: Final = 4 << 3 | 0
_KINDS: Final = 8
_ODD: Final = int(Rule.LABEL_REFERENCES_IN_PAIRS)
_UNKNOWN_SYMBOL: Final = int(Rule.SYMBOL_EXISTS)
_NONE: Final = -1
_UINT32: Final = np.uint64(0xFFFFFFFF)


class References(NamedTuple):
    """Labels read so far: the sum of their hashes, a name's reference that waits for its value or -1, a broken rule or 0."""

    hash: np.uint64
    name: int
    rule: int


class Metadata(NamedTuple):
    """What a series is declared to be: its kind and the references of its unit and help; 0 = not said."""

    kind: int
    unit: int
    help: int


@kernel
def read_request(body: int, end: int, seed: np.uint64, tables: Tables) -> int:
    """Fill tables from a Request between two addresses; negative: one of FAULTS, at counts[FAULT_AT], or NO_ROOM."""
    at, rows = body, Rows(0, 0, 0, 0, 0)
    symbols = read_symbols(body, end, seed, tables)
    if symbols < 0:
        return symbols
    while at < end:
        count(tables, FAULT_AT, at - body)
        tag, begin, at, _ = next_field(at, end)
        if tag == TIME_SERIES:
            rows, status = _read_series(Message(rows.series, begin, at, body), seed, rows, tables)
            if status < 0:
                return status
    count_rows(tables, rows)
    return 0


@kernel
def read_symbols(body: int, end: int, seed: np.uint64, tables: Tables) -> int:
    """Fill the table of symbols; return how many there are, or a negative fault or NO_ROOM."""
    at, row = body, 0
    while at < end:
        count(tables, FAULT_AT, at - body)
        tag, begin, at, _ = next_field(at, end)
        if at < 0:
            return at
        if tag == SYMBOL:
            if row >= tables.room:
                return NO_ROOM
            put(tables, tables.symbols, SYMBOL_HASH, row, int64(text_hash(begin, at, seed)))
            put(tables, tables.symbols, SYMBOL_OFFSET, row, begin - body)
            put(tables, tables.symbols, SYMBOL_SIZE, row, at - begin)
            row += 1
    count(tables, N_SYMBOLS, row)
    return row


@inlined
def _read_series(series: Message, seed: np.uint64, rows: Rows, tables: Tables) -> tuple[Rows, int]:
    """Read a TimeSeries; return how many rows there are then, and a negative fault or NO_ROOM."""
    status = 0 if rows.series < tables.room else NO_ROOM
    at, points, histograms, exemplars, start = series.begin, rows.points, rows.histograms, rows.exemplars, int64(0)
    labels, metadata = References(seed, _NONE, 0), Metadata(0, 0, 0)
    while at < series.end and status >= 0:
        tag, begin, at, value = next_field(at, series.end)
        message = Message(series.owner, begin, at, series.body)
        if at < 0:
            status = at
        elif tag == REFERENCES:
            labels, status = read_references(begin, at, labels, tables)
        elif tag == _SAMPLE:
            status = read_sample(tables, points, message)
            points += 1
        elif tag == METADATA:
            metadata, status = metadata_of(begin, at, metadata)
        elif tag == _START:
            start = microseconds(int64(value))
        elif tag == REFERENCE:
            labels = next_reference(value, labels, tables)
        elif tag == _HISTOGRAM:
            status = histograms = read_later(tables, tables.histograms, histograms, message)
        elif tag == _EXEMPLAR:
            status = exemplars = read_later(tables, tables.exemplars, exemplars, message)
    if status < 0:
        return rows, status
    rule = rule_broken(labels, metadata, tables)
    left = Rows(rows.series + 1, points, histograms, exemplars, rows.faults)
    if rule > 0:
        points, (left, status) = rows.points, _leave_out(tables, rule, rows, left)
    known = labels.hash + _declared(metadata, tables) if rule == 0 else seed
    close_series(tables, series, SeriesRow(known, metadata.kind, start, rows.points, points))
    _fill_starts(tables, rows.points, points, start)
    return left, status


@inlined
def _declared(metadata: Metadata, tables: Tables) -> np.uint64:
    unit = np.uint64(cell(tables, tables.symbols, SYMBOL_HASH, metadata.unit)) if metadata.unit > 0 else np.uint64(0)
    return declared_hash(metadata.kind, unit)


@inlined
def _fill_starts(tables: Tables, first: int, last: int, start: int) -> None:
    """Give points that state no start that of their series."""
    if start != 0:
        for point in range(first, last):
            if cell(tables, tables.points, START, point) == 0:
                put(tables, tables.points, START, point, start)


@inlined
def _leave_out(tables: Tables, rule: int, rows: Rows, read: Rows) -> tuple[Rows, int]:
    """Note the fault of a series; return the rows without what it holds, and 0 or NO_ROOM."""
    if rows.faults >= tables.room:
        return rows, NO_ROOM
    put(tables, tables.faults, RULE, rows.faults, rule)
    put(tables, tables.faults, FAULTY, rows.faults, rows.series)
    put(tables, tables.faults, POINTS_LEFT_OUT, rows.faults, read.points - rows.points)
    put(tables, tables.faults, HISTOGRAMS_LEFT_OUT, rows.faults, read.histograms - rows.histograms)
    return Rows(rows.series + 1, rows.points, rows.histograms, rows.exemplars, rows.faults + 1), 0


@kernel
def rule_broken(labels: References, metadata: Metadata, tables: Tables) -> int:
    """Return the rule that references break, or 0."""
    if labels.rule != 0:
        return labels.rule
    if labels.name != _NONE:
        return _ODD
    furthest = max(metadata.unit, metadata.help)
    return _UNKNOWN_SYMBOL if furthest > 0 and furthest >= counted(tables, N_SYMBOLS) else 0


@kernel
def next_reference(reference: np.uint64, labels: References, tables: Tables) -> References:
    """Return the labels with one reference more."""
    symbol = int64(reference & _UINT32)
    if symbol >= counted(tables, N_SYMBOLS):
        return References(labels.hash, _NONE, _UNKNOWN_SYMBOL)
    if labels.name == _NONE:
        return References(labels.hash, symbol, labels.rule)
    name = np.uint64(cell(tables, tables.symbols, SYMBOL_HASH, labels.name))
    value = np.uint64(cell(tables, tables.symbols, SYMBOL_HASH, symbol))
    return References(labels.hash + pair_hash(name, value), _NONE, labels.rule)


@kernel
def read_references(at: int, end: int, labels: References, tables: Tables) -> tuple[References, int]:
    """Return the labels with those of a packed field, and a negative fault or 0."""
    known, name, rule = labels
    symbols, hashes = counted(tables, N_SYMBOLS), tables.symbols + ((SYMBOL_HASH * tables.room) << 3)
    while at < end:
        reference, at = short_varint(at, end)
        if at < 0:
            return labels, at
        symbol = int64(reference & _UINT32)
        if symbol >= symbols:
            name, rule = int64(_NONE), int64(_UNKNOWN_SYMBOL)
        elif name == _NONE:
            name = symbol
        else:
            known += pair_hash(word_at(hashes + (name << 3)), word_at(hashes + (symbol << 3)))
            name = int64(_NONE)
    return References(known, name, rule), 0


@kernel
def metadata_of(at: int, end: int, known: Metadata) -> tuple[Metadata, int]:
    """Return what is declared after one more Metadata, and a negative fault or 0; of a repeated field the last one counts."""
    kind, unit, help_text = known
    while at < end:
        tag, _, at, value = next_field(at, end)
        if at < 0:
            return known, at
        number = int64(value & _UINT32)
        if tag == _TYPE:
            kind = number if number < _KINDS else 0
        elif tag == _UNIT:
            unit = number
        elif tag == _HELP:
            help_text = number
    return Metadata(kind, unit, help_text), 0
