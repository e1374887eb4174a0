"""Live updates to those who watch: not every alert, but what changes the picture."""

from typing import Any, Final

from aiops.incidents.correlation.outcome import HeldBack, Outcome
from aiops.incidents.correlation.rate import StormFigures
from aiops.incidents.incident import Incident, IncidentState

CLOSED: Final = frozenset({IncidentState.RESOLVED, IncidentState.MERGED})
MOST_SERVICES: Final = 50
"""Services that an event names."""


class LiveUpdates:
    """What those who watch were sent last, so that they are sent only what is new. Not thread-safe."""

    def __init__(self) -> None:
        self._last_sent: dict[str, tuple[object, ...]] = {}
        self._storm = False
        self._held: tuple[HeldBack, ...] | None = None

    def forget(self, storm: bool) -> None:
        """Begin anew, after another process has changed something: they may be sent an incident once more.

        `storm`: whether there is one, as they were sent last.
        """
        self._last_sent.clear()
        self._storm = storm
        self._held = None

    def held_back_changed(self, outcome: Outcome) -> bool:
        """Return whether other pages are held back than before."""
        before, self._held = self._held, outcome.held_back
        return before != outcome.held_back

    def news(self, outcome: Outcome) -> list[tuple[str, str, dict[str, Any]]]:
        """Return what they are sent: kind, incident and data."""
        news = [update for incident in outcome.incidents if (update := self._of_incident(incident)) is not None]
        pages = [
            ("paged", page.incident_id, {"severity": page.severity.name.lower(), "services": list(page.services[:MOST_SERVICES])})
            for page in outcome.pages
        ]
        return [*news, *pages, *self._of_storm(outcome.storm)]

    def storm_turned(self, storm: StormFigures) -> bool:
        """Return whether a storm began or ended since they were sent the last update."""
        return storm.active != self._storm

    def _of_storm(self, storm: StormFigures) -> list[tuple[str, str, dict[str, Any]]]:
        if not self.storm_turned(storm):
            return []
        self._storm = storm.active
        return [("storm", "", {"active": storm.active, "alerts_per_min": storm.per_minute})]

    def _of_incident(self, incident: Incident) -> tuple[str, str, dict[str, Any]] | None:
        grown = incident.alert_count.bit_length()  # its doubling is news, each alert is not
        key = (incident.state, incident.severity, incident.services, incident.notified_at, grown)
        before = self._last_sent.get(incident.incident_id)
        if before == key:
            return None
        kind = str(incident.state) if incident.state in CLOSED else "changed"
        if before is None and len(incident.timeline) <= 3 and incident.state is IncidentState.OPEN:
            kind = "opened"
        self._last_sent[incident.incident_id] = key
        if incident.state in CLOSED:
            del self._last_sent[incident.incident_id]
        return kind, incident.incident_id, summary_of(incident)


def summary_of(incident: Incident) -> dict[str, Any]:
    """Return what those who watch are sent of an incident, as JSON can hold it."""
    return {
        "state": str(incident.state),
        "severity": incident.severity.name.lower(),
        "anchor": incident.anchor,
        "services": list(incident.services[:MOST_SERVICES]),
        "alerts": incident.alert_count,
        "merged_into": incident.merged_into,
        "storm": incident.storm,
    }
