"""Every answered row, written to the table `served` of its tenant's lake off the request's path, in memory bounded by rows.

Delivery: a row is written exactly once; on a graceful stop everything queued is written; when the process is killed, at
most the rows of the last flush interval are lost; when the lake cannot keep up, the oldest rows are dropped and counted.

Few files: a flush writes a tenant's current part anew with what is new, under the part's key, which replaces its file. A part
ends at `PART_ROWS` rows or with the hour, or when the parts of `MOST_PARTS` other tenants were written since.
"""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, cast

import numpy as np
import pyarrow as pa

from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import SERVED, SERVICE_FEATURES
from serving.scoring.answers.request_origin import RequestOrigin

_logger = logging.getLogger(__name__)
_TABLE: Final = "served"
_CLOSE_ATTEMPTS: Final = 3
PART_ROWS: Final = 8192
"""Rows from which a part is full. A flush is never split, so a part may hold a flush more."""
MOST_PARTS: Final = 64
"""Tenants whose current part is held in memory, a few MiB each."""


class TableWriter(Protocol):
    """The part of the lake that is needed here; `write` is atomic and idempotent by `key`."""

    def write(self, table: str, rows: pa.Table, key: str) -> int:
        """Write `rows`; return how many were written."""
        ...


class TenantTables(Protocol):
    """Where the tables of all tenants are."""

    def for_tenant(self, tenant: str) -> TableWriter:
        """Return the writer of a tenant's tables."""
        ...


class LogObserver(Protocol):
    """Hears how many rows were written and dropped, and of failed writes."""

    def written(self, rows: int) -> None:
        """Count written rows."""
        ...

    def dropped(self, rows: int) -> None:
        """Count dropped rows."""
        ...

    def failed(self) -> None:
        """Count a failed write."""
        ...


@dataclass(frozen=True, slots=True)
class ServedRows:
    """Rows answered by one model in one request; `features` (n, len(SERVICE_FEATURES)), `scores` (n,) its last output."""

    served_at: datetime
    origin: RequestOrigin
    model: str
    model_version: str
    role: str
    services: pa.StringArray
    event_times: pa.TimestampArray
    features: FloatArray
    scores: FloatArray

    def __len__(self) -> int:
        return len(self.services)


def served_table(batch: Sequence[ServedRows]) -> pa.Table:
    """Return all rows of `batch`, of one tenant, in order as `schemas.SERVED`; NaN becomes null. O(rows * features)."""
    counts = np.asarray([len(rows) for rows in batch])
    of = np.repeat(np.arange(len(batch)), counts)
    moments = pa.array([rows.served_at for rows in batch], SERVED.field("served_at").type)
    texts = {name: pa.array([getattr(rows, name) for rows in batch], pa.string()) for name in ("model", "model_version", "role")}
    texts["request_id"] = pa.array([rows.origin.request_id for rows in batch], pa.string())
    columns: dict[str, Any] = {
        "served_at": moments.take(of),
        "event_timestamp": pa.concat_arrays([rows.event_times for rows in batch]),
        "service": pa.concat_arrays([rows.services for rows in batch]),
        **{name: values.take(of) for name, values in texts.items()},
    }
    numbers = np.empty((1 + len(SERVICE_FEATURES), len(of)))
    for rows, end in zip(batch, np.cumsum(counts).tolist(), strict=True):  # block by block: a block fits the cache
        numbers[0, end - len(rows) : end] = rows.scores
        numbers[1:, end - len(rows) : end] = rows.features.T
    columns |= {name: _nullable(values) for name, values in zip(("score", *SERVICE_FEATURES), numbers, strict=True)}
    return pa.Table.from_arrays([columns[name] for name in SERVED.names], schema=SERVED)


@dataclass(slots=True)
class _Part:
    """A file of one tenant that still grows; the last `unwritten` rows are not in it yet."""

    sequence: int
    rows: pa.Table
    unwritten: int


