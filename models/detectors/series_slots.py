"""Numbers 0, 1, … for the series of batches, in order of first arrival: the rows of a detector's state arrays."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.series_index import METRIC_BITS, DictionaryKeys
from aiops.types import IntArray

_DENSE_PAIRS: Final = 1 << 20
_METRIC_MASK: Final = (1 << METRIC_BITS) - 1
_UNKNOWN: Final = -2


class SeriesSlots:
    """Slots of at most `most` series. Python cost per new or distinct series, not per row. Not thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names = DictionaryKeys()
        self._slots: dict[int, int] = {}
        self._dense: npt.NDArray[np.int64] = np.empty((0, 0), np.int64)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def series(self) -> list[tuple[str, str]]:
        """Return (service, metric) by slot."""
        return [self._names.names_of(key) for key in self._slots]

    @classmethod
    def of_series(cls, most: int, series: Sequence[tuple[str, str]]) -> "SeriesSlots":
        """Return the slots whose `series` these were."""
        slots = cls(most)
        slots._slots = {key: slot for slot, key in enumerate(slots._names.keys_of(series).tolist())}
        return slots

    def of(self, table: pa.RecordBatch) -> IntArray:
        """Return each row's slot (n,), -1 where there is no room."""
        if self._names.crowded(len(self._slots)):
            kept = self._names.forget_unused(np.array(list(self._slots), np.int64))
            self._slots = {key: slot for slot, key in enumerate(kept.tolist())}
            self._dense = np.empty((0, 0), np.int64)
        keys = self._names.of(table)
        if not keys.size:
            return np.empty(0, np.int64)
        services, metrics = len(self._names.services.names), len(self._names.metrics.names)
        return self._looked_up(keys, (services, metrics)) if services * metrics <= _DENSE_PAIRS else self._searched(keys)

    def _looked_up(self, keys: IntArray, shape: tuple[int, int]) -> IntArray:
        if self._dense.shape != shape:
            grown = np.full(shape, _UNKNOWN, np.int64)
            grown[: self._dense.shape[0], : self._dense.shape[1]] = self._dense
            self._dense = grown
        services, metrics = keys >> METRIC_BITS, keys & _METRIC_MASK
        slots: IntArray = self._dense[services, metrics]
        unknown = slots == _UNKNOWN
        if unknown.any():
            self._dense[services[unknown], metrics[unknown]] = self._searched(keys[unknown])
            slots = self._dense[services, metrics]
        return slots

    def _searched(self, keys: IntArray) -> IntArray:
        distinct, first, place = np.unique(keys, return_index=True, return_inverse=True)
        slots = np.empty(distinct.size, np.int64)
        for number in np.argsort(first).tolist():
            slots[number] = self._slot(int(distinct[number]))
        found: IntArray = slots[place]
        return found

    def _slot(self, key: int) -> int:
        known = self._slots.get(key)
        if known is not None:
            return known
        slot = len(self._slots)
        if slot >= self._most:
            return -1
        self._slots[key] = slot
        return slot
