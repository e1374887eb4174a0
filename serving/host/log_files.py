"""Logs that stay within a bound, whoever writes them: what is older moves to `<name>.1`, which the next move replaces."""

from pathlib import Path
from typing import Final

LOG_BYTES: Final = 16 << 20
"""Size from which a log is moved; with the one before it a log takes up to twice this."""
_CHUNK: Final = 1 << 20


def bound_log(path: Path, most_bytes: int = LOG_BYTES) -> int:
    """Move a log aside where it has outgrown `most_bytes`; return the bytes that are gone from its beginning.

    Its writers keep their descriptors: opened for appending, they go on at the new end. Lines written in the instant between the
    copy and the cut are lost. O(size) then, one stat otherwise.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return 0
    if size <= most_bytes:
        return 0
    partial = path.with_name(f".{path.name}.part")
    with path.open("r+b") as log, partial.open("wb") as kept:
        while chunk := log.read(_CHUNK):
            kept.write(chunk)
        moved = log.tell()
        log.truncate(0)
    partial.replace(path.with_name(f"{path.name}.1"))
    return moved
