"""Messages that a first pass over a body notes and does not read: histograms and exemplars."""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from serving.ingest.receive.wire.column_buffers import MESSAGE_SIZE, doubles
from serving.ingest.receive.wire.decoded import Body, ExemplarColumns, Float64s, MalformedBody
from serving.ingest.receive.wire.exemplar_spans import X_SERIES, X_SPAN, X_TIME, X_TRACE, X_VALUE
from serving.ingest.receive.wire.histogram_buckets import Buckets, Scratch
from serving.ingest.receive.wire.wire_fields import FAULTS

Table = npt.NDArray[np.int64]
ReadHistograms = Callable[[int, Table, Table, Buckets, Scratch], int]
ReadIds = Callable[[Body, Table], tuple[str, ...]]


def address_of(body: Body) -> int:
    """Return where a body lies, for as long as it is held."""
    return int(np.frombuffer(body, np.uint8).__array_interface__["data"][0])


def read_histogram_messages(body: Body, messages: Table, read: ReadHistograms) -> tuple[Table, Float64s, Float64s]:
    """Return the (7, h) table of histograms, and upper bounds and counts of all their buckets.

    Raises:
        MalformedBody: a message cannot be read.
    """
    sizes = messages[MESSAGE_SIZE]
    room, most = 2 * int(sizes.sum()) + 8 * len(sizes), int(sizes.max()) + 8
    table, upper, counts = np.empty((7, len(sizes)), np.int64), np.empty(room), np.empty(room)
    cells = np.empty(6 * most, np.int64)
    regions = (cells.ctypes.data + 8 * most * number for number in (0, 1, 2, 4))
    buckets = Buckets(upper.ctypes.data, counts.ctypes.data, 0, 0)
    checked(read(address_of(body), messages, table, buckets, Scratch(*regions)), "histograms")
    return table, upper, counts


def exemplar_columns(body: Body, count: int, read: Callable[[Table], int], ids: ReadIds) -> ExemplarColumns:
    """Return so many exemplars; `read` fills their (7, e) table, `ids` turns spans (2, e) of the body into text.

    Raises:
        MalformedBody: an exemplar cannot be read.
    """
    if not count:
        return _no_exemplars()
    table = np.empty((7, count), np.int64)
    checked(read(table), "exemplars")
    trace, span = (ids(body, table[column : column + 2]) for column in (X_TRACE, X_SPAN))
    return ExemplarColumns(table[X_SERIES], doubles(table[X_VALUE]), table[X_TIME], trace, span)


@cache
def _no_exemplars() -> ExemplarColumns:
    return ExemplarColumns(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64), (), ())


def texts(body: Body, spans: Table) -> tuple[str, ...]:
    """Return the texts from begin to end of (2, n) spans; U+FFFD for what is not UTF-8."""
    return tuple(bytes(body[begin:end]).decode(errors="replace") for begin, end in spans.T.tolist())


def hexadecimal(body: Body, spans: Table) -> tuple[str, ...]:
    """Return the bytes of (2, n) spans in hexadecimal digits; empty for ids of zeros, which stand for none."""
    ids = (bytes(body[begin:end]) for begin, end in spans.T.tolist())
    return tuple(number.hex() if any(number) else "" for number in ids)


def checked(status: int, message: str) -> None:
    """Raise MalformedBody for a fault that a kernel returns."""
    if status < 0:
        raise MalformedBody(message, FAULTS[status])
