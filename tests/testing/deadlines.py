"""How long a test waits: seconds of a machine with nothing else to do, stretched by how busy or slow this one is.

A fixed piece of work is timed, at first use and again when a deadline runs out: beside other work it takes longer, and so may
everything else. `TEST_PATIENCE=4` sets the factor instead. Deadlines that ran out are told with the test that failed.
"""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

PATIENCE: Final = "TEST_PATIENCE"
REFERENCE_S: Final = 0.011
"""What the work takes on a core of its own (one of 2 cores of a common server)."""
AGAIN_S: Final = 20.0
"""A measurement holds so long; the busiest one of the session counts."""
MOST: Final = 20.0
_WORK: Final = bytes(1 << 20)
_ROUNDS: Final = 20


def work() -> None:
    """Do the fixed piece of work."""
    for _ in range(_ROUNDS):
        hashlib.sha256(_WORK).digest()


@dataclass(slots=True)
class Machine:
    """How many times longer than on the reference everything takes here; `timed` does the work and returns its seconds."""

    timed: Callable[[], float]
    slowness: float = 1.0
    measured_at: float = -AGAIN_S
    ran_out: list[str] = field(default_factory=list)

    def factor(self, anew: bool = False) -> float:
        """Return the factor in force, at least 1; measured anew where asked for, or where the last time was long ago."""
        set_by_hand = os.environ.get(PATIENCE)
        if set_by_hand:
            return max(1.0, float(set_by_hand))
        if anew or time.monotonic() - self.measured_at > AGAIN_S:
            self.measured_at = time.monotonic()
            now = max(self.timed() for _ in range(3)) / REFERENCE_S
            self.slowness = min(MOST, max(1.0, self.slowness, now))
        return self.slowness


def _timed() -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


MACHINE: Final = Machine(_timed)


def within(seconds: float) -> float:
    """Return how long to wait here for what takes at most `seconds` on a machine with nothing else to do."""
    return seconds * MACHINE.factor()


@dataclass(slots=True)
class Deadline:
    """`seconds` from now on, stretched; one that runs out is stretched once more if the machine has become busier."""

    seconds: float
    machine: Machine = field(default_factory=lambda: MACHINE)
    began: float = field(default_factory=time.monotonic)

    @property
    def passed(self) -> bool:
        """Return whether it has run out; noted then, to be told if the test fails."""
        waited = time.monotonic() - self.began
        if waited < self.seconds * self.machine.factor() or waited < self.seconds * self.machine.factor(anew=True):
            return False
        times = f"{self.machine.factor():.1f} times"
        self.machine.ran_out.append(
            f"a deadline of {self.seconds:g} s ran out after {waited:.0f} s: this machine takes {times} "
            f"as long as one with nothing else to do ({PATIENCE}=… sets another factor)"
        )
        return True
