"""Every answered row, written to the lake table `served` off the request's path, in memory bounded by rows.

Delivery: a row is written exactly once; on a graceful stop everything queued is written; when the process is killed, at
most the rows of the last flush interval are lost; when the lake cannot keep up, the oldest rows are dropped and counted.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from aiops.types import FloatArray
from data_contracts.schemas import SERVED, SERVICE_FEATURES

_logger = logging.getLogger(__name__)
_TABLE: Final = "served"
_CLOSE_ATTEMPTS: Final = 3


class TableWriter(Protocol):
    """The part of the lake that is needed here; `write` is atomic and idempotent by `key`."""

    def write(self, table: str, rows: pa.Table, key: str) -> int:
        """Write `rows`; return how many were written."""
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
    request_id: str
    model: str
    model_version: str
    role: str
    services: pa.StringArray
    event_times: pa.TimestampArray
    features: FloatArray
    scores: FloatArray

    def __len__(self) -> int:
        return len(self.services)

    def table(self) -> pa.Table:
        """Return the rows as `schemas.SERVED`; NaN becomes null."""
        count = len(self)
        texts = (self.request_id, self.model, self.model_version, self.role)
        request_id, model, version, role = (pa.repeat(pa.scalar(text, pa.string()), count) for text in texts)
        served_at = pa.repeat(pa.scalar(self.served_at, SERVED.field("served_at").type), count)
        numbers = [_nullable(self.scores), *(_nullable(self.features[:, index]) for index in range(len(SERVICE_FEATURES)))]
        columns = [served_at, self.event_times, request_id, self.services, model, version, role, *numbers]
        return pa.Table.from_arrays(columns, schema=SERVED)


class ServedLog:
    """A bounded queue and one writer thread. `append` never waits and never fails."""

    def __init__(self, lake: TableWriter, capacity_rows: int, flush_s: float, observer: LogObserver, process: str) -> None:
        self._lake = lake
        self._capacity_rows = capacity_rows
        self._flush_s = flush_s
        self._observer = observer
        self._process = process
        self._lock = threading.Lock()
        self._queue: deque[ServedRows] = deque()
        self._queued_rows = 0
        self._sequence = 0
        self._unwritten: tuple[str, pa.Table] | None = None
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

        A table that could not be written is kept with its key and is written first at the next call.
        """
        written = 0
        if self._unwritten is not None:
            written += self._write(*self._unwritten)
        batch = self._taken()
        if batch:
            self._sequence += 1
            table = pa.concat_tables([rows.table() for rows in batch])
            written += self._write(f"{self._process}-{self._sequence:08d}", table)
        return written

    def close(self) -> None:
        """Write everything and end the thread; what the lake refuses three times is counted as dropped."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _taken(self) -> list[ServedRows]:
        with self._lock:
            if self._unwritten is not None:
                return []
            batch = list(self._queue)
            self._queue.clear()
            self._queued_rows = 0
        return batch

    def _write(self, key: str, table: pa.Table) -> int:
        try:
            self._lake.write(_TABLE, table, key)
        except Exception:
            _logger.exception("served log: %d rows could not be written; they are kept and tried again", table.num_rows)
            self._unwritten = (key, table)
            self._observer.failed()
            return 0
        self._unwritten = None
        self._observer.written(table.num_rows)
        return int(table.num_rows)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._flush_s)
            self._wake.clear()
            self.flush()
        for attempt in range(_CLOSE_ATTEMPTS):
            self.flush()
            if self._unwritten is None and not self._queue:
                return
            time.sleep(0.1 * (attempt + 1))
        lost = self._queued_rows + (self._unwritten[1].num_rows if self._unwritten is not None else 0)
        self._observer.dropped(lost)
        _logger.error("served log: %d rows could not be written before the stop", lost)


def _nullable(values: FloatArray) -> pa.DoubleArray:
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def process_key(pid: int, started: datetime) -> str:
    """Return the part of the key that tells processes apart, across restarts and reused process ids.

    >>> from datetime import UTC, datetime
    >>> process_key(7, datetime(2025, 1, 1, tzinfo=UTC))
    '20250101T000000000000-7'
    """
    return f"{started:%Y%m%dT%H%M%S%f}-{pid}"


Clock = Callable[[], datetime]
