"""Where notifications go: what is configured, or else the log, so that a page is always visible somewhere."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from pydantic import SecretStr

from aiops.incidents.alert import Severity
from aiops.settings.responder_settings import ResponderSettings
from serving.http.reachable import reachable_url
from serving.incidents.notify.delivery import Attempt, Channel, Outcome, Poster
from serving.incidents.notify.messages import PAGERDUTY
from serving.incidents.notify.notice import notice_of_plain
from serving.incidents.notify.pagerduty import PagerDutyChannel
from serving.incidents.notify.slack import SlackChannel
from serving.incidents.notify.webhook_channel import WebhookChannel
from serving.incidents.store.records import MessageKind, OutboxMessage

ESCALATION: Final = "escalation"
LOG: Final = "log"
SLACK: Final = "slack"
WEBHOOK: Final = "webhook"

_logger = logging.getLogger(__name__)


class LogChannel:
    """Writes notifications to the log of this process."""

    name = LOG

    def deliver(self, message: OutboxMessage) -> Attempt:
        """Write a message; it always arrives."""
        notice = notice_of_plain(message.payload)
        loud = notice.severity is Severity.CRITICAL and notice.kind in {
            MessageKind.PAGE,
            MessageKind.ESCALATION,
            MessageKind.HELD_BACK,
        }
        level = logging.ERROR if loud else logging.WARNING
        _logger.log(level, "%s %s: %s (%s)", str(notice.kind).upper(), notice.incident_id, notice.headline, notice.url)
        return Attempt(Outcome.DELIVERED, "log")

    def close(self) -> None:
        """Do nothing: it holds nothing."""


def channel_names(settings: ResponderSettings) -> tuple[str, ...]:
    """Return the channels that pages, updates and ends go to; opens nothing."""
    addresses = {WEBHOOK: settings.webhook_url, SLACK: settings.slack_url, PAGERDUTY: settings.pagerduty_key}
    return tuple(name for name, secret in addresses.items() if _given(secret)) or (LOG,)


def escalation_names(settings: ResponderSettings) -> tuple[str, ...]:
    """Return the channels that escalations go to: the one of their own, or all others again."""
    return (ESCALATION,) if _given(settings.escalation_url) else channel_names(settings)


def channels_of(settings: ResponderSettings, clock: Callable[[], datetime]) -> tuple[Channel, ...]:
    """Return all configured channels, that of escalations among them; `clock` is for signatures.

    Raises:
        ConfigurationError: an address cannot be used.
    """
    made: list[Channel] = []
    secret = _given(settings.webhook_secret)
    for name, address in ((WEBHOOK, settings.webhook_url), (ESCALATION, settings.escalation_url)):
        url = _given(address)
        if url:
            made.append(WebhookChannel(name, Poster(f"responder.{name}_url", url), secret, clock))
    slack, key = _given(settings.slack_url), _given(settings.pagerduty_key)
    if slack:
        made.append(SlackChannel(Poster("responder.slack_url", slack)))
    if key:
        made.append(PagerDutyChannel(Poster("responder.pagerduty_url", settings.pagerduty_url), key))
    if LOG in channel_names(settings):
        made.append(LogChannel())
    return tuple(made)


def base_url(settings: ResponderSettings, host: str) -> str:
    """Return the address of the API in notifications; `host` is where it listens."""
    return reachable_url(settings.public_url, host, settings.port)


def _given(secret: SecretStr | None) -> str | None:
    """Return a secret's text; empty counts as unset."""
    return (secret.get_secret_value().strip() or None) if secret is not None else None
