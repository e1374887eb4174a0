"""Notifications to PagerDuty, or what takes its Events API v2: one alert an incident, by its id.

An escalation is another trigger of the same alert, which PagerDuty logs but does not page for: who acknowledged there must not be
woken from here, so PagerDuty's own escalation policy is the one that counts there.

Source: documentation of Events API v2 (summary 1,024 characters, dedup_key 255, event 512 KB; 202 accepted, 400 never,
429 and 5xx later).
"""

from typing import Any, Final

import orjson

from serving.incidents.notify.delivery import Attempt, Poster
from serving.incidents.notify.messages import PAGERDUTY
from serving.incidents.notify.notice import Notice, notice_of_plain
from serving.incidents.store.records import MessageKind, OutboxMessage

SUMMARY_CHARACTERS: Final = 1024
DEDUP_CHARACTERS: Final = 255
_SENTENCE_CHARACTERS: Final = 4000
_MOST_STEPS: Final = 5
_ACTIONS: Final = {MessageKind.ACKNOWLEDGED: "acknowledge", MessageKind.RESOLVED: "resolve"}


def pagerduty_event(notice: Notice, dedupe_key: str, routing_key: str) -> dict[str, Any]:
    """Return the event of a notice; acknowledge and resolve carry no payload."""
    action = _ACTIONS.get(notice.kind, "trigger")
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": dedupe_key[:DEDUP_CHARACTERS],
    }
    if action != "trigger":
        return event
    source = next(filter(None, notice.services), "aiops")
    payload = {
        "summary": _cut(f"{_prefix(notice)}{notice.headline}", SUMMARY_CHARACTERS),
        "source": source,
        "severity": notice.severity.name.lower(),
        "timestamp": notice.at.isoformat(timespec="milliseconds"),
        "component": source,
        "class": "incident",
        "custom_details": _details(notice),
    }
    links = [{"href": notice.url, "text": "Open the incident"}]
    if notice.plan is not None and notice.plan.approve_url:
        links.append({"href": notice.plan.approve_url, "text": "Look at the plan and approve it"})
    return event | {"payload": payload, "links": links, "client": "aiops-suite", "client_url": notice.url}


def _details(notice: Notice) -> dict[str, Any]:
    details: dict[str, Any] = {
        "incident_id": notice.incident_id,
        "services": list(notice.services),
        "service_count": notice.service_count,
        "alert_count": notice.alert_count,
    }
    if notice.cause is not None:
        details |= {
            "root_cause": notice.cause.service if notice.cause.decided else "not decided",
            "root_cause_probability": round(notice.cause.probability, 4),
            "root_cause_sentence": _cut(notice.cause.sentence, _SENTENCE_CHARACTERS),
        }
    if notice.plan is not None:
        details |= {"plan": notice.plan.title, "plan_id": notice.plan.plan_id, "plan_steps": list(notice.plan.what[:_MOST_STEPS])}
        details |= {"plan_undo": notice.plan.undo, "plan_until": notice.plan.expires_at.isoformat()}
    return details


def _prefix(notice: Notice) -> str:
    return "ESCALATION: " if notice.kind is MessageKind.ESCALATION else ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


class PagerDutyChannel:
    """Sends events with one routing key."""

    name = PAGERDUTY

    def __init__(self, poster: Poster, routing_key: str) -> None:
        self._poster = poster
        self._routing_key = routing_key

    def deliver(self, message: OutboxMessage) -> Attempt:
        """Try once to deliver a message."""
        event = pagerduty_event(notice_of_plain(message.payload), message.dedupe_key, self._routing_key)
        return self._poster.post(orjson.dumps(event), {})

    def close(self) -> None:
        """Let go of connections."""
        self._poster.close()
