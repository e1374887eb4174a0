"""Numbers 0, 1, … for the series of batches, in order of first arrival: the rows of a detector's state arrays."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.errors import StateError
from aiops.features.series_index import series_of_texts
from aiops.features.series_names import SeriesNames
from aiops.features.series_points import SeriesPoints
from aiops.features.series_state import find_slot, table_size
from aiops.jit import kernel
from aiops.types import IntArray, State
from data_contracts.series.series_name import SeriesName
from models.artifacts.artifact import array_names, names_array

_ROOM = 64


class SeriesSlots:
    """Slots of at most `most` series, found by their ids. Python cost per new series, not per row. Not thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: IntArray = np.zeros(_ROOM, np.int64)
        self._table = np.full(table_size(_ROOM), -1, np.int32)
        self.series = SeriesNames()
        """By slot."""
        self._named: tuple[int, State] | None = None

    def __len__(self) -> int:
        return len(self.series)

    @classmethod
    def of_series(cls, most: int, series: Sequence[SeriesName]) -> "SeriesSlots":
        """Return the slots whose `series` these were."""
        slots = cls(most)
        slots.series.add(series)
        slots._grow(max(_ROOM, len(slots.series)))
        return slots

    def state(self) -> State:
        """Return the series as arrays: ids, and their names for people; made anew where there are more than before."""
        if self._named is None or self._named[0] != len(self.series):
            self._named = len(self.series), self._names_as_arrays()
        return self._named[1]

    def _names_as_arrays(self) -> State:
        names = {
            part: names_array(tuple(getattr(name, part) for name in self.series)) for part in ("service", "metric", "labels")
        }
        return {
            "series_id": self.series.ids,
            "services": names["service"],
            "metrics": names["metric"],
            "labels": names["labels"],
        }

    @classmethod
    def of_state(cls, most: int, state: State) -> "SeriesSlots":
        """Return the slots that `state` described; one of before ids existed is read as series of the default tenant.

        Raises:
            KeyError: an array is missing.
            StateError: the arrays do not fit together.
        """
        services, metrics = array_names(state["services"]), array_names(state["metrics"])
        if "series_id" not in state:
            return cls.of_series(most, series_of_texts(services, metrics))
        ids, labels = state["series_id"].tolist(), array_names(state["labels"])
        if not len(ids) == len(services) == len(metrics) == len(labels):
            raise StateError(f"{len(ids)} series ids for {len(services)} services, {len(metrics)} metrics, {len(labels)} labels")
        return cls.of_series(most, [SeriesName(*row) for row in zip(ids, services, metrics, labels, strict=True)])

    def of(self, points: SeriesPoints) -> IntArray:
        """Return each point's slot (n,), -1 where there is no room."""
        ids = np.ascontiguousarray(points.series_id)
        slots = np.empty(ids.size, np.int64)
        known = count = len(self.series)
        reached = 0
        while reached < ids.size:
            reached, count = find_slots(SlotTable(self._table, self._keys), ids, slots, SlotProgress(reached, count, self._most))
            if reached < ids.size:
                self._grow(2 * self._keys.size, count)
        if count > known:
            new = np.flatnonzero(slots >= known)
            _, first = np.unique(slots[new], return_index=True)
            self.series.add(points.names(new[first]))
        return slots

    def _grow(self, room: int, count: int | None = None) -> None:
        keys = np.zeros(room, np.int64)
        if count is None:
            count = len(self.series)
            keys[:count] = self.series.ids
        else:
            keys[:count] = self._keys[:count]
        self._keys, self._table = keys, np.full(table_size(room), -1, np.int32)
        fill_table(self._table, self._keys, count)


class SlotTable(NamedTuple):
    """Slot of each place of the hash table, -1 = free, and series id of each slot."""

    places: npt.NDArray[np.int32]
    keys: IntArray


class SlotProgress(NamedTuple):
    """The first row that is still to do, the slots that are known, and how many there may be."""

    reached: int
    known: int
    most: int


@kernel
def find_slots(table: SlotTable, ids: IntArray, slots: IntArray, progress: SlotProgress) -> tuple[int, int]:
    """Write the slots of ids from the row reached on; return the row reached and the slots known then.

    It stops before a row whose series has no place in the table. Series mostly come in the order in which they came first: the
    slot after that of the row before is looked at before the table, which is seldom in the processor's cache.
    """
    places, keys = table.places, table.keys
    first, count, most = progress.reached, progress.known, progress.most
    next_slot = 0
    for i in range(first, ids.size):
        slot = next_slot if next_slot < count and keys[next_slot] == ids[i] else find_slot(places, keys, ids[i])
        if slot < 0 and count < most:
            if count >= keys.size:
                return i, count
            places[-1 - slot] = count
            keys[count] = ids[i]
            slot = count
            count += 1
        slots[i] = max(slot, -1)
        next_slot = slots[i] + 1
    return ids.size, count


@kernel
def fill_table(table: npt.NDArray[np.int32], keys: IntArray, count: int) -> None:
    """Enter the first `count` keys into an empty table."""
    for slot in range(count):
        table[-1 - find_slot(table, keys, keys[slot])] = slot
