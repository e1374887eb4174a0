"""When incidents are explained: at opening, half a minute, two and five minutes after it, and when their services change."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aiops.incident import Incident
from serving.responder.watchers import CLOSED

AFTER_S: Final = (0.0, 30.0, 120.0, 300.0)
AGAIN_S: Final = 15.0
"""How soon after an analysis a change of services asks for another one: in a storm they change all the time."""


@dataclass(slots=True)
class _Case:
    incident: Incident
    done_at: datetime | None = None
    services: frozenset[str] = frozenset()


class AnalysisTimes:
    """The open incidents and when each was explained last. Memory: one incident each. Not thread-safe."""

    def __init__(self) -> None:
        self._cases: dict[str, _Case] = {}

    def __len__(self) -> int:
        return len(self._cases)

    def see(self, incidents: Iterable[Incident]) -> None:
        """Take in incidents as they are now; closed ones are explained no more."""
        for incident in incidents:
            if incident.state in CLOSED:
                self._cases.pop(incident.incident_id, None)
            elif incident.incident_id in self._cases:
                self._cases[incident.incident_id].incident = incident
            else:
                self._cases[incident.incident_id] = _Case(incident)

    def keep(self, open_ids: frozenset[str]) -> frozenset[str]:
        """Forget all incidents but these, for another process may have closed some; return which of them are not known here."""
        if self._cases.keys() != open_ids:
            self._cases = {number: case for number, case in self._cases.items() if number in open_ids}
        return open_ids - self._cases.keys()

    def done(self, incident: Incident, at: datetime) -> None:
        """Note that an incident was explained, or that it failed: the next time is another try."""
        case = self._cases.get(incident.incident_id)
        if case is not None:
            case.done_at, case.services = at, frozenset(incident.services)

    def due(self, now: datetime) -> Incident | None:
        """Return the incident to be explained first: the worst, of equal ones those never explained, then the oldest; or None."""
        waiting = [case for case in self._cases.values() if _is_due(case, now)]
        return min(waiting, key=_urgency).incident if waiting else None


def _is_due(case: _Case, now: datetime) -> bool:
    incident, done = case.incident, case.done_at
    if done is None:
        return True
    times = (incident.opened_at + timedelta(seconds=after) for after in AFTER_S)
    if any(done < at <= now for at in times):
        return True
    return frozenset(incident.services) != case.services and now - done >= timedelta(seconds=AGAIN_S)


def _urgency(case: _Case) -> tuple[int, bool, datetime, str]:
    incident = case.incident
    return -incident.severity, case.done_at is not None, incident.opened_at, incident.incident_id
