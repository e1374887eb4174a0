"""How long is waited for a process: longer where more processes want to run than there are cores."""

import os
from dataclasses import dataclass
from typing import Final

MOST: Final = 8.0
"""Limits are stretched at most so many times."""


def busyness() -> float:
    """Return how many processes want each core, by the load of the last minute; 1 where they all find one, `MOST` at most."""
    try:
        load = os.getloadavg()[0]
    except OSError:  # a system without load averages
        return 1.0
    return min(MOST, max(1.0, load / (os.cpu_count() or 1)))


@dataclass(frozen=True, slots=True)
class Patience:
    """A limit of `seconds` on a machine with nothing else to do."""

    seconds: float

    @property
    def limit_s(self) -> float:
        """Return the limit now."""
        return self.seconds * busyness()

    def __str__(self) -> str:
        """Return the limit in words."""
        times = busyness()
        if times == 1.0:
            return f"{self.seconds:.0f} s"
        stretched = f"{self.seconds:.0f} s stretched {times:.1f} times, for so many processes wait for each core"
        return f"{self.seconds * times:.0f} s ({stretched})"
