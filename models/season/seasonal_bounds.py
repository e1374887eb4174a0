"""Bounds around a seasonal course, from what it got wrong on held-out days: wider where the day is more restless."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.features.robust import MAD_TO_SIGMA, RELATIVE_FLOOR, TINY
from aiops.types import FloatArray, IntArray

_REACH_H: Final = 1.5
_LEAST_POINTS: Final = 20
_LEAST_SHARE: Final = 0.3
"""The scale of a quiet hour is at least this share of the whole day's."""
_NORMAL_99: Final = 2.5758
_MOST: Final = 12.0
"""A bound lies at most this many scales away: beyond it the history's own anomalies, not its noise, would be measured."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """`scale` (slots,) of the error by slot of the day, and the quantiles `low` < 0 < `high` of error over scale."""

    scale: FloatArray
    low: float
    high: float

    def around(self, expected: FloatArray, slot: IntArray, log: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return expected value and bounds (n,) in the metric's unit; `expected` (n,) is a logarithm where `log`."""
        scale = floored(self.scale[slot], expected, log)
        lines = expected, expected + self.low * scale, expected + self.high * scale
        expected, lower, upper = (np.exp(line) for line in lines) if log else lines
        return expected, lower, upper


def floored(scale: FloatArray, expected: FloatArray, log: bool) -> FloatArray:
    """Return scales of which none is below a share of the expected value: no band has the width 0."""
    least = np.full(expected.shape, RELATIVE_FLOOR) if log else np.maximum(RELATIVE_FLOOR * np.abs(expected), TINY)
    wide: FloatArray = np.maximum(scale, least / _NORMAL_99)
    return wide


@dataclass(frozen=True, slots=True, eq=False)
class DaySlots:
    """The slot of the day that each point lies in (n,), and how many slots a day has."""

    place: IntArray
    count: int


def bounds_of(value: FloatArray, expected: FloatArray, slot: DaySlots, log: bool, coverage: float) -> Bounds:
    """Return bounds from points (n >= 1,) of held-out days, with their slots of the day.

    `log`: whether `expected` is a logarithm. Both tails get the same share of the points; where they are too
    few to tell, a bound is at least as wide as a normal distribution's.
    """
    place, slots = slot.place, slot.count
    apart = (np.log(value) if log else value) - expected
    scale = _scale_by_slot(np.abs(apart), place, slots)
    ratio = apart / floored(scale[place], expected, log)
    tail = (1.0 - coverage) / 2.0
    low, high = (float(quantile) for quantile in np.quantile(ratio, (tail, 1.0 - tail)))
    normal_reach = _NORMAL_99 * MAD_TO_SIGMA
    least = normal_reach if ratio.size * tail < 4.0 else 1.0
    return Bounds(scale, max(min(low, -least), -_MOST), min(max(high, least), _MOST))


def _scale_by_slot(apart: FloatArray, place: IntArray, slots: int) -> FloatArray:
    """Return the median of |error| (slots,) within `_REACH_H` hours of each slot; the whole day's where points are few."""
    whole = float(np.median(apart))
    order = np.argsort(place, kind="stable")
    sorted_place = np.concatenate((place[order] - slots, place[order], place[order] + slots))
    sorted_apart = np.tile(apart[order], 3)
    reach = max(1, round(_REACH_H * slots / 24))
    begin = np.searchsorted(sorted_place, np.arange(slots) - reach)
    end = np.searchsorted(sorted_place, np.arange(slots) + reach, side="right")
    own = [
        float(np.median(sorted_apart[b:e])) if e - b >= _LEAST_POINTS else whole
        for b, e in zip(begin.tolist(), end.tolist(), strict=True)
    ]
    scale: FloatArray = np.maximum(np.array(own), _LEAST_SHARE * whole)
    return scale
