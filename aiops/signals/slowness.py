"""Times of requests now against those while all was well: a service's own time, and the time between both ends of calls.

How far a group's median moved, in spreads of single requests: the wider of the MAD and the 95th percentile, and at least a tenth
of the level and a millisecond, so that many requests do not make a small shift loud.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.signals.novelty import WINDOW
from aiops.types import FloatArray, IntArray

LEAST_REQUESTS: Final = 4
"""Requests that a median needs, then and now."""
_LEAST_SHARE: Final = 0.1
_LEAST_S: Final = 0.001


@dataclass(frozen=True, slots=True, eq=False)
class Slowness:
    """Groups (n,) that are measured then and now: their number, medians, spreads by which the median rose, and requests now."""

    group: IntArray
    now_s: FloatArray
    then_s: FloatArray
    excess: FloatArray
    requests: IntArray


def slowness_of(group: IntArray, seconds: FloatArray, part: IntArray) -> Slowness:
    """Return how much slower groups are in the window. `group` (n,) numbers or -1; `part` as in `novelties_of`. O(n log n)."""
    known = np.isfinite(seconds) & (group >= 0)
    now, then = (_Sorted.of(group[rows], seconds[rows]) for rows in (known & (part == WINDOW), known & (part > WINDOW)))
    both, at_now, at_then = np.intersect1d(now.group, then.group, return_indices=True)
    enough = (now.count[at_now] >= LEAST_REQUESTS) & (then.count[at_then] >= LEAST_REQUESTS)
    both, at_now, at_then = both[enough], at_now[enough], at_then[enough]
    level, seen = then.quantile(0.5)[at_then], now.quantile(0.5)[at_now]
    place = np.searchsorted(then.group, then.of_group)
    away = _Sorted.of(then.of_group, np.abs(then.values - then.quantile(0.5)[place]))
    wide = np.maximum(1.4826 * away.quantile(0.5), away.quantile(0.95) / 1.96)[at_then]
    spread = np.maximum(wide, np.maximum(_LEAST_SHARE * level, _LEAST_S))
    return Slowness(both, seen, level, (seen - level) / spread, now.count[at_now])


@dataclass(frozen=True, slots=True, eq=False)
class _Sorted:
    """Values in order within their groups: of each value its group; of each group its number, where it begins, how many."""

    of_group: IntArray
    values: FloatArray
    group: IntArray
    begins: IntArray
    count: IntArray

    @classmethod
    def of(cls, group: IntArray, values: FloatArray) -> "_Sorted":
        order = np.lexsort((values, group))
        groups, begins, count = np.unique(group[order], return_index=True, return_counts=True)
        return cls(group[order], values[order], groups, begins, count)

    def quantile(self, share: float) -> FloatArray:
        """Return the quantile of each group, between the two values beside it."""
        place = share * (self.count - 1)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, self.count - 1)
        below, above = self.values[self.begins + low], self.values[self.begins + high]
        value: FloatArray = below + (place - low) * (above - below)
        return value
