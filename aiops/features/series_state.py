"""State of all series of an engine as arrays, and the table that finds a series' slot by its id.

The points of a series lie in a ring, a block of the arenas. Where all of them are equally far apart their times follow from the
newest one and the interval; else a block of times lies beside. Blocks come in size classes, freed ones are used again, so that a
fast series does not make room for all others.

Memory per series: SERIES_RECORD + open bins x 40 B + 20 B, and 5 B a point of room where the points are equally far apart, 9 B
where not (13 B where an hour, the lateness and a step together exceed 71 min; 1 B more where windows hold over 256 points).
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import bare, inlined
from aiops.types import FloatArray, IntArray

HOUR_US: Final = 3_600_000_000
SERIES_RECORD: Final = np.dtype(
    [
        ("newest", np.int64),  # event time of the newest point, us
        ("interval", np.int64),  # us between the points, where they are equally far apart
        ("covered_from", np.int64),  # since then no point was dropped for lack of room, us
        ("mean", np.float64),  # running averages over the points in order, as of the newest
        ("variance", np.float64),
        ("deviation", np.float64),
        ("tick_mean", np.float64),  # the same as of the last closed tick
        ("tick_variance", np.float64),
        ("tick_deviation", np.float64),
        ("median", np.float64),  # of the 1 h window as of the last closed tick; NaN = too few points
        ("spread", np.float64),  # floored 1.4826 MAD of that window
        ("floor", np.float64),  # absolute floor of the scale, by metric
        ("excursion_from", np.int64),  # time of the open excursion's first point, us
        ("other_mean", np.float64),  # running averages over the excursion's points: the level to come, if it stays
        ("other_variance", np.float64),
        ("other_deviation", np.float64),
        ("masked_at", np.int64),  # time of the newest point that was kept out of the averages, us
        ("tick_masked_at", np.int64),  # the same as of the last closed tick
        ("updates", np.int32),  # points in order so far
        ("excursion", np.int32),  # points of the open excursion, negative below the level; 0 = none
        ("at", np.int32),  # block of values and order, in units of UNIT elements; -1 = none
        ("times_at", np.int32),  # block of times, likewise; -1 = none, the points are equally far apart
        ("room", np.int16),  # ring: elements of the blocks
        ("head", np.int16),  # ring: place of the oldest point
        ("count", np.int16),  # ring: points kept
        ("ordered", np.int16),  # places in the order: those of the last tick's 1 h window, by value
        ("ordered_left", np.int16),  # of their points, those still in the ring
        ("ordered_low", np.int16),  # place of the oldest of those
        ("step", np.float32),  # least move between consecutive points in order so far; 0 = it has not moved
        ("ticked", np.int16),  # ticks that have closed with points of this series in their last hour, up to MOST_TICKED
        ("stray", np.int16),  # ticks that it is beyond its bound by now, one after the other
        ("seen", np.float32),  # ticks with a score before those, of about a week; an excursion is one
        ("beyond", np.float32),  # of them, those beyond its bound
    ],
    align=True,
)
BIN_MEAN, BIN_VARIANCE, BIN_DEVIATION, BIN_SCORE, BIN_MASKED_AT = range(5)
BIN_FIELDS: Final = 5
NOT_NAMED: Final = -1.0
"""The floor of a series until its name says it: it counts from the end of the warm-up on."""
NEVER_US: Final = -(2**52)
"""A time before all others, exact as a float too."""
MOST_TICKED: Final = 32_767
SERIES_COUNT, NEXT_BIN, NEEDS_SERIES, NEEDS_VALUES, NEEDS_TIMES, VALUES_USED, TIMES_USED = range(7)
COUNTERS: Final = 7
UNIT: Final = 8
"""Blocks begin at multiples of this many elements."""
LEAST_ROOM: Final = 16
HOURLY_ROOM: Final = 64
"""Elements for an hour of a point a minute: rings go from LEAST_ROOM to it at once, for blocks left behind are seldom used."""
CLASSES: Final = 16
WIDE_US: Final = 2**32
"""A ring that spans less than this keeps times modulo it."""

SCORED, WARMUP, DUPLICATE, TOO_LATE, TOO_MANY_SERIES, COLLISION, REPEATED = range(7)


class EngineParameters(NamedTuple):
    """Scalars that kernels read; times in microseconds."""

    step_us: int
    lateness_us: int
    window_points: int
    max_series: int
    warmup_points: int
    alpha: float
    warmup_ticks: int

    @property
    def keep_us(self) -> int:
        """Return how long before the newest point of a series no tick still to close reaches."""
        return HOUR_US + self.lateness_us + self.step_us


class EngineArrays(NamedTuple):
    """The whole numeric state of an engine; S = series allocated, B = open bins, M = table size."""

    series: npt.NDArray[Any]  # (S,) SERIES_RECORD
    values: npt.NDArray[np.float32]  # arena: values of points by place in the ring
    next_free: npt.NDArray[np.int32]  # the same memory: the first element of a free block is the next free one of its class
    order: npt.NDArray[Any]  # arena beside it: places in the ring, the values there ascending
    times: npt.NDArray[Any]  # arena: times of points by place, us modulo WIDE_US, or whole
    next_times: npt.NDArray[Any]  # the same memory, as `next_free`
    free: IntArray  # (2, CLASSES) first free block of values and of times by class, -1 = none
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
    brief: npt.NDArray[np.bool_]  # (n,) part of an excursion that has not lasted yet
    weight: FloatArray  # (n,) of a point beyond its bound, see `straying`; else 1


class RowSpan(NamedTuple):
    """Rows first <= i < end of a batch."""

    first: int
    end: int


class TickGrid(NamedTuple):
    """Ticks lie at multiples of the step; `number` of the next one."""

    number: int
    step_us: int


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


@bare
def rebuild_table(arrays: EngineArrays) -> None:
    """Fill the table anew from the keys of all series."""
    arrays.table[:] = -1
    for slot in range(arrays.counters[SERIES_COUNT]):
        arrays.table[-1 - find_slot(arrays.table, arrays.keys, arrays.keys[slot])] = slot


@bare
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
    record.at = -1
    record.times_at = -1
    record.room = 0
    record.count = 0
    record.ordered = 0
    record.ordered_left = 0
    record.updates = 0
    record.floor = NOT_NAMED
    record.ticked = 0
    record.stray = 0
    record.seen = np.float32(0.0)
    record.beyond = np.float32(0.0)
    record.tick_mean = np.nan
    record.tick_variance = np.nan
    record.tick_deviation = np.nan
    record.median = np.nan
    record.spread = np.nan
    record.excursion = 0
    record.step = np.float32(0.0)
    record.masked_at = NEVER_US
    record.tick_masked_at = NEVER_US
    arrays.bins[slot] = np.nan
    return int(slot)


@inlined
def larger_room(room: int, most: int) -> int:
    """Return the elements of the next size class of blocks, of at most `most`."""
    return min(LEAST_ROOM if room == 0 else HOURLY_ROOM if room < HOURLY_ROOM else 2 * room, most)


@inlined
def class_of(room: int) -> int:
    """Return the number of the size class of blocks of so many elements; blocks of the last class are as large as windows."""
    number = 0
    while room > (HOURLY_ROOM << (number - 1) if number else LEAST_ROOM):
        number += 1
    return number


@bare
def room_for(points: int, most: int) -> int:
    """Return the elements of the smallest blocks that hold so many points, of at most `most`."""
    room = 0
    while room < max(points, 1):
        room = larger_room(room, most)
    return room


@bare
def take_block(arrays: EngineArrays, kind: int, room: int) -> int:
    """Return a block of values (`kind` 0) or of times (1) with `room` elements, in units of UNIT; -1 = the arena must grow."""
    number = class_of(room)
    block = arrays.free[kind, number]
    if block >= 0:
        following = arrays.next_times[block * UNIT] if kind else arrays.next_free[block * UNIT]
        arrays.free[kind, number] = following
        return int(block)
    used = arrays.counters[VALUES_USED + kind]
    units = (room + UNIT - 1) // UNIT
    if (used + units) * UNIT > (arrays.times.size if kind else arrays.values.size):
        arrays.counters[NEEDS_VALUES + kind] = units
        return -1
    arrays.counters[VALUES_USED + kind] = used + units
    return int(used)


@bare
def free_block(arrays: EngineArrays, kind: int, room: int, block: int) -> None:
    """Give a block back."""
    number = class_of(room)
    if kind:
        arrays.next_times[block * UNIT] = arrays.free[kind, number]
    else:
        arrays.next_free[block * UNIT] = arrays.free[kind, number]
    arrays.free[kind, number] = block


def place_type(window_points: int) -> type[np.uint8 | np.uint16]:
    """Return what holds a place in a ring of so many points."""
    return np.uint8 if window_points <= 256 else np.uint16


def table_size(series: int) -> int:
    """Return the power of two that keeps the table at most half full."""
    return 1 << (2 * series).bit_length()
