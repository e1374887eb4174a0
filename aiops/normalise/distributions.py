"""What a histogram says of one interval: observations per second, their mean, and quantiles as Prometheus estimates them.

Within a bucket observations are taken as even: linear interpolation, as `histogram_quantile` does for classic histograms and
for buckets of any width; where all observed buckets are those of one native schema (widths of a factor 2^(2^-n), n from -4 to 8)
the interpolation is exponential, as it is there. In the last, unbounded bucket a quantile is that bucket's lower bound.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import inlined, kernel
from aiops.normalise.raw_series import NEVER_US, NormaliserState
from aiops.types import FloatArray, IntArray

LONGEST_FIRST_US: Final = 300_000_000
"""A first value says something of the time since its start if that is no longer ago than this (5 min)."""
SCHEMAS: Final = (-4, 8)
QUANTILES: Final = (0.5, 0.99)
NO_ROW: Final = -1
"""Row of a point that is made of several raw values."""


class Emitted(NamedTuple):
    """Points that are made, in order; `made` (1,) of them, then free room.

    `source`: slot of the raw series whose id the point has, or -1 - (4 x family + which of DERIVED); `row` of the raw value, or
    NO_ROW; `fault`: 1 = beyond the limits of its metric.
    """

    time: IntArray
    key: IntArray
    name: IntArray
    value: FloatArray
    source: IntArray
    row: IntArray
    fault: npt.NDArray[np.uint8]
    made: IntArray


class Interval(NamedTuple):
    """What was observed until `time` within `seconds`: how often, and the sum of the values (NaN = not known).

    `exponential`: that is how quantiles lie within its buckets.
    """

    time: int
    seconds: float
    observed: float
    total: float
    exponential: bool


class Buckets(NamedTuple):
    """Upper bounds (n,) ascending, and observations up to each (n,), never fewer than before."""

    upper: FloatArray
    upto: FloatArray


@inlined
def emit(out: Emitted, time: int, key: int, name: int, value: float) -> int:
    """Append a point and return its place; its source is to be written."""
    place = out.made[0]
    out.made[0] = place + 1
    out.time[place] = time
    out.key[place] = key
    out.name[place] = name
    out.value[place] = value
    return int(place)


@inlined
def began(start: int, seen: int, time: int) -> bool:
    """Return whether a total said to begin at `start` began anew after the value before it, at `seen`.

    A first value of which the start lies further back than LONGEST_FIRST_US says nothing of its last interval.
    """
    if start <= seen or start > time or start == NEVER_US:
        return False
    return seen != NEVER_US or time - start <= LONGEST_FIRST_US


@kernel
def is_exponential(buckets: Buckets) -> bool:
    """Return whether all observed buckets with two bounds of one sign are of one native schema; there must be one."""
    schema = SCHEMAS[1] + 1
    for i in range(1, buckets.upper.size):
        low, high = buckets.upper[i - 1], buckets.upper[i]
        if buckets.upto[i] <= buckets.upto[i - 1] or not low * high > 0.0 or np.isinf(high) or np.isinf(low):
            continue
        exact = -np.log2(abs(np.log2(high / low)))
        nearest = int(np.rint(exact))
        if abs(exact - nearest) > 1e-6 or nearest < SCHEMAS[0] or nearest > SCHEMAS[1]:
            return False
        if schema <= SCHEMAS[1] and schema != nearest:
            return False
        schema = nearest
    return bool(schema <= SCHEMAS[1])


@kernel
def quantile(buckets: Buckets, share: float, exponential: bool) -> float:
    """Return the value that a share of the observations does not exceed; NaN where nothing was observed or no bound is finite.

    Source: Prometheus, promql/quantile.go (bucketQuantile, histogramQuantile).
    """
    upper, upto = buckets.upper, buckets.upto
    last = upper.size - 1
    if last < 0 or not upto[last] > 0.0:
        return np.nan
    rank = share * upto[last]
    place = 0
    while place < last and upto[place] < rank:
        place += 1
    if np.isinf(upper[place]):
        return upper[place - 1] if place > 0 else np.nan
    if place == 0 and upper[0] <= 0.0:
        return float(upper[0])
    low = upper[place - 1] if place > 0 else 0.0
    before = upto[place - 1] if place > 0 else 0.0
    high = upper[place]
    share_within = (rank - before) / (upto[place] - before)
    if exponential and low > 0.0:
        return float(2.0 ** (np.log2(low) + (np.log2(high) - np.log2(low)) * share_within))
    if exponential and high < 0.0:
        return float(-(2.0 ** (np.log2(-low) + (np.log2(-high) - np.log2(-low)) * share_within)))
    return float(low + (high - low) * share_within)


@kernel
def emit_distribution(state: NormaliserState, number: int, seen: Interval, buckets: Buckets, out: Emitted) -> None:
    """Append what a family's interval says; what is not known is left out: all but the rate where nothing was observed."""
    values = np.full(4, np.nan)
    values[0] = seen.observed / seen.seconds
    if seen.observed > 0.0:
        values[1] = seen.total / seen.observed
        for i in range(2):
            values[2 + i] = quantile(buckets, QUANTILES[i], seen.exponential)
    family = state.families.records[number]
    for which in range(4):
        value = values[which]
        if not np.isfinite(value):
            continue
        place = emit(out, seen.time, family.keys[which], family.names[which], value)
        limits = state.raw.limits[family.limits[which]]
        out.source[place] = -1 - (4 * number + which)
        out.row[place] = NO_ROW
        out.fault[place] = 1 if value < limits[0] or value > limits[1] else 0


def emitted_room(rows: int) -> Emitted:
    """Return room for that many points."""
    time, key, name, source, row = (np.empty(rows, np.int64) for _ in range(5))
    return Emitted(time, key, name, np.empty(rows), source, row, np.zeros(rows, np.uint8), np.zeros(1, np.int64))
