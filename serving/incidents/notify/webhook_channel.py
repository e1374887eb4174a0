"""Notifications as JSON to any webhook, signed where a secret is set. Receivers deduplicate by the header idempotency-key."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from serving.http.signature import signed_headers
from serving.incidents.notify.delivery import Attempt, Poster
from serving.incidents.notify.notice import Notice, notice_of_plain, plain_plan_in_short
from serving.incidents.store.records import OutboxMessage


def webhook_body(notice: Notice, message_id: str) -> dict[str, Any]:
    """Return what is posted about a notice; absent members are left out."""
    body: dict[str, Any] = {
        "version": "1",
        "message_id": message_id,
        "tenant": notice.tenant,
        "event": str(notice.kind),
        "incident_id": notice.incident_id,
        "state": str(notice.state),
        "severity": notice.severity.name.lower(),
        "at": notice.at.isoformat(),
        "headline": notice.headline,
        "services": list(notice.services),
        "service_count": notice.service_count,
        "alert_count": notice.alert_count,
        "url": notice.url,
    }
    cause = notice.cause
    if cause is not None:
        body["root_cause"] = {
            "service": cause.service,
            "probability": round(cause.probability, 4),
            "decided": cause.decided,
            "sentence": cause.sentence,
        }
    if notice.plan is not None:
        body["plan"] = plain_plan_in_short(notice.plan)
    return body


class WebhookChannel:
    """Posts notices as JSON."""

    def __init__(self, name: str, poster: Poster, secret: str | None, clock: Callable[[], datetime]) -> None:
        self.name = name
        self._poster = poster
        self._secret = secret
        self._clock = clock

    def deliver(self, message: OutboxMessage) -> Attempt:
        """Try once to deliver a message."""
        body = orjson.dumps(webhook_body(notice_of_plain(message.payload), message.message_id))
        headers = {"idempotency-key": message.message_id}
        if self._secret is not None:
            headers |= signed_headers(self._secret, body, self._clock())
        return self._poster.post(body, headers)

    def close(self) -> None:
        """Let go of connections."""
        self._poster.close()
