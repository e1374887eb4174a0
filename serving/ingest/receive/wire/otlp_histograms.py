"""Kernels of OTLP's histograms, explicit and exponential, and of its exemplars."""

from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.jit import kernel
from serving.ingest.receive.wire.column_buffers import MESSAGE_OFFSET, MESSAGE_SIZE, OWNER
from serving.ingest.receive.wire.decoded import STALE_NAN_BITS, Rule
from serving.ingest.receive.wire.exemplar_spans import X_SERIES, X_SPAN, X_SPAN_END, X_TIME, X_TRACE, X_TRACE_END, X_VALUE
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
    with_exponential,
)
from serving.ingest.receive.wire.histogram_fields import DOUBLE, PLAIN, gathered
from serving.ingest.receive.wire.machine_words import bits_of, double_of, int64, store
from serving.ingest.receive.wire.otlp_points import EXPLICIT_HISTOGRAM
from serving.ingest.receive.wire.wire_fields import next_field, signed

Table = npt.NDArray[np.int64]

_START: Final = 2 << 3 | 1
_TIME: Final = 3 << 3 | 1
_COUNT: Final = 4 << 3 | 1
_SUM: Final = 5 << 3 | 1
_BUCKET_COUNTS: Final = 6
_BOUNDS: Final = 7
_SCALE: Final = 6 << 3 | 0
_ZERO_COUNT: Final = 7 << 3 | 1
_POSITIVE: Final = 8 << 3 | 2
_NEGATIVE: Final = 9 << 3 | 2
_FLAGS: Final = 10 << 3 | 0
_ZERO_THRESHOLD: Final = 14 << 3 | 1
_OFFSET: Final = 1 << 3 | 0
_SIDE_COUNTS: Final = 2
_NO_RECORDED_VALUE: Final = np.uint64(1)
_UINT32: Final = np.uint64(0xFFFFFFFF)
_THOUSAND: Final = np.uint64(1000)
_LEAST_SCALE: Final = -10
_MOST_SCALE: Final = 20
_NO_SCALE: Final = int(Rule.SCHEMA_KNOWN)
_MISMATCH: Final = int(Rule.SPANS_MATCH_BUCKETS)
_NOT_ASCENDING: Final = int(Rule.BOUNDS_ASCEND)
_X_TIME: Final = 2 << 3 | 1
_X_DOUBLE: Final = 3 << 3 | 1
_X_SPAN: Final = 4 << 3 | 2
_X_TRACE: Final = 5 << 3 | 2
_X_INTEGER: Final = 6 << 3 | 1


