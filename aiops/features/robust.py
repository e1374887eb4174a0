"""Robust statistics as kernels: order statistics of a sorted windows, floored scales, the tier 1 score."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.jit import bare, inlined
from aiops.types import FloatArray

Floats = FloatArray | npt.NDArray[np.float32]
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


@bare
def sort_in_place(values: Floats) -> None:
    """Sort ascending (Shell sort, gaps of Ciura 2001): for windows of up to some hundred values, nothing is allocated."""
    count = values.size
    for gap in (301, 132, 57, 23, 10, 4, 1):
        for i in range(gap, count):
            value = values[i]
            j = i
            while j >= gap and values[j - gap] > value:
                values[j] = values[j - gap]
                j -= gap
            values[j] = value


@inlined
def median_of_sorted(values: Floats) -> float:
    """Return the median of (n >= 1,) ascending values."""
    half = values.size >> 1
    if values.size & 1:
        return float(values[half])
    return float(0.5 * values[half - 1] + 0.5 * values[half])


@inlined
def mad_of_sorted(values: Floats, median: float) -> float:
    """Return the median absolute deviation from `median` of (n >= 1,) ascending values; O(log n).

    The n // 2 + 1 values nearest to the median lie side by side: a binary search finds where.
    """
    nearest = (values.size >> 1) + 1
    left = 0
    high = values.size - nearest
    while left < high:
        middle = (left + high) >> 1
        if median - values[middle] > values[middle + nearest] - median:
            left = middle + 1
        else:
            high = middle
    right = left + nearest - 1
    below = median - values[left]
    above = values[right] - median
    if values.size & 1:
        return float(max(below, above))
    if below > above:
        return float(0.5 * below + 0.5 * max(median - values[left + 1], above))
    return float(0.5 * above + 0.5 * max(below, values[right - 1] - median))


@inlined
def median_of_places(values: npt.NDArray[np.float32], order: npt.NDArray[Any]) -> float:
    """Return the median of values[order], (n >= 1,) ascending."""
    half = order.size >> 1
    upper = float(values[order[half]])
    return upper if order.size & 1 else 0.5 * float(values[order[half - 1]]) + 0.5 * upper


@bare
def mad_of_places(values: npt.NDArray[np.float32], order: npt.NDArray[Any], median: float) -> float:
    """Return the median absolute deviation from `median` of values[order], (n >= 1,) ascending; O(log n), as `mad_of_sorted`."""
    nearest = (order.size >> 1) + 1
    left = 0
    high = order.size - nearest
    while left < high:
        middle = (left + high) >> 1
        further = median - values[order[middle]] > values[order[middle + nearest]] - median
        left = middle + 1 if further else left
        high = high if further else middle
    right = left + nearest - 1
    below = median - values[order[left]]
    above = values[order[right]] - median
    if order.size & 1:
        return float(max(below, above))
    if below > above:
        return float(0.5 * below + 0.5 * max(median - values[order[left + 1]], above))
    return float(0.5 * above + 0.5 * max(below, values[order[right - 1]] - median))


@bare
def median_in_place(values: FloatArray) -> float:
    """Return the median of (n >= 1,) values in any order, which it reorders; O(n) on average (Hoare 1961)."""
    half = values.size >> 1
    low = 0
    high = values.size - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i = low
        j = high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if half <= j:
            high = j
        elif half >= i:
            low = i
        else:
            break
    upper = values[half]
    if values.size & 1:
        return float(upper)
    lower = values[0]
    for i in range(half):
        lower = max(lower, values[i])
    return float(0.5 * lower + 0.5 * upper)


@inlined
def floored(scale: float, centre: float, floor: float) -> float:
    """Return `scale`, at least `floor`, RELATIVE_FLOOR of |centre| and TINY."""
    return max(scale, floor, RELATIVE_FLOOR * abs(centre), TINY)


@inlined
def clipped_z(deviation: float, scale: float) -> float:
    """Return deviation / scale (> 0), clipped to ±Z_CAP."""
    return min(max(deviation / scale, -Z_CAP), Z_CAP)


@bare
def score_of_z(z: float) -> float:
    """Return the tier 1 score 1 - 2**(-|z| / 6) in [0, 1); NaN stays NaN.

    >>> score_of_z(-6.0)
    0.5
    """
    return float(1.0 - np.exp2(-abs(z) / Z_OF_HALF))


def scores_of_z(z: FloatArray) -> FloatArray:
    """Return `score_of_z` of every element, (n,) float64."""
    scores: FloatArray = 1.0 - np.exp2(np.abs(z) / -Z_OF_HALF)
    return scores
