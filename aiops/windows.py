"""Windows of series as kernels: bounded rings sorted by event time; late points are put in at their place."""

from aiops.jit import kernel
from aiops.series_state import DUPLICATE, HOUR_US, SCORED, TOO_LATE, EngineArrays, EngineParameters


@kernel
def place_of(arrays: EngineArrays, slot: int, time: int) -> int:
    """Return where `time` belongs in the ring of `slot`: the first position with a time >= `time`."""
    record = arrays.series[slot]
    times = arrays.ring_time[slot]
    low = record.start
    high = record.start + record.count
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < time:
            low = middle + 1
        else:
            high = middle
    return int(low)


@kernel
def admit(arrays: EngineArrays, parameters: EngineParameters, slot: int, time: int) -> int:
    """Return SCORED where the point may enter the ring, DUPLICATE or TOO_LATE where not."""
    record = arrays.series[slot]
    if record.count == 0 or time > record.newest:
        return SCORED
    if time == record.newest:
        return DUPLICATE
    if time <= record.newest - HOUR_US:
        return TOO_LATE
    place = place_of(arrays, slot, time)
    if place < record.start + record.count and arrays.ring_time[slot, place] == time:
        return DUPLICATE
    if place == record.start and record.count == parameters.window_points:
        return TOO_LATE
    return SCORED


@kernel
def make_room(arrays: EngineArrays, slot: int) -> bool:
    """Make the ring of `slot` end before its capacity; False where the capacity must grow first."""
    record = arrays.series[slot]
    capacity = arrays.ring_time.shape[1]
    start = record.start
    if start + record.count < capacity:
        return True
    if start < capacity >> 3:
        return False
    times = arrays.ring_time[slot]
    values = arrays.ring_value[slot]
    for i in range(record.count):
        times[i] = times[start + i]
        values[i] = values[start + i]
    record.start = 0
    return True


@kernel
def drop_oldest(arrays: EngineArrays, parameters: EngineParameters, slot: int, newest: int) -> None:
    """Drop points that no open tick can use any more, and the oldest where the ring is full."""
    record = arrays.series[slot]
    times = arrays.ring_time[slot]
    horizon = newest - HOUR_US - parameters.lateness_us
    while record.count > 0 and times[record.start] <= horizon:
        record.start += 1
        record.count -= 1
    if record.count == parameters.window_points:
        record.start += 1
        record.count -= 1
        record.covered_from = times[record.start] if record.count > 0 else newest


@kernel
def insert(arrays: EngineArrays, slot: int, time: int, value: float) -> None:
    """Put a point into the ring at its place; points after it move by one."""
    record = arrays.series[slot]
    times = arrays.ring_time[slot]
    values = arrays.ring_value[slot]
    place = record.start + record.count
    while place > record.start and times[place - 1] > time:
        times[place] = times[place - 1]
        values[place] = values[place - 1]
        place -= 1
    times[place] = time
    values[place] = value
    record.count += 1
