"""Which partition a series lies in, and where the services of a tenant are added up: the same for every producer and reader."""

import zlib

import numpy as np

from aiops.types import IntArray
from data_contracts.series.tenant import DEFAULT_TENANT

_SHIFT = np.uint64(33)


def partitions_of(series_id: IntArray, partitions: int) -> IntArray:
    """Return (n,) the partition of each series, by the upper bits of its id: 0..partitions-1.

    A classic histogram's series must meet: they go by the id of the family.
    """
    numbers: IntArray = ((series_id.view(np.uint64) >> _SHIFT) % np.uint64(partitions)).astype(np.int64)
    return numbers


def signals_home(tenant: str, partitions: int) -> int:
    """Return the partition in which all logs and spans of a tenant lie."""
    return zlib.crc32(tenant.encode()) % partitions


def home_of(tenant: str, partitions: int) -> int:
    """Return the partition where what the others know of a tenant's services is added up; notes to a tenant go there, too."""
    return 0 if tenant == DEFAULT_TENANT else zlib.crc32(tenant.encode()) % partitions
