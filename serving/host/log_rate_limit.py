"""Log lines of one kind, one every N seconds: what callers or peers do wrong must not fill the disk."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

EVERY_S: Final = 30.0
_MOST_KINDS: Final = 256


class LineLimit:
    """Lets one line of a kind through in `every_s` seconds; the next one says how many were held back. Thread-safe.

    Kinds are few and fixed, never what a caller sent; beyond 256 of them the oldest is forgotten.
    """

    def __init__(self, logger: logging.Logger, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._every_s = every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[str, tuple[float, int]] = {}

    def warn(self, kind: str, text: str) -> bool:
        """Log `text` as a warning unless one of its kind was logged within the time; return whether it was logged."""
        now = self._clock()
        with self._lock:
            last_at, held_back = self._kinds.pop(kind, (-self._every_s, 0))
            due = now - last_at >= self._every_s
            self._kinds[kind] = (now, 0) if due else (last_at, held_back + 1)
            if len(self._kinds) > _MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]
        if due:
            more = f" ({held_back} more like it since the last such line)" if held_back else ""
            self._logger.warning("%s%s", text, more)
        return due
