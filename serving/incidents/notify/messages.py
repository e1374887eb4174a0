"""Which notifications follow from what happened to an incident: pure, so they are made in the transaction of the change itself.

Ids are hashes of incident, occasion and channel: made again, a message is the same one, and the outbox keeps it once. Nobody
is notified of an incident that was never paged for.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from aiops.incidents.alert import Severity
from aiops.incidents.correlation.outcome import HeldNote, Page
from aiops.incidents.incident import Incident, IncidentState, TimelineEvent
from aiops.incidents.root_cause import RootCauseReport
from serving.incidents.notify.notice import Notice, cause_of, in_short, kept, link_to, named, notice_of, plain_notice
from serving.incidents.store.records import MessageKind, OutboxMessage

HELD_BACK: Final = "held-back"
"""Stands for the incident's id in messages about pages that wait."""
PAGERDUTY: Final = "pagerduty"
"""Name of the only channel that keeps incidents of its own."""


@dataclass(frozen=True, slots=True)
class RunNotice:
    """What is said of a run: `occasion` names it, the same each time it is said; `loud` = who is on call is paged."""

    occasion: str
    at: datetime
    headline: str
    loud: bool


def messages_for(
    page: Page, incident: Incident, channels: Sequence[str], base_url: str, report: RootCauseReport | None = None
) -> tuple[OutboxMessage, ...]:
    """Return the notifications of a page, one a channel, with the first root cause where a report is there already."""
    services = page.services or incident.services
    notice = replace(
        notice_of(incident, MessageKind.PAGE, page.at, "", base_url),
        severity=page.severity,
        services=kept(services),
        service_count=len(services),
        alert_count=page.alert_count,
        cause=cause_of(report),
    )
    headline = f"worse than notified, now {in_short(notice)}" if page.again else in_short(notice)
    if page.waited_s > 0:
        headline += f" (held back for {page.waited_s / 60:.0f} min)"
    return _addressed(replace(notice, headline=headline), f"page {page.severity.name.lower()}", channels)


def change_messages(incident: Incident, channels: Sequence[str], base_url: str) -> tuple[OutboxMessage, ...]:
    """Return the notifications of the state that an incident is in: acknowledged, resolved or merged; nothing of other states.

    It may be called for every incident that changed in any way: the same state gives the same messages.
    """
    if incident.notified_at is None:
        return ()
    event = _why(incident)
    at, state = event.at, incident.state
    if state is IncidentState.ACKNOWLEDGED:
        notice = notice_of(incident, MessageKind.ACKNOWLEDGED, at, f"acknowledged by {event.by}", base_url)
        return _addressed(notice, "acknowledged", channels)
    if state is IncidentState.RESOLVED:
        headline = f"resolved by {event.by}" if event.by != "correlator" else f"resolved: {event.what}"
        return _addressed(notice_of(incident, MessageKind.RESOLVED, at, headline, base_url), "resolved", channels)
    return _merged(incident, at, channels, base_url) if state is IncidentState.MERGED else ()


def update_messages(
    incident: Incident,
    report: RootCauseReport,
    channels: Sequence[str],
    base_url: str,
    before: RootCauseReport | None = None,
) -> tuple[OutboxMessage, ...]:
    """Return the notifications of the first decided root cause, of a false alarm, and that it is none after all.

    Nothing while it is open, or after the incident. `before` = the analysis before this one.
    """
    cause = cause_of(report)
    if incident.notified_at is None or cause is None or _closed(incident):
        return ()
    if report.false_alarm:
        headline = f"most probably a false alarm ({report.none_probability:.0%})"
        notice = notice_of(incident, MessageKind.UPDATE, report.made_at, headline, base_url)
        return _addressed(replace(notice, cause=cause), "false alarm", channels)
    if before is not None and before.false_alarm:
        named = f"probable root cause: {cause.service} ({cause.probability:.0%})" if cause.decided else "the cause is undecided"
        notice = notice_of(incident, MessageKind.UPDATE, report.made_at, f"no false alarm after all; {named}", base_url)
        return _addressed(replace(notice, cause=cause), "no false alarm", channels)
    if not cause.decided:
        return ()
    headline = f"probable root cause: {cause.service} ({cause.probability:.0%})"
    notice = replace(notice_of(incident, MessageKind.UPDATE, report.made_at, headline, base_url), cause=cause)
    return _addressed(notice, "root cause", channels)


