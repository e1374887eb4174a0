"""When the state of stage 1 is saved: every so often, less often where that takes long, and at once where streams are full."""

import time
from collections.abc import Callable
from typing import Final

_SHARE: Final = 0.1
"""Of the time, that saving may take: the state of a million series has 700 MB."""


class CheckpointClock:
    """`begins` and `hurry` are called by the thread that works, `ended` by the one that saves; one is saved at a time."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._begun_s = clock()
        self._took_s = 0.0
        self._saving = False
        self._hurried = False

    def is_due(self) -> bool:
        """Return whether the state is to be saved now."""
        if self._saving:
            return False
        pause_s = max(self._every_s, self._took_s / _SHARE)
        return self._hurried or self._clock() - self._begun_s >= pause_s

    def hurry(self) -> None:
        """Save as soon as possible: only what is before a checkpoint can be trimmed."""
        self._hurried = True

    def begins(self) -> None:
        """Note that the state is saved from now on."""
        self._begun_s, self._saving, self._hurried = self._clock(), True, False

    def ended(self) -> None:
        """Note that it is saved."""
        self._took_s, self._saving = self._clock() - self._begun_s, False
