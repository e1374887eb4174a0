"""Numbers of what a minute counts of a series of spans, and back: counters, and lengths in steps of 2 % of each end."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.types import FloatArray, IntArray

SUB_BITS: Final = 13
"""A series of spans has 2**13 counters: a quarter for whole numbers, one each for lengths of three measures."""
MEASURES: Final = ("client", "server", "network")
CALLS, ERRORS, SAMPLED = range(3)
"""Spans and failed spans, adjusted for sampling; spans that were there."""
_QUARTER: Final = 1 << (SUB_BITS - 2)
_STEP: Final = float(np.log(1.02))
_UNITS: Final = 256
_MOST_WEIGHT: Final = float(1 << 20)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean and quantiles of lengths, s."""

    mean_s: float
    p50_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a minute says of a series of spans: adjusted counts, spans that were there, lengths by measure."""

    calls: float
    errors: float
    sampled: int
    lengths: dict[str, Lengths]


def whole_weights(weight: FloatArray) -> IntArray:
    """Return adjusted counts (n,) in 256ths, at most 2**20 spans each: sums of these are exact."""
    whole: IntArray = np.rint(np.minimum(weight, _MOST_WEIGHT) * _UNITS).astype(np.int64)
    return whole


def length_numbers(measure: str, length_us: IntArray) -> IntArray:
    """Return the number (n,) of the counter of each length (µs, from 0 on) of a measure."""
    with np.errstate(divide="ignore"):
        step = np.where(length_us < 1, 0, 1 + np.floor(np.log(np.maximum(length_us, 1)) / _STEP)).astype(np.int64)
    numbers: IntArray = _QUARTER * (1 + MEASURES.index(measure)) + np.minimum(step, _QUARTER - 1)
    return numbers


def measured_of(numbers: IntArray, counts: IntArray) -> Measured:
    """Return what counters (n,) of one series, ascending, say."""
    begins = np.searchsorted(numbers, [_QUARTER * quarter for quarter in range(len(MEASURES) + 2)])
    whole = dict(zip(numbers[: begins[1]].tolist(), counts[: begins[1]].tolist(), strict=True))
    lengths = {}
    for place, measure in enumerate(MEASURES):
        part = slice(int(begins[place + 1]), int(begins[place + 2]))
        if part.stop > part.start:
            lengths[measure] = _lengths(numbers[part] - _QUARTER * (place + 1), counts[part])
    return Measured(whole.get(CALLS, 0) / _UNITS, whole.get(ERRORS, 0) / _UNITS, whole.get(SAMPLED, 0), lengths)


def _lengths(step: IntArray, counts: IntArray) -> Lengths:
    """Return mean and quantiles of steps ascending; a quantile is the middle of the step that its rank falls in."""
    middle_s = np.where(step < 1, 0.0, np.exp((step - 0.5) * _STEP)) / 1e6
    total = np.cumsum(counts)
    ranks = [total[-1] * 0.5, total[-1] * 0.99]
    median, high = (float(middle_s[np.searchsorted(total, rank)]) for rank in ranks)
    return Lengths(float((middle_s * counts).sum() / total[-1]), median, high)
