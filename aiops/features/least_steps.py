"""The least move between consecutive points that a series has shown, below which no scale of it lies."""

from typing import Any, Final

from aiops.features.series_state import UNIT, EngineArrays
from aiops.features.windows import place_at, stored
from aiops.jit import inlined

STEP_Z: Final = 6.5
"""|z| of a move by the least step that a series has shown: just beyond its bound, for how far it is cannot be known."""
KNOWN_STEP: Final = 10.0
"""Where the metric's range is known so is how far a move is: no more than a hundredth of the range, so many floors, is least."""


@inlined
def note_step(arrays: EngineArrays, record: Any, time: int, value: float) -> int:
    """Take in how far a point in order is from the newest that the window holds; return the time of that.

    A move counts as at most the level that it leaves, where that is not 0: beside that it is not beyond knowing how far it is.
    """
    if record.count > 0 and time > record.newest:
        before = arrays.values[int(record.at) * UNIT + place_at(record, int(record.count) - 1)]
        move = abs(stored(value) - before)
        if before != 0.0:
            move = min(move, abs(before))
        if move > 0.0 and not 0.0 < record.step <= move:
            record.step = move
    return int(record.newest)


@inlined
def least_scale(record: Any) -> float:
    """Return what no scale of the series is below, as far as its moves say."""
    least = float(record.step) / STEP_Z
    return min(least, KNOWN_STEP * record.floor) if record.floor > 0.0 else least
