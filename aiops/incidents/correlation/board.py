"""Open incidents while they change, and where to find them: by service and by fingerprint."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiops.errors import ContractError, StateError
from aiops.incidents.alert import Alert, Severity
from aiops.incidents.correlation.firing import Entry
from aiops.incidents.incident import MOST_EVENTS, AlertEntry, Incident, IncidentState, TimelineEvent, kept_events, may_follow
from data_contracts.values.moments import microseconds_of, moment_of_us

VERSION: Final = 3
READ: Final = (2, VERSION)
"""Versions of snapshots that can be gone on from; 2 kept the instances of a rule together."""
LATE_US: Final = 900_000_000
"""How late an alert may come and still count from the time that it tells: findings of telemetry are a minute or two behind."""


@dataclass(slots=True)
class OpenIncident:
    """An incident that still takes in alerts. `services`: last alert of each, in order of appearance.

    `page_due_us`: when its first page may go, 0 = it deserves none yet.
    """

    incident_id: str
    opened_us: int
    last_us: int
    anchor: str
    severity: Severity
    state: IncidentState = IncidentState.OPEN
    services: dict[str, int] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    alert_count: int = 0
    timeline: list[tuple[int, str, str, IncidentState | None]] = field(default_factory=list)
    notified_us: int = 0
    notified_as: Severity = Severity.INFO
    held_us: int = 0
    page_due_us: int = 0
    merged_into: str = ""
    storm: bool = False
    changed_us: int = 0

    def note(self, at_us: int, what: str, by: str = "correlator", became: IncidentState | None = None) -> None:
        """Add to the timeline; `became` = the state that it is in from now on."""
        self.timeline.append((at_us, what, by, became))
        if len(self.timeline) > 2 * MOST_EVENTS:
            self.timeline = [self.timeline[0], *self.timeline[1 - MOST_EVENTS :]]
        self.changed_us = at_us

    def silent(self, at_us: int, quiet_us: int, firing_us: int) -> bool:
        """Return whether it is over: no alert for `quiet_us`, and none left that fires until its source ends it.

        Such an alert counts as gone where it was neither repeated nor ended for `firing_us`.
        """
        if at_us - self.last_us < quiet_us:
            return False
        return not any(entry.still_fires(at_us, firing_us) for entry in self.entries.values())

    def calm_down(self, at_us: int) -> None:
        """Count as mitigated where all of its alerts have ended."""
        firing = any(not entry.ended for entry in self.entries.values())
        if not firing and self.state in (IncidentState.OPEN, IncidentState.ACKNOWLEDGED):
            self.move(IncidentState.MITIGATED, at_us, "all of its alerts have ended")

    def worst_first(self) -> tuple[str, ...]:
        """Return its services: those with the worst alert first, of equal ones the first that had it."""
        key: dict[str, tuple[int, int, str]] = {}
        for entry in self.entries.values():
            rank = (-entry.severity, entry.first_us, entry.service)
            key[entry.service] = min(rank, key.get(entry.service, rank))
        return tuple(sorted(self.services, key=lambda name: key.get(name, (0, self.opened_us, name))))

    def move(self, state: IncidentState, at_us: int, what: str, by: str = "correlator") -> None:
        """Change the state.

        Raises:
            ContractError: the state cannot follow.
        """
        may_follow(self.state, state, self.incident_id)
        self.state = state
        self.note(at_us, what, by, state)

    def as_incident(self) -> Incident:
        """Return it as a value."""
        events = tuple(TimelineEvent(moment_of_us(at), what, by, became) for at, what, by, became in self.timeline)
        return Incident(
            incident_id=self.incident_id,
            state=self.state,
            severity=self.severity,
            opened_at=moment_of_us(self.opened_us),
            updated_at=moment_of_us(max(self.last_us, self.changed_us)),
            anchor=self.anchor,
            services=tuple(self.services),
            alerts=tuple(_entry(entry) for entry in self.entries.values()),
            alert_count=self.alert_count,
            timeline=kept_events(events),
            notified_at=moment_of_us(self.notified_us) if self.notified_us else None,
            merged_into=self.merged_into,
            storm=self.storm,
        )


class Board:
    """All open incidents. Memory: `most_alerts` entries an incident."""

    def __init__(self, most_alerts: int) -> None:
        self.incidents: dict[str, OpenIncident] = {}
        self._by_service: dict[str, dict[str, None]] = {}
        self._by_fingerprint: dict[str, str] = {}
        self._most = most_alerts

    def holding(self, fingerprint: str) -> OpenIncident | None:
        """Return the open incident that has an alert of this fingerprint."""
        number = self._by_fingerprint.get(fingerprint)
        return None if number is None else self.incidents[number]

    def known(self, incident_id: str) -> OpenIncident:
        """Return an open incident by its id; ContractError where it is not open."""
        incident = self.incidents.get(incident_id)
        if incident is None:
            raise ContractError(f"incident_id={incident_id!r} is not open; list the open incidents, or look it up in the store")
        return incident

    def at(self, service: str) -> list[OpenIncident]:
        """Return the open incidents with alerts of a service."""
        return [self.incidents[number] for number in self._by_service.get(service, ())]

    def longest_quiet(self) -> OpenIncident:
        """Return the incident whose last alert is the oldest; there must be one."""
        return min(self.incidents.values(), key=lambda incident: (incident.last_us, incident.incident_id))

    def open(self, alert: Alert, at_us: int) -> OpenIncident:
        """Return a new incident without alerts; its id is a hash of what began it, and when."""
        digest = hashlib.blake2b(f"{alert.fingerprint}|{at_us}".encode(), digest_size=8).hexdigest()
        incident = OpenIncident(f"inc-{digest}", at_us, at_us, alert.service, alert.severity)
        self.put(incident)
        return incident

    def put(self, incident: OpenIncident) -> None:
        """Take in an incident with what it holds."""
        self.incidents[incident.incident_id] = incident
        for service in incident.services:
            self._by_service.setdefault(service, {})[incident.incident_id] = None
        for fingerprint in incident.entries:
            self._by_fingerprint[fingerprint] = incident.incident_id

    def file(self, incident: OpenIncident, alert: Alert, at_us: int) -> None:
        """Count an alert into an incident: a new entry, or one more repetition."""
        entry = incident.entries.get(alert.fingerprint)
        if entry is not None:
            entry.count += 1
            entry.last_us = max(entry.last_us, at_us)
            entry.severity = max(entry.severity, alert.severity)
        elif len(incident.entries) < self._most:
            about = (alert.fingerprint, alert.service, alert.name, alert.severity)
            entry = incident.entries[alert.fingerprint] = Entry(*about, _since_us(alert, at_us), at_us)
            self._by_fingerprint[alert.fingerprint] = incident.incident_id
        if entry is not None:
            entry.fires(alert, at_us)
        incident.alert_count += 1
        incident.last_us = max(incident.last_us, at_us)
        incident.severity = max(incident.severity, alert.severity)
        incident.services[alert.service] = at_us
        self._by_service.setdefault(alert.service, {})[incident.incident_id] = None

    def merge(self, into: OpenIncident, other: OpenIncident, at_us: int) -> None:
        """Move all that `other` holds into `into`; `other` is closed as merged and no longer open."""
        self.remove(other)
        for fingerprint, entry in other.entries.items():
            if len(into.entries) < self._most:
                into.entries[fingerprint] = entry.copied()  # the closed one keeps what it had
                self._by_fingerprint[fingerprint] = into.incident_id
        for service, last_us in other.services.items():
            into.services[service] = max(last_us, into.services.get(service, 0))
            self._by_service.setdefault(service, {})[into.incident_id] = None
        into.alert_count += other.alert_count
        into.last_us, into.severity = max(into.last_us, other.last_us), max(into.severity, other.severity)
        into.notified_us = (
            min(at for at in (into.notified_us, other.notified_us) if at) if into.notified_us or other.notified_us else 0
        )
        into.notified_as = max(into.notified_as, other.notified_as)
        into.page_due_us = min((due for due in (into.page_due_us, other.page_due_us) if due), default=0)
        into.storm = into.storm or other.storm
        into.note(at_us, f"took in {other.incident_id}")
        other.merged_into = into.incident_id
        other.move(IncidentState.MERGED, at_us, f"merged into {into.incident_id}")

    def remove(self, incident: OpenIncident) -> None:
        """Forget an incident; it keeps what it holds."""
        del self.incidents[incident.incident_id]
        for fingerprint in incident.entries:
            if self._by_fingerprint.get(fingerprint) == incident.incident_id:
                del self._by_fingerprint[fingerprint]
        for service in incident.services:
            there = self._by_service.get(service, {})
            there.pop(incident.incident_id, None)
            if not there:
                self._by_service.pop(service, None)

    def split(self, incident: OpenIncident, services: set[str], at_us: int) -> OpenIncident:
        """Return a new incident with the alerts of some of an incident's services, which it loses."""
        self.remove(incident)
        moved = [entry for entry in incident.entries.values() if entry.service in services]
        first = min(moved, key=lambda entry: (entry.first_us, entry.fingerprint))
        digest = hashlib.blake2b(f"{incident.incident_id}|{first.fingerprint}|{at_us}".encode(), digest_size=8).hexdigest()
        severity = max(entry.severity for entry in moved)
        new = OpenIncident(f"inc-{digest}", first.first_us, max(entry.last_us for entry in moved), first.service, severity)
        new.entries = {entry.fingerprint: entry for entry in moved}
        new.services = {name: last for name, last in incident.services.items() if name in services}
        new.alert_count = sum(entry.count for entry in moved)
        new.storm = incident.storm
        new.note(at_us, f"split from {incident.incident_id}: no call or common history links them any more")
        incident.entries = {print_: entry for print_, entry in incident.entries.items() if entry.service not in services}
        incident.services = {name: last for name, last in incident.services.items() if name not in services}
        incident.alert_count -= new.alert_count
        incident.severity = max((entry.severity for entry in incident.entries.values()), default=incident.severity)
        incident.anchor = next(iter(incident.services), incident.anchor)
        incident.note(at_us, f"split off {new.incident_id}")
        self.put(incident)
        self.put(new)
        return new


