"""Circuit breaker: stop asking a service that does not answer, try again after a pause that doubles."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class BreakerState(IntEnum):
    """What the breaker lets through."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """Opens after `failures` in a row, for `pause_s`, doubled after each failed trial up to `longest_pause_s`."""

    failures: int = 3
    pause_s: float = 1.0
    longest_pause_s: float = 30.0


class CircuitBreaker:
    """Closed: calls pass. Open: none passes. Half open: one trial passes and decides. Not shared between threads."""

    def __init__(self, config: BreakerConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._pause_s = config.pause_s
        self._opened_at = 0.0

    @property
    def state(self) -> BreakerState:
        """Return the state now; an open breaker becomes half open when its pause is over."""
        if self._state is BreakerState.OPEN and self._clock() - self._opened_at >= self._pause_s:
            self._state = BreakerState.HALF_OPEN
        return self._state

    def allows(self) -> bool:
        """Return whether a call may be made now."""
        return self.state is not BreakerState.OPEN

    def succeeded(self) -> None:
        """Note an answer: closed again."""
        self._state, self._failures, self._pause_s = BreakerState.CLOSED, 0, self._config.pause_s

    def failed(self) -> None:
        """Note a failure: open after enough of them, at once (and for longer) when a trial failed."""
        self._failures += 1
        if self.state is BreakerState.HALF_OPEN:
            self._pause_s = min(self._pause_s * 2, self._config.longest_pause_s)
            self._open()
        elif self._failures >= self._config.failures:
            self._open()

    def _open(self) -> None:
        self._state, self._opened_at = BreakerState.OPEN, self._clock()
