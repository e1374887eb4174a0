"""Buckets of exponential and custom histograms as upper bounds and plain counts, ascending; shared by remote write and OTLP.

Exponential bucket i of schema s holds what is in (2^((i - 1)·2^-s), 2^(i·2^-s)], negative ones the same with the sign turned.
Source: "Native Histograms", specification of Prometheus; OTLP's bucket i is Prometheus' i + 1.
"""

import math
from typing import Final, NamedTuple

from aiops.jit import kernel
from serving.ingest.receive.wire.machine_words import bits_of, double_of, int64, store, word_at

_LEAST: Final = 5e-324
"""The least double above 0: a zero bucket without a width is above all negative ones."""
H_SERIES, H_TIME, H_START, H_COUNT, H_SUM, H_BUCKETS, H_RULE = range(7)
"""Columns of the table of histograms."""


class Buckets(NamedTuple):
    """Addresses of the columns upper and counts, the first row of this histogram, and the row behind its last one."""

    upper: int
    counts: int
    first: int
    last: int


class Native(NamedTuple):
    """Fields of a histogram that occur once; times in µs, `start` 0 = not stated; counts are doubles."""

    observations: float
    sum: float
    schema: int
    threshold: float
    zero: float
    time: int
    start: int


class Scratch(NamedTuple):
    """Addresses of columns with as many cells as the largest message has bytes, and 8 more."""

    spans: int
    values: int
    negative: int
    positive: int


class Side(NamedTuple):
    """Populated buckets on one side of 0 at an address, two cells each (index, count as bits), ascending by index."""

    cells: int
    size: int


@kernel
def integer_at(cells: int, row: int) -> int:
    """Return an int64 cell of a column."""
    return int64(word_at(cells + (row << 3)))


@kernel
def number_at(cells: int, row: int) -> float:
    """Return a double cell of a column."""
    return double_of(int64(word_at(cells + (row << 3))))


@kernel
def put_number(cells: int, row: int, number: float) -> None:
    """Write a double cell of a column."""
    store(cells + (row << 3), bits_of(number))


@kernel
def exponential_bound(index: int, schema: int) -> float:
    """Return the upper bound of bucket `index`; infinite beyond the range of doubles."""
    return float(2.0 ** math.ldexp(float(index), -schema))


@kernel
def with_bucket(buckets: Buckets, upper: float, count: float) -> Buckets:
    """Return buckets with one more; where its bound is not above the last one's, its count is added to the last bucket."""
    last = buckets.last
    if last > buckets.first and upper <= number_at(buckets.upper, last - 1):
        put_number(buckets.counts, last - 1, number_at(buckets.counts, last - 1) + count)
        return buckets
    put_number(buckets.upper, last, upper)
    put_number(buckets.counts, last, count)
    return Buckets(buckets.upper, buckets.counts, buckets.first, last + 1)


@kernel
def with_edge(buckets: Buckets, bound: float) -> Buckets:
    """Return buckets that reach up to `bound`: with an empty one where there is a gap."""
    if bound == -math.inf or (buckets.last > buckets.first and bound <= number_at(buckets.upper, buckets.last - 1)):
        return buckets
    return with_bucket(buckets, bound, 0.0)


@kernel
def with_exponential(buckets: Buckets, negative: Side, zero: complex, positive: Side, schema: int) -> Buckets:
    """Return all buckets of an exponential histogram; `zero` is threshold + count·j. Room: 2 rows a populated bucket and 3."""
    for row in range(negative.size - 1, -1, -1):
        index = integer_at(negative.cells, 2 * row)
        buckets = with_edge(buckets, -exponential_bound(index, schema))
        buckets = with_bucket(buckets, -exponential_bound(index - 1, schema), number_at(negative.cells, 2 * row + 1))
    if negative.size > 0:
        buckets = with_edge(buckets, -max(zero.real, _LEAST))
    buckets = with_bucket(buckets, zero.real, zero.imag)
    for row in range(positive.size):
        index = integer_at(positive.cells, 2 * row)
        buckets = with_edge(buckets, exponential_bound(index - 1, schema))
        buckets = with_bucket(buckets, exponential_bound(index, schema), number_at(positive.cells, 2 * row + 1))
    return buckets
