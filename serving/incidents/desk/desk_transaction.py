"""A transaction of the desk: what is read, changed and stored together."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from aiops.incidents.alert import Alert
from aiops.incidents.correlation.correlator import Correlator
from aiops.incidents.correlation.outcome import Fate, FateKind, Outcome
from serving.host.log_rate_limit import LineLimit
from serving.incidents.desk.detection_alerts import DETECTED, FORESEEN
from serving.incidents.notify.messages import change_messages, held_messages, messages_for
from serving.incidents.store.records import OutboxMessage
from serving.incidents.store.store_writer import StoreWriter
from serving.stream.streams import START, id_parts

APART: Final = timedelta(hours=1)
"""How far the clock of another system may be from that of a replay."""
_lines = LineLimit(logging.getLogger(__name__))


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is notified of incidents: names of channels, and the address that links to incidents begin with."""

    channels: tuple[str, ...] = ()
    base_url: str = ""


@dataclass(slots=True)
class DeskTransaction:
    """An open transaction. Change `correlator` and write through `writer`; what follows from it is stored when it ends.

    `moment` is the desk's time; `offsets` where the streams have been read to. `changed` = there is something to be stored even
    where correlation itself changes nothing. `outcome` is there once the transaction has ended. `by_telemetry` = the desk goes by
    telemetry, so alerts of other systems must be of about the same time.
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
    by_telemetry: bool = False

    def act(self, at: datetime, by: str, what: str, subject: str, detail: Mapping[str, Any]) -> None:
        """Note in the audit log what somebody did to a subject, with details."""
        self.changed = True
        self.writer.audit(at, by, what, subject, detail)

    def read_to(self, offsets: Mapping[str, str]) -> None:
        """Note where streams have been read to; what another responder has read further stays."""
        for stream, entry_id in offsets.items():
            if id_parts(entry_id) > id_parts(self.offsets.get(stream, START)):
                self.offsets[stream] = entry_id
                self.changed = True

    def take(self, alerts: Sequence[Alert], oldest: datetime | None) -> Mapping[str, int]:
        """Take in alerts that were not seen before and return how many by source.

        A finding of ours from before `oldest` is only kept: nobody is notified. Other sources say that something is wrong now.
        """
        unique = {alert.alert_id: alert for alert in alerts}
        known = self.writer.known_alerts(tuple(unique)) if unique else frozenset()
        fresh = [alert for number, alert in unique.items() if number not in known]
        if fresh:
            self.changed = True
            self.writer.put_alerts(fresh, self.moment)
            apart = [alert for alert in fresh if self.by_telemetry and _of_another_clock(alert, self.moment)]
            self.fates += [_apart(alert, self.moment) for alert in apart]
            left_out = {alert.alert_id for alert in apart}
            stale = [alert for alert in fresh if oldest is not None and _is_stale(alert, oldest)]
            self.fates += [_stale(alert) for alert in stale]
            left_out |= {alert.alert_id for alert in stale}
            news = [alert for alert in fresh if alert.alert_id not in left_out]
            self.correlator.add(news)
            self.added += len(news)
        return Counter(alert.source for alert in fresh)


def _is_stale(alert: Alert, oldest: datetime) -> bool:
    return alert.source in (DETECTED, FORESEEN) and alert.ends_at is None and alert.starts_at < oldest


def _of_another_clock(alert: Alert, moment: datetime) -> bool:
    """Return whether an alert of another system goes by a clock that is not the telemetry's."""
    alert_at = alert.ends_at or alert.starts_at
    return alert.source not in (DETECTED, FORESEEN) and abs(alert_at - moment) > APART


def _apart(alert: Alert, moment: datetime) -> Fate:
    alert_at = alert.ends_at or alert.starts_at
    why = (
        f"it is of {alert_at:%Y-%m-%d %H:%M} UTC, the telemetry here is of {moment:%Y-%m-%d %H:%M}: clocks do not mix, "
        "nobody is notified; give live alerts a home of their own"
    )
    _lines.warn("clock", f"an alert of {alert.source} joins no incident: {why}")
    return Fate(alert.alert_id, alert.fingerprint, "", FateKind.OTHER_CLOCK, why)


def _stale(alert: Alert) -> Fate:
    why = "it was read long after it happened, nobody is notified"
    return Fate(alert.alert_id, alert.fingerprint, "", FateKind.TOO_OLD, why)


def messages_of(outcome: Outcome, audience: Audience) -> list[OutboxMessage]:
    """Return the notifications of one step, one a channel and occasion."""
    if not audience.channels:
        return []
    incidents = {incident.incident_id: incident for incident in outcome.incidents}
    names, url = audience.channels, audience.base_url
    pages = [message for page in outcome.pages for message in messages_for(page, incidents[page.incident_id], names, url)]
    held = [message for note in outcome.held_notes for message in held_messages(note, names, url)]
    return [*pages, *held, *(message for incident in outcome.incidents for message in change_messages(incident, names, url))]
