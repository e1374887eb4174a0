"""When incidents are explained: as they open or become worse, half a minute, two and five minutes later, and as services join."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aiops.incidents.incident import Incident, IncidentState, worst_since

AFTER_S: Final = (0.0, 30.0, 120.0, 300.0)
AGAIN_S: Final = 15.0
"""How soon after an analysis a change of services asks for another one: in a storm they change all the time."""
LATE_S: Final = 60.0
"""So long after the last time, what was never explained, an incident or services that joined it, is explained as of then."""
MOST_CLOSED: Final = 500
"""Incidents that were resolved before they were explained; the oldest go first."""


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
    """Incidents and when each was explained last. One that closed before it was, as bad as it became, is explained once more.

    Not thread-safe.

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
            elif incident.state is IncidentState.RESOLVED and _unexplained(case):
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
        self._closed.pop(incident.incident_id, None)
        case = self._open.get(incident.incident_id)
        if case is not None:
            case.done_at, case.services = at, _services_at(incident, at)

    def due(self, now: datetime) -> DueAnalysis | None:
        """Return what is to be explained first: open before closed, then the worst, the never explained, the oldest."""
        waiting = [case for case in self._open.values() if _is_due(case, now)] or list(self._closed.values())
        if not waiting:
            return None
        case = min(waiting, key=_urgency)
        return DueAnalysis(case.incident, _as_of(case, now))

    def waiting(self, now: datetime) -> int:
        """Return how many are to be explained now."""
        return sum(_is_due(case, now) for case in self._open.values()) + len(self._closed)


def _is_due(case: _Case, now: datetime) -> bool:
    incident, done = case.incident, case.done_at
    if done is None:
        return True
    if any(done < begin + timedelta(seconds=after) <= now for begin in _begins(incident) for after in AFTER_S):
        return True
    return frozenset(incident.services) != case.services and now - done >= timedelta(seconds=AGAIN_S)


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
    joined = [entry.first_seen for entry in case.incident.alerts if entry.service not in case.services]
    since = max(_begins(case.incident)) if _unexplained(case) else max(joined, default=now)
    last = since + timedelta(seconds=AFTER_S[-1])
    return last if now > last + timedelta(seconds=LATE_S) else now


def _urgency(case: _Case) -> tuple[int, bool, datetime, str]:
    incident = case.incident
    return -incident.severity, case.done_at is not None, incident.opened_at, incident.incident_id
