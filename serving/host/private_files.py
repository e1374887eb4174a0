"""Everything below AIOPS_HOME is its owner's alone: folders 0700, files 0600, those of older homes too."""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

OTHERS: Final = 0o077
"""Permission bits of the group and of everybody else."""


def keep_private() -> None:
    """Let what this process and its children create be its owner's alone; called first by every entry point."""
    os.umask(OTHERS)


def tighten(home: Path) -> bool:
    """Take the rights of others away from a home and all below it; return whether any had some. O(files), once a home.

    The home itself comes last: while it is 0700, nobody else reaches what lies below, so nothing has to be walked again. A home
    of another owner (a mounted volume) is left as its owner made it.
    """
    try:
        status = home.stat()
    except FileNotFoundError:
        return False
    if not status.st_mode & OTHERS or status.st_uid != os.geteuid():
        return False
    for folder, _, files in os.walk(home):
        for path in (Path(folder), *(Path(folder) / name for name in files)):
            if path != home:
                _take_from_others(path)
    _take_from_others(home)
    return True


def _take_from_others(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & OTHERS:
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)
