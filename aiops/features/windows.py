"""Windows of series as kernels: bounded rings sorted by event time; late points are put in at their place.

Where the points of a ring are equally far apart, only the newest time and the interval are kept; whether times are kept so or
one by one never shows in a feature. Beside the values stand the places of the last tick's 1 h window in the order of their
values: the next tick only takes out what has left the window since and puts in what is new.
"""

from typing import Any, Final

import numpy as np

from aiops.features.series_state import (
    DUPLICATE,
    HOUR_US,
    REPEATED,
    SCORED,
    TOO_LATE,
    UNIT,
    WIDE_US,
    EngineArrays,
    EngineParameters,
    free_block,
    larger_room,
    take_block,
)
from aiops.jit import bare, inlined

LARGEST: Final = float(np.finfo(np.float32).max)
"""Values beyond this count as this in windows."""


@inlined
def place_at(record: Any, number: int) -> int:
    """Return the place in the ring of point `number`, counted from the oldest."""
    place = int(record.head) + number
    return place - int(record.room) if place >= record.room else place


@inlined
def time_of(arrays: EngineArrays, record: Any, number: int) -> int:
    """Return the time of point `number`, counted from the oldest, us."""
    if record.times_at < 0:
        return int(record.newest - (int(record.count) - 1 - number) * record.interval)
    mask = WIDE_US - 1 if arrays.times.itemsize == 4 else -1
    kept = np.int64(arrays.times[int(record.times_at) * UNIT + place_at(record, number)])
    return int(record.newest - ((record.newest - kept) & mask))


@inlined
def write_time(arrays: EngineArrays, record: Any, place: int, time: int) -> None:
    """Keep a time at a place of the ring."""
    arrays.times[int(record.times_at) * UNIT + place] = time & (WIDE_US - 1 if arrays.times.itemsize == 4 else -1)


@bare
def number_of(arrays: EngineArrays, record: Any, time: int) -> int:
    """Return where `time` belongs: the number of the first point at or after it."""
    low = 0
    high = int(record.count)
    while low < high:
        middle = (low + high) >> 1
        if time_of(arrays, record, middle) < time:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def stored(value: float) -> np.float32:
    """Return a value as windows keep it: to 24 bits, and at most LARGEST in size."""
    return np.float32(min(max(value, -LARGEST), LARGEST))


@inlined
def value_of(arrays: EngineArrays, record: Any, number: int) -> np.float32:
    """Return the value of point `number`, counted from the oldest, as windows keep it."""
    return np.float32(arrays.values[int(record.at) * UNIT + place_at(record, number)])


@bare
def admit_late(arrays: EngineArrays, record: Any, parameters: EngineParameters, time: int, value: float) -> int:
    """Return SCORED where a point at or before the newest may enter the ring, REPEATED, DUPLICATE or TOO_LATE where not.

    REPEATED: the ring has a point at that time whose value is the same to the 24 bits that windows keep.
    """
    if time <= record.newest - HOUR_US:
        return TOO_LATE
    number = number_of(arrays, record, time)
    if number < record.count and time_of(arrays, record, number) == time:
        return REPEATED if value_of(arrays, record, number) == stored(value) else DUPLICATE
    if number == 0 and record.count == parameters.window_points:
        return TOO_LATE
    return SCORED


@inlined
def drop_oldest(record: Any) -> None:
    """Drop the oldest point."""
    if record.ordered_left > 0 and record.head == record.ordered_low:
        record.ordered_left -= 1
        record.ordered_low = record.ordered_low + 1 if record.ordered_low + 1 < record.room else 0
    record.head = record.head + 1 if record.head + 1 < record.room else 0
    record.count -= 1


@inlined
def forget(arrays: EngineArrays, record: Any, horizon: int) -> None:
    """Drop points up to `horizon`: no tick can use them any more, and no late point may come before them."""
    while record.count > 0 and time_of(arrays, record, 0) <= horizon:
        drop_oldest(record)


