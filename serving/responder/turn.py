"""One turn of the desk: what is read, changed and stored in one transaction of the incident store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from aiops.alert import Alert
from aiops.correlation.correlator import Correlator
from aiops.correlation.outcome import Fate, HeldBack, Outcome
from aiops.correlation.rate import StormFigures
from aiops.incident import Incident, IncidentState
from serving.incident_store.records import OutboxMessage
from serving.incident_store.writer import StoreWriter
from serving.notify.messages import change_messages, messages_for
from serving.streams import START, id_parts

CLOSED: Final = frozenset({IncidentState.RESOLVED, IncidentState.MERGED})


@dataclass(frozen=True, slots=True)
class Audience:
    """Who hears of incidents: names of channels, and the address that links to incidents begin with."""

    channels: tuple[str, ...] = ()
    base_url: str = ""


@dataclass(slots=True)
class Turn:
    """An open transaction. Change `correlator` and write through `writer`; what follows from it is stored when the turn ends.

    `moment` is the desk's time; `offsets` where the streams have been read to. `changed` = there is something to be stored even
    where correlation itself tells nothing. `outcome` is there once the turn has ended.
    """

    writer: StoreWriter
    correlator: Correlator
    moment: datetime
    offsets: dict[str, str]
    changed: bool = False
    fates: list[Fate] = field(default_factory=list)
    outcome: Outcome | None = None
    snapshot_bytes: int = 0

    def act(self, at: datetime, by: str, what: str, told: tuple[str, Mapping[str, Any]]) -> None:
        """Note in the audit log what somebody did; `told` = to what, and the details."""
        self.changed = True
        self.writer.audit(at, by, what, *told)

    def read_to(self, offsets: Mapping[str, str]) -> None:
        """Note where streams have been read to; what another responder has read further stays."""
        for stream, entry_id in offsets.items():
            if id_parts(entry_id) > id_parts(self.offsets.get(stream, START)):
                self.offsets[stream] = entry_id
                self.changed = True

    def take(self, alerts: Sequence[Alert], oldest: datetime | None) -> int:
        """Take in alerts that were not seen before; return how many were. One that began before `oldest` is only kept."""
        unique = {alert.alert_id: alert for alert in alerts}
        known = self.writer.known_alerts(tuple(unique)) if unique else frozenset()
        fresh = [alert for number, alert in unique.items() if number not in known]
        if fresh:
            self.changed = True
            self.writer.put_alerts(fresh, self.moment)
            stale = {alert.alert_id for alert in fresh if oldest and alert.ends_at is None and alert.starts_at < oldest}
            self.fates += [_stale(alert) for alert in fresh if alert.alert_id in stale]
            self.correlator.add(alert for alert in fresh if alert.alert_id not in stale)
        return len(fresh)


def _stale(alert: Alert) -> Fate:
    return Fate(alert.alert_id, alert.fingerprint, "", "too old: it was read long after it happened, nobody is told")


class Watchers:
    """What those who watch were told last, so that they hear only of what is new. Not thread-safe."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[object, ...]] = {}
        self._storm = False
        self._held: tuple[HeldBack, ...] | None = None

    def forget(self) -> None:
        """Begin anew, after another process has changed something: they may hear of an incident once more."""
        self._told.clear()
        self._held = None

    def held_back_changed(self, outcome: Outcome) -> bool:
        """Return whether other pages are held back than before."""
        before, self._held = self._held, outcome.held_back
        return before != outcome.held_back

    def news(self, outcome: Outcome) -> list[tuple[str, str, dict[str, Any]]]:
        """Return what they are told: kind, incident and data."""
        news = [found for incident in outcome.incidents if (found := self._of_incident(incident)) is not None]
        pages = [
            ("paged", page.incident_id, {"severity": page.severity.name.lower(), "services": list(page.services[:10])})
            for page in outcome.pages
        ]
        return [*news, *pages, *self._of_storm(outcome.storm)]

    def storm_turned(self, storm: StormFigures) -> bool:
        """Return whether a storm began or ended since they were told."""
        return storm.active != self._storm

    def _of_storm(self, storm: StormFigures) -> list[tuple[str, str, dict[str, Any]]]:
        if not self.storm_turned(storm):
            return []
        self._storm = storm.active
        return [("storm", "", {"active": storm.active, "alerts_per_min": storm.per_minute})]

    def _of_incident(self, incident: Incident) -> tuple[str, str, dict[str, Any]] | None:
        grown = incident.alert_count.bit_length()
        key = (incident.state, incident.severity, incident.services, incident.notified_at, grown)
        before = self._told.get(incident.incident_id)
        if before == key:
            return None
        kind = str(incident.state) if incident.state in CLOSED else "changed"
        if before is None and len(incident.timeline) <= 3 and incident.state is IncidentState.OPEN:
            kind = "opened"
        self._told[incident.incident_id] = key
        if incident.state in CLOSED:
            del self._told[incident.incident_id]
        return kind, incident.incident_id, summary_of(incident)


def summary_of(incident: Incident) -> dict[str, Any]:
    """Return what those who watch hear of an incident, as JSON can hold it."""
    return {
        "state": str(incident.state),
        "severity": incident.severity.name.lower(),
        "anchor": incident.anchor,
        "services": len(incident.services),
        "alerts": incident.alert_count,
        "merged_into": incident.merged_into,
        "storm": incident.storm,
    }


def messages_of(outcome: Outcome, audience: Audience) -> list[OutboxMessage]:
    """Return the notifications of one step, one a channel and occasion."""
    if not audience.channels:
        return []
    incidents = {incident.incident_id: incident for incident in outcome.incidents}
    names, url = audience.channels, audience.base_url
    pages = [one for page in outcome.pages for one in messages_for(page, incidents[page.incident_id], names, url)]
    return [*pages, *(one for incident in outcome.incidents for one in change_messages(incident, names, url))]
