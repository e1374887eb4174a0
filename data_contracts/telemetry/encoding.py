"""Names of accepted rows as dictionary columns."""

import numpy as np
import pyarrow as pa

from data_contracts.telemetry.label_sets import Streams
from data_contracts.telemetry.names import Names
from data_contracts.values.coerce import AnyArray
from data_contracts.values.kernels import Int32s


def encoded(names: Names, codes: Int32s) -> AnyArray:
    """Return the column of names that `codes` (n,) point at; refused names are not in its dictionary."""
    return _without(names.values, names.bad() == 0, codes) if names.faults else _dictionary(names.values, codes)


def encoded_metrics(streams: Streams, codes: Int32s) -> AnyArray:
    """Return the column of metrics that `codes` (n,) point at; those without a good stream are not in its dictionary."""
    if not streams.faults:
        return _dictionary(streams.metrics, codes)
    good = np.zeros(len(streams.metrics), np.bool_)
    good[streams.metric[streams.bad() == 0]] = True
    return _without(streams.metrics, good, codes)


def _without(values: AnyArray, good: "np.ndarray[tuple[int], np.dtype[np.bool_]]", codes: Int32s) -> AnyArray:
    return _dictionary(values.filter(pa.array(good)), (np.cumsum(good, dtype=np.int32) - 1)[codes])


def _dictionary(values: AnyArray, codes: Int32s) -> AnyArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), values, safe=False)  # codes are of these values
