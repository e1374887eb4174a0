"""A worker whose supervisor was killed ends itself gracefully, so that ports are free for the next one."""

import os
import signal
import threading
from typing import Final

CHECK_S: Final = 0.25


class OrphanWatch:
    """Sends this process SIGTERM once its parent is another than at the start."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="orphan-watch", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(CHECK_S):
            if os.getppid() != self._parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return
