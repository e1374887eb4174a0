"""Parts that both versions of remote write have: samples, rows of series, and messages that are read later."""

from typing import Final, NamedTuple

import numpy as np

from aiops.jit import inlined, kernel
from serving.ingest.receive.wire.column_buffers import (
    BEGAN,
    COUNT,
    FIRST,
    HASH,
    KIND,
    MESSAGE_OFFSET,
    MESSAGE_SIZE,
    OFFSET,
    OWNER,
    SERIES,
    SIZE,
    START,
    TIME,
    VALUE,
    Tables,
    put,
)
from serving.ingest.receive.wire.machine_words import int64
from serving.ingest.receive.wire.wire_fields import NO_ROOM, microseconds, next_field

_VALUE: Final = 1 << 3 | 1
_TIMESTAMP: Final = 2 << 3 | 0
_START: Final = 3 << 3 | 0


class Message(NamedTuple):
    """A message of the body: the row of its series, its first and last address, and that of the body."""

    owner: int
    begin: int
    end: int
    body: int


class SeriesRow(NamedTuple):
    """What is known of a series when its message ends; start is in µs, its points are first … last - 1."""

    hash: np.uint64
    kind: int
    start: int
    first: int
    last: int


@kernel
def sample_of(at: int, end: int) -> tuple[int, int, int, int]:
    """Return value (its bits), time and start in µs of a Sample, and a negative fault; the start is 2.0's, and else 0."""
    value, time, start = int64(0), int64(0), int64(0)
    while at < end:
        tag, _, at, bits = next_field(at, end)
        if at < 0:
            return value, time, start, at
        if tag == _VALUE:
            value = int64(bits)
        elif tag == _TIMESTAMP:
            time = int64(bits)
        elif tag == _START:
            start = int64(bits)
    return value, microseconds(time), microseconds(start), 0


@inlined
def read_sample(tables: Tables, point: int, message: Message) -> int:
    """Write the point of a Sample; negative: a fault or NO_ROOM."""
    if point >= tables.room:
        return NO_ROOM
    value, time, start, status = sample_of(message.begin, message.end)
    put(tables, tables.points, VALUE, point, value)
    put(tables, tables.points, TIME, point, time)
    put(tables, tables.points, START, point, start)
    put(tables, tables.points, SERIES, point, message.owner)
    return status


@inlined
def close_series(tables: Tables, message: Message, known: SeriesRow) -> None:
    """Write the row of a series whose message ended."""
    row = message.owner
    put(tables, tables.series, HASH, row, int64(known.hash))
    put(tables, tables.series, KIND, row, known.kind)
    put(tables, tables.series, FIRST, row, known.first)
    put(tables, tables.series, COUNT, row, known.last - known.first)
    put(tables, tables.series, BEGAN, row, known.start)
    put(tables, tables.series, OFFSET, row, message.begin - message.body)
    put(tables, tables.series, SIZE, row, message.end - message.begin)


@kernel
def read_later(tables: Tables, table: int, row: int, message: Message) -> int:
    """Write a message that is read later as a row of `table`; return the number of rows, or NO_ROOM."""
    if row >= tables.room:
        return NO_ROOM
    put(tables, table, OWNER, row, message.owner)
    put(tables, table, MESSAGE_OFFSET, row, message.begin - message.body)
    put(tables, table, MESSAGE_SIZE, row, message.end - message.begin)
    return row + 1
