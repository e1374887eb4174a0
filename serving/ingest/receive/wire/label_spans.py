"""Kernels that tell where the labels of single series lie in a body, for those whose text is wanted."""

import numpy as np
import numpy.typing as npt

from aiops.jit import kernel
from serving.ingest.receive.wire.decoded import Int64s
from serving.ingest.receive.wire.machine_words import int64
from serving.ingest.receive.wire.remote_write_1 import LABEL, LABEL_NAME, LABEL_VALUE
from serving.ingest.receive.wire.remote_write_2 import METADATA, REFERENCE, REFERENCES, SYMBOL, Metadata, metadata_of
from serving.ingest.receive.wire.wire_fields import next_field, varint

Table = npt.NDArray[np.int64]


@kernel
def count_labels(begin: int, end: int) -> int:
    """Return how many labels a TimeSeries of 1.0 has that was read before without a fault."""
    at, labels = begin, 0
    while at < end:
        tag, _, at, _ = next_field(at, end)
        if tag == LABEL:
            labels += 1
    return labels


@kernel
def label_spans(body: int, places: Table) -> tuple[Table, Int64s]:
    """Return (begin, end of name, begin, end of value) of labels and the (k + 1,) bounds of series.

    `places`: (k, 2) offset and size of TimeSeries of 1.0 in the body, read before without a fault. O(bytes of the series).
    """
    bounds = np.zeros(len(places) + 1, np.int64)
    for k in range(len(places)):
        begin = body + places[k, 0]
        bounds[k + 1] = bounds[k] + count_labels(begin, begin + places[k, 1])
    spans = np.zeros((bounds[-1], 4), np.int64)
    row = 0
    for k in range(len(places)):
        at = body + places[k, 0]
        end = at + places[k, 1]
        while at < end:
            tag, begin, at, _ = next_field(at, end)
            if tag == LABEL:
                _label_span(begin, at, body, spans[row])
                row += 1
    return spans, bounds


@kernel
def _label_span(at: int, end: int, body: int, span: Int64s) -> None:
    while at < end:
        tag, begin, at, _ = next_field(at, end)
        if tag in (LABEL_NAME, LABEL_VALUE):
            column = 0 if tag == LABEL_NAME else 2
            span[column], span[column + 1] = begin - body, at - body


@kernel
def symbol_spans(body: int, end: int, count: int) -> Table:
    """Return (count, 2) begin and end of the symbols of a Request that was read before without a fault."""
    spans = np.zeros((count, 2), np.int64)
    at, row = body, 0
    while at < end:
        tag, begin, at, _ = next_field(at, end)
        if tag == SYMBOL:
            spans[row, 0], spans[row, 1] = begin - body, at - body
            row += 1
    return spans


@kernel
def references_of(body: int, places: Table) -> tuple[Int64s, Int64s, Table]:
    """Return references of labels, the (k + 1,) bounds of series, and (k, 3) kind and references of unit and help.

    `places`: (k, 2) offset and size of TimeSeries of 2.0 in the body, read before without a fault.
    """
    references = np.empty(places[:, 1].sum(), np.int64)
    bounds, declared = np.zeros(len(places) + 1, np.int64), np.zeros((len(places), 3), np.int64)
    total = 0
    for k in range(len(places)):
        at, metadata = body + places[k, 0], Metadata(0, 0, 0)
        end = at + places[k, 1]
        while at < end:
            tag, begin, at, value = next_field(at, end)
            if tag == REFERENCE:
                references[total] = int64(value & np.uint64(0xFFFFFFFF))
                total += 1
            elif tag == REFERENCES:
                while begin < at:
                    value, begin = varint(begin, at)
                    references[total] = int64(value & np.uint64(0xFFFFFFFF))
                    total += 1
            elif tag == METADATA:
                metadata, _ = metadata_of(begin, at, metadata)
        declared[k, 0], declared[k, 1], declared[k, 2] = metadata.kind, metadata.unit, metadata.help
        bounds[k + 1] = total
    return references[:total], bounds, declared
