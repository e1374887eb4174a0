"""Engine state as named plain arrays and back: versioned, no pickle, names as UTF-8 bytes with offsets."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.errors import OutdatedState, StateError
from aiops.features.series_arenas import empty_arrays
from aiops.features.series_index import series_of_texts
from aiops.features.series_names import SeriesNames
from aiops.features.series_state import (
    NEXT_BIN,
    SERIES_COUNT,
    SERIES_RECORD,
    UNIT,
    EngineArrays,
    EngineParameters,
    room_for,
    take_block,
)
from aiops.features.windows import place_at, stored, time_of, without_times, write_time
from aiops.jit import kernel
from aiops.types import FloatArray, IntArray, State

VERSION: Final = 6
BEFORE_STRAYING: Final = 5
"""The version before it was counted how often series stray: they begin as calm ones."""
BEFORE_STEPS: Final = 4
"""The version before series had a least step: they begin without one."""
WHOLE_VALUES: Final = 3
"""The version whose windows held values to 53 bits; they are read to 24."""
BEFORE_IDS: Final = 2
"""The version of 0.1: series by service and metric with the labels in it; read as series of the default tenant."""
_IN_MEMORY: Final = ("interval", "at", "times_at", "room", "head", "ordered", "ordered_left", "ordered_low")
"""Fields of a series that say how and where its points lie in memory; what is restored orders its windows anew."""
_KEPT: Final = tuple(name for name in SERIES_RECORD.names or () if name not in _IN_MEMORY)
_SINCE: Final = {"step": BEFORE_STRAYING, "stray": VERSION, "seen": VERSION, "beyond": VERSION}
"""The first version that has a field, of those that are younger than the oldest."""
FIX: Final = "remove the checkpoint to warm up anew"


@dataclass(slots=True)
class Clock:
    """Where an engine stands in time, us."""

    started: bool = False
    watermark_us: int = 0
    available_us: int = -(2**62)


def pack(config: FloatArray, arrays: EngineArrays, names: State, clock: Clock) -> State:
    """Return the state as arrays of its own, the same for equal states wherever their rings begin in memory.

    `names` is the snapshot of `SeriesNames`. Cost: one copy of the points kept.
    """
    count = int(arrays.counters[SERIES_COUNT])
    records = arrays.series[:count]
    kept = int(records["count"].sum(dtype=np.int64))
    times = np.empty(kept, np.int64)
    values = np.empty(kept, np.float32)
    read_rings(arrays, times, values)
    state: dict[str, npt.NDArray[Any]] = {
        "version": np.array([VERSION], np.int64),
        "config": config,
        "clock": np.array([int(clock.started), clock.watermark_us, clock.available_us], np.int64),
        "counters": arrays.counters[[SERIES_COUNT, NEXT_BIN]],
        "bins": arrays.bins[:count].copy(),
        "ring_time": times,
        "ring_value": values,
    }
    state |= {f"series_{name}": records[name].copy() for name in _KEPT}
    return {**state, **names}


def unpack(config: FloatArray, parameters: EngineParameters, state: State) -> tuple[EngineArrays, SeriesNames, Clock]:
    """Return what `pack` was given, but for the keys and the table.

    Raises:
        StateError: another version or configuration, or an array is missing or does not fit the others.
    """
    try:
        _check(config, state)
        arrays = _arrays(parameters, state)
        series = _series(state)
        started, watermark_us, available_us = state["clock"].tolist()
    except (KeyError, ValueError, IndexError) as error:
        raise StateError(f"engine state is damaged ({type(error).__name__}: {error}); {FIX}") from error
    if len(series) != arrays.counters[SERIES_COUNT]:
        raise StateError(f"engine state has {len(series)} names for {arrays.counters[SERIES_COUNT]} series; {FIX}")
    return arrays, series, Clock(bool(started), watermark_us, available_us)


def packed_incidents(incidents: Sequence[tuple[int, str]]) -> State:
    """Return incidents, (known at us, service), as arrays."""
    known = np.array([known_at_us for known_at_us, _ in incidents], np.int64)
    return {"incident_known_at": known, **packed_texts("incident_service", [service for _, service in incidents])}


def incidents_of(state: State) -> list[tuple[int, str]]:
    """Return what `packed_incidents` was given.

    Raises:
        StateError: an array is missing or does not fit the other.
    """
    try:
        return list(zip(state["incident_known_at"].tolist(), unpacked_texts("incident_service", state), strict=True))
    except (KeyError, ValueError) as error:
        raise StateError(f"incidents of a state are damaged ({type(error).__name__}: {error}); {FIX}") from error


@kernel
def read_rings(arrays: EngineArrays, times: IntArray, values: npt.NDArray[np.float32]) -> None:
    """Copy the kept points of all series to packed arrays, slot by slot, each series' oldest first."""
    position = 0
    for slot in range(arrays.counters[SERIES_COUNT]):
        record = arrays.series[slot]
        for i in range(record.count):
            times[position] = time_of(arrays, record, i)
            values[position] = arrays.values[int(record.at) * UNIT + place_at(record, i)]
            position += 1


