"""How the level of a series goes on after its last day: carried over, averaged, or along its trend, since the last shift."""

from typing import Final

import numpy as np

from aiops.features.robust import MAD_TO_SIGMA
from aiops.jit import kernel
from aiops.types import FloatArray
from models.season.seasonal_kernels import median_known

LEVELS: Final = ("of the last day", "of three days", "of a week", "along the trend")
_DAYS: Final = {"of the last day": 1, "of three days": 3, "of a week": 7}
_TREND_DAYS: Final = 7
_SHIFT: Final = 5.0
"""A shift of the level is one of this many standard errors: of thousands of quiet series a few."""


def levels_after(levels: FloatArray) -> dict[str, float]:
    """Return the level expected next, by each way, from those of the days so far (n,), NaN = unknown.

    Only days since the last shift count.
    """
    regime = levels[last_shift(levels) :]
    known = regime[np.isfinite(regime)]
    if not known.size:
        return dict.fromkeys(LEVELS, float("nan"))
    recent = known[-_TREND_DAYS:]
    slope = theil_sen(recent)
    after = {way: float(median_known(known[-days:])) for way, days in _DAYS.items()}
    trend = float(median_known(recent - slope * np.arange(recent.size))) + slope * recent.size
    return {**after, "along the trend": trend}


def last_shift(levels: FloatArray) -> int:
    """Return the first day of the newest regime: the last place where the level moved for good. O(n**2), n days.

    A split counts where the medians on both sides differ by more than `_SHIFT` standard errors, with a scale from day-to-day
    differences, which one shift does not move. Source: binary segmentation, Scott & Knott 1974.
    """
    start = 0
    while True:
        split = _split(levels[start:])
        if split == 0:
            return start
        start += split


def _split(levels: FloatArray) -> int:
    """Return the strongest significant split of a regime, 0 = none; it holds five known days or more."""
    places = np.flatnonzero(np.isfinite(levels))
    known = levels[places]
    if known.size < 5:
        return 0
    cut = strongest_split(known, _SHIFT, max(0.01 * abs(float(median_known(known))), 1e-9))
    return int(places[cut]) if cut else 0


@kernel
def strongest_split(known: FloatArray, least: float, floor: float) -> int:
    """Return the split of (n >= 2,) that leaves the least absolute error, 0 = none.

    The medians of its sides are more than `least` standard errors apart.
    """
    steps = np.diff(known)
    middle = median_known(steps)
    sigma = max(MAD_TO_SIGMA * median_known(np.abs(steps - middle)) / np.sqrt(2.0), floor)
    best, where = np.inf, 0
    for cut in range(1, known.size):
        left, right = median_known(known[:cut]), median_known(known[cut:])
        apart = abs(right - left) / (sigma * np.sqrt(1.0 / cut + 1.0 / (known.size - cut)))
        error = np.abs(known[:cut] - left).sum() + np.abs(known[cut:] - right).sum()
        if apart > least and error < best:
            best, where = error, cut
    return where


def theil_sen(values: FloatArray) -> float:
    """Return the median slope between all pairs of (n,) equally spaced values, a step; 0 for fewer than three.

    >>> theil_sen(np.array([1.0, 2.0, 30.0, 4.0]))
    1.0
    """
    if values.size < 3:
        return 0.0
    left, right = np.triu_indices(values.size, 1)
    return float(np.median((values[right] - values[left]) / (right - left)))
