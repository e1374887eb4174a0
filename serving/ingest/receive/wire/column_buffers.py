"""Buffers that kernels write columns into, and the columns copied out of them: one set a decoder, used again and again.

A table is a matrix of (columns, room) int64: doubles are kept by their bits, hashes by theirs. Kernels get its address, and look
at `room` before they put a row into it.
"""

import threading
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from aiops.errors import StateError
from aiops.jit import kernel
from serving.ingest.receive.wire.decoded import FaultColumns, Float64s, Int64s, MalformedBody, PointColumns, SeriesColumns
from serving.ingest.receive.wire.machine_words import int64, store, word_at
from serving.ingest.receive.wire.wire_fields import FAULTS, NO_ROOM

HASH, KIND, FIRST, COUNT, OFFSET, SIZE, BEGAN, CONTEXT, PART, QUANTILE = range(10)
"""Columns of `series`: OFFSET and SIZE of its message in the body; BEGAN, its start in µs, is remote write 2.0's, CONTEXT,
PART and QUANTILE are OTLP's."""
VALUE, TIME, START, SERIES = range(4)
"""Columns of `points`."""
OWNER, MESSAGE_OFFSET, MESSAGE_SIZE = range(3)
"""Columns of `histograms` and `exemplars`: messages that are read later, and the rows of their series."""
RULE, FAULTY, POINTS_LEFT_OUT, HISTOGRAMS_LEFT_OUT = range(4)
"""Columns of `faults`."""
SYMBOL_HASH, SYMBOL_OFFSET, SYMBOL_SIZE = range(3)
"""Columns of `symbols`."""
RESOURCE, RESOURCE_SIZE, SCOPE, SCOPE_SIZE, METRIC, METRIC_SIZE = range(6)
"""Columns of `contexts`: offset and size of the resource metrics, scope metrics and metric that data points stand in."""
N_SERIES, N_POINTS, N_HISTOGRAMS, N_EXEMPLARS, N_FAULTS, N_SYMBOLS, N_METADATA, N_CONTEXTS, FAULT_AT = range(9)
"""Places of `counts`."""

_KEPT: Final = 1 << 17
"""Columns of more rows are not kept for the next body."""


class Tables(NamedTuple):
    """Addresses of tables with `room` rows each, and of the counts: how many rows are filled."""

    room: int
    series: int
    points: int
    histograms: int
    exemplars: int
    faults: int
    symbols: int
    contexts: int
    counts: int


@kernel
def put(tables: Tables, table: int, column: int, row: int, value: int) -> None:
    """Write one cell of a table; row < tables.room."""
    store(table + ((column * tables.room + row) << 3), value)


class Rows(NamedTuple):
    """How many rows of each table are filled."""

    series: int
    points: int
    histograms: int
    exemplars: int
    faults: int


@kernel
def cell(tables: Tables, table: int, column: int, row: int) -> int:
    """Return one cell of a table; row < tables.room."""
    return int64(word_at(table + ((column * tables.room + row) << 3)))


@kernel
def count(tables: Tables, place: int, number: int) -> None:
    """Set one of the counts."""
    store(tables.counts + (place << 3), number)


@kernel
def counted(tables: Tables, place: int) -> int:
    """Return one of the counts."""
    return int64(word_at(tables.counts + (place << 3)))


@kernel
def count_rows(tables: Tables, rows: Rows) -> None:
    """Set the counts of rows."""
    count(tables, N_SERIES, rows.series)
    count(tables, N_POINTS, rows.points)
    count(tables, N_HISTOGRAMS, rows.histograms)
    count(tables, N_EXEMPLARS, rows.exemplars)
    count(tables, N_FAULTS, rows.faults)


class ColumnBuffers:
    """Tables of so many rows each."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.series, self.points, self.faults = (np.empty((width, room), np.int64) for width in (10, 4, 4))
        self.histograms, self.exemplars, self.symbols = (np.empty((3, room), np.int64) for _ in range(3))
        self.contexts = np.empty((6, room), np.int64)
        self.counts = np.zeros(9, np.int64)
        later = (self.histograms, self.exemplars, self.faults, self.symbols, self.contexts)
        self.tables = Tables(room, *(table.ctypes.data for table in (self.series, self.points, *later, self.counts)))


class GrowingBuffers(threading.local):
    """Buffers that grow to what a body needs; each thread has its own."""

    def __init__(self, room: int = 1 << 13) -> None:
        self._buffers = ColumnBuffers(room)

    def fill(self, read: Callable[[Tables], int], size: int, message: str) -> ColumnBuffers:
        """Run a kernel, again with more room as often as it needs it; the columns are valid until the next call.

        `size` is that of the body: no table has more rows than it has bytes. `message` names what is read.

        Raises:
            MalformedBody: the body is no such protobuf message.
        """
        buffers = self._buffers
        buffers.counts[:] = 0
        while (status := read(buffers.tables)) == NO_ROOM:
            if buffers.room > size:
                raise StateError(f"a body of {size} bytes filled tables of {buffers.room} rows")
            buffers = ColumnBuffers(2 * buffers.room)
            if buffers.room <= _KEPT:
                self._buffers = buffers
        if status < 0:
            raise MalformedBody(f"{message}, in the field at byte {buffers.counts[FAULT_AT]}", FAULTS[status])
        return buffers


def series_columns(buffers: ColumnBuffers) -> SeriesColumns:
    """Copy the columns of series."""
    series = buffers.series[: COUNT + 1, : buffers.counts[N_SERIES]].copy()
    return SeriesColumns(series[HASH].view(np.uint64), series[KIND].astype(np.int8), series[FIRST], series[COUNT])


def point_columns(buffers: ColumnBuffers) -> PointColumns:
    """Copy the columns of points."""
    points = buffers.points[:, : buffers.counts[N_POINTS]].copy()
    return PointColumns(points[SERIES], points[VALUE].view(np.float64), points[TIME], points[START])


def fault_columns(buffers: ColumnBuffers) -> FaultColumns:
    """Copy the columns of faults."""
    if not buffers.counts[N_FAULTS]:
        return _no_faults()
    faults = buffers.faults[:, : buffers.counts[N_FAULTS]]
    points, histograms = faults[POINTS_LEFT_OUT].copy(), faults[HISTOGRAMS_LEFT_OUT].copy()
    return FaultColumns(faults[RULE].astype(np.int8), faults[FAULTY].copy(), points, histograms)


@cache
def _no_faults() -> FaultColumns:
    none = np.empty(0, np.int64)
    return FaultColumns(np.empty(0, np.int8), none, none, none)


def doubles(bits: Int64s) -> Float64s:
    """Return a copy of a column of doubles kept by their bits."""
    return bits.copy().view(np.float64)
