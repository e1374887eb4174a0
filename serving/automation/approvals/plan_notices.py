"""Notifications that a plan waits for a person: what it would do, where, how it is taken back, and where to approve it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from aiops.automation.action import PlannedStep
from aiops.automation.plan import Plan
from aiops.automation.run_ledger import PlannedRun
from aiops.incidents.alert import Severity
from aiops.incidents.incident import Incident, IncidentState
from serving.incidents.notify.messages import approval_messages
from serving.incidents.notify.notice import Notice, PlanInShort, kept, link_to, named
from serving.incidents.store.records import MessageKind, OutboxMessage

_LINE: Final = 300
_MOST_STEPS: Final = 10


@dataclass(frozen=True, slots=True)
class PlanAudience:
    """Who is notified of plans: `channels` at once, `escalation_channels` where nobody decides; `base_url` of incidents.

    `approve_url` gives the address that approves a plan once from a channel, "" = there is none.
    """

    channels: tuple[str, ...]
    escalation_channels: tuple[str, ...]
    base_url: str
    approve_url: Callable[[Plan, str], str]


class ChannelNotices:
    """Makes the notifications of plans that wait. Pure."""

    def __init__(self, audience: PlanAudience) -> None:
        self._audience = audience

    def waiting(self, planned: PlannedRun, incident: Incident | None) -> Sequence[OutboxMessage]:
        """Return the notifications of a plan, and what goes out where nobody decides in the runbook's time."""
        plan, audience = planned.plan, self._audience
        notice = _notice(plan, incident, audience.base_url)
        messages = [message for name in audience.channels for message in self._to(notice, plan, name)]
        due_at = plan.made_at + timedelta(seconds=plan.terms.escalate.after)
        if due_at < plan.expires_at:
            headline = f"nobody has decided: {notice.headline}"
            late = replace(notice, kind=MessageKind.APPROVAL_ESCALATION, at=due_at, headline=headline)
            messages += [message for name in audience.escalation_channels for message in self._to(late, plan, name)]
        return messages

    def _to(self, notice: Notice, plan: Plan, channel: str) -> tuple[OutboxMessage, ...]:
        assert notice.plan is not None
        url = self._audience.approve_url(plan, channel)
        return approval_messages(replace(notice, plan=replace(notice.plan, approve_url=url)), (channel,))


def _notice(plan: Plan, incident: Incident | None, base_url: str) -> Notice:
    services = plan.services
    return Notice(
        MessageKind.APPROVAL,
        plan.subject.incident_id,
        IncidentState.OPEN if incident is None else incident.state,
        Severity.WARNING if incident is None else incident.severity,
        plan.made_at,
        kept(services),
        len(services),
        0 if incident is None else incident.alert_count,
        f"a plan waits for approval: {plan.title} on {named(services, len(services))} ({plan.runbook})",
        link_to(base_url, plan.subject.incident_id),
        plan=PlanInShort(
            plan.plan_id,
            plan.runbook,
            plan.title,
            tuple(step_line(step) for step in plan.steps[:_MOST_STEPS]),
            "; ".join(dict.fromkeys(step.undo for step in plan.steps if step.undo))[:_LINE] if _can_undo(plan) else "",
            kept(plan.reach),
            plan.expires_at,
        ),
    )


def step_line(step: PlannedStep) -> str:
    """Return what a step would do, in one line."""
    difference = " ".join(step.difference.split())
    return f"{step.action} on {step.service}: {difference} ({step.risk} risk)"[:_LINE]


def _can_undo(plan: Plan) -> bool:
    return all(step.undo for step in plan.steps)
