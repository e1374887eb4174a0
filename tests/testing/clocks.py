"""Clocks that only a test moves."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(slots=True)
class MovedClock:
    """A time of day."""

    now: datetime

    def __call__(self) -> datetime:
        """Return the present time."""
        return self.now

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@dataclass(slots=True)
class SecondsClock:
    """Seconds since some moment, as `time.monotonic` counts them."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        """Return the present seconds."""
        return self.now_s
