"""A lease on the runs of a tenant: of several processes one carries them out. It is a row of the incident store.

The lease saves work; what keeps two processes from doing the same is the revision of each run in the run log.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from serving.incidents.store.incident_store import IncidentStore

LEASE: Final = "automation_lease"
"""Note of the store: who carries out runs, and until when."""
_RENEW: Final = 0.5
"""Share of a lease that is left when it is renewed."""


class RunnerLease:
    """The lease as one process has it. One thread."""

    def __init__(self, store: IncidentStore, holder: str, lasts: timedelta, now: Callable[[], datetime]) -> None:
        self._store = store
        self._holder = holder
        self._lasts = lasts
        self._now = now
        self._until: datetime | None = None

    def hold(self) -> bool:
        """Take or renew the lease where it is ours or nobody's; return whether it is ours.

        Raises:
            Unavailable: the store does not answer.
        """
        now = self._now()
        if self._until is not None and now < self._until - self._lasts * _RENEW:
            return True
        with self._store.writing() as writer:
            noted = writer.noted(LEASE)
            holder, until = (str(noted[0]), datetime.fromisoformat(noted[1])) if noted else ("", now)
            if holder != self._holder and until > now:
                self._until = None
                return False
            self._until = now + self._lasts
            writer.note(LEASE, [self._holder, self._until.isoformat()])
        return True

    def give_up(self) -> None:
        """Let another process go on at once.

        Raises:
            Unavailable: the store does not answer; the lease ends by itself.
        """
        if self._until is None:
            return
        self._until = None
        with self._store.writing() as writer:
            noted = writer.noted(LEASE)
            if noted and noted[0] == self._holder:
                writer.note(LEASE, None)
