"""Robust statistics as kernels: order statistics of a sorted window, floored scales, the tier 1 score."""

from typing import Final

import numpy as np

from aiops.jit import kernel
from aiops.types import FloatArray

MAD_TO_SIGMA: Final = 1.4826
"""Median absolute deviation -> standard deviation of a normal distribution (Rousseeuw & Croux 1993)."""
RELATIVE_FLOOR: Final = 0.01
"""A scale is never below this share of the magnitude of its centre."""
RANGE_FLOOR: Final = 0.001
"""A scale is never below this share of the metric's valid range, where that is finite."""
TINY: Final = 1e-9
"""A scale is never below this."""
Z_CAP: Final = 100.0
"""|z| is clipped here: beyond it the scale, not the value, would be measured."""
Z_OF_HALF: Final = 6.0
"""|z| with score 0.5; every further 6 halve the distance to 1."""


@kernel
def sort_in_place(values: FloatArray, count: int) -> None:
    """Sort the first `count` values ascending (insertion sort: for short or nearly sorted input)."""
    for i in range(1, count):
        value = values[i]
        j = i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@kernel
def median_of_sorted(values: FloatArray, count: int) -> float:
    """Return the median of the first `count` (>= 1) ascending values."""
    half = count >> 1
    if count & 1:
        return float(values[half])
    return float(0.5 * values[half - 1] + 0.5 * values[half])


@kernel
def mad_of_sorted(values: FloatArray, count: int, median: float) -> float:
    """Return the median absolute deviation from `median` of the first `count` (>= 1) ascending values; O(count)."""
    right = count >> 1
    left = right - 1
    previous = 0.0
    current = 0.0
    for _ in range((count >> 1) + 1):
        previous = current
        if left < 0 or (right < count and values[right] - median <= median - values[left]):
            current = values[right] - median
            right += 1
        else:
            current = median - values[left]
            left -= 1
    if count & 1:
        return float(current)
    return float(0.5 * previous + 0.5 * current)


@kernel
def floored(scale: float, centre: float, floor: float) -> float:
    """Return `scale`, at least `floor`, RELATIVE_FLOOR of |centre| and TINY."""
    return max(scale, floor, RELATIVE_FLOOR * abs(centre), TINY)


@kernel
def clipped_z(deviation: float, scale: float) -> float:
    """Return deviation / scale (> 0), clipped to ±Z_CAP."""
    return min(max(deviation / scale, -Z_CAP), Z_CAP)


@kernel
def score_of_z(z: float) -> float:
    """Return the tier 1 score 1 - 2**(-|z| / 6) in [0, 1); NaN stays NaN.

    >>> score_of_z(-6.0)
    0.5
    """
    return float(1.0 - 2.0 ** (-abs(z) / Z_OF_HALF))


def scores_of_z(z: FloatArray) -> FloatArray:
    """Return `score_of_z` of every element, (n,) float64."""
    scores: FloatArray = 1.0 - np.exp2(np.abs(z) / -Z_OF_HALF)
    return scores
