"""One `aiops up` or `aiops run` a home: the second is told who is there, a lock of a killed process is no lock."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aiops.errors import ConfigurationError

LOCK: Final = "home.lock"


@contextmanager
def hold(home: Path, command: str) -> Iterator[None]:
    """Hold `home` for `command`; children do not inherit the lock.

    Raises:
        ConfigurationError: another process holds it, or the folder cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"AIOPS_HOME {home}: {error.strerror}; name a folder that can be written") from error
    try:
        _take(lock, home)
        os.ftruncate(lock, 0)
        os.write(lock, f"{command}, process {os.getpid()}".encode())
        yield
    finally:
        os.close(lock)


def _take(lock: int, home: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 200, 0).decode(errors="replace") or "another process"
        raise ConfigurationError(f"AIOPS_HOME {home} is in use by {holder}; end it, or give another AIOPS_HOME") from error
