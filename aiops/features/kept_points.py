"""What an engine still holds of series at given times: by it one sees whether what comes late came before."""

from typing import Final, NamedTuple

import numpy as np

from aiops.features.series_state import EngineArrays, find_slot
from aiops.features.windows import number_of, time_of, value_of
from aiops.jit import bare
from aiops.types import FloatArray, IntArray

NONE_US: Final = -(2**62)
"""No time."""
PER_SECOND: Final = 1e-6


class KeptPoints(NamedTuple):
    """(n,) what windows hold of series at times."""

    value: FloatArray
    """Of the point at that time, to 24 bits; NaN = none."""
    before_us: IntArray
    """Time of the point before that time; NONE_US = none."""
    newest_us: IntArray
    """Of the series; NONE_US = it has no points."""
    since: FloatArray
    """Integral of the values over the time from then to the newest point, each holding since the point before; NaN = unknown."""


@bare
def look_at(arrays: EngineArrays, keys: IntArray, times: IntArray, kept: KeptPoints) -> None:
    """Fill in what is held of series (n,) at times (n,)."""
    for i in range(keys.size):
        kept.value[i] = np.nan
        kept.since[i] = np.nan
        kept.before_us[i] = NONE_US
        kept.newest_us[i] = NONE_US
        slot = find_slot(arrays.table, arrays.keys, keys[i])
        if slot < 0 or arrays.series[slot].count == 0:
            continue
        record = arrays.series[slot]
        number, count, time = number_of(arrays, record, times[i]), int(record.count), times[i]
        kept.newest_us[i] = record.newest
        if number > 0:
            kept.before_us[i] = time_of(arrays, record, number - 1)
        if number < count and time_of(arrays, record, number) == time:
            kept.value[i] = value_of(arrays, record, number)
            number += 1
        elif number > 0:
            continue
        amount = 0.0
        for following in range(number, count):
            until = time_of(arrays, record, following)
            amount += value_of(arrays, record, following) * ((until - time) * PER_SECOND)
            time = until
        kept.since[i] = amount


def no_points(count: int) -> KeptPoints:
    """Return room for what is held at so many times."""
    return KeptPoints(np.empty(count), np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count))
