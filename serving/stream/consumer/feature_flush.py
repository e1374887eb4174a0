"""Newest features to the online store, off the hot thread: latest wins, bounded, never in the way.

A write that fails is counted and its rows wait for the next round; rows of the same entity that came meanwhile replace them.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from aiops.errors import Unavailable
from aiops.ports import FeatureWriter
from serving.host.log_rate_limit import LineLimit
from serving.stream.consumer.work_pace import WorkPace
from serving.stream.streams import single_batch

if TYPE_CHECKING:
    from aiops.features.feature_rows import DeferredRows
    from serving.stream.consumer.consumer_metrics import ConsumerMetrics

    Rows = pa.RecordBatch | DeferredRows

_COMPACT_ROWS: Final = 50_000

log = logging.getLogger(__name__)
_lines = LineLimit(log)


class NewestRows:
    """Rows of one feature table, at most the newest of every entity, a tick, and 50,000 not compacted yet. Shared by threads."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._batches: list[Rows] = []
        self._compact_at = _COMPACT_ROWS

    @property
    def num_rows(self) -> int:
        """Return the rows held, those included that are not compacted yet."""
        with self._lock:
            return sum(batch.num_rows for batch in self._batches)

    def offer(self, batches: "Sequence[Rows]") -> None:
        """Add rows, newest last."""
        with self._lock:
            for batch in batches:
                self._batches = [held for held in self._batches if not _covered(held, batch)]
                self._batches.append(batch)
            if len(self._batches) > 1 and sum(batch.num_rows for batch in self._batches) > self._compact_at:
                kept = newest(_built(self._batches), self._key)
                self._batches = [kept]
                self._compact_at = kept.num_rows + _COMPACT_ROWS

    def take(self) -> pa.RecordBatch | None:
        """Return the newest row of every entity and forget them; None where there is nothing."""
        with self._lock:
            batches, self._batches = self._batches, []
        if len(batches) == 1 and not isinstance(batches[0], pa.RecordBatch):
            return batches[0].newest()
        return newest(_built(batches), self._key) if batches else None

    def put_back(self, rows: pa.RecordBatch) -> None:
        """Return rows that could not be written; newer ones go before them."""
        with self._lock:
            self._batches.insert(0, rows)


def _covered(held: "Rows", batch: "Rows") -> bool:
    """Return whether none of the rows held would be left beside `batch`: most often a tick has a row of every series."""
    if isinstance(held, pa.RecordBatch) or isinstance(batch, pa.RecordBatch):
        return False
    return batch.covers(held)


def _built(rows: "Sequence[Rows]") -> list[pa.RecordBatch]:
    return [part if isinstance(part, pa.RecordBatch) else part.batch for part in rows]


def newest(batches: Sequence[pa.RecordBatch], key: str) -> pa.RecordBatch:
    """Return the last row of every value of column `key`, in order of their places. O(rows log rows)."""
    table = pa.Table.from_batches(list(batches)).combine_chunks()
    codes = table.column(key).combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    _, first_from_end = np.unique(codes[::-1], return_index=True)
    places = np.sort(len(codes) - 1 - first_from_end)
    return single_batch(table.take(places))


@dataclass(frozen=True, slots=True)
class _TenantRows:
    """Rows of one tenant that wait, and who writes them."""

    writer: FeatureWriter
    series: NewestRows = field(default_factory=lambda: NewestRows("series"))
    services: NewestRows = field(default_factory=lambda: NewestRows("service"))


class FeatureFlush:
    """Writes what was offered every `every_s` in a thread of its own until `stop`, once more at the end.

    Rows of series wait longer where there are so many that writing them would take more than a tenth of the time.
    """

    def __init__(
        self, writer_of: Callable[[str], FeatureWriter], every_s: float, metrics: "ConsumerMetrics", stop: threading.Event
    ) -> None:
        self._writer_of = writer_of
        self._every_s = every_s
        self._metrics = metrics
        self._stop = stop
        self._tenants: dict[str, _TenantRows] = {}
        self._flushing = threading.Lock()

    def offer(self, tenant: str, series: "Sequence[Rows]", services: "Sequence[Rows]") -> None:
        """Take in a tenant's rows of newly closed ticks; returns at once."""
        if not series and not services:
            return
        if tenant not in self._tenants:
            self._tenants = {**self._tenants, tenant: _TenantRows(self._writer_of(tenant))}
        rows = self._tenants[tenant]
        if series:
            rows.series.offer(series)
        if services:
            rows.services.offer(services)

    def run(self) -> None:
        """Flush until stopped."""
        pace = WorkPace(0.0)
        while not self._stop.wait(self._every_s):
            self.flush_services()
            if pace.is_due():
                pace.begins()
                written = self.flush_series()
                pace.ended()
                if not written:
                    pace.hurry()

    def flush(self) -> bool:
        """Write everything offered; return whether all of it was written."""
        services = self.flush_services()
        return self.flush_series() and services

    def flush_services(self) -> bool:
        """Write what was offered of services; return whether all of it was written."""
        return self._each(lambda rows: self._write("services", rows.services, rows.writer.write_services))

    def flush_series(self) -> bool:
        """Write what was offered of series; return whether all of it was written."""
        return self._each(lambda rows: self._write("series", rows.series, rows.writer.write_series))

    def _each(self, write: "Callable[[_TenantRows], bool]") -> bool:
        """Write something of every tenant; return whether all of it was written."""
        self._metrics.beat("feature flush")
        with self._flushing:
            written = [write(rows) for rows in self._tenants.values()]
        return all(written)

    def _write(self, table: str, rows: NewestRows, write: Callable[[pa.RecordBatch], int]) -> bool:
        taken = rows.take()
        if taken is None:
            return True
        try:
            count = write(taken)
        except Unavailable as error:
            rows.put_back(taken)
            self._metrics.flush_failures.inc()
            text = f"features of {taken.num_rows} {table} not written, next try in {self._every_s:g} s: {error}"
            _lines.warn(table, text)
            return False
        self._metrics.flushed.labels(table).inc(count)
        return True