class ServedLog:
    """A bounded queue and one writer thread. `append` never waits and never fails."""

    def __init__(self, lakes: TenantTables, capacity_rows: int, flush_s: float, observer: LogObserver, process: str) -> None:
        self._lakes = lakes
        self._capacity_rows = capacity_rows
        self._flush_s = flush_s
        self._observer = observer
        self._process = process
        self._lock = threading.Lock()
        self._queue: deque[ServedRows] = deque()
        self._queued_rows = 0
        self._sequence = 0
        self._parts: OrderedDict[str, _Part] = OrderedDict()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="served-log", daemon=True)

    def start(self) -> None:
        """Start the writer thread."""
        self._thread.start()

    @property
    def queued_rows(self) -> int:
        """Return the rows that wait in memory."""
        return self._queued_rows

    @property
    def open_parts(self) -> int:
        """Return the number of tenants whose part still grows."""
        return len(self._parts)

    def append(self, rows: ServedRows) -> None:
        """Queue rows; when more than the capacity would wait, the oldest are dropped and counted."""
        dropped = 0
        with self._lock:
            self._queue.append(rows)
            self._queued_rows += len(rows)
            while self._queued_rows > self._capacity_rows:
                oldest = len(self._queue.popleft())
                self._queued_rows -= oldest
                dropped += oldest
            early = self._queued_rows * 4 >= self._capacity_rows
        if dropped:
            self._observer.dropped(dropped)
        if early:
            self._wake.set()

    def flush(self) -> int:
        """Write what is queued; return the rows written. Called by the writer thread, and by tests instead of it.

        What could not be written stays in the part and is written first at the next call.
        """
        written = sum(self._write(tenant) for tenant in self._lagging())
        for tenant, batch in self._taken().items():
            self._add(tenant, served_table(batch))
            written += self._write(tenant)
        return written

    def _add(self, tenant: str, rows: pa.Table) -> None:
        """Add rows to the tenant's current part, or begin the next."""
        part = self._parts.pop(tenant, None)
        if part is None or part.rows.num_rows + rows.num_rows > PART_ROWS or _hour(part.rows) != _hour(rows):
            self._sequence += 1
            part = _Part(self._sequence, rows, rows.num_rows)
        else:
            part.rows, part.unwritten = pa.concat_tables([part.rows, rows]), rows.num_rows
        self._parts[tenant] = part

    def _lagging(self) -> list[str]:
        return [tenant for tenant, part in self._parts.items() if part.unwritten]

    def close(self) -> None:
        """Write everything and end the thread; what the lake refuses three times is counted as dropped."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _taken(self) -> dict[str, list[ServedRows]]:
        """Return what waits, by tenant; nothing while a part could not be written."""
        if self._lagging():
            return {}
        with self._lock:
            taken = list(self._queue)
            self._queue.clear()
            self._queued_rows = 0
        batches: dict[str, list[ServedRows]] = {}
        for rows in taken:
            batches.setdefault(rows.origin.tenant, []).append(rows)
        return batches

    def _write(self, tenant: str) -> int:
        part = self._parts[tenant]
        try:
            self._lakes.for_tenant(tenant).write(_TABLE, part.rows, f"{self._process}-{part.sequence:08d}")
        except Exception:
            _logger.exception("served log: %d rows could not be written; they are kept and tried again", part.unwritten)
            self._observer.failed()
            return 0
        written, part.unwritten = part.unwritten, 0
        self._observer.written(written)
        while len(self._parts) > MOST_PARTS and not next(iter(self._parts.values())).unwritten:
            self._parts.popitem(last=False)
        return written

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._flush_s)
            self._wake.clear()
            self.flush()
        for attempt in range(_CLOSE_ATTEMPTS):
            self.flush()
            if not self._lagging() and not self._queue:
                return
            time.sleep(0.1 * (attempt + 1))
        lost = self._queued_rows + sum(part.unwritten for part in self._parts.values())
        self._observer.dropped(lost)
        _logger.error("served log: %d rows could not be written before the stop", lost)


def _hour(rows: pa.Table) -> datetime:
    """Return the hour in which the first row was served."""
    first: datetime = rows["served_at"][0].as_py()
    return first.replace(minute=0, second=0, microsecond=0)


def _nullable(values: FloatArray) -> pa.DoubleArray:
    """Return contiguous values, not copied, whose NaN are null; several times faster than `pa.array` with a mask."""
    known = np.packbits(~np.isnan(values), bitorder="little")
    buffers: list[pa.Buffer | None] = [pa.py_buffer(known.data), pa.py_buffer(values.data)]
    return cast(pa.DoubleArray, pa.Array.from_buffers(pa.float64(), len(values), buffers))


def process_key(pid: int, started: datetime) -> str:
    """Return the part of the key that distinguishes processes, across restarts and reused process ids.

    >>> from datetime import UTC, datetime
    >>> process_key(7, datetime(2025, 1, 1, tzinfo=UTC))
    '20250101T000000000000-7'
    """
    return f"{started:%Y%m%dT%H%M%S%f}-{pid}"
