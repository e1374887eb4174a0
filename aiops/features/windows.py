"""Windows of series as kernels: bounded rings sorted by event time; late points are put in at their place.

Beside the ring stand the values of the last tick's 1 h window in ascending order: the next tick only takes out what has left
the window since and puts in what is new.
"""

from typing import Any

from aiops.features.robust import add_ordered, remove_ordered, replace_ordered, sort_in_place
from aiops.features.series_state import DUPLICATE, HOUR_US, SCORED, TOO_LATE, EngineParameters, Ring
from aiops.jit import inlined, kernel


@inlined
def place_of(record: Any, ring: Ring, time: int) -> int:
    """Return where `time` belongs in the ring: the first position with a time >= `time`."""
    low = record.start
    high = record.start + record.count
    while low < high:
        middle = (low + high) >> 1
        if ring.time[middle] < time:
            low = middle + 1
        else:
            high = middle
    return int(low)


@inlined
def admit(record: Any, ring: Ring, parameters: EngineParameters, time: int) -> int:
    """Return SCORED where the point may enter the ring, DUPLICATE or TOO_LATE where not."""
    if record.count == 0 or time > record.newest:
        return SCORED
    if time == record.newest:
        return DUPLICATE
    if time <= record.newest - HOUR_US:
        return TOO_LATE
    place = place_of(record, ring, time)
    if place < record.start + record.count and ring.time[place] == time:
        return DUPLICATE
    if place == record.start and record.count == parameters.window_points:
        return TOO_LATE
    return SCORED


@inlined
def make_room(record: Any, ring: Ring) -> bool:
    """Make the ring end before its capacity; False where the capacity must grow first.

    Points that were dropped since the last tick are kept before `start` until then: the ordered values still have them.
    """
    capacity = ring.time.size
    if record.start + record.count < capacity:
        return True
    if record.start < capacity >> 3:
        return False
    if record.start + record.ordered_from < capacity >> 3:
        record.ordered_from = 0
        record.ordered_to = 0
    shift = record.start + min(record.ordered_from, 0)
    kept = record.start + record.count - shift
    for i in range(kept):
        ring.time[i] = ring.time[shift + i]
    for i in range(kept):
        ring.value[i] = ring.value[shift + i]
    record.start -= shift
    return True


@inlined
def drop_oldest(record: Any, ring: Ring) -> None:
    """Drop the oldest of two or more points."""
    record.start += 1
    record.count -= 1
    if record.ordered_to > record.ordered_from:
        record.ordered_from -= 1
        record.ordered_to -= 1
    record.covered_from = ring.time[record.start]


@inlined
def insert(record: Any, ring: Ring, time: int, value: float) -> None:
    """Put a point into the ring at its place; points after it move by one."""
    place = record.start + record.count
    while place > record.start and ring.time[place - 1] > time:
        ring.time[place] = ring.time[place - 1]
        ring.value[place] = ring.value[place - 1]
        place -= 1
    ring.time[place] = time
    ring.value[place] = value
    record.count += 1
    offset = place - record.start
    if offset >= record.ordered_to:
        return
    if offset > record.ordered_from:
        add_ordered(ring.ordered, record.ordered_to - record.ordered_from, value)
        record.ordered_to += 1
    else:
        record.ordered_from = 0
        record.ordered_to = 0


@inlined
def forget(record: Any, ring: Ring, horizon: int) -> None:
    """Drop points up to `horizon`: no tick can use them any more, and no late point may come before them."""
    dropped = 0
    while dropped < record.count and ring.time[record.start + dropped] <= horizon:
        dropped += 1
    record.start += dropped
    record.count -= dropped
    record.ordered_from -= dropped
    record.ordered_to -= dropped


@kernel
def order_window(record: Any, ring: Ring, low: int, high: int) -> None:
    """Make `ring.ordered` hold the values of ring positions low <= i < high, ascending."""
    old = record.start + record.ordered_from
    held = record.start + record.ordered_to
    record.ordered_from = low - record.start
    record.ordered_to = high - record.start
    count = held - old
    if low >= held or 4 * (low - old + high - held) > high - low:
        for i in range(high - low):
            ring.ordered[i] = ring.value[low + i]
        sort_in_place(ring.ordered[: high - low])
        return
    while old < low and held < high:
        replace_ordered(ring.ordered, count, ring.value[old], ring.value[held])
        old += 1
        held += 1
    while old < low:
        remove_ordered(ring.ordered, count, ring.value[old])
        old += 1
        count -= 1
    while held < high:
        add_ordered(ring.ordered, count, ring.value[held])
        held += 1
        count += 1
