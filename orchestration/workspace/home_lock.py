"""One `aiops up` or `aiops run` a home: the second is refused and names the first; a lock of a killed process is no lock."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aiops.errors import ConfigurationError
from serving.host.private_files import tighten

LOCK: Final = "home.lock"
MARKER: Final = "run.json"
"""Marks a home that was made by `aiops run` alone, which the next run may clear."""


def keep_for_good(home: Path) -> None:
    """Note that `home` now holds what a later `aiops run` must not clear."""
    (home / MARKER).unlink(missing_ok=True)


@contextmanager
def hold(home: Path, command: str) -> Iterator[None]:
    """Hold `home` for `command`; children do not inherit the lock, and nothing of it stays in the folder.

    Raises:
        ConfigurationError: another process holds it, or the folder cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        tighten(home)
        lock = _taken(home)
    except OSError as error:
        raise ConfigurationError(f"AIOPS_HOME {home}: {error.strerror}; name a folder that can be written") from error
    try:
        os.write(lock, f"{command}, process {os.getpid()}".encode())
        yield
    finally:
        (home / LOCK).unlink(missing_ok=True)
        os.close(lock)


def _taken(home: Path) -> int:
    """Return the locked file; one that its last holder removed meanwhile is no lock, then another is made."""
    while True:
        lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 200, 0).decode(errors="replace") or "another process"
            os.close(lock)
            raise ConfigurationError(f"AIOPS_HOME {home} is in use by {holder}; end it, or give another AIOPS_HOME") from error
        if os.fstat(lock).st_nlink:
            os.ftruncate(lock, 0)
            return lock
        os.close(lock)