@bare
def has_room(arrays: EngineArrays, record: Any, most: int) -> bool:
    """Make room for one more point, of at most `most`; False where an arena must grow first."""
    if record.count < record.room or record.room == most:
        return True
    room = larger_room(int(record.room), most)
    values = take_block(arrays, 0, room)
    if values < 0:
        return False
    times = -1
    if record.times_at >= 0:
        times = take_block(arrays, 1, room)
        if times < 0:
            free_block(arrays, 0, room, values)
            return False
    for i in range(record.count):
        place = place_at(record, i)
        arrays.values[values * UNIT + i] = arrays.values[int(record.at) * UNIT + place]
        if times >= 0:
            arrays.times[times * UNIT + i] = arrays.times[int(record.times_at) * UNIT + place]
    if record.at >= 0:
        free_block(arrays, 0, int(record.room), int(record.at))
    if times >= 0:
        free_block(arrays, 1, int(record.room), int(record.times_at))
    record.at = values
    record.times_at = times
    record.room = room
    record.head = 0
    record.ordered = 0
    record.ordered_left = 0
    return True


@bare
def with_times(arrays: EngineArrays, record: Any) -> bool:
    """Keep the times one by one from now on; False where the arena must grow first."""
    block = take_block(arrays, 1, int(record.room))
    if block < 0:
        return False
    for i in range(record.count):
        time = time_of(arrays, record, i)
        arrays.times[block * UNIT + place_at(record, i)] = time & (WIDE_US - 1 if arrays.times.itemsize == 4 else -1)
    record.times_at = block
    return True


@bare
def without_times(arrays: EngineArrays, record: Any) -> None:
    """Keep only the newest time and the interval where the points, two or more, are equally far apart."""
    interval = time_of(arrays, record, 1) - time_of(arrays, record, 0)
    for i in range(2, int(record.count)):
        if time_of(arrays, record, i) - time_of(arrays, record, i - 1) != interval:
            return
    free_block(arrays, 1, int(record.room), int(record.times_at))
    record.times_at = -1
    record.interval = interval


@bare
def make_gap(arrays: EngineArrays, record: Any, time: int) -> int:
    """Move the points after `time` by one place; return the number that is free then. The times are kept one by one."""
    values, times = int(record.at) * UNIT, int(record.times_at) * UNIT
    number = int(record.count)
    while number > 0 and time_of(arrays, record, number - 1) > time:
        place, before = place_at(record, number), place_at(record, number - 1)
        arrays.values[values + place] = arrays.values[values + before]
        arrays.times[times + place] = arrays.times[times + before]
        number -= 1
    record.ordered = 0
    record.ordered_left = 0
    return number


@inlined
def put_next(arrays: EngineArrays, record: Any, parameters: EngineParameters, time: int, value: float) -> bool:
    """Put a point into its window where it comes when it was expected, has its place, and makes no other too old.

    In a ring of as many points as a window may hold, the place is that of the oldest. False = nothing was changed.
    """
    count = int(record.count)
    if count < 2 or record.times_at >= 0 or time - record.newest != record.interval:
        return False
    if count * record.interval >= HOUR_US + parameters.lateness_us + parameters.step_us:
        return False
    if count == parameters.window_points:
        record.covered_from = record.newest - (count - 2) * record.interval
        drop_oldest(record)
    elif count >= record.room:
        return False
    arrays.values[np.uint64(int(record.at) * UNIT + place_at(record, int(record.count)))] = stored(value)
    record.newest = time
    record.count += 1
    return True


@bare
def keep(arrays: EngineArrays, record: Any, parameters: EngineParameters, time: int, value: float) -> bool:
    """Put any admitted point into its window; False where an arena must grow first, nothing that matters is changed then."""
    first, in_order = record.room == 0, record.room == 0 or time > record.newest
    if in_order and not first:
        forget(arrays, record, time - HOUR_US - parameters.lateness_us - parameters.step_us)
    if not has_room(arrays, record, parameters.window_points) or not fits_interval(arrays, record, time, in_order):
        return False
    record.covered_from = time if first else min(record.covered_from, time)
    if record.count == parameters.window_points:
        record.covered_from = time_of(arrays, record, 1)
        drop_oldest(record)
    number = int(record.count) if in_order else make_gap(arrays, record, time)
    place = place_at(record, number)
    record.newest = time if in_order else record.newest
    record.count += 1
    arrays.values[int(record.at) * UNIT + place] = stored(value)
    if record.times_at >= 0:
        write_time(arrays, record, place, time)
    return True


@inlined
def fits_interval(arrays: EngineArrays, record: Any, time: int, in_order: bool) -> bool:
    """Keep the times one by one where a new point is not as far from the newest as they are; False = the arena must grow."""
    if record.times_at >= 0 or record.count == 0:
        return True
    apart = time - record.newest
    if not in_order or (record.count > 1 and apart != record.interval):
        return with_times(arrays, record)
    record.interval = apart
    return True
