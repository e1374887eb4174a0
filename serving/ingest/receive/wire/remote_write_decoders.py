"""Decoders of remote write: a body in, columns out. One decoder a thread: it uses its buffers again and again."""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from serving.ingest.receive.wire.column_buffers import (
    BEGAN,
    MESSAGE_SIZE,
    N_EXEMPLARS,
    N_HISTOGRAMS,
    N_METADATA,
    N_SERIES,
    N_SYMBOLS,
    OFFSET,
    SIZE,
    ColumnBuffers,
    GrowingBuffers,
    doubles,
    fault_columns,
    point_columns,
    series_columns,
)
from serving.ingest.receive.wire.decoded import DecodedBody, Describer, ExemplarColumns, MalformedBody, MetricMetadata, SeriesKind
from serving.ingest.receive.wire.histogram_buckets import H_SERIES, H_START, Buckets
from serving.ingest.receive.wire.histogram_columns import histogram_columns, no_histograms, with_histogram_faults
from serving.ingest.receive.wire.remote_write_text import RemoteWrite1Text, RemoteWrite2Text
from serving.ingest.receive.wire.wire_fields import FAULTS

Table = npt.NDArray[np.int64]


class RemoteWrite1Decoder:
    """Decodes bodies of remote write 1.0 (application/x-protobuf), uncompressed; `seed` is the process's, see `label_hash`."""

    def __init__(self, seed: int) -> None:
        self._seed = np.uint64(seed)
        self._buffers = GrowingBuffers()

    def decode(self, body: bytes) -> DecodedBody:
        """Return all that a body holds.

        Raises:
            MalformedBody: it is no WriteRequest.
        """
        from serving.ingest.receive.wire.exemplar_spans import read_exemplars
        from serving.ingest.receive.wire.remote_write_1 import read_write_request

        begin, end = _addresses(body)
        filled = self._buffers.fill(partial(read_write_request, begin, end, self._seed), len(body), "WriteRequest")
        metadata = _metadata(body, int(filled.counts[N_METADATA]))
        read = partial(read_exemplars, begin, _messages(filled.exemplars, filled.counts[N_EXEMPLARS]))
        return _decoded(body, filled, read, metadata, RemoteWrite1Text(body, _places(filled)))


class RemoteWrite2Decoder:
    """Decodes bodies of remote write 2.0 (proto=io.prometheus.write.v2.Request), uncompressed; one decoder a thread."""

    def __init__(self, seed: int) -> None:
        self._seed = np.uint64(seed)
        self._buffers = GrowingBuffers()

    def decode(self, body: bytes) -> DecodedBody:
        """Return all that a body holds.

        Raises:
            MalformedBody: it is no Request.
        """
        from serving.ingest.receive.wire.exemplar_spans import read_exemplars_by_reference
        from serving.ingest.receive.wire.remote_write_2 import read_request

        begin, end = _addresses(body)
        filled = self._buffers.fill(partial(read_request, begin, end, self._seed), len(body), "Request")
        messages = _messages(filled.exemplars, filled.counts[N_EXEMPLARS])
        read = partial(read_exemplars_by_reference, begin, messages, filled.tables)
        text = RemoteWrite2Text(body, _places(filled), int(filled.counts[N_SYMBOLS]))
        return _decoded(body, filled, read, (), text)


def _decoded(
    body: bytes,
    filled: ColumnBuffers,
    read_exemplars: Callable[[Table], int],
    metadata: tuple[MetricMetadata, ...],
    text: Describer,
) -> DecodedBody:
    histograms, faults = no_histograms(), fault_columns(filled)
    if filled.counts[N_HISTOGRAMS]:
        table, upper, counts = _native_histograms(body, _messages(filled.histograms, filled.counts[N_HISTOGRAMS]))
        began = filled.series[BEGAN][table[H_SERIES]]
        table[H_START] = np.where(table[H_START] == 0, began, table[H_START])
        histograms, faults = histogram_columns(table, upper, counts), with_histogram_faults(faults, table)
    exemplars = _exemplars(body, int(filled.counts[N_EXEMPLARS]), read_exemplars)
    return DecodedBody(series_columns(filled), point_columns(filled), histograms, exemplars, faults, metadata, text)


def _addresses(body: bytes) -> tuple[int, int]:
    begin = np.frombuffer(body, np.uint8).ctypes.data
    return begin, begin + len(body)


def _messages(table: Table, count: int) -> Table:
    return table[:, :count].copy()


def _places(filled: ColumnBuffers) -> Table:
    return filled.series[[OFFSET, SIZE], : filled.counts[N_SERIES]].T


def _native_histograms(body: bytes, messages: Table) -> tuple[Table, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (7, h) columns, upper bounds and counts."""
    from serving.ingest.receive.wire.native_histograms import Scratch, read_histograms

    sizes = messages[MESSAGE_SIZE]
    room, most = 2 * int(sizes.sum()) + 8 * len(sizes), int(sizes.max()) + 8
    table, buckets = np.empty((7, len(sizes)), np.int64), np.empty((2, room))
    cells = np.empty(6 * most, np.int64)
    regions = (cells.ctypes.data + 8 * most * number for number in (0, 1, 2, 4))
    upper, counts = buckets
    columns = Buckets(upper.ctypes.data, counts.ctypes.data, 0, 0)
    _checked(read_histograms(_addresses(body)[0], messages, table, columns, Scratch(*regions)), "histograms")
    return table, upper, counts


def _exemplars(body: bytes, count: int, read: Callable[[Table], int]) -> ExemplarColumns:
    from serving.ingest.receive.wire.exemplar_spans import X_SERIES, X_SPAN, X_TIME, X_TRACE, X_VALUE

    table = np.empty((7, count), np.int64)
    if count:
        _checked(read(table), "exemplars")
    trace, span = (_texts(body, table[column : column + 2]) for column in (X_TRACE, X_SPAN))
    return ExemplarColumns(table[X_SERIES], doubles(table[X_VALUE]), table[X_TIME], trace, span)


def _metadata(body: bytes, count: int) -> tuple[MetricMetadata, ...]:
    from serving.ingest.receive.wire.exemplar_spans import M_FAMILY, M_HELP, M_KIND, M_UNIT, read_metadata

    if not count:
        return ()
    table = np.empty((7, count), np.int64)
    _checked(read_metadata(*_addresses(body), table), "metadata")
    kinds = [SeriesKind(kind) if 0 <= kind <= SeriesKind.STATE_SET else SeriesKind.UNKNOWN for kind in table[M_KIND].tolist()]
    family, unit, text = (_texts(body, table[column : column + 2]) for column in (M_FAMILY, M_UNIT, M_HELP))
    return tuple(map(MetricMetadata, family, kinds, unit, text))


def _texts(body: bytes, spans: Table) -> tuple[str, ...]:
    """Return the texts from begin to end of (2, n) spans; U+FFFD for what is not UTF-8."""
    return tuple(body[begin:end].decode(errors="replace") for begin, end in spans.T.tolist())


def _checked(status: int, message: str) -> None:
    if status < 0:
        raise MalformedBody(message, FAULTS[status])
