"""Files that appear whole or not at all: written under a lock in a hidden folder, synced, renamed into place.

A writer that dies leaves only a file in the hidden folder; its lock dies with it, so `sweep` knows that it is nobody's.
"""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

_ATTEMPTS: Final = 100


def write_atomically(staging: Path, target: Path, write: Callable[[BinaryIO], None]) -> None:
    """Call `write` on a new file and put it at `target`, replacing what is there; durable when this returns.

    `staging` must be a folder of the same file system. Safe beside other writers, `sweep` and removal of the target's folder.

    Raises:
        OSError: the disk refused; the target is then as it was.
    """
    staged, handle = _staged(staging)
    try:
        with handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
            _put(staged, target)
    finally:
        staged.unlink(missing_ok=True)


def _staged(staging: Path) -> tuple[Path, BinaryIO]:
    """Return a new locked file; a sweeper may take it between its creation and its lock, then another is made."""
    while True:
        staging.mkdir(parents=True, exist_ok=True)
        path = staging / f"{uuid.uuid4().hex}.tmp"
        handle = path.open("xb")
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle.fileno()).st_nlink:
            return path, handle
        handle.close()


def _put(staged: Path, target: Path) -> None:
    """Rename into place; the target's folder may be removed at any moment, then it is made again.

    Nothing slow stands between making the folder and the rename, so that another process rarely comes between; what was made
    is synced afterwards.
    """
    folder = target.parent
    for left in reversed(range(_ATTEMPTS)):
        made = [folder, *(parent for parent in folder.parents if not parent.is_dir())]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
            break
        except FileNotFoundError:
            if left == 0:
                raise
    for named in (folder, *(parent.parent for parent in made)):
        with contextlib.suppress(FileNotFoundError):  # removed right after: what is gone needs no name on disk
            sync_folder(named)


def sync_folder(folder: Path) -> None:
    """Make the names in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(staging: Path) -> int:
    """Remove the files that dead writers left; return their number. Files of living writers are locked and stay."""
    removed = 0
    for path in staging.glob("*.tmp"):
        try:
            with path.open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed += 1
        except (BlockingIOError, FileNotFoundError):
            continue
    return removed