@kernel
def fill_rings(arrays: EngineArrays, counts: IntArray, rooms: IntArray, times: IntArray, values: FloatArray) -> None:
    """Give every series the points that `read_rings` read, in a block of `rooms` elements; the arenas have room for all."""
    position = 0
    for slot in range(counts.size):
        record = arrays.series[slot]
        record.room = rooms[slot]
        record.at = take_block(arrays, 0, rooms[slot])
        record.times_at = take_block(arrays, 1, rooms[slot])
        record.head = 0
        record.ordered = 0
        record.ordered_left = 0
        for i in range(counts[slot]):
            arrays.values[int(record.at) * UNIT + i] = stored(values[position])
            write_time(arrays, record, i, times[position])
            position += 1
        record.count = counts[slot]
        if counts[slot] > 1:
            without_times(arrays, record)


def _series(state: State) -> SeriesNames:
    if state["version"].tolist() == [BEFORE_IDS]:
        return SeriesNames.of(series_of_texts(unpacked_texts("service", state), unpacked_texts("metric", state)))
    return SeriesNames.restore(state)


def _check(config: FloatArray, state: State) -> None:
    version = state["version"].tolist()
    if version not in ([known] for known in range(BEFORE_IDS, VERSION + 1)):
        raise OutdatedState(f"engine state has version {version}, this program reads {BEFORE_IDS} to {VERSION}; {FIX}")
    if not np.array_equal(state["config"], config):
        raise StateError(f"engine state was made with configuration {state['config'].tolist()}, not {config.tolist()}; {FIX}")


def _arrays(parameters: EngineParameters, state: State) -> EngineArrays:
    counters = state["counters"]
    count = int(counters[SERIES_COUNT])
    kept = _shaped(state, "series_count", (count,)).astype(np.int64)
    total = int(kept.sum())
    if state["ring_time"].size != total or state["ring_value"].size != total or (kept < 1).any():
        raise StateError(f"engine state has {state['ring_time'].size} points for {total} in {count} series; {FIX}")
    longest = int(kept.max(initial=0))
    if longest > parameters.window_points:
        raise StateError(f"engine state has a series of {longest} points, more than {parameters.window_points}; {FIX}")
    rooms = np.array([room_for(points, parameters.window_points) for points in range(longest + 1)])[kept]
    elements = UNIT * int((-(-rooms // UNIT)).sum())
    arrays = empty_arrays(parameters, max(count, 1), max(elements, UNIT))
    for name in _KEPT:
        if int(state["version"][0]) >= _SINCE.get(name, BEFORE_IDS):
            arrays.series[name][:count] = _shaped(state, f"series_{name}", (count,))
    arrays.bins[:count] = _shaped(state, "bins", (count, *arrays.bins.shape[1:]))
    arrays.counters[[SERIES_COUNT, NEXT_BIN]] = counters[[SERIES_COUNT, NEXT_BIN]]
    fill_rings(arrays, kept, rooms, np.ascontiguousarray(state["ring_time"]), state["ring_value"].astype(np.float64))
    return arrays


def _shaped(state: State, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if state[name].shape != shape:
        raise StateError(f"engine state: {name} has shape {state[name].shape}, not {shape}; {FIX}")
    return state[name]


def packed_texts(name: str, texts: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Return texts as two arrays, of which `unpacked_texts` makes them again."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(item) for item in encoded)], dtype=np.int64)
    return {f"{name}_bytes": np.frombuffer(b"".join(encoded), np.uint8).copy(), f"{name}_offsets": offsets}


def unpacked_texts(name: str, state: State) -> list[str]:
    """Return what `packed_texts` was given."""
    data = state[f"{name}_bytes"].tobytes()
    offsets = state[f"{name}_offsets"].tolist()
    return [data[begin:end].decode() for begin, end in pairwise(offsets)]
