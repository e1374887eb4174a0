"""What `aiops up` does when its home's disk fills: it says so once, lets the broker go on in memory, and goes back by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from aiops.errors import Unavailable
from serving.host.full_disk import free_bytes

FULL: Final = 16 << 20
"""Free bytes below which the disk counts as full: early enough that the broker never meets a write that fails."""
ROOM: Final = 32 << 20
"""Free bytes from which on it does not any more."""
_MIB: Final = 1 << 20


class Journal(Protocol):
    """What keeps what it has on the disk, or in memory alone."""

    def keep_on_disk(self, wanted: bool) -> None:
        """Go on so; Unavailable where it does not answer."""


class DiskWatch:
    """Looks at the room on a disk now and then. Not thread-safe."""

    def __init__(self, home: Path, journal: Journal | None, say: Callable[[str], None]) -> None:
        self._home = home
        self._journal = journal
        self._say = say
        self._full = False
        self._journal_full = False

    @property
    def full(self) -> bool:
        """Return whether the disk counts as full."""
        return self._full

    def look(self) -> None:
        """Say what changed, and see to it that the broker goes by it."""
        free = free_bytes(self._home)
        if not self._full and free < FULL:
            self._full = True
            self._say(
                f"the disk of AIOPS_HOME {self._home} is full ({free // _MIB} MiB free, needed are {FULL // _MIB}): alerts, "
                "incidents and pages go on in memory, checkpoints and history wait; make room, nothing else is needed"
            )
        elif self._full and free >= ROOM:
            self._full = False
            self._say(f"there is room again on the disk of AIOPS_HOME {self._home}; what waited in memory is written")
        if self._journal is not None and self._journal_full != self._full:
            try:
                self._journal.keep_on_disk(not self._full)
            except Unavailable:
                return  # it is asked again at the next look
            self._journal_full = self._full

    def restarted(self) -> None:
        """Note that the broker was started anew: it begins on the disk."""
        self._journal_full = False
