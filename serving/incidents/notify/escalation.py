"""Escalations: a page that nobody acknowledges in time goes out once more, to those who are notified then.

The timer is a message of the outbox, made when a page is first tried: it survives kill -9, fires once an incident and severity,
and is cancelled when it comes due and somebody has taken the incident. A mitigated incident counts as taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from aiops.errors import ContractError
from aiops.incidents.incident import Incident, IncidentState
from serving.incidents.notify.messages import escalation_headline, escalation_messages, forwarded_messages
from serving.incidents.notify.notice import Notice, cause_of, kept, notice_of_plain, plain_notice
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentCase, MessageKind, MessageState, OutboxMessage

_MOST_MERGES = 20


@dataclass(frozen=True, slots=True)
class Escalations:
    """What follows when nobody answers. `channels` = where escalations go; `now` = the desk's time, telemetry's in replays."""

    store: IncidentStore
    channels: Sequence[str]
    after_s: float
    now: Callable[[], datetime]

    def follow_ups(self, message: OutboxMessage) -> tuple[OutboxMessage, ...]:
        """Return what an attempt to send a message calls for: a page's timer, the end of the story for who got an escalation."""
        try:
            notice = notice_of_plain(message.payload)
        except msgspec.ValidationError:
            return ()
        if message.kind is MessageKind.PAGE:
            return escalation_messages(notice, notice.at + timedelta(seconds=self.after_s), self.channels)
        if message.kind is MessageKind.ESCALATION:
            return self._of_home(message, notice)
        if message.kind in {MessageKind.ACKNOWLEDGED, MessageKind.RESOLVED}:
            return forwarded_messages(notice, self._escalated_to(message.incident_id))
        return ()

    def still_wanted(self, message: OutboxMessage) -> OutboxMessage | None:
        """Return a message as it is to be sent: an escalation says how things stand now, None = nobody needs it."""
        if message.kind is not MessageKind.ESCALATION:
            return message
        case = self._case(message.incident_id)
        if case is None or case.incident.state is not IncidentState.OPEN:
            return None
        return replace(message, payload=plain_notice(_as_it_is(notice_of_plain(message.payload), case)))

    def _of_home(self, message: OutboxMessage, notice: Notice) -> tuple[OutboxMessage, ...]:
        """Return the escalation of the incident that one was merged into, so that merging does not silence it."""
        case = self._case(message.incident_id)
        if case is None or case.incident.state is not IncidentState.MERGED:
            return ()
        home = self._home(case.incident)
        if home is None or home.state is not IncidentState.OPEN:
            return ()
        url = notice.url.replace(message.incident_id, home.incident_id)
        return escalation_messages(replace(notice, incident_id=home.incident_id, url=url), notice.at, (message.channel,))

    def _home(self, incident: Incident) -> Incident | None:
        for _ in range(_MOST_MERGES):
            if incident.state is not IncidentState.MERGED:
                return incident
            case = self._case(incident.merged_into)
            if case is None:
                return None
            incident = case.incident
        return None

    def _case(self, incident_id: str) -> IncidentCase | None:
        try:
            return self.store.case(incident_id)
        except ContractError:  # retention has dropped it
            return None

    def _escalated_to(self, incident_id: str) -> tuple[str, ...]:
        """Return channels that were notified of an incident by an escalation only."""
        messages = self.store.messages(incident_id)
        paged = {message.channel for message in messages if message.kind is MessageKind.PAGE}
        escalated = [
            message
            for message in messages
            if message.kind is MessageKind.ESCALATION and message.state is not MessageState.CANCELLED
        ]
        return tuple(dict.fromkeys(message.channel for message in escalated if message.attempts and message.channel not in paged))


def _as_it_is(notice: Notice, case: IncidentCase) -> Notice:
    incident = case.incident
    current = replace(
        notice,
        state=incident.state,
        severity=incident.severity,
        services=kept(incident.services),
        service_count=len(incident.services),
        alert_count=incident.alert_count,
        cause=cause_of(case.report),
    )
    return replace(current, headline=escalation_headline(current))
