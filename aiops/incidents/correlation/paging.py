"""Who is paged for what: what deserves a page, what waits, and a budget that is never exceeded."""

import heapq
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from aiops.incidents.alert import Severity
from aiops.incidents.correlation.board import OpenIncident
from aiops.incidents.correlation.correlation_config import CorrelationConfig
from aiops.incidents.correlation.outcome import HeldBack, HeldNote, Page
from aiops.incidents.correlation.page_limit import HOUR_US, PageLimit
from aiops.incidents.correlation.rate import SECOND_US
from aiops.incidents.incident import IncidentState
from data_contracts.values.moments import moment_of_us

HELD_FIRST_US: Final = 60 * SECOND_US
"""How long pages wait before people are notified of it, so that the number says something."""
HELD_AGAIN_US: Final = 600 * SECOND_US
"""The shortest time between two notes about pages that wait, where none waited in between."""
_NEVER_US: Final = 1 << 62
_WAITING = (IncidentState.OPEN, IncidentState.MITIGATED)


class Paging:
    """Pages of open incidents: one when it opens, one more each time it has become worse. Not thread-safe."""

    def __init__(self, config: CorrelationConfig) -> None:
        self.limit = PageLimit(config.pages_per_hour, config.kept_for_critical)
        self._least = config.least_alerts
        self._settle_us = round(config.page_settle_s * SECOND_US)

    def waits(self, incident: OpenIncident, at_us: int) -> bool:
        """Return whether an incident's first page waits for what else fires; it does from the moment on that it is deserved."""
        if incident.notified_us or incident.held_us or incident.state not in _WAITING or not self._deserves(incident):
            return False
        incident.page_due_us = incident.page_due_us or at_us + self._settle_us
        return at_us < incident.page_due_us

    def page(self, incident: OpenIncident, at_us: int, storm: bool) -> Page | None:
        """Return the page that goes out for an incident now; None where none is due, or it is held back, which is noted."""
        if incident.state not in _WAITING or not self._deserves(incident):
            return None
        minor = storm and incident.severity is not Severity.CRITICAL
        if minor or not self.limit.take(at_us, incident.severity):
            if not incident.held_us:
                incident.held_us = at_us
                incident.note(
                    at_us, "page held back: " + ("but a warning in a storm" if minor else "the hour's budget is used up")
                )
            return None
        waited_s = (at_us - incident.held_us) / SECOND_US if incident.held_us else 0.0
        again = incident.notified_us > 0
        incident.notified_us, incident.notified_as, incident.held_us = incident.notified_us or at_us, incident.severity, 0
        incident.note(at_us, "page sent" + (": it became worse" if again else ""))
        content = (incident.severity, incident.worst_first(), incident.alert_count, waited_s, again)
        return Page(incident.incident_id, moment_of_us(at_us), *content)

    def _deserves(self, incident: OpenIncident) -> bool:
        """Return whether an incident is worth a page, or one more; information neither is nor makes a warning one."""
        if incident.severity <= incident.notified_as or incident.severity is Severity.CRITICAL:
            return incident.severity > incident.notified_as
        grave = (entry for entry in incident.entries.values() if entry.severity > Severity.INFO)
        if len(list(islice(grave, self._least))) >= self._least:
            return True
        mere = sum(entry.count for entry in incident.entries.values() if entry.severity is Severity.INFO)
        return incident.alert_count - mere > self._least


def held(incidents: Iterable[OpenIncident]) -> list[OpenIncident]:
    """Return the incidents whose page waits, the worst first."""
    waiting = [incident for incident in incidents if incident.held_us and incident.state in _WAITING]
    return sorted(waiting, key=lambda incident: (-incident.severity, incident.opened_us, incident.incident_id))


def held_back(incidents: Iterable[OpenIncident]) -> tuple[HeldBack, ...]:
    """Return what deserves a page and waits, the worst first."""
    return tuple(
        HeldBack(incident.incident_id, moment_of_us(incident.held_us), incident.severity) for incident in held(incidents)
    )


class SettledPages:
    """When which first page may go. Memory: 100 B an incident whose page waits. Not thread-safe."""

    def __init__(self) -> None:
        self._due: list[tuple[int, str]] = []
        self._known: set[tuple[int, str]] = set()

    def __len__(self) -> int:
        return len(self._due)

    @property
    def next_us(self) -> int:
        """Return when the next one may go; far away where none waits."""
        return self._due[0][0] if self._due else _NEVER_US

    def push(self, incident: OpenIncident) -> None:
        """Take in an incident; once more is no more."""
        entry = (incident.page_due_us, incident.incident_id)
        if entry not in self._known:
            self._known.add(entry)
            heapq.heappush(self._due, entry)

    def pop(self) -> tuple[int, str]:
        """Return the next time and incident, and forget it."""
        due = heapq.heappop(self._due)
        self._known.discard(due)
        return due

    def restore(self, incidents: Iterable[OpenIncident], now_us: int) -> None:
        """Go on with what waits among open incidents."""
        self._due, self._known = [], set()
        for incident in incidents:
            if incident.page_due_us > now_us and not incident.notified_us and not incident.held_us:
                self.push(incident)


class HeldNotes:
    """Notes for people that pages wait: once a minute after the first does, again every hour, and when none waits any more."""

    def __init__(self) -> None:
        self._notified_us = 0
        self._count = 0
        self._notes: list[HeldNote] = []

    @property
    def open(self) -> bool:
        """Return whether the last note said that pages wait."""
        return self._count > 0

    def note(self, waiting: Sequence[OpenIncident], at_us: int) -> None:
        """Note what waits at a tick, the worst first."""
        if not waiting:
            if self.open:
                self._count = 0
                self._notes.append(HeldNote(moment_of_us(at_us), 0))
            return
        pause_us = HOUR_US if self.open else HELD_AGAIN_US
        fresh = self._notified_us == 0 or at_us - self._notified_us >= pause_us
        if fresh and at_us - min(incident.held_us for incident in waiting) >= HELD_FIRST_US:
            self._notified_us, self._count = at_us, len(waiting)
            services = tuple(dict.fromkeys(incident.worst_first()[0] for incident in waiting if incident.services))
            self._notes.append(HeldNote(moment_of_us(at_us), len(waiting), waiting[0].severity, services))

    def taken(self) -> tuple[HeldNote, ...]:
        """Return the notes to be sent, and forget them."""
        notes, self._notes = tuple(self._notes), []
        return notes

    def snapshot(self) -> list[int]:
        """Return the state; take it when no note is to be sent."""
        return [self._notified_us, self._count]

    def restore(self, state: list[int]) -> None:
        """Go on from a snapshot."""
        self._notified_us, self._count = state
