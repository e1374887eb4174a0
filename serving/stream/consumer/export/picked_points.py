"""Points that are exported, picked on the hot thread in a few passes over a batch; which series those are is decided off it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.detection.decision import SUPPORT_SCORE
from aiops.detection.opinions import BoolArray
from aiops.detection.worst_point import JudgedPoints
from aiops.types import FloatArray, IntArray
from data_contracts.series.series_name import SeriesName

MOST_ROWS: Final = 50_000
"""Picked points that may wait; the oldest batches go first."""


@dataclass(frozen=True, slots=True)
class PickedPoints:
    """Points (n,) of series given by their number in `series`; `figures` (5, n): value, score, expected, lower, upper."""

    series: Sequence[SeriesName]
    slot: IntArray
    timestamp_us: IntArray
    flagged: BoolArray
    figures: FloatArray


class PointPicker:
    """Picks the points of one engine: those that tier 1 flags, and all of the series that are wanted. Shared between threads."""

    def __init__(self) -> None:
        self._wanted: BoolArray = np.zeros(1, dtype=np.bool_)
        self._lock = threading.Lock()
        self._batches: list[PickedPoints] = []
        self._rows = 0
        self._overflowed = 0
        self.series: Sequence[SeriesName] = ()
        """Series of the engine, in order of their numbers; it grows."""

    def want(self, slots: Sequence[int]) -> None:
        """Pick from now on all points of these series."""
        wanted = np.zeros(max(slots, default=-1) + 2, dtype=np.bool_)
        wanted[list(slots)] = True
        self._wanted = wanted

    def offer(self, points: JudgedPoints) -> None:
        """Pick what is exported of a batch. Three passes over it, and a copy of what is picked."""
        self.series = points.series
        known = points.severity == points.severity
        picked = np.take(self._wanted, points.slot, mode="clip")  # the last one is never wanted: it stands for all after it
        rows = np.flatnonzero(known & (picked | (points.severity >= 1.0)))
        if not rows.size:
            return
        score = points.score[rows]
        for place in np.flatnonzero(np.isin(rows, list(points.findings))) if points.findings else ():
            score[place] = np.fmax(score[place], SUPPORT_SCORE)
        columns = (points.expected, points.lower, points.upper)
        figures = np.stack([points.value[rows], score, *(column[rows] for column in columns)])
        flagged = points.severity[rows] >= 1.0
        self._keep(PickedPoints(points.series, points.slot[rows].astype(np.int64), points.timestamp_us[rows], flagged, figures))

    def _keep(self, batch: PickedPoints) -> None:
        with self._lock:
            self._batches.append(batch)
            self._rows += batch.slot.size
            while self._rows > MOST_ROWS and len(self._batches) > 1:
                dropped = self._batches.pop(0).slot.size
                self._rows -= dropped
                self._overflowed += dropped

    def take(self) -> list[PickedPoints]:
        """Return what was picked since the last call, oldest first."""
        with self._lock:
            batches, self._batches, self._rows = self._batches, [], 0
        return batches

    def take_overflowed(self) -> int:
        """Return how many points had to go since the last call, before they were taken."""
        with self._lock:
            overflowed, self._overflowed = self._overflowed, 0
        return overflowed
