"""Decoders of remote write: a body in, columns out. One decoder a thread: it uses its buffers again and again."""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from serving.ingest.receive.wire.column_buffers import (
    BEGAN,
    N_EXEMPLARS,
    N_HISTOGRAMS,
    N_METADATA,
    N_SERIES,
    N_SYMBOLS,
    OFFSET,
    SIZE,
    ColumnBuffers,
    GrowingBuffers,
    fault_columns,
    point_columns,
    series_columns,
)
from serving.ingest.receive.wire.decoded import PROTOBUF_IN_LOOP_BYTES, Body, DecodedBody, Describer, MetricMetadata, SeriesKind
from serving.ingest.receive.wire.histogram_buckets import H_SERIES, H_START
from serving.ingest.receive.wire.histogram_columns import histogram_columns, no_histograms, with_histogram_faults
from serving.ingest.receive.wire.noted_messages import address_of, checked, exemplar_columns, read_histogram_messages, texts
from serving.ingest.receive.wire.remote_write_text import RemoteWrite1Text, RemoteWrite2Text

Table = npt.NDArray[np.int64]


class RemoteWrite1Decoder:
    """Decodes bodies of remote write 1.0 (application/x-protobuf), uncompressed; `seed` is the process's, see `label_hash`."""

    in_loop_bytes: Final = PROTOBUF_IN_LOOP_BYTES

    def __init__(self, seed: int, buffers: GrowingBuffers | None = None) -> None:
        self._seed = np.uint64(seed)
        self._buffers = buffers or GrowingBuffers()

    def decode(self, body: Body) -> DecodedBody:
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

    in_loop_bytes: Final = PROTOBUF_IN_LOOP_BYTES

    def __init__(self, seed: int, buffers: GrowingBuffers | None = None) -> None:
        self._seed = np.uint64(seed)
        self._buffers = buffers or GrowingBuffers()

    def decode(self, body: Body) -> DecodedBody:
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
    body: Body,
    filled: ColumnBuffers,
    read_exemplars: Callable[[Table], int],
    metadata: tuple[MetricMetadata, ...],
    text: Describer,
) -> DecodedBody:
    histograms, faults = no_histograms(), fault_columns(filled)
    if filled.counts[N_HISTOGRAMS]:
        from serving.ingest.receive.wire.native_histograms import read_histograms

        messages = _messages(filled.histograms, filled.counts[N_HISTOGRAMS])
        table, upper, counts = read_histogram_messages(body, messages, read_histograms)
        began = filled.series[BEGAN][table[H_SERIES]]
        table[H_START] = np.where(table[H_START] == 0, began, table[H_START])
        histograms, faults = histogram_columns(table, upper, counts), with_histogram_faults(faults, table)
    exemplars = exemplar_columns(body, int(filled.counts[N_EXEMPLARS]), read_exemplars, texts)
    return DecodedBody(series_columns(filled), point_columns(filled), histograms, exemplars, faults, metadata, text)


def _addresses(body: Body) -> tuple[int, int]:
    begin = address_of(body)
    return begin, begin + len(body)


def _messages(table: Table, count: int) -> Table:
    return table[:, :count].copy()


def _places(filled: ColumnBuffers) -> Table:
    return filled.series[[OFFSET, SIZE], : filled.counts[N_SERIES]].T


def _metadata(body: Body, count: int) -> tuple[MetricMetadata, ...]:
    from serving.ingest.receive.wire.exemplar_spans import M_FAMILY, M_HELP, M_KIND, M_UNIT, read_metadata

    if not count:
        return ()
    table = np.empty((7, count), np.int64)
    checked(read_metadata(*_addresses(body), table), "metadata")
    kinds = [SeriesKind(kind) if 0 <= kind <= SeriesKind.STATE_SET else SeriesKind.UNKNOWN for kind in table[M_KIND].tolist()]
    family, unit, text = (texts(body, table[column : column + 2]) for column in (M_FAMILY, M_UNIT, M_HELP))
    return tuple(map(MetricMetadata, family, kinds, unit, text))
