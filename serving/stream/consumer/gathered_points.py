"""Points of consecutive entries, scored at once: what a batch costs beside its points is shared by several entries.

How points are cut into batches changes nothing of what they give, so neither does this.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.types import IntArray
from data_contracts.series.series_name import SeriesName

if TYPE_CHECKING:
    from aiops.features.series_points import SeriesPoints

ENOUGH: Final = 32_768
"""Points that are scored without waiting for more: as many as stay in a processor's cache from kernel to kernel."""


@dataclass(frozen=True, slots=True)
class EntryPoints:
    """Points of one entry that was taken at `clock_us`; `rows_at` gives the rows (schema `SERIES`) of some of them."""

    points: "SeriesPoints"
    rejected: Sequence[pa.RecordBatch]
    """Dead letters of the entry's other rows; they come before those of the points."""

    clock_us: int
    rows_at: Callable[[IntArray], pa.RecordBatch]
    received: bool
    """Whether they were normalised from raw values: then what is scored is noted."""


@dataclass(frozen=True, slots=True)
class EntryRows:
    """An entry and its rows of what was scored at once."""

    entry: EntryPoints
    rows: slice


class GatheredPoints:
    """Points of entries in order."""

    def __init__(self) -> None:
        self._entries: list[EntryRows] = []
        self._count = 0

    def add(self, entry: EntryPoints) -> bool:
        """Add the points of an entry; return whether it is time to take them."""
        end = self._count + len(entry.points)
        self._entries.append(EntryRows(entry, slice(self._count, end)))
        self._count = end
        return self._count >= ENOUGH

    def take(self) -> list[EntryRows]:
        """Return the entries, and forget them."""
        entries, self._entries, self._count = self._entries, [], 0
        return entries


def joined_points(entries: list[EntryRows]) -> "SeriesPoints":
    """Return the points of all entries (one at least) one behind the other."""
    from aiops.features.series_points import SeriesPoints

    if len(entries) == 1:
        return entries[0].entry.points
    parts = [own.entry.points for own in entries]
    begins = np.array([own.rows.start for own in entries])

    def names(rows: IntArray) -> list[SeriesName]:
        named: list[SeriesName | None] = [None] * rows.size
        part = np.searchsorted(begins, rows, side="right") - 1
        for number in np.unique(part).tolist():
            places = np.flatnonzero(part == number)
            for place, name in zip(places.tolist(), parts[number].names(rows[places] - begins[number]), strict=True):
                named[place] = name
        return [name for name in named if name is not None]

    columns = ("time_us", "series_id", "name_hash", "value")
    time_us, series_id, name_hash, value = (np.concatenate([getattr(part, column) for part in parts]) for column in columns)
    return SeriesPoints(time_us, series_id, name_hash, value, names)


def clocks_of(entries: list[EntryRows]) -> npt.NDArray[np.int64]:
    """Return when each point of the entries was taken, us, (n,)."""
    sizes = [len(own.entry.points) for own in entries]
    return np.repeat(np.array([own.entry.clock_us for own in entries], np.int64), sizes)
