"""Which partition a tenant's service lives in: the same for every producer, for features need callers and callees together."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from aiops.topology.graph import ServiceGraph, partition_of
from aiops.types import IntArray
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.values.coerce import read_codes, whole

_MOST_REMEMBERED = 1_000_000


@dataclass(slots=True)
class ServicePartitions:
    """The partitions of services: a component of a tenant's call graph lies in one, and tenants begin at different ones."""

    partitions: int
    graph_of: Callable[[str], ServiceGraph]
    _graphs: dict[str, ServiceGraph] = field(default_factory=dict)
    _partition_of: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, tenant: str, service: str) -> int:
        """Return the partition, 0..partitions-1."""
        key = (tenant, service)
        if key not in self._partition_of:
            if len(self._partition_of) >= _MOST_REMEMBERED:
                self._partition_of.clear()
            if tenant not in self._graphs:
                self._graphs[tenant] = self.graph_of(tenant)
            first = 0 if tenant == DEFAULT_TENANT else zlib.crc32(tenant.encode())
            self._partition_of[key] = (first + partition_of(self._graphs[tenant], service, self.partitions)) % self.partitions
        return self._partition_of[key]

    def split(self, tenant: str, rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
        """Yield (partition, rows) of a tenant's rows; their order stays."""
        if self.partitions == 1 or rows.num_rows == 0:
            yield from [(0, rows)] if rows.num_rows else []
            return
        numbers = self._partitions_of(tenant, rows)
        for partition in range(self.partitions):
            mask = numbers == partition
            if mask.all():
                yield partition, rows
            elif mask.any():
                yield partition, rows.filter(pa.array(mask))

    def _partitions_of(self, tenant: str, rows: pa.Table) -> IntArray:
        services = read_codes(whole(rows.column("service")), "service")
        names = ["" if raw is None else raw.decode(errors="replace") for raw in [*services.values.to_pylist(), None]]
        numbers = np.array([self.of(tenant, name) for name in names], dtype=np.int64)
        return numbers[services.codes]  # code -1, a null, reads the last
