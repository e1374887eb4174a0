"""What time it is for the desk: the wall's, or that of the telemetry, which a replay makes go faster."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal

from data_contracts.values.moments import EPOCH

REST_S: Final = 2.0
_JUST_AFTER: Final = timedelta(microseconds=1)


class DeskClock:
    """By the wall, or by events: then the newest time seen, and once nothing has come for `REST_S` so much more that all settles.

    `wall` and `monotonic` (seconds) are the machine's clocks. Not thread-safe but for `now`.
    """

    def __init__(
        self, kind: Literal["wall", "event"], settle_s: float, wall: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self._by_wall = kind == "wall"
        self._settled = timedelta(seconds=settle_s) + _JUST_AFTER
        self._wall, self._monotonic = wall, monotonic
        self._newest = self._at = EPOCH
        self._seen_s = monotonic()

    def saw(self, newest: datetime | None) -> None:
        """Note the newest time of what has just been read, None = nothing was."""
        if newest is not None and newest > self._newest:
            self._newest, self._seen_s = newest, self._monotonic()
            self._at = max(self._at, newest)

    def waits(self, alerts: int) -> None:
        """Note how many alerts wait to settle: where nothing else comes that would let them, time goes on."""
        if alerts and self._newest > EPOCH and self._monotonic() - self._seen_s >= REST_S:
            self._at = max(self._at, self._newest + self._settled)

    def now(self) -> datetime:
        """Return the time of the desk; 1970 where it goes by events and none was seen."""
        return self._wall() if self._by_wall else self._at
