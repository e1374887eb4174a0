"""Kernel of native histograms: one message in both versions of remote write, with integer or float counts."""

from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.jit import kernel
from serving.ingest.receive.wire.column_buffers import MESSAGE_OFFSET, MESSAGE_SIZE, OWNER
from serving.ingest.receive.wire.decoded import STALE_NAN_BITS, Rule
from serving.ingest.receive.wire.histogram_buckets import (
    H_BUCKETS,
    H_COUNT,
    H_RULE,
    H_SERIES,
    H_START,
    H_SUM,
    H_TIME,
    Buckets,
    Native,
    Scratch,
    Side,
    integer_at,
    number_at,
    put_number,
    with_bucket,
    with_edge,
    with_exponential,
)
from serving.ingest.receive.wire.histogram_fields import DOUBLE, SPAN, ZIGZAG, gathered
from serving.ingest.receive.wire.machine_words import bits_of, double_of, int64, store
from serving.ingest.receive.wire.wire_fields import microseconds, next_field, signed

Table = npt.NDArray[np.int64]

_COUNT_INT: Final = 1 << 3 | 0
_COUNT_FLOAT: Final = 2 << 3 | 1
_SUM: Final = 3 << 3 | 1
_SCHEMA: Final = 4 << 3 | 0
_THRESHOLD: Final = 5 << 3 | 1
_ZERO_INT: Final = 6 << 3 | 0
_ZERO_FLOAT: Final = 7 << 3 | 1
_NEGATIVE: Final = 8
_POSITIVE: Final = 11
"""Number of the field of spans; deltas and float counts have the two numbers that follow."""
_TIMESTAMP: Final = 15 << 3 | 0
_CUSTOM_VALUES: Final = 16
_START: Final = 17 << 3 | 0
_CUSTOM: Final = -53
_NO_SCHEMA: Final = int(Rule.SCHEMA_KNOWN)
_MISMATCH: Final = int(Rule.SPANS_MATCH_BUCKETS)
_NEGATIVE_COUNT: Final = int(Rule.COUNTS_NOT_NEGATIVE)
_NOT_ASCENDING: Final = int(Rule.BOUNDS_ASCEND)


@kernel
def native_of(at: int, end: int) -> tuple[Native, int]:
    """Return the fields of a Histogram that occur once, and a negative fault or 0."""
    count, total, schema, threshold, zero, time, start = 0.0, 0.0, int64(0), 0.0, 0.0, int64(0), int64(0)
    while at < end:
        tag, _, at, value = next_field(at, end)
        if at < 0:
            break
        if tag == _COUNT_INT:
            count = float(value)
        elif tag == _COUNT_FLOAT:
            count = double_of(int64(value))
        elif tag == _SUM:
            total = double_of(int64(value))
        elif tag == _SCHEMA:
            schema = int64(np.int32(signed(value & np.uint64(0xFFFFFFFF))))
        elif tag == _THRESHOLD:
            threshold = double_of(int64(value))
        elif tag == _ZERO_INT:
            zero = float(value)
        elif tag == _ZERO_FLOAT:
            zero = double_of(int64(value))
        elif tag == _TIMESTAMP:
            time = microseconds(int64(value))
        elif tag == _START:
            start = microseconds(int64(value))
    return Native(count, total, schema, threshold, zero, time, start), min(at, 0)


@kernel
def _side(at: int, end: int, number: int, scratch: Scratch, cells: int) -> tuple[Side, int]:
    """Write the populated buckets of one side into cells; return them, and a rule that they break, a negative fault or 0."""
    spans = gathered(at, end, number, int64(SPAN), scratch.spans)
    size = gathered(at, end, number + 2, int64(DOUBLE), scratch.values)
    deltas = size == 0
    if deltas:
        size = gathered(at, end, number + 1, int64(ZIGZAG), scratch.values)
    if spans < 0 or size < 0:
        return Side(cells, 0), min(spans, size)
    row, index, count = 0, int64(0), 0.0
    for span in range(0, spans, 2):
        index += integer_at(scratch.spans, span)
        length = integer_at(scratch.spans, span + 1)
        if length > size - row:
            return Side(cells, 0), int64(_MISMATCH)
        for _ in range(length):
            count = count + float(integer_at(scratch.values, row)) if deltas else number_at(scratch.values, row)
            if not count >= 0.0:
                return Side(cells, 0), int64(_NEGATIVE_COUNT)
            store(cells + (row << 4), index)
            put_number(cells, 2 * row + 1, count)
            index += 1
            row += 1
    return Side(cells, row), int64(_MISMATCH if row < size else 0)


