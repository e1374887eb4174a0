"""Files of a table: which of them count, how one takes the place of others at once, and who may change them.

A file that replaces others is announced first by a note beside it, `<name>.replaces`, which lists them (name, inode, time of
change). From the moment the file is there, readers leave out what it lists; then the listed files go, then the note. A process
that dies in between leaves a folder that reads right, and the next change of it ends the work. A listed file that was written
anew meanwhile is another file, and counts.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import BinaryIO, Final

from serving.host.atomic_file import sync_folder, write_atomically

NOTE: Final = ".replaces"
PREFIX: Final = "part-"
_LOCKS: Final = 64

Stamp = tuple[str, int, int]


def day_of(folder: Path) -> date:
    """Return the day of a folder `day=YYYY-MM-DD`."""
    return date.fromisoformat(folder.name.removeprefix("day="))


def counting_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are to be read, by name; none where the folder is gone."""
    files = sorted(folder.glob(f"{PREFIX}*.parquet"))
    replaced = {stamp for path in files for stamp in noted(path)}
    return [path for path in files if stamp_of(path) not in replaced] if replaced else files


def noted(path: Path) -> list[Stamp]:
    """Return what a file's note says that it replaces; nothing without a note."""
    try:
        return [(str(name), int(inode), int(changed)) for name, inode, changed in json.loads(_note(path).read_bytes())]
    except FileNotFoundError:
        return []


def stamp_of(path: Path) -> Stamp | None:
    """Return what tells a file from another of the same name; None where it is gone."""
    try:
        entry = path.stat()
    except FileNotFoundError:
        return None
    return path.name, entry.st_ino, entry.st_mtime_ns


def put_in_place(staging: Path, target: Path, replaced: Sequence[Path], write: Callable[[BinaryIO], None]) -> None:
    """Write `target` and let it take the place of other files of its folder at once; the caller holds the table's lock."""
    stamps = [stamp for path in replaced if path != target and (stamp := stamp_of(path)) is not None]
    if stamps:
        write_atomically(staging, _note(target), lambda handle: _write_json(handle, stamps))
    write_atomically(staging, target, write)
    finish(target)


def finish(path: Path) -> int:
    """Remove what a file that is there replaces, then its note; return how many files went. The caller holds the lock."""
    stamps = noted(path)
    removed = 0
    for stamp in stamps:
        old = path.with_name(stamp[0])
        if stamp_of(old) == stamp:
            old.unlink(missing_ok=True)
            removed += 1
    if stamps:
        sync_folder(path.parent)
        _note(path).unlink(missing_ok=True)
    return removed


def finish_all(folder: Path) -> None:
    """End what a process that died left half done in a folder; the caller holds the lock."""
    for note in folder.glob(f"{PREFIX}*{NOTE}"):
        path = note.with_name(note.name.removesuffix(NOTE))
        if path.exists():
            finish(path)
        else:
            note.unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_name(path.name + NOTE)


def _write_json(handle: BinaryIO, stamps: Sequence[Stamp]) -> None:
    handle.write(json.dumps(stamps).encode())


@contextmanager
def locked(root: Path, table: str, day: date | None, shared: bool = False) -> Iterator[None]:
    """Wait for and hold the lock of a day of a table (None = of the table); it goes with the process that holds it.

    Who writes files by key shares it, only while they are put in place; who looks first and then writes, holds it alone.
    """
    folder = root / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    name = table if day is None else f"{table}-{day.toordinal() % _LOCKS:02d}"
    lock = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)
