"""Repeated fields of histograms into cells of eight bytes, packed or not: spans, deltas, counts and bounds.

Numbers and kinds of fields are to be given as int64: for each literal numba would compile a kernel of its own.
"""

import numpy as np

from aiops.jit import kernel
from serving.ingest.receive.wire.machine_words import int64, store, word_at
from serving.ingest.receive.wire.wire_fields import TRUNCATED, next_field, signed, varint

ZIGZAG, DOUBLE, SPAN, PLAIN = range(4)
"""What a repeated field holds: sint64, 64 bits as they are, BucketSpan, uint64."""


@kernel
def gathered(at: int, end: int, number: int, kind: int, cells: int) -> int:
    """Write a repeated field, packed or not, into cells; return how many, or a negative fault. A span is two: offset, length."""
    size, scalar = int64(0), number << 3 | (1 if kind == DOUBLE else 0)
    while at < end:
        tag, begin, at, value = next_field(at, end)
        if at < 0:
            return at
        if tag == number << 3 | 2 and kind == SPAN:
            status = _span(begin, at, cells + (size << 3))
            if status < 0:
                return status
            size += 2
        elif tag == number << 3 | 2:
            size = _packed(begin, at, kind, cells, size)
            if size < 0:
                return size
        elif tag == scalar and kind != SPAN:
            store(cells + (size << 3), signed(value) if kind == ZIGZAG else int64(value))
            size += 1
    return size


@kernel
def _packed(at: int, end: int, kind: int, cells: int, size: int) -> int:
    """Append packed numbers; return how many there are then, or a negative fault."""
    while at < end:
        if kind == DOUBLE:
            if at + 8 > end:
                return TRUNCATED
            store(cells + (size << 3), int64(word_at(at)))
            at += 8
        else:
            value, at = varint(at, end)
            if at < 0:
                return at
            store(cells + (size << 3), signed(value) if kind == ZIGZAG else int64(value))
        size += 1
    return size


@kernel
def _span(at: int, end: int, cells: int) -> int:
    """Write offset and length of a BucketSpan; return a negative fault or 0."""
    offset, length = int64(0), int64(0)
    while at < end:
        tag, _, at, value = next_field(at, end)
        if at < 0:
            return at
        if tag == 1 << 3:
            offset = int64(np.int32(signed(value & np.uint64(0xFFFFFFFF))))
        elif tag == 2 << 3:
            length = int64(value & np.uint64(0xFFFFFFFF))
    store(cells, offset)
    store(cells + 8, length)
    return 0
