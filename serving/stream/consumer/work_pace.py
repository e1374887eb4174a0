"""When work that grows with the number of series is done: every so often, less often where it takes long, at once in a hurry."""

import time
from collections.abc import Callable
from typing import Final

_SHARE: Final = 0.1
"""Of the time, that the work may take: the state of a million series has 700 MB."""


class WorkPace:
    """`begins` and `hurry` are called by the thread that decides, `ended` by the one that works; one piece is done at a time."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._begun_s = clock()
        self._took_s = 0.0
        self._working = False
        self._hurried = False

    def is_due(self) -> bool:
        """Return whether the work is to be done now."""
        if self._working:
            return False
        pause_s = max(self._every_s, self._took_s / _SHARE)
        return self._hurried or self._clock() - self._begun_s >= pause_s

    def hurry(self) -> None:
        """Do it as soon as possible."""
        self._hurried = True

    def begins(self) -> None:
        """Note that it is done from now on."""
        self._begun_s, self._working, self._hurried = self._clock(), True, False

    def ended(self) -> None:
        """Note that it is done."""
        self._took_s, self._working = self._clock() - self._begun_s, False