@kernel
def histogram_of(at: int, end: int) -> tuple[Native, int]:
    """Return the fields of a histogram's data point that occur once, and a negative fault or 0.

    Stale ones have the stale NaN as sum. Fields of exponential ones are under numbers that explicit ones give another type.
    """
    count, total, scale, threshold, zero, time, start = np.uint64(0), np.nan, 0, 0.0, np.uint64(0), np.uint64(0), np.uint64(0)
    stale = False
    while at < end:
        tag, _, at, value = next_field(at, end)
        if at < 0:
            break
        if tag == _COUNT:
            count = value
        elif tag == _SUM:
            total = double_of(int64(value))
        elif tag == _SCALE:
            scale = int64(np.int32(signed(value & _UINT32)))
        elif tag == _ZERO_COUNT:
            zero = value
        elif tag == _ZERO_THRESHOLD:
            threshold = double_of(int64(value))
        elif tag == _TIME:
            time = value
        elif tag == _START:
            start = value
        elif tag == _FLAGS:
            stale = value & _NO_RECORDED_VALUE != np.uint64(0)
    total = double_of(STALE_NAN_BITS) if stale else total
    times = int64(time // _THOUSAND), int64(start // _THOUSAND)
    return Native(float(count), total, scale, threshold, float(zero), times[0], times[1]), min(at, 0)


@kernel
def explicit_buckets(begin: int, end: int, scratch: Scratch, buckets: Buckets) -> tuple[Buckets, int]:
    """Return the buckets of a HistogramDataPoint, and a rule that they break, a negative fault or 0."""
    bounds = gathered(begin, end, int64(_BOUNDS), int64(DOUBLE), scratch.values)
    counts = gathered(begin, end, int64(_BUCKET_COUNTS), int64(DOUBLE), scratch.spans)
    if min(bounds, counts) < 0:
        return buckets, min(bounds, counts)
    if counts == 0 and bounds == 0:
        return buckets, 0
    if counts != bounds + 1:
        return buckets, int64(_MISMATCH)
    for row in range(counts):
        upper = number_at(scratch.values, row) if row < bounds else np.inf
        if row < bounds and not (upper < np.inf and (row == 0 or upper > number_at(scratch.values, row - 1))):
            return buckets, int64(_NOT_ASCENDING)
        buckets = with_bucket(buckets, upper, float(np.uint64(integer_at(scratch.spans, row))))
    return buckets, 0


@kernel
def _side(at: int, end: int, number: int, scratch: Scratch, cells: int) -> tuple[Side, int]:
    """Write the populated buckets of one side into cells; return them, and a negative fault or 0."""
    offset, size = 0, 0
    while at < end:
        tag, inner, at, _ = next_field(at, end)
        if tag == number:
            added = gathered(inner, at, int64(_SIDE_COUNTS), int64(PLAIN), scratch.values + (size << 3))
            if added < 0:
                return Side(cells, 0), added
            size += added
            while inner < at:
                field, _, inner, value = next_field(inner, at)
                if field == _OFFSET:
                    offset = int64(np.int32(signed(value & _UINT32)))
    filled = 0
    for row in range(size):
        count = float(np.uint64(integer_at(scratch.values, row)))
        if count > 0.0:
            store(cells + (filled << 4), offset + row + 1)
            put_number(cells, 2 * filled + 1, count)
            filled += 1
    return Side(cells, filled), 0


@kernel
def exponential_buckets(begin: int, end: int, known: Native, scratch: Scratch, buckets: Buckets) -> tuple[Buckets, int]:
    """Return the buckets of an ExponentialHistogramDataPoint, and a rule that they break, a negative fault or 0."""
    negative, status = _side(begin, end, int64(_NEGATIVE), scratch, scratch.negative)
    positive, other = _side(begin, end, int64(_POSITIVE), scratch, scratch.positive)
    if min(status, other) < 0:
        return buckets, min(status, other)
    if known.schema < _LEAST_SCALE or known.schema > _MOST_SCALE:
        return buckets, int64(_NO_SCALE)
    if not 0.0 <= known.threshold < np.inf:
        return buckets, int64(_NOT_ASCENDING)
    return with_exponential(buckets, negative, complex(known.threshold, known.zero), positive, known.schema), 0


@kernel
def read_otlp_histograms(body: int, messages: Table, columns: Table, buckets: Buckets, scratch: Scratch) -> int:
    """Fill columns (7, h) and buckets from (4, h) messages, the last row PART; return the number of buckets, or a negative fault.

    Room of buckets: two for each byte of the messages, and 8 for each. A histogram that breaks a rule has none.
    """
    for row in range(messages.shape[1]):
        begin = body + messages[MESSAGE_OFFSET, row]
        end = begin + messages[MESSAGE_SIZE, row]
        known, status = histogram_of(begin, end)
        columns[H_SERIES, row] = messages[OWNER, row]
        columns[H_TIME, row], columns[H_START, row] = known.time, known.start
        columns[H_COUNT, row], columns[H_SUM, row] = bits_of(known.observations), bits_of(known.sum)
        filled = buckets
        if status == 0 and bits_of(known.sum) == STALE_NAN_BITS:
            columns[H_COUNT, row] = STALE_NAN_BITS
        elif status == 0 and messages[OWNER + 3, row] == EXPLICIT_HISTOGRAM:
            filled, status = explicit_buckets(begin, end, scratch, buckets)
        elif status == 0:
            filled, status = exponential_buckets(begin, end, known, scratch, buckets)
        if status < 0:
            return status
        columns[H_RULE, row] = status
        last = filled.last if status == 0 else buckets.last
        columns[H_BUCKETS, row] = last - buckets.last
        buckets = Buckets(buckets.upper, buckets.counts, last, last)
    return buckets.last


@kernel
def read_otlp_exemplars(body: int, messages: Table, columns: Table) -> int:
    """Fill columns (7, e) from (3, e) messages; negative: a fault."""
    for row in range(messages.shape[1]):
        at = body + messages[MESSAGE_OFFSET, row]
        end = at + messages[MESSAGE_SIZE, row]
        columns[:, row] = 0
        columns[X_SERIES, row] = messages[OWNER, row]
        while at < end:
            tag, begin, at, value = next_field(at, end)
            if at < 0:
                return at
            if tag == _X_DOUBLE:
                columns[X_VALUE, row] = int64(value)
            elif tag == _X_INTEGER:
                columns[X_VALUE, row] = bits_of(float(int64(value)))
            elif tag == _X_TIME:
                columns[X_TIME, row] = int64(value // _THOUSAND)
            elif tag == _X_TRACE:
                columns[X_TRACE, row], columns[X_TRACE_END, row] = begin - body, at - body
            elif tag == _X_SPAN:
                columns[X_SPAN, row], columns[X_SPAN_END, row] = begin - body, at - body
    return 0