def age(incident: OpenIncident) -> tuple[int, str]:
    """Return the key that puts the oldest first."""
    return incident.opened_us, incident.incident_id


def _since_us(alert: Alert, at_us: int) -> int:
    """Return since when an alert fires: by its own word where it came late, unless that is too long ago."""
    since_us = microseconds_of(alert.starts_at)
    return since_us if at_us - LATE_US <= since_us < at_us else at_us


def check_version(state: Mapping[str, Any]) -> None:
    """Check that a snapshot of correlation can be gone on from.

    Raises:
        StateError: it is of another version.
    """
    if state.get("version") not in READ:
        version = state.get("version")
        raise StateError(f"correlation snapshot: version={version!r}, this program reads {VERSION}; start afresh")


def plain(incident: OpenIncident) -> dict[str, object]:
    """Return an incident as plain data."""
    return {
        "incident_id": incident.incident_id,
        "opened_us": incident.opened_us,
        "last_us": incident.last_us,
        "anchor": incident.anchor,
        "severity": int(incident.severity),
        "state": str(incident.state),
        "services": [[name, last] for name, last in incident.services.items()],
        "entries": [entry.plain() for entry in incident.entries.values()],
        "alert_count": incident.alert_count,
        "timeline": [[at, what, by, None if became is None else str(became)] for at, what, by, became in incident.timeline],
        "notified_us": incident.notified_us,
        "notified_as": int(incident.notified_as),
        "held_us": incident.held_us,
        "page_due_us": incident.page_due_us,
        "storm": incident.storm,
        "changed_us": incident.changed_us,
    }


def of_plain(state: Mapping[str, Any]) -> OpenIncident:
    """Return the incident of plain data."""
    fields: dict[str, Any] = dict(state)
    entries = [Entry.of_plain(plain_entry) for plain_entry in fields.pop("entries")]
    fields["severity"], fields["state"] = Severity(fields["severity"]), IncidentState(fields["state"])
    fields["notified_as"] = Severity(fields["notified_as"])
    fields["services"] = dict(fields["services"])
    fields["timeline"] = [_event(*event) for event in fields["timeline"]]
    incident = OpenIncident(**fields)
    incident.entries = {entry.fingerprint: entry for entry in entries}
    return incident


def _event(at_us: int, what: str, by: str, became: str | None = None) -> tuple[int, str, str, IncidentState | None]:
    return at_us, what, by, None if became is None else IncidentState(became)


def _entry(entry: Entry) -> AlertEntry:
    first, last = moment_of_us(entry.first_us), moment_of_us(entry.last_us)
    counts = (entry.count, entry.ended, len(entry.firing))
    return AlertEntry(entry.fingerprint, entry.service, entry.name, entry.severity, first, last, *counts)
