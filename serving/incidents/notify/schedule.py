"""Which message goes out next, and how long to wait after a failure: pure.

Messages of one incident keep their order on a channel; other incidents do not wait for them.

Source: exponential backoff with equal jitter: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from aiops.errors import ConfigurationError
from serving.incidents.store.records import MessageKind, OutboxMessage

_RANK: Final[Mapping[MessageKind, int]] = {
    MessageKind.PAGE: 0,
    MessageKind.UPDATE: 1,
    MessageKind.APPROVAL: 1,
    MessageKind.HELD_BACK: 1,
    MessageKind.ESCALATION: 2,
    MessageKind.APPROVAL_ESCALATION: 2,
    MessageKind.ACKNOWLEDGED: 3,
    MessageKind.RESOLVED: 4,
}
"""Order of messages about the same moment."""
_TIMED: Final = frozenset({MessageKind.ESCALATION, MessageKind.APPROVAL_ESCALATION})
"""Kinds that are not sent before they are due."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: the first one, doubled after each failure up to the most; half of each is drawn."""

    first_s: float = 2.0
    most_s: float = 120.0

    def __post_init__(self) -> None:
        """Check the waits.

        Raises:
            ConfigurationError: a wait is not positive, or the most is below the first.
        """
        if not 0 < self.first_s <= self.most_s:
            raise ConfigurationError(f"backoff: first_s={self.first_s}, most_s={self.most_s}: needed is 0 < first_s <= most_s")

    def wait_s(self, failures: int, draw: float, asked_s: float | None = None) -> float:
        """Return how long to wait after so many failures in a row (1 or more); `draw` in [0, 1). What was asked for is obeyed.

        >>> Backoff(2.0, 120.0).wait_s(3, 0.5), Backoff(2.0, 120.0).wait_s(99, 0.0), Backoff().wait_s(1, 0.0, 30.0)
        (6.0, 60.0, 30.0)
        """
        whole = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))
        own = whole / 2 * (1 + draw)
        return own if asked_s is None else max(own, asked_s)


def next_message(pending: Iterable[OutboxMessage], now: datetime, desk_now: datetime) -> OutboxMessage | None:
    """Return the oldest of a channel's unsettled messages that may go out; None where all wait.

    `now` decides when a tried one is due again, `desk_now` when an escalation is; all others are due at once.
    """
    held: set[str] = set()
    for message in sorted(pending, key=_order):
        if message.incident_id in held:
            continue
        if message.attempts:
            if message.due_at <= now:
                return message
            held.add(message.incident_id)
        elif message.kind not in _TIMED or message.due_at <= desk_now:
            return message
    return None


def _order(message: OutboxMessage) -> tuple[datetime, int, str]:
    try:
        at = msgspec.convert(message.payload.get("at"), datetime)
    except msgspec.ValidationError:
        at = message.due_at
    return at, _RANK[message.kind], message.message_id
