"""Raw rows of a tenant by partition, as entries: a series lies in one, and every partition learns how far the batch has come."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from aiops.types import IntArray
from data_contracts.telemetry.codec import encode
from data_contracts.telemetry.raw_rows import series_of_rows
from serving.ingest.entry_batch import EncodedEntry
from serving.ingest.event_times import newest_us
from serving.ingest.watermark_entries import behind, watermark_entry
from serving.stream import streams
from serving.stream.partitioning import home_of, partitions_of


@dataclass(frozen=True, slots=True)
class RowRouting:
    """How rows are spread: over how many partitions, and at most how many of them an entry has."""

    partitions: int
    points_per_entry: int

    def entries(self, tenant: str, rows: pa.Table, latest: datetime) -> Iterator[tuple[int, EncodedEntry]]:
        """Yield (partition, entry) of a tenant's rows, their order in each partition kept; the same for the same rows.

        Times after `latest` are no news of how far the batch has come: such rows will be refused.

        Raises:
            SchemaError: the table is not one of telemetry.
        """
        newest: dict[int, int] = {}
        for partition, part in self._parts(tenant, rows):
            if self.partitions > 1:
                newest[partition] = newest_us(part["timestamp"], latest)
            for first in range(0, part.num_rows, self.points_per_entry):
                payload = encode(part.slice(first, self.points_per_entry))
                yield partition, EncodedEntry(tenant, streams.KIND_TELEMETRY, payload)
        for partition in behind(newest, self.partitions):
            yield partition, watermark_entry(tenant, max(newest.values()))

    def _parts(self, tenant: str, rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
        if self.partitions == 1 or not rows.num_rows:
            yield from [(0, rows)] if rows.num_rows else []
            return
        numbers = self._numbers(tenant, rows)
        for partition in np.unique(numbers).tolist():
            yield partition, rows.filter(pa.array(numbers == partition))

    def _numbers(self, tenant: str, rows: pa.Table) -> IntArray:
        series = series_of_rows(rows, tenant)
        home = home_of(tenant, self.partitions)  # of rows that name no series: they are refused where they are read
        return np.where(series.named, partitions_of(series.series_id, self.partitions), home)