@kernel
def _custom(at: int, end: int, positive: Side, scratch: Scratch, buckets: Buckets) -> tuple[Buckets, int]:
    """Return buckets with bounds that the histogram brings along, and a rule that they break, a negative fault or 0."""
    size = gathered(at, end, int64(_CUSTOM_VALUES), int64(DOUBLE), scratch.values)
    if size < 0:
        return buckets, size
    for row in range(size):
        bound = number_at(scratch.values, row)
        if not bound < np.inf or (row > 0 and not bound > number_at(scratch.values, row - 1)):
            return buckets, int64(_NOT_ASCENDING)
    for row in range(positive.size):
        index = integer_at(positive.cells, 2 * row)
        if index < 0 or index > size:
            return buckets, int64(_MISMATCH)
        if index > 0:
            buckets = with_edge(buckets, number_at(scratch.values, index - 1))
        upper = np.inf if index == size else number_at(scratch.values, index)
        buckets = with_bucket(buckets, upper, number_at(positive.cells, 2 * row + 1))
    return buckets, 0


@kernel
def buckets_of(begin: int, end: int, known: Native, scratch: Scratch, buckets: Buckets) -> tuple[Buckets, int]:
    """Return the buckets of a Histogram, and a rule that they break, a negative fault or 0."""
    negative, status = _side(begin, end, int64(_NEGATIVE), scratch, scratch.negative)
    positive, other = _side(begin, end, int64(_POSITIVE), scratch, scratch.positive)
    if min(status, other) < 0 or max(status, other) > 0:
        return buckets, min(status, other) if min(status, other) < 0 else max(status, other)
    if known.schema == _CUSTOM:
        return _custom(begin, end, positive, scratch, buckets)
    if known.schema < -4 or known.schema > 8:
        return buckets, int64(_NO_SCHEMA)
    if not (known.zero >= 0.0 and known.observations >= 0.0):
        return buckets, int64(_NEGATIVE_COUNT)
    if not 0.0 <= known.threshold < np.inf:
        return buckets, int64(_NOT_ASCENDING)
    return with_exponential(buckets, negative, complex(known.threshold, known.zero), positive, known.schema), 0


@kernel
def read_histograms(body: int, messages: Table, columns: Table, buckets: Buckets, scratch: Scratch) -> int:
    """Fill columns (7, h) and buckets from (3, h) messages; return the number of buckets, or a negative fault.

    Room of buckets: two for each byte of the messages, and 8 for each. A histogram that breaks a rule has none.
    """
    for row in range(messages.shape[1]):
        begin = body + messages[MESSAGE_OFFSET, row]
        end = begin + messages[MESSAGE_SIZE, row]
        known, status = native_of(begin, end)
        columns[H_SERIES, row] = messages[OWNER, row]
        columns[H_TIME, row], columns[H_START, row] = known.time, known.start
        columns[H_COUNT, row], columns[H_SUM, row] = bits_of(known.observations), bits_of(known.sum)
        filled = buckets
        if status == 0 and bits_of(known.sum) == STALE_NAN_BITS:
            columns[H_COUNT, row] = STALE_NAN_BITS
        elif status == 0:
            filled, status = buckets_of(begin, end, known, scratch, buckets)
        if status < 0:
            return status
        columns[H_RULE, row] = status
        last = filled.last if status == 0 else buckets.last
        columns[H_BUCKETS, row] = last - buckets.last
        buckets = Buckets(buckets.upper, buckets.counts, last, last)
    return buckets.last
