"""Scoring beside the answers: one background thread, bounded, and nothing it does can reach an answer."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

_logger = logging.getLogger(__name__)
BACKLOG_ROWS: Final = 20_000


class Shadow:
    """Runs work in order; at most `BACKLOG_ROWS` rows wait, more are skipped."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shadow")
        self._lock = threading.Lock()
        self._waiting_rows = 0

    def submit(self, work: Callable[[], None], rows: int) -> bool:
        """Queue work on `rows` rows; return False where it was skipped because the thread lags."""
        with self._lock:
            if self._waiting_rows + rows > BACKLOG_ROWS:
                return False
            self._waiting_rows += rows
        self._thread.submit(work).add_done_callback(lambda done: self._finished(done, rows))
        return True

    def close(self) -> None:
        """Finish what waits and end the thread."""
        self._thread.shutdown(wait=True)

    def _finished(self, done: "Future[None]", rows: int) -> None:
        with self._lock:
            self._waiting_rows -= rows
        error = done.exception()
        if error is not None:
            _logger.error("shadow scoring failed; answers are not affected", exc_info=error)
