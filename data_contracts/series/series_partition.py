"""Which partition a series lives in: by its id alone, so that every writer and every backfill agree without asking anybody."""

from typing import Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

_SHIFT: Final = np.uint64(33)
"""The upper half of the hash: tables of series use the lower bits as their places."""


def series_partition(series_id: Int64s, partitions: int) -> Int64s:
    """Return (n,) partitions, 0..partitions-1, of series or, for the parts of a classic histogram, of its family: ids (n,).

    An id is a hash of tenant, service, metric and labels: the series of one application lie in all partitions alike.

    >>> series_partition(np.array([-1, 0, 1 << 33, 3 << 33]), 2).tolist()
    [1, 0, 1, 1]

    Raises:
        ValueError: partitions < 1.
    """
    if partitions < 1:
        raise ValueError(f"partitions={partitions}: at least 1 is needed; set AIOPS_BROKER__PARTITIONS to 1 or more")
    upper = np.ascontiguousarray(series_id, dtype=np.int64).view(np.uint64) >> _SHIFT
    return (upper % np.uint64(partitions)).astype(np.int64)
