"""How many spans a sampled one stands for: the threshold that consistent probability sampling leaves in `tracestate`.

Source: OpenTelemetry specification, "TraceState: Probability Sampling" (`ot=th:`): the threshold is up to 14 hexadecimal digits,
zeros at its right left out; a span is kept where its randomness, 56 bits, is not below it.
"""

import re
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.types import FloatArray

_BITS: Final = 1 << 56
_DIGITS: Final = 14
_THRESHOLD: Final = re.compile(r"(?:^|[;,=])th:([0-9a-f]{1,14})(?:$|[;,\s])")
_VENDOR: Final = re.compile(r"(?:^|,)\s*ot=([^,]*)")


def adjusted_count(trace_state: str) -> float:
    """Return the spans that one with this `tracestate` stands for; 1 where it names no threshold.

    >>> adjusted_count("ot=th:8"), adjusted_count("vendor=1,ot=th:c;rv:123456789abcde"), adjusted_count("vendor=th:8")
    (2.0, 4.0, 1.0)
    """
    vendor = _VENDOR.search(trace_state)
    threshold = _THRESHOLD.search(vendor.group(1)) if vendor else None
    if threshold is None:
        return 1.0
    return _BITS / (_BITS - int(threshold.group(1).ljust(_DIGITS, "0"), 16))


def adjusted_counts(column: "pa.ChunkedArray[Any]") -> FloatArray:
    """Return the adjusted count (n,) of each `tracestate`; null = 1."""
    chunk: Any = column.combine_chunks()
    encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.cast(pa.string()).dictionary_encode()
    table = np.array([*(adjusted_count(text or "") for text in encoded.dictionary.to_pylist()), 1.0])
    counts: FloatArray = table[np.asarray(encoded.indices.cast(pa.int64()).fill_null(len(table) - 1))]
    return counts
