"""When incidents are explained: as they open or become worse, while they go on, when a false alarm shows, as services join."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aiops.incidents.incident import Incident, IncidentState, worst_since

AFTER_S: Final = (0.0, 30.0, 120.0, 300.0, 1200.0, 1800.0)
WATCHED_S: Final = 300.0
WATCHED_UNTIL_S: Final = 7200.0
"""What goes on is explained so often for so long: how near its limit a resource comes shows later than that it fills."""
CLOSED_TOO_S: Final = 1200.0
"""From so long after it began on an incident is explained though it was resolved meanwhile: what let go by itself shows then."""
JOINED_S: Final = 300.0
"""So long after services joined an analysis that comes late is as of."""
AGAIN_S: Final = 15.0
"""How soon after an analysis a change of services asks for another one: in a storm they change all the time."""
LATE_S: Final = 60.0
"""So long after the last time, what was never explained, an incident or services that joined it, is explained as of then."""
_GOING_ON: Final = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
MOST_CLOSED: Final = 500
"""Incidents that were resolved before the last time they are to be explained; the oldest go first."""


@dataclass(slots=True)
class _Case:
    incident: Incident
    done_at: datetime | None = None
    services: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DueAnalysis:
    """An incident that is to be explained, as of a time."""

    incident: Incident
    at: datetime


class AnalysisTimes:
    """Incidents and when each was explained last. One that closed before it was, as bad as it became, is explained at once.

    Not thread-safe. A process that ends forgets those that are closed.

    Memory: the open incidents and `MOST_CLOSED`.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Case] = {}
        self._closed: dict[str, _Case] = {}

    def __len__(self) -> int:
        return len(self._open) + len(self._closed)

    def see(self, incidents: Iterable[Incident]) -> None:
        """Take in incidents as they are now; of merged ones the one that goes on is explained."""
        for incident in incidents:
            case = self._open.pop(incident.incident_id, None) or _Case(incident)
            case.incident = incident
            if incident.state not in (IncidentState.RESOLVED, IncidentState.MERGED):
                self._open[incident.incident_id] = case
            elif incident.state is IncidentState.RESOLVED and _goes_on(case):
                self._closed[incident.incident_id] = case
        while len(self._closed) > MOST_CLOSED:
            del self._closed[next(iter(self._closed))]

    def keep(self, open_ids: frozenset[str]) -> frozenset[str]:
        """Forget open incidents but these, for another process may have closed some; return which of them are not known here."""
        if self._open.keys() != open_ids:
            self._open = {number: case for number, case in self._open.items() if number in open_ids}
        return open_ids - self._open.keys()

    def done(self, incident: Incident, at: datetime) -> None:
        """Note that an incident was explained as of a time, or that it failed: the next time is another try."""
        case = self._open.get(incident.incident_id) or self._closed.get(incident.incident_id)
        if case is None:
            return
        case.done_at, case.services = at, _services_at(incident, at)
        if incident.incident_id in self._closed and not _goes_on(case):
            del self._closed[incident.incident_id]

    def due(self, now: datetime) -> DueAnalysis | None:
        """Return what is to be explained first: open before closed, then the worst, the never explained, the oldest.

        Only once nothing else waits, what goes on is looked at again, as of now.
        """
        waiting = [case for case in self._open.values() if _is_due(case, now)] or self._due_closed(now)
        if waiting:
            case = min(waiting, key=_urgency)
            return DueAnalysis(case.incident, _as_of(case, now))
        watched = [case for case in self._open.values() if _is_watched(case, now)]
        return DueAnalysis(min(watched, key=_urgency).incident, now) if watched else None

    def waiting(self, now: datetime) -> int:
        """Return how many are to be explained now."""
        return sum(_is_due(case, now) for case in self._open.values()) + len(self._due_closed(now))

    def _due_closed(self, now: datetime) -> list[_Case]:
        return [case for case in self._closed.values() if _unexplained(case) or _timed(case, CLOSED_TOO_S, now)]


def _is_due(case: _Case, now: datetime) -> bool:
    incident, done = case.incident, case.done_at
    if done is None or _timed(case, 0.0, now):
        return True
    return frozenset(incident.services) != case.services and now - done >= timedelta(seconds=AGAIN_S)


def _timed(case: _Case, least_s: float, now: datetime) -> bool:
    """Return whether one of the times from `least_s` on has come since an incident was explained last."""
    done = case.done_at
    begins = _begins(case.incident)
    return done is not None and any(
        done < begin + timedelta(seconds=after) <= now for begin in begins for after in AFTER_S if after >= least_s
    )


def _is_watched(case: _Case, now: datetime) -> bool:
    """Return whether an incident goes on and was not explained for a while."""
    done, until = case.done_at, max(_begins(case.incident)) + timedelta(seconds=WATCHED_UNTIL_S)
    rested = done is not None and now - done >= timedelta(seconds=WATCHED_S)
    return rested and case.incident.state in _GOING_ON and now <= until


def _goes_on(case: _Case) -> bool:
    """Return whether a closed incident is explained once more, now or later."""
    done = case.done_at
    return done is None or done < _last(case)


def _last(case: _Case) -> datetime:
    """Return the last time at which an incident is explained by itself."""
    return max(_begins(case.incident)) + timedelta(seconds=AFTER_S[-1])


def _services_at(incident: Incident, at: datetime) -> frozenset[str]:
    """Return the services of an incident without those that joined after a time, which an analysis as of then did not know."""
    early = {entry.service for entry in incident.alerts if entry.first_seen <= at}
    late = {entry.service for entry in incident.alerts if entry.first_seen > at}
    return frozenset(incident.services) - (late - early)


def _begins(incident: Incident) -> tuple[datetime, datetime]:
    """Return when an incident opened and when it became as bad as it is."""
    return incident.opened_at, worst_since(incident)


def _unexplained(case: _Case) -> bool:
    return case.done_at is None or case.done_at < max(_begins(case.incident))


def _as_of(case: _Case, now: datetime) -> datetime:
    last = _last(case)
    if not _unexplained(case):
        joined = [entry.first_seen for entry in case.incident.alerts if entry.service not in case.services]
        last = max([last, *(at + timedelta(seconds=JOINED_S) for at in joined)])
    return last if now > last + timedelta(seconds=LATE_S) else now


def _urgency(case: _Case) -> tuple[int, bool, datetime, str]:
    incident = case.incident
    return -incident.severity, case.done_at is not None, incident.opened_at, incident.incident_id
