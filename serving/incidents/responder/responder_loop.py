"""A desk's loop: what the broker and the inbox hold of its tenant becomes incidents, step by step.

It outlives a broker or a database that does not answer: what is not committed is read again.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiops.errors import Unavailable
from aiops.settings.responder_settings import ResponderSettings
from serving.incidents.desk.desk import Desk, Step
from serving.incidents.desk.desk_clock import DeskClock
from serving.incidents.desk.desk_metrics import ResponderMetrics
from serving.incidents.desk.detection_alerts import AlertRules
from serving.incidents.desk.stream_inputs import READ, Batch, StreamInputs
from serving.incidents.store.incident_store import IncidentStore
from serving.stream.streams import START, id_parts

EVERY_S: Final = 0.2
"""Pause between two steps where nothing waits."""
AWAY_S: Final = 1.0
"""Pause between two tries where something does not answer."""
REST_S: Final = 5.0
"""Pause between two steps of a desk at which nothing goes on."""
KEEP_S: Final = 60.0
"""How often a desk keeps how far the streams are read where nothing in them is its own."""
LAG_S: Final = 5.0
BEAT_S: Final = 30.0
"""Without a step for so long the desk does not work."""
THRESHOLDS: Final = "thresholds"
"""Note of the store: least scores of alerts, as [service, metric, score]."""
BROKER, DATABASE, DESK = "broker", "database", "desk"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoopParts:
    """What the loop works with; `on_step` is called with each step."""

    store: IncidentStore
    desk: Desk
    inputs: StreamInputs
    clock: DeskClock
    settings: ResponderSettings
    metrics: ResponderMetrics
    on_step: Callable[[Step], None] = field(default=lambda _: None)


class DeskLoop:
    """Steps in one thread; `health` may be called from others."""

    def __init__(self, parts: LoopParts) -> None:
        self._parts = parts
        self._offsets: Mapping[str, str] = {}
        self._away: dict[str, str] = {}
        self._beat_s = time.monotonic()
        self._lag_at = 0.0
        self._broker_at = 0.0
        self._rests = False
        self._due_s = self._kept_s = 0.0
        self.others: frozenset[str] = frozenset()

    def begin(self) -> None:
        """Find where the desk stands.

        Raises:
            Unavailable: the database does not answer.
            StateError: what is stored cannot be read.
        """
        self._parts.clock.saw(self._parts.store.clock())
        step = self._parts.desk.tick(self._parts.clock.now())
        self._offsets = step.offsets
        self._follow(step)
        self._parts.on_step(step)

    @property
    def offsets(self) -> Mapping[str, str]:
        """Return up to where each stream has been read."""
        return self._offsets

    @property
    def waits(self) -> bool:
        """Return whether the database does not answer."""
        return DATABASE in self._away

    def step(self, inbox: bool = True) -> bool:
        """Read, take and commit once; return whether more waits to be read.

        A desk at which nothing goes on is asked every `REST_S` seconds only, where there is no news and nothing in the `inbox`.
        """
        parts = self._parts
        batch = self._read()
        self.others = batch.others
        parts.clock.saw(batch.newest)
        if self._rests and not (inbox or batch.own) and time.monotonic() < self._due_s:
            self._beat_s = time.monotonic()
            self._offsets = further(self._offsets, batch.offsets)
            return batch.more
        return self._taken(batch)

    def _taken(self, batch: Batch) -> bool:
        parts = self._parts
        keep = batch.own or time.monotonic() - self._kept_s > KEEP_S
        try:
            with parts.metrics.step_s.time():
                offsets = further(self._offsets, batch.offsets) if keep else {}
                step = parts.desk.take(batch.alerts, offsets, parts.clock.now())
        except Unavailable as error:
            self._note(DATABASE, str(error))
            return False
        self._note(DATABASE, "")
        self._beat_s = time.monotonic()
        self._kept_s = time.monotonic() if keep else self._kept_s
        self._offsets = further(further(self._offsets, batch.offsets), step.offsets)
        self._rests = not (step.open_ids or step.settling or step.outcome.storm.active or step.taken)
        self._due_s = time.monotonic() + REST_S
        self._follow(step)
        parts.metrics.read(batch)
        parts.metrics.stepped(step)
        parts.on_step(step)
        return batch.more

    def _follow(self, step: Step) -> None:
        """Let the clock go on with what a step took."""
        if not step.offsets and step.taken:
            self._parts.clock.saw(step.moment)  # no telemetry gives the time: alerts do
        self._parts.clock.waits(step.settling)

    def health(self) -> Mapping[str, str]:
        """Return each part with "ok" or what is wrong."""
        silent_s = time.monotonic() - self._beat_s
        stalled = f"no step for {silent_s:.0f} s" if silent_s > BEAT_S else "ok"
        return {DESK: stalled, BROKER: self._away.get(BROKER, "ok"), DATABASE: self._away.get(DATABASE, "ok")}

    def _read(self) -> Batch:
        """Return what the broker has, nothing while it does not answer."""
        if BROKER in self._away and time.monotonic() < self._broker_at:
            return Batch()
        try:
            batch = self._parts.inputs.read(self._offsets, self._rules())
            self._measure(batch)
        except Unavailable as error:
            self._broker_at = time.monotonic() + AWAY_S
            self._note(BROKER, str(error))
            return Batch()
        if BROKER in self._away:
            self._lag_at = 0.0
        self._note(BROKER, "")
        return batch

    def _rules(self) -> AlertRules:
        try:
            noted = self._parts.store.noted(THRESHOLDS) or ()
        except Unavailable:
            noted = ()
        thresholds = {(service, metric): float(least) for service, metric, least in noted}
        return AlertRules(self._parts.settings.critical_score, thresholds)

    def _measure(self, batch: Batch) -> None:
        """Measure now and then how far behind the streams it is, and whether they were trimmed before they were read."""
        for stream in READ if not batch.offsets else ():
            self._parts.metrics.behind(stream, 0.0)
        if time.monotonic() < self._lag_at:
            return
        first = not self._lag_at
        self._lag_at = time.monotonic() + LAG_S
        for stream, behind_s in self._parts.inputs.behind_s(self._offsets).items():
            self._parts.metrics.behind(stream, behind_s)
        for stream in self._parts.inputs.lost(self._offsets) if first else ():
            self._parts.metrics.gap()
            log.error("%s was trimmed before it was read: the responder was away too long, see consumer.keep_results_h", stream)

    def _note(self, part: str, wrong: str) -> None:
        """Keep how a part is; say it once when it goes and once when it is back."""
        if wrong and part not in self._away:
            log.warning("the desk waits: %s", wrong)
        if not wrong and self._away.pop(part, ""):
            log.info("%s answers again", part)
        if wrong:
            self._away[part] = wrong
        self._parts.metrics.answers(part, not wrong)


def further(known: Mapping[str, str], read: Mapping[str, str]) -> dict[str, str]:
    """Return of two positions in each stream the later one."""
    both = dict(known)
    for stream, entry_id in read.items():
        if id_parts(entry_id) > id_parts(both.get(stream, START)):
            both[stream] = entry_id
    return both
