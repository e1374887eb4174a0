"""Who is paged for what: what deserves a page, what waits, and a budget that is never exceeded."""

from collections.abc import Iterable

from aiops.alert import Severity
from aiops.correlation.board import OpenIncident
from aiops.correlation.config import CorrelationConfig
from aiops.correlation.outcome import HeldBack, Page
from aiops.correlation.page_limit import PageLimit
from aiops.correlation.rate import SECOND_US
from aiops.incident import IncidentState
from data_contracts.moments import moment_of_us

_WAITING = (IncidentState.OPEN, IncidentState.MITIGATED)


class Paging:
    """Pages of open incidents: one when it opens, one more each time it has become worse. Not thread-safe."""

    def __init__(self, config: CorrelationConfig) -> None:
        self.limit = PageLimit(config.pages_per_hour, config.kept_for_critical)
        self._least = config.least_alerts

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
        told = (incident.severity, incident.worst_first(), incident.alert_count, waited_s, again)
        return Page(incident.incident_id, moment_of_us(at_us), *told)

    def _deserves(self, incident: OpenIncident) -> bool:
        if incident.severity <= incident.notified_as or incident.severity is Severity.CRITICAL:
            return incident.severity > incident.notified_as
        return len(incident.entries) >= self._least or incident.alert_count > self._least


def held(incidents: Iterable[OpenIncident]) -> list[OpenIncident]:
    """Return the incidents whose page waits, the worst first."""
    waiting = [one for one in incidents if one.held_us and one.state in _WAITING]
    return sorted(waiting, key=lambda one: (-one.severity, one.opened_us, one.incident_id))


def held_back(incidents: Iterable[OpenIncident]) -> tuple[HeldBack, ...]:
    """Return what deserves a page and waits, the worst first."""
    return tuple(HeldBack(one.incident_id, moment_of_us(one.held_us), one.severity) for one in held(incidents))
