"""Decoder of OTLP metrics: a body in, columns out. One decoder a thread: it uses its buffers again and again."""

from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from serving.ingest.receive.wire.column_buffers import (
    CONTEXT,
    KIND,
    N_CONTEXTS,
    N_EXEMPLARS,
    N_HISTOGRAMS,
    N_SERIES,
    OFFSET,
    OWNER,
    PART,
    QUANTILE,
    SIZE,
    ColumnBuffers,
    GrowingBuffers,
    doubles,
    fault_columns,
    point_columns,
    series_columns,
)
from serving.ingest.receive.wire.decoded import PROTOBUF_IN_LOOP_BYTES, Body, DecodedBody, ExemplarColumns
from serving.ingest.receive.wire.histogram_columns import histogram_columns, no_histograms, with_histogram_faults
from serving.ingest.receive.wire.noted_messages import address_of, exemplar_columns, hexadecimal, read_histogram_messages
from serving.ingest.receive.wire.otlp_rows import OtlpRows

Table = npt.NDArray[np.int64]


class OtlpMetricsDecoder:
    """Decodes requests with metrics (ExportMetricsServiceRequest), uncompressed; `seed` is the process's, see `label_hash`."""

    in_loop_bytes: Final = PROTOBUF_IN_LOOP_BYTES

    def __init__(self, seed: int, buffers: GrowingBuffers | None = None) -> None:
        self._seed = np.uint64(seed)
        self._buffers = buffers or GrowingBuffers()

    def decode(self, body: Body) -> DecodedBody:
        """Return all that a body in protobuf holds.

        Raises:
            MalformedBody: it is no such request.
        """
        from serving.ingest.receive.wire.otlp_metrics import read_metrics
        from serving.ingest.receive.wire.otlp_text import OtlpText

        begin = address_of(body)
        read = partial(read_metrics, begin, begin + len(body), self._seed)
        filled = self._buffers.fill(read, len(body), "ExportMetricsServiceRequest")
        histograms, faults = no_histograms(), fault_columns(filled)
        if filled.counts[N_HISTOGRAMS]:
            from serving.ingest.receive.wire.otlp_histograms import read_otlp_histograms

            table, upper, counts = read_histogram_messages(body, _histogram_messages(filled), read_otlp_histograms)
            histograms, faults = histogram_columns(table, upper, counts), with_histogram_faults(faults, table)
        text = OtlpText(body, _rows(filled))
        return DecodedBody(series_columns(filled), point_columns(filled), histograms, _exemplars(body, filled), faults, (), text)

    def decode_json(self, body: bytes) -> DecodedBody:
        """Return all that a body in JSON holds; positions in messages of faults are those of its protobuf form.

        Raises:
            MalformedBody: it is no such request.
        """
        from serving.ingest.receive.wire.otlp_json_protobuf import protobuf_of

        return self.decode(protobuf_of(body))


def _histogram_messages(filled: ColumnBuffers) -> Table:
    """Return the (4, h) histograms noted, the last row which kind they are of."""
    messages = filled.histograms[:, : filled.counts[N_HISTOGRAMS]]
    return np.vstack([messages, filled.series[PART][messages[OWNER]]])


def _exemplars(body: Body, filled: ColumnBuffers) -> ExemplarColumns:
    from serving.ingest.receive.wire.otlp_histograms import read_otlp_exemplars

    count = int(filled.counts[N_EXEMPLARS])
    read = partial(read_otlp_exemplars, address_of(body), filled.exemplars[:, :count].copy())
    return exemplar_columns(body, count, read, hexadecimal)


def _rows(filled: ColumnBuffers) -> OtlpRows:
    series = filled.series[:, : filled.counts[N_SERIES]]
    offset, size, kind, part, context = (series[column].copy() for column in (OFFSET, SIZE, KIND, PART, CONTEXT))
    contexts = filled.contexts[:, : filled.counts[N_CONTEXTS]].copy()
    return OtlpRows(offset, size, kind, part, context, doubles(series[QUANTILE]), contexts)
