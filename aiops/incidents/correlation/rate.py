"""How fast alerts come: what the window, the reach in the call graph and the storm breaker go by."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

SECOND_US: Final = 1_000_000
MINUTE_S: Final = 60


class MinuteRate:
    """Events of the last 60 s, counted by the second. Memory: 60 counts. Times must not go back; not thread-safe."""

    def __init__(self) -> None:
        self._counts: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, at_us: int) -> None:
        """Count one event."""
        second = at_us // SECOND_US
        if self._counts and self._counts[-1][0] == second:
            self._counts[-1] = (second, self._counts[-1][1] + 1)
        else:
            self._counts.append((second, 1))
        self._total += 1

    def per_minute(self, at_us: int) -> int:
        """Return the events of the 60 s that end now."""
        oldest = at_us // SECOND_US - MINUTE_S
        while self._counts and self._counts[0][0] <= oldest:
            self._total -= self._counts.popleft()[1]
        return self._total

    def snapshot(self) -> list[list[int]]:
        """Return seconds and counts."""
        return [list(pair) for pair in self._counts]

    def restore(self, counts: list[list[int]]) -> None:
        """Go on from a snapshot."""
        self._counts = deque((second, count) for second, count in counts)
        self._total = sum(count for _, count in counts)


@dataclass(frozen=True, slots=True)
class StormFigures:
    """The storm breaker as figures: on or not, since when (microseconds, 0 = off), how often, alerts of the last minute."""

    active: bool
    since_us: int
    entered: int
    per_minute: int


class StormBreaker:
    """On from `enter_per_min` alerts a minute; off again after a whole minute below half of that."""

    def __init__(self, enter_per_min: int) -> None:
        self._enter = enter_per_min
        self._rate = MinuteRate()
        self._since_us = 0
        self._loud_us = 0
        self._entered = 0

    @property
    def active(self) -> bool:
        """Return whether it is on."""
        return self._since_us > 0

    def add(self, at_us: int) -> None:
        """Count an alert; the breaker may go on."""
        self._rate.add(at_us)
        rate = self._rate.per_minute(at_us)
        if 2 * rate >= self._enter:
            self._loud_us = at_us
        if rate >= self._enter and not self.active:
            self._since_us, self._entered = max(1, at_us), self._entered + 1

    def tick(self, at_us: int) -> None:
        """Let time pass; the breaker may go off."""
        if 2 * self._rate.per_minute(at_us) >= self._enter:
            self._loud_us = at_us
        if self.active and at_us - self._loud_us >= MINUTE_S * SECOND_US:
            self._since_us = 0

    def figures(self, at_us: int) -> StormFigures:
        """Return what is to be shown."""
        return StormFigures(self.active, self._since_us, self._entered, self._rate.per_minute(at_us))

    def snapshot(self) -> list[Any]:
        """Return the state."""
        return [self._since_us, self._loud_us, self._entered, self._rate.snapshot()]

    def restore(self, state: list[Any]) -> None:
        """Go on from a snapshot."""
        self._since_us, self._loud_us, self._entered, counts = state
        self._rate.restore(counts)
