"""The dispatcher: takes due notifications from the outbox and sees to it that they arrive, or that it is known that they do not.

Delivery is at least once. A message is claimed (its lease is stored), sent, then settled: killed in between, it is sent again
when the lease ends. Two dispatchers do not send the same message within its lease. So receivers deduplicate: webhooks by
`idempotency-key`, PagerDuty by `dedup_key`; Slack has no such key and may show a message twice.
"""

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from aiops.errors import ConfigurationError, Unavailable
from serving.host.log_rate_limit import LineLimit
from serving.incidents.notify.delivery import Attempt, Channel, Outcome
from serving.incidents.notify.escalation import Escalations
from serving.incidents.notify.schedule import Backoff, next_message
from serving.incidents.notify.tenant_prefix import outgoing
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import MessageKind, MessageState, OutboxMessage
from serving.incidents.store.store_writer import StoreWriter

BY: Final = "notifier"
"""Who the audit log names."""

_PENDING_READ: Final = 1000
_HOUSEKEEPING_S: Final = 30.0

_logger = logging.getLogger(__name__)
_lines = LineLimit(_logger)


@dataclass(frozen=True, slots=True)
class DispatchConfig:
    """How notifications are sent. Times in seconds.

    - `lease_s`: how long an attempt may take before another one is made; longer than a channel's timeouts together.
    - `give_up_s`: how long a message is tried.
    - `poll_s`: how often the outbox is looked at.
    - `draw`: numbers in [0, 1), for the waits.
    """

    backoff: Backoff = field(default_factory=Backoff)
    lease_s: float = 60.0
    give_up_s: float = 6 * 3600.0
    poll_s: float = 0.5
    draw: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        """Check the times.

        Raises:
            ConfigurationError: a time is not positive.
        """
        for name in ("lease_s", "give_up_s", "poll_s"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name}={getattr(self, name)}: must be above 0; leave it out for the default")


