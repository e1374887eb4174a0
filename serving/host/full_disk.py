"""A full disk: how it is recognised among other failures, and how much room there is. What can wait is tried again."""

import errno
import shutil
from pathlib import Path
from typing import Final

LEAST_FREE: Final = 8 << 20
"""Bytes that must be free before what waits in memory is written."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_full(error: BaseException) -> bool:
    """Return whether an error says that a disk or a quota is full.

    >>> is_full(OSError(28, "No space left on device")), is_full(OSError(13, "Permission denied"))
    (True, False)
    """
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk of a folder that exists."""
    return shutil.disk_usage(folder).free
