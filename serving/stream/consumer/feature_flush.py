"""Newest features to the online store, off the hot thread: latest wins, bounded, never in the way.

A write that fails is counted and its rows wait for the next round; rows of the same entity that came meanwhile replace them.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from aiops.errors import Unavailable
from aiops.ports import FeatureWriter
from serving.host.log_rate_limit import LineLimit
from serving.stream.consumer.newest_rows import NewestRows
from serving.stream.consumer.work_pace import WorkPace

if TYPE_CHECKING:
    from aiops.features.feature_rows import DeferredRows
    from serving.stream.consumer.consumer_metrics import ConsumerMetrics

    GivesWay = Callable[[], bool]

log = logging.getLogger(__name__)
_lines = LineLimit(log)


@dataclass(frozen=True, slots=True)
class _TenantRows:
    """Rows of one tenant that wait, and who writes them."""

    writer: FeatureWriter
    series: NewestRows = field(default_factory=NewestRows)
    services: NewestRows = field(default_factory=NewestRows)


class FeatureFlush:
    """Writes what was offered every `every_s` in a thread of its own until `stop`.

    Rows of series wait longer where there are so many that writing them would take more than a tenth of the time. A round
    gives way between two writes when the process stops or a last flush waits.
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
        self._last_waits = threading.Event()

    def offer(self, tenant: str, series: "Sequence[DeferredRows]", services: "Sequence[DeferredRows]") -> None:
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
        """Write everything offered; return whether all of it was written. What was not waits for the next round."""
        services = self.flush_services()
        return self.flush_series() and services

    def flush_services(self) -> bool:
        """Write what was offered of services; return whether all of it was written."""
        with self._flushing:
            return self._services(lambda: self.gives_way)

    def flush_series(self) -> bool:
        """Write what was offered of series; return whether all of it was written."""
        with self._flushing:
            return self._series(lambda: self.gives_way)

    def last_flush(self, within_s: float) -> Counter[str]:
        """Write what was offered, services first, for `within_s` at most and a write; forget the rest: its rows by table.

        The newest rows are a copy of what the state gives: whoever goes on with it writes newer ones. Rows written after that
        would replace those.
        """
        self._last_waits.set()
        with self._flushing:
            self._last_waits.clear()
            deadline = time.monotonic() + within_s

            def is_over() -> bool:
                return time.monotonic() >= deadline

            self._services(is_over)
            self._series(is_over)
            left = Counter[str]()
            for rows in self._tenants.values():
                left.update(services=rows.services.drop(), series=rows.series.drop())
        return +left

    @property
    def gives_way(self) -> bool:
        """Return whether a round begins no further write now: the process stops, or a last flush waits."""
        return self._stop.is_set() or self._last_waits.is_set()

    def _services(self, gives_way: "GivesWay") -> bool:
        return self._each(lambda rows: self._write("services", rows.services, rows.writer.write_services, gives_way))

    def _series(self, gives_way: "GivesWay") -> bool:
        return self._each(lambda rows: self._write("series", rows.series, rows.writer.write_series, gives_way))

    def _each(self, write: "Callable[[_TenantRows], bool]") -> bool:
        """Write something of every tenant; return whether all of it was written."""
        self._metrics.beat("feature flush")
        written = [write(rows) for rows in self._tenants.values()]
        return all(written)

    def _write(self, table: str, rows: NewestRows, write: Callable[[pa.RecordBatch], int], gives_way: "GivesWay") -> bool:
        """Write rows piece by piece, until something else goes first; those not written wait on."""
        pieces = rows.take()[::-1]
        while pieces and not gives_way():
            try:
                count = write(pieces[-1].batch)
            except Unavailable as error:
                self._metrics.flush_failures.inc()
                waiting = sum(piece.num_rows for piece in pieces)
                _lines.warn(table, f"features of {waiting} {table} not written, next try in {self._every_s:g} s: {error}")
                break
            self._metrics.beat("feature flush")
            self._metrics.flushed.labels(table).inc(count)
            del pieces[-1]
        rows.put_back(pieces[::-1])
        return not pieces