class Dispatcher:
    """Sends what the outbox holds, one thread a channel, so that a slow receiver delays no other. `clock` = the wall's time."""

    def __init__(
        self,
        store: IncidentStore,
        channels: Sequence[Channel],
        clock: Callable[[], datetime],
        escalations: Escalations,
        config: DispatchConfig | None = None,
    ) -> None:
        self._store = store
        self._channels = {channel.name: channel for channel in channels}
        self._clock = clock
        self._escalations = escalations
        self._config = config or DispatchConfig()
        self._failures: dict[str, int] = {}
        self._quiet_until: dict[str, datetime] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Return how attempts ended since the start, by (channel, delivered | retry | failed | cancelled | escalated)."""
        with self._lock:
            return dict(self._counts)

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; a database that does not answer is waited for, any other error ends all and is raised."""
        with ThreadPoolExecutor(max(1, len(self._channels)), "notify") as pool:
            workers = [pool.submit(self._worker, name, stop) for name in self._channels]
            while not stop.wait(_HOUSEKEEPING_S):
                self._guarded(self.fail_unaddressed)
        for worker in workers:
            worker.result()

    def step(self, name: str) -> bool:
        """Send at most one message of a channel; return whether there was anything to do.

        Raises:
            Unavailable: the database does not answer.
        """
        now = self._clock()
        if now < self._quiet_until.get(name, now):
            return False
        message = next_message(self._store.pending_messages(name, _PENDING_READ), now, self._escalations.now())
        if message is None:
            return False
        claimed = self._claimed(message, now)
        if claimed is not None:
            self._settle(claimed, self._attempt(claimed))
        return True

    def fail_unaddressed(self) -> int:
        """Give up what is addressed to channels that are not configured, and return how many there were."""
        now, count = self._clock(), 0
        for message in self._store.due_messages(now, _PENDING_READ):
            if message.channel not in self._channels:
                count += self._fail(message, message.attempts, now, "channel is not configured")
        return count

    def _worker(self, name: str, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                if not self._guarded(lambda: self.step(name)):
                    stop.wait(self._config.poll_s)
        finally:
            stop.set()

    @staticmethod
    def _guarded(work: Callable[[], int]) -> int:
        try:
            return work()
        except Unavailable as error:
            _lines.warn("waiting", f"notifications wait: {error}")
            return 0

    def _claimed(self, message: OutboxMessage, now: datetime) -> OutboxMessage | None:
        """Return the message with its lease stored; None where it is not needed any more, or somebody else has it."""
        wanted = self._escalations.still_wanted(message)
        lease = now + timedelta(seconds=self._config.lease_s)
        follow_ups = self._escalations.follow_ups(message)
        with self._store.writing() as writer:
            writer.enqueue(follow_ups)
            if wanted is None:
                cancelled = replace(message, state=MessageState.CANCELLED, settled_at=now)
                if writer.move_message(cancelled, message.attempts):
                    self._count(message.channel, "cancelled")
                return None
            claimed = replace(wanted, attempts=message.attempts + 1, due_at=lease, tried_at=message.tried_at or now)
            if not writer.move_message(claimed, message.attempts):
                return None
            if message.kind is MessageKind.ESCALATION and not message.attempts:
                self._tell_escalation(writer, claimed, now)
        return claimed

    def _tell_escalation(self, writer: StoreWriter, message: OutboxMessage, now: datetime) -> None:
        self._count(message.channel, "escalated")
        detail = {"channel": message.channel, "headline": str(message.payload.get("headline", ""))}
        writer.audit(now, BY, "escalated", message.incident_id, detail)
        writer.event(now, "escalated", message.incident_id, detail)

    def _attempt(self, message: OutboxMessage) -> Attempt:
        try:
            return self._channels[message.channel].deliver(outgoing(message, self._store.tenant))
        except msgspec.ValidationError as error:
            return Attempt(Outcome.REFUSED, f"payload cannot be read: {error}")

    def _settle(self, message: OutboxMessage, attempt: Attempt) -> None:
        """Store what came of an attempt."""
        now, name = self._clock(), message.channel
        if attempt.outcome is Outcome.REFUSED:
            self._fail(message, message.attempts, now, attempt.detail)
            return
        if attempt.outcome is Outcome.DELIVERED:
            self._failures[name] = 0
            settled = replace(message, state=MessageState.DELIVERED, error="", settled_at=now)
            self._count(name, "delivered")
        else:
            self._failures[name] = self._failures.get(name, 0) + 1
            failures = max(self._failures[name], message.attempts)
            wait_s = self._config.backoff.wait_s(failures, self._config.draw(), attempt.wait_s)
            due_at = self._quiet_until[name] = now + timedelta(seconds=wait_s)
            if due_at - (message.tried_at or now) > timedelta(seconds=self._config.give_up_s):
                self._fail(message, message.attempts, now, f"given up: {attempt.detail}")
                return
            settled = replace(message, due_at=due_at, error=attempt.detail)
            self._count(name, "retry")
        with self._store.writing() as writer:
            writer.move_message(settled, message.attempts)

    def _fail(self, message: OutboxMessage, attempts: int, now: datetime, why: str) -> bool:
        """Give a message up, in the audit log too; False = somebody else has it."""
        failed = replace(message, state=MessageState.FAILED, error=why, settled_at=now)
        detail = {"message_id": message.message_id, "channel": message.channel, "kind": str(message.kind), "error": why}
        with self._store.writing() as writer:
            if not writer.move_message(failed, attempts):
                return False
            writer.audit(now, BY, "notification failed", message.incident_id, detail)
            writer.event(now, "notification_failed", message.incident_id, detail)
        self._count(message.channel, "failed")
        _logger.error("notification %s of %s to %s failed: %s", message.kind, message.incident_id, message.channel, why)
        return True

    def _count(self, channel: str, what: str) -> None:
        with self._lock:
            self._counts[channel, what] += 1
