"""Making and growing the arrays of an engine's state."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.features.series_state import (
    BIN_FIELDS,
    CLASSES,
    COUNTERS,
    NEEDS_SERIES,
    NEEDS_TIMES,
    NEEDS_VALUES,
    SERIES_COUNT,
    SERIES_RECORD,
    TIMES_USED,
    UNIT,
    VALUES_USED,
    WIDE_US,
    EngineArrays,
    EngineParameters,
    place_type,
    rebuild_table,
    table_size,
)


def empty_arrays(parameters: EngineParameters, series: int, elements: int) -> EngineArrays:
    """Return the state of no series, with room for `series` of them and arenas of so many elements."""
    bins = -(-parameters.lateness_us // parameters.step_us) + 1
    arenas = _Arenas.empty(parameters, elements, elements)
    return EngineArrays(
        np.zeros(series, SERIES_RECORD),
        *arenas,
        np.full((2, CLASSES), -1, np.int64),
        np.empty((series, bins, BIN_FIELDS)),
        np.zeros(series, np.int64),
        np.zeros(series, np.int64),
        np.full(table_size(series), -1, np.int32),
        np.zeros(COUNTERS, np.int64),
    )


class _Arenas(NamedTuple):
    values: npt.NDArray[np.float32]
    next_free: npt.NDArray[np.int32]
    order: npt.NDArray[Any]
    times: npt.NDArray[Any]
    next_times: npt.NDArray[Any]

    @classmethod
    def empty(cls, parameters: EngineParameters, values: int, times: int) -> "_Arenas":
        """Return arenas of so many elements. Memory that nothing was written to costs none."""
        wide = parameters.keep_us >= WIDE_US
        held_values = np.empty(values, np.float32)
        held_times = np.empty(times, np.int64 if wide else np.uint32)
        order = np.empty(values, place_type(parameters.window_points))
        return cls(held_values, held_values.view(np.int32), order, held_times, held_times.view(np.int64 if wide else np.int32))


def used_bytes(arrays: EngineArrays) -> int:
    """Return the size of the state of all series, without room that was made and not used yet."""
    count = int(arrays.counters[SERIES_COUNT])
    each = sum(array[:1].nbytes for array in (arrays.series, arrays.bins, arrays.keys, arrays.names))
    values = UNIT * int(arrays.counters[VALUES_USED]) * (arrays.values.itemsize + arrays.order.itemsize)
    return count * each + values + UNIT * int(arrays.counters[TIMES_USED]) * arrays.times.itemsize + arrays.table.nbytes


def grown(arrays: EngineArrays, parameters: EngineParameters) -> EngineArrays:
    """Return the arrays with more of the room that the counters ask for; nothing else changes."""
    counters = arrays.counters
    if counters[NEEDS_VALUES] or counters[NEEDS_TIMES]:
        arrays = _with_larger_arenas(arrays, parameters)
    if counters[NEEDS_SERIES]:
        arrays = _with_more_series(arrays, parameters)
    counters[[NEEDS_SERIES, NEEDS_VALUES, NEEDS_TIMES]] = 0
    return arrays


def _with_larger_arenas(arrays: EngineArrays, parameters: EngineParameters) -> EngineArrays:
    counters, sizes = arrays.counters, [arrays.values.size, arrays.times.size]
    for kind in range(2):
        if counters[NEEDS_VALUES + kind]:
            sizes[kind] = max(2 * sizes[kind], sizes[kind] + UNIT * int(counters[NEEDS_VALUES + kind]))
    larger = _Arenas.empty(parameters, *sizes)
    for kept, room, used in (
        (arrays.values, larger.values, VALUES_USED),
        (arrays.order, larger.order, VALUES_USED),
        (arrays.times, larger.times, TIMES_USED),
    ):
        room[: UNIT * int(counters[used])] = kept[: UNIT * int(counters[used])]
    return arrays._replace(**larger._asdict())


def _with_more_series(arrays: EngineArrays, parameters: EngineParameters) -> EngineArrays:
    count = int(arrays.counters[SERIES_COUNT])
    rows = min(max(2 * arrays.series.size, 16), max(parameters.max_series, count))
    larger = empty_arrays(parameters, rows, UNIT)
    for name in ("series", "bins", "keys", "names"):
        getattr(larger, name)[:count] = getattr(arrays, name)[:count]
    kept = {name: getattr(arrays, name) for name in (*_Arenas._fields, "free", "counters")}
    larger = larger._replace(**kept)
    rebuild_table(larger)
    return larger
