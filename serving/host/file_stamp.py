"""Whether a file has changed since it was read."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What changes when a file does."""

    changed_ns: int
    size: int
    inode: int

    @staticmethod
    def of(path: Path) -> "FileStamp":
        """Return the stamp of a file as it is now.

        Raises:
            OSError: it is not there, or may not be looked at.
        """
        status = path.stat()
        return FileStamp(status.st_mtime_ns, status.st_size, status.st_ino)
