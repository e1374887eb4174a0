"""When incidents of services became known, seen from a tick that moves forward."""

from bisect import insort

import numpy as np

from aiops.features.service_features import NO_INCIDENT
from aiops.types import IntArray


class KnownIncidents:
    """The newest incident known by service, and those noted ahead of their time."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, str]] = []
        self._newest: dict[str, int] = {}
        self._times: IntArray = np.zeros(0, np.int64)

    def note(self, service: str, known_at_us: int) -> None:
        """Note that an incident of `service` becomes known at that time; the same twice counts once."""
        event = (known_at_us, service)
        if event not in self._pending:
            insort(self._pending, event)

    def times_at(self, tick_us: int, services: list[str]) -> IntArray:
        """Return when the newest incident known at the tick became known, (services,); NO_INCIDENT = none. Ticks ascend."""
        due = 0
        while due < len(self._pending) and self._pending[due][0] <= tick_us:
            known_at_us, service = self._pending[due]
            self._newest[service] = max(known_at_us, self._newest.get(service, NO_INCIDENT))
            due += 1
        if due or self._times.size != len(services):
            del self._pending[:due]
            self._times = np.array([self._newest.get(name, NO_INCIDENT) for name in services], dtype=np.int64)
        return self._times

    def events(self) -> list[tuple[int, str]]:
        """Return what must be noted again to be in the same state: (known at, us, service)."""
        return [*((known_at_us, service) for service, known_at_us in self._newest.items()), *self._pending]
