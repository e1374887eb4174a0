"""Watermarks to partitions that get none of a batch's newest points, so that a partition without points holds no tick."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from serving.ingest.entry_batch import EncodedEntry
from serving.stream import streams

_COARSE_US: Final = 1_000_000
"""Times that differ by less are taken for equal."""


def watermark_entry(tenant: str, event_us: int) -> EncodedEntry:
    """Return the entry that says: the tenant's producer has come to this event time."""
    return EncodedEntry(tenant, streams.KIND_WATERMARK, json.dumps({"event_us": event_us}).encode())


def behind(newest_us: Mapping[int, int], partitions: int) -> Iterator[int]:
    """Yield the partitions whose newest event time is before that of another, those without one included."""
    newest = max(newest_us.values(), default=0) // _COARSE_US
    for partition in range(partitions):
        if newest_us.get(partition, 0) // _COARSE_US < newest:
            yield partition


class Watermarks:
    """How far each partition was brought in event time, by tenant, by one writer that goes on for long."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._newest_us: dict[str, dict[int, int]] = {}

    def entries(self, newest_us: Mapping[str, Mapping[int, int]]) -> Iterator[tuple[int, EncodedEntry]]:
        """Yield (partition, entry) for those that stay behind when points so new, by tenant and partition, are appended."""
        if self._partitions == 1:
            return
        for tenant, of_batch in newest_us.items():
            merged = self._merged(tenant, of_batch)
            for partition in behind(merged, self._partitions):
                yield partition, watermark_entry(tenant, max(merged.values()))

    def appended(self, newest_us: Mapping[str, Mapping[int, int]]) -> None:
        """Note that the points and the entries are appended."""
        for tenant, of_batch in newest_us.items():
            merged = self._merged(tenant, of_batch)
            late = dict.fromkeys(behind(merged, self._partitions), max(merged.values(), default=0))
            self._newest_us[tenant] = merged | late

    def _merged(self, tenant: str, of_batch: Mapping[int, int]) -> dict[int, int]:
        known = self._newest_us.get(tenant, {})
        return {number: max(known.get(number, 0), of_batch.get(number, 0)) for number in {*known, *of_batch}}
