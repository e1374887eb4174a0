"""Opens the incident database for a process that begins, which may begin before its database server."""

import threading
import time
from typing import Final

from aiops.errors import Unavailable
from serving.incidents.store.database import IncidentDatabase

_WAIT_S: Final = 60.0


def opened_database(url: str, stop: threading.Event, memory_copy: bool = False) -> IncidentDatabase:
    """Return the incident database; a server that does not answer yet is waited for.

    Raises:
        AiopsError: it cannot be opened, did not answer within a minute, or `stop` was set meanwhile.
    """
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            return IncidentDatabase.open(url, memory_copy=memory_copy)
        except Unavailable:
            if time.monotonic() > deadline or stop.wait(1.0):
                raise
