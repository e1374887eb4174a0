"""State of all series of an engine as arrays, and the table that finds a series' slot by its id.

Memory per series: SERIES_RECORD + (points kept x 1.25) x 24 B + open bins x 40 B, at most about `window_points` x 30 B.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import inlined, kernel
from aiops.types import FloatArray, IntArray

HOUR_US: Final = 3_600_000_000
SERIES_RECORD: Final = np.dtype(
    [
        ("start", np.int64),  # ring: first kept point
        ("count", np.int64),  # ring: points kept
        ("newest", np.int64),  # event time of the newest point, us
        ("ordered_from", np.int64),  # offsets from start of the points whose values are ordered; equal = none
        ("ordered_to", np.int64),
        ("covered_from", np.int64),  # since then no point was dropped for lack of room, us
        ("updates", np.int64),  # points in order so far
        ("ticked", np.int64),  # 1 = a tick has closed with points of this series in its last hour
        ("mean", np.float64),  # running averages over the points in order, as of the newest
        ("variance", np.float64),
        ("deviation", np.float64),
        ("tick_mean", np.float64),  # the same as of the last closed tick
        ("tick_variance", np.float64),
        ("tick_deviation", np.float64),
        ("median", np.float64),  # of the 1 h window as of the last closed tick; NaN = too few points
        ("spread", np.float64),  # floored 1.4826 MAD of that window
        ("floor", np.float64),  # absolute floor of the scale, by metric
        ("excursion", np.int64),  # points of the open excursion, negative below the level; 0 = none
        ("excursion_from", np.int64),  # time of its first point, us
        ("other_mean", np.float64),  # running averages over the excursion's points: the level to come, if it stays
        ("other_variance", np.float64),
        ("other_deviation", np.float64),
        ("masked_at", np.int64),  # time of the newest point that was kept out of the averages, us
        ("tick_masked_at", np.int64),  # the same as of the last closed tick
    ],
    align=True,
)
BIN_MEAN, BIN_VARIANCE, BIN_DEVIATION, BIN_SCORE, BIN_MASKED_AT = range(5)
BIN_FIELDS: Final = 5
NEVER_US: Final = -(2**52)
"""A time before all others, exact as a float too."""
SERIES_COUNT, NEXT_BIN, NEEDS_SERIES, NEEDS_RING = range(4)
COUNTERS: Final = 4

SCORED, WARMUP, DUPLICATE, TOO_LATE, TOO_MANY_SERIES, COLLISION = range(6)


class EngineParameters(NamedTuple):
    """Scalars that kernels read; times in microseconds."""

    step_us: int
    lateness_us: int
    window_points: int
    max_series: int
    warmup_points: int
    alpha: float


class EngineArrays(NamedTuple):
    """The whole numeric state of an engine; S = series allocated, C = ring capacity, B = open bins, M = table size."""

    series: npt.NDArray[Any]  # (S,) SERIES_RECORD
    ring_time: IntArray  # (S, C) us, ascending in [start, start + count)
    ring_value: FloatArray  # (S, C)
    ordered: FloatArray  # (S, C) values of the last tick's 1 h window, ascending
    bins: FloatArray  # (S, B, BIN_FIELDS): averages and the worst z at the end of each open tick's step; NaN = no point
    keys: IntArray  # (S,) series ids
    names: IntArray  # (S,) hashes of their names: another name with the same id is no point of the series
    table: npt.NDArray[np.int32]  # (M,) open addressing: key -> slot, -1 = free; M is a power of two
    counters: IntArray  # (COUNTERS,)


class PointRows(NamedTuple):
    """Points in arrival order."""

    time: IntArray  # (n,) us
    key: IntArray  # (n,) series ids
    name: IntArray  # (n,) hashes of the names
    value: FloatArray  # (n,)


class PointResults(NamedTuple):
    """What became of every point."""

    status: npt.NDArray[np.int8]  # (n,) aiops.types.PointStatus
    z: FloatArray  # (n,)
    expected: FloatArray  # (n,)
    scale: FloatArray  # (n,)
    slot: npt.NDArray[np.int32]  # (n,) of the point's series, -1 = none


class RowSpan(NamedTuple):
    """Rows first <= i < end of a batch."""

    first: int
    end: int


class TickGrid(NamedTuple):
    """Ticks lie at multiples of the step; `number` of the next one."""

    number: int
    step_us: int


class Ring(NamedTuple):
    """Points of one series: rows of the arrays, (C,) each."""

    time: IntArray
    value: FloatArray
    ordered: FloatArray


@inlined
def find_slot(table: npt.NDArray[np.int32], keys: IntArray, key: int) -> int:
    """Return the slot of series `key`, or -1 - (its free place in the table)."""
    mask = table.size - 1
    place = ((key * 0x9E3779B97F4A7C1) >> 20) & mask
    while True:
        slot = table[place]
        if slot < 0:
            return -1 - place
        if keys[slot] == key:
            return int(slot)
        place = (place + 1) & mask


@kernel
def rebuild_table(arrays: EngineArrays) -> None:
    """Fill the table anew from the keys of all series."""
    arrays.table[:] = -1
    for slot in range(arrays.counters[SERIES_COUNT]):
        arrays.table[-1 - find_slot(arrays.table, arrays.keys, arrays.keys[slot])] = slot


@kernel
def new_slot(arrays: EngineArrays, parameters: EngineParameters, key: int, name: int, place: int) -> int:
    """Return the slot of a new series (`key` = its id, `name` = hash of its names) that takes `place` of the table.

    -1 = too many series, -2 = the arrays must grow first.
    """
    slot = arrays.counters[SERIES_COUNT]
    if slot >= parameters.max_series:
        return -1
    if slot >= arrays.series.size or 2 * slot >= arrays.table.size:
        arrays.counters[NEEDS_SERIES] = 1
        return -2
    arrays.counters[SERIES_COUNT] = slot + 1
    arrays.keys[slot] = key
    arrays.names[slot] = name
    arrays.table[place] = slot
    record = arrays.series[slot]
    record.count = 0
    record.updates = 0
    record.ticked = 0
    record.tick_mean = np.nan
    record.tick_variance = np.nan
    record.tick_deviation = np.nan
    record.median = np.nan
    record.spread = np.nan
    record.excursion = 0
    record.masked_at = NEVER_US
    record.tick_masked_at = NEVER_US
    arrays.bins[slot] = np.nan
    return int(slot)


def empty_arrays(parameters: EngineParameters, series: int, ring: int) -> EngineArrays:
    """Return the state of no series, with room for `series` of at least `ring` points each."""
    ring = (ring + 7) // 8 * 8 | 8  # an odd number of cache lines: rows do not compete for the same places of the cache
    bins = -(-parameters.lateness_us // parameters.step_us) + 1
    return EngineArrays(
        np.zeros(series, SERIES_RECORD),
        np.zeros((series, ring), np.int64),
        np.zeros((series, ring)),
        np.zeros((series, ring)),
        np.full((series, bins, BIN_FIELDS), np.nan),
        np.zeros(series, np.int64),
        np.zeros(series, np.int64),
        np.full(table_size(series), -1, np.int32),
        np.zeros(COUNTERS, np.int64),
    )


def table_size(series: int) -> int:
    """Return the power of two that keeps the table at most half full."""
    return 1 << (2 * series).bit_length()


def ring_limit(parameters: EngineParameters) -> int:
    """Return the greatest ring capacity: room to append a while before points must move."""
    return parameters.window_points + max(8, parameters.window_points >> 2)


def grown(arrays: EngineArrays, parameters: EngineParameters) -> EngineArrays:
    """Return the arrays with twice the room that the counters ask for; nothing else changes."""
    count = int(arrays.counters[SERIES_COUNT])
    rows, ring = arrays.ring_time.shape
    if arrays.counters[NEEDS_SERIES]:
        rows = min(max(2 * rows, 16), max(parameters.max_series, count))
    if arrays.counters[NEEDS_RING]:
        ring = min(2 * ring, ring_limit(parameters))
    larger = empty_arrays(parameters, rows, ring)
    width = arrays.ring_time.shape[1]
    larger.series[:count] = arrays.series[:count]
    larger.ring_time[:count, :width] = arrays.ring_time[:count]
    larger.ring_value[:count, :width] = arrays.ring_value[:count]
    larger.ordered[:count, :width] = arrays.ordered[:count]
    larger.bins[:count] = arrays.bins[:count]
    larger.keys[:count] = arrays.keys[:count]
    larger.names[:count] = arrays.names[:count]
    larger.counters[:] = arrays.counters
    larger.counters[NEEDS_SERIES] = 0
    larger.counters[NEEDS_RING] = 0
    rebuild_table(larger)
    return larger
