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
FEW: Final = 8
"""Up to so many values are put in one by one, by least and greatest."""
MANY: Final = 512
"""Up to so many are sorted by rank; beyond, n² comparisons take longer than the wrong guesses of a sort."""
_NEXT: Final = np.uint64(1)
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


@bare
def rank_in_place(values: npt.NDArray[np.float32], rank: npt.NDArray[np.int32]) -> None:
    """Write how many values come before each of (n,): those that are less, and equal ones with a lower number. O(n²), no branch.

    Four values at a time are compared with all before them: a processor compares 16 in one instruction, and guesses nothing.
    """
    count = values.size
    for i in range(count):
        rank[i] = i
    for first in range(0, count - 3, 4):
        group, ranks = values[first : first + 4], rank[first : first + 4]
        a, b, c, d = group[0], group[1], group[2], group[3]
        above_a = above_b = above_c = above_d = np.int32(0)
        for j in range(first):
            value = values[j]
            over_a, over_b, over_c, over_d = np.int32(value > a), np.int32(value > b), np.int32(value > c), np.int32(value > d)
            above_a, above_b = np.int32(above_a + over_a), np.int32(above_b + over_b)
            above_c, above_d = np.int32(above_c + over_c), np.int32(above_d + over_d)
            rank[j] += over_a + over_b + over_c + over_d
        ab, ac, ad, bc, bd, cd = (
            np.int32(a > b),
            np.int32(a > c),
            np.int32(a > d),
            np.int32(b > c),
            np.int32(b > d),
            np.int32(c > d),
        )
        ranks[0] += ab + ac + ad - above_a
        ranks[1] += bc + bd - ab - above_b
        ranks[2] += cd - ac - bc - above_c
        ranks[3] -= ad + bd + cd + above_d
    for last in range(count & ~3, count):
        value, above = values[last], np.int32(0)
        for j in range(last):
            over = np.int32(values[j] > value)
            above = np.int32(above + over)
            rank[j] += over
        rank[last] -= above


@bare
def sort_values(values: npt.NDArray[np.float32], rank: npt.NDArray[np.int32], ordered: npt.NDArray[np.float32]) -> None:
    """Write (n,) values ascending to `ordered` (n,); `rank` is room for as many numbers."""
    count = values.size
    if count <= FEW:
        for i in range(count):
            value = values[i]
            for j in range(i):
                other = ordered[j]
                ordered[j] = min(other, value)
                value = max(other, value)
            ordered[i] = value
        return
    if count > MANY:
        for i in range(count):
            ordered[i] = values[i]
        sort_in_place(ordered)
        return
    rank_in_place(values, rank)
    for i in range(count):
        ordered[np.uint32(rank[i])] = values[i]


@inlined
def median_of_sorted(values: Floats) -> float:
    """Return the median of (n >= 1,) ascending values."""
    half = values.size >> 1
    if values.size & 1:
        return float(values[half])
    return float(0.5 * values[half - 1] + 0.5 * values[half])


@inlined
def mad_of_sorted(values: Floats, median: float) -> float:
    """Return the median absolute deviation from `median` of (n >= 1,) ascending values; O(n), for some ten values.

    The n // 2 + 1 values nearest to the median lie side by side: they begin after those that are further away than the one which
    would take their place at the other end.
    """
    nearest = (values.size >> 1) + 1
    left = 0
    for i in range(values.size - nearest):
        left += int(median - values[i] > values[i + nearest] - median)
    first, last = np.uint64(left), np.uint64(left + nearest - 1)
    below, above = median - values[first], values[last] - median
    furthest = max(below, above)
    if values.size & 1:
        return float(furthest)
    inner = median - values[first + _NEXT] if below > above else values[last - _NEXT] - median
    return float(0.5 * furthest + 0.5 * max(inner, min(below, above)))


@inlined
def median_of_places(values: npt.NDArray[np.float32], order: npt.NDArray[Any]) -> float:
    """Return the median of values[order], (n >= 1,) ascending."""
    half = order.size >> 1
    upper = float(values[order[half]])
    return upper if order.size & 1 else 0.5 * float(values[order[half - 1]]) + 0.5 * upper


@bare
def mad_of_places(values: npt.NDArray[np.float32], order: npt.NDArray[Any], median: float) -> float:
    """Return the median absolute deviation from `median` of values[order], (n >= 1,) ascending; O(log n), as `mad_of_sorted`.

    Where the nearest begin is searched in as many steps for all windows of one size.
    """
    nearest = (order.size >> 1) + 1
    left, size = np.uint64(0), np.uint64(order.size - nearest)
    reach = np.uint64(nearest)
    while size > 0:
        half = (size + _NEXT) >> _NEXT
        middle = left + half - _NEXT
        left += half * np.uint64(median - values[order[middle]] > values[order[middle + reach]] - median)
        size >>= _NEXT
    right = left + reach - _NEXT
    below, above = median - values[order[left]], values[order[right]] - median
    furthest = max(below, above)
    if order.size & 1:
        return float(furthest)
    inner = median - values[order[left + _NEXT]] if below > above else values[order[right - _NEXT]] - median
    return float(0.5 * furthest + 0.5 * max(inner, min(below, above)))


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