def held_messages(note: HeldNote, channels: Sequence[str], base_url: str) -> tuple[OutboxMessage, ...]:
    """Return the notes on pages that are held back: how many and where to look, and that none waits any more."""
    services = note.services or ()
    kind = MessageKind.HELD_BACK if note.count else MessageKind.RESOLVED
    state = IncidentState.OPEN if note.count else IncidentState.RESOLVED
    at = (kind, HELD_BACK, state, note.severity, note.at)
    notice = Notice(*at, kept(services), len(services), note.count, _held_headline(note), f"{base_url.rstrip('/')}/")
    return _addressed(notice, f"{kind} {note.at.isoformat()}", channels)


def _held_headline(note: HeldNote) -> str:
    if not note.count:
        return "no page is held back any more"
    number = "1 page is" if note.count == 1 else f"{note.count:,} pages are"
    worst = f"the worst {note.severity.name.lower()}: {named(note.services, len(note.services))}"
    return f"{number} held back, {worst}; the page budget is used up or a storm rages, all are listed at the link"


def approval_messages(notice: Notice, channels: Sequence[str]) -> tuple[OutboxMessage, ...]:
    """Return the notifications that a plan waits for a person, or that nobody has approved it; one a plan, kind and channel."""
    plan_id = "" if notice.plan is None else notice.plan.plan_id
    return _addressed(notice, f"{notice.kind} {plan_id}", channels)


def run_messages(incident: Incident, said: RunNotice, channels: Sequence[str], base_url: str) -> tuple[OutboxMessage, ...]:
    """Return the notifications of something that a run of a plan did; nobody is notified of what is not loud and never paged."""
    return () if incident.notified_at is None and not said.loud else step_messages(incident, said, channels, base_url)


def step_messages(incident: Incident, said: RunNotice, channels: Sequence[str], base_url: str) -> tuple[OutboxMessage, ...]:
    """Return the notifications that a step of a run sends, whether or not somebody was notified of the incident before."""
    kind = MessageKind.PAGE if said.loud else MessageKind.UPDATE
    notice = notice_of(incident, kind, said.at, said.headline, base_url)
    notice = replace(notice, severity=Severity.CRITICAL if said.loud else notice.severity)
    return _addressed(notice, f"run {said.occasion}", channels)


def escalation_messages(page: Notice, due_at: datetime, channels: Sequence[str]) -> tuple[OutboxMessage, ...]:
    """Return what goes out at `due_at` unless somebody takes the incident before; one an incident, severity and channel."""
    notice = replace(page, kind=MessageKind.ESCALATION, at=due_at, headline=escalation_headline(page))
    return _addressed(notice, f"escalation {page.severity.name.lower()}", channels)


def escalation_headline(notice: Notice) -> str:
    """Return the one line of an escalation."""
    return f"nobody has acknowledged: {in_short(notice)}"


def forwarded_messages(notice: Notice, channels: Sequence[str]) -> tuple[OutboxMessage, ...]:
    """Return a notice once more, for channels that it did not address."""
    return _addressed(notice, f"forwarded {notice.kind}", channels)


def _merged(incident: Incident, at: datetime, channels: Sequence[str], base_url: str) -> tuple[OutboxMessage, ...]:
    """Return the end of a merged incident; PagerDuty, which may know no other, is first notified of the one that goes on."""
    notice = notice_of(incident, MessageKind.RESOLVED, at, f"goes on as {incident.merged_into}", base_url)
    home = replace(
        notice,
        kind=MessageKind.UPDATE,
        incident_id=incident.merged_into,
        state=IncidentState.OPEN,
        headline=f"took in {incident.incident_id}",
        url=link_to(base_url, incident.merged_into),
    )
    handed_over = _addressed(home, f"took in {incident.incident_id}", [name for name in channels if name == PAGERDUTY])
    return (*handed_over, *_addressed(notice, "merged", channels))


def _addressed(notice: Notice, occasion: str, channels: Iterable[str]) -> tuple[OutboxMessage, ...]:
    payload = plain_notice(notice)
    return tuple(
        OutboxMessage(
            _message_id(notice.incident_id, occasion, channel),
            channel,
            notice.incident_id,
            notice.kind,
            notice.incident_id,
            payload,
            notice.at,
        )
        for channel in dict.fromkeys(channels)
    )


def _message_id(incident_id: str, occasion: str, channel: str) -> str:
    text = "".join(f"{len(part)}:{part}" for part in (incident_id, occasion, channel))
    return f"msg-{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"


def _why(incident: Incident) -> TimelineEvent:
    """Return the newest event that brought the incident into its state, else its newest event."""
    newest = incident.timeline[-1] if incident.timeline else TimelineEvent(incident.updated_at, str(incident.state))
    return next((event for event in reversed(incident.timeline) if event.became is incident.state), newest)


def _closed(incident: Incident) -> bool:
    return incident.state in {IncidentState.RESOLVED, IncidentState.MERGED}
