"""Kernels of the seasonal profile: points to a grid of days and slots, medians a slot, all robust and NaN-aware."""

import numpy as np
import numpy.typing as npt

from aiops.features.robust import median_in_place
from aiops.jit import kernel
from aiops.types import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]


@kernel
def slot_grid(time_us: IntArray, value: FloatArray, start_us: int, slot_us: int, slots: int) -> FloatArray:
    """Return (slots,) medians of the known points in each slot from `start_us` on; NaN = none. Times ascend; O(n)."""
    out = np.full(slots, np.nan)
    room = np.empty(time_us.size)
    begin = 0
    while begin < time_us.size:
        slot = (time_us[begin] - start_us) // slot_us
        end = begin
        count = 0
        while end < time_us.size and (time_us[end] - start_us) // slot_us == slot:
            if np.isfinite(value[end]):
                room[count] = value[end]
                count += 1
            end += 1
        if 0 <= slot < slots and count:
            out[slot] = median_in_place(room[:count])
        begin = end
    return out


@kernel
def median_known(values: FloatArray) -> float:
    """Return the median of the known among (n,) values; NaN where there is none."""
    room = np.empty(values.size)
    count = 0
    for value in values:
        if not np.isnan(value):
            room[count] = value
            count += 1
    return median_in_place(room[:count]) if count else np.nan


@kernel
def medians_of_slots(grid: FloatArray, level: FloatArray, use: BoolArray) -> FloatArray:
    """Return (slots,) medians of grid[day, slot] - level[day] over the days to `use`; NaN = no such point."""
    days, slots = grid.shape
    out = np.empty(slots)
    room = np.empty(days)
    for slot in range(slots):
        count = 0
        for day in range(days):
            apart = grid[day, slot] - level[day]
            if use[day] and not np.isnan(apart):
                room[count] = apart
                count += 1
        out[slot] = median_in_place(room[:count]) if count else np.nan
    return out


@kernel
def medians_of_days(grid: FloatArray, shapes: FloatArray, kind: IntArray, least: int) -> FloatArray:
    """Return (days,) medians of grid[day] - shapes[kind[day]]; NaN = fewer than `least` points."""
    days, slots = grid.shape
    out = np.empty(days)
    room = np.empty(slots)
    for day in range(days):
        count = 0
        for slot in range(slots):
            apart = grid[day, slot] - shapes[kind[day], slot]
            if not np.isnan(apart):
                room[count] = apart
                count += 1
        out[day] = median_in_place(room[:count]) if count >= least else np.nan
    return out
