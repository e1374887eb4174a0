"""Pages an hour that are never exceeded, in any hour; part of them is kept for what is critical."""

from collections import deque
from typing import Final

from aiops.errors import ConfigurationError
from aiops.incidents.alert import Severity

HOUR_US: Final = 3_600_000_000


class PageLimit:
    """Counts pages of the last hour. Memory: 8 B a page of the limit. Not thread-safe."""

    def __init__(self, per_hour: int, kept_for_critical: int) -> None:
        """Check and keep the limits.

        Raises:
            ConfigurationError: a limit is negative, or more is kept than there is.
        """
        if per_hour < 0 or not 0 <= kept_for_critical <= per_hour:
            raise ConfigurationError(
                f"pages_per_hour={per_hour}, kept_for_critical={kept_for_critical}: the second lies between 0 and the first"
            )
        self._per_hour, self._kept = per_hour, kept_for_critical
        self._sent: deque[int] = deque()

    def take(self, at_us: int, severity: Severity) -> bool:
        """Return whether a page may go out now, and count it if so. Times must not go back."""
        while self._sent and self._sent[0] <= at_us - HOUR_US:
            self._sent.popleft()
        room = self._per_hour - len(self._sent) - (0 if severity is Severity.CRITICAL else self._kept)
        if room <= 0:
            return False
        self._sent.append(at_us)
        return True

    def snapshot(self) -> list[int]:
        """Return the times of the last hour's pages."""
        return list(self._sent)

    def restore(self, sent: list[int]) -> None:
        """Go on from a snapshot."""
        self._sent = deque(sent)
