"""One turn of the desk: what is read, changed and stored in one transaction of the incident store."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiops.alert import Alert
from aiops.correlation.correlator import Correlator
from aiops.correlation.outcome import Fate, FateKind, Outcome
from serving.incident_store.records import OutboxMessage
from serving.incident_store.writer import StoreWriter
from serving.notify.messages import change_messages, held_messages, messages_for
from serving.responder.detections import DETECTED, FORESEEN
from serving.streams import START, id_parts


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
    added: int = 0
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

    def take(self, alerts: Sequence[Alert], oldest: datetime | None) -> Mapping[str, int]:
        """Take in alerts that were not seen before and return how many by source.

        A finding of ours from before `oldest` is only kept: nobody is told. Other sources say that something is wrong now.
        """
        unique = {alert.alert_id: alert for alert in alerts}
        known = self.writer.known_alerts(tuple(unique)) if unique else frozenset()
        fresh = [alert for number, alert in unique.items() if number not in known]
        if fresh:
            self.changed = True
            self.writer.put_alerts(fresh, self.moment)
            news = [alert for alert in fresh if oldest is None or not _is_stale(alert, oldest)]
            self.correlator.add(news)
            self.added += len(news)
            heard = {alert.alert_id for alert in news}
            self.fates += [_stale(alert) for alert in fresh if alert.alert_id not in heard]
        return Counter(alert.source for alert in fresh)


def _is_stale(alert: Alert, oldest: datetime) -> bool:
    return alert.source in (DETECTED, FORESEEN) and alert.ends_at is None and alert.starts_at < oldest


def _stale(alert: Alert) -> Fate:
    why = "it was read long after it happened, nobody is told"
    return Fate(alert.alert_id, alert.fingerprint, "", FateKind.TOO_OLD, why)


def messages_of(outcome: Outcome, audience: Audience) -> list[OutboxMessage]:
    """Return the notifications of one step, one a channel and occasion."""
    if not audience.channels:
        return []
    incidents = {incident.incident_id: incident for incident in outcome.incidents}
    names, url = audience.channels, audience.base_url
    pages = [one for page in outcome.pages for one in messages_for(page, incidents[page.incident_id], names, url)]
    held = [one for note in outcome.held_notes for one in held_messages(note, names, url)]
    return [*pages, *held, *(one for incident in outcome.incidents for one in change_messages(incident, names, url))]
