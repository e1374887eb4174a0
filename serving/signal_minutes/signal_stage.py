"""The stage that makes series of logs and spans: reads the signals of the owned partitions, appends minutes to telemetry.

Start: take the partition (fencing earlier owners), load the newest checkpoint at or before the committed position, replay up to
that position with output suppressed, go on; as stage 1 of the consumer does.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiops.errors import FencedError, Unavailable
from serving.host.log_rate_limit import LineLimit
from serving.signal_minutes.owned_signals import OwnedSignals
from serving.signal_minutes.signal_parts import SignalParts
from serving.stream import streams
from serving.stream.consumer.work_pace import WorkPace
from serving.stream.ownership.holdings import Holder, Holdings

_HOUSEKEEPING_S: Final = 1.0
FULL: Final = 0.5
"""Share of the backlog from which on checkpoints do not wait for their time: receivers would wait for the room they make."""

log = logging.getLogger(__name__)
_lines = LineLimit(log)


class SignalStage:
    """The loop over the owned partitions; one thread. The clock gives us since 1970."""

    def __init__(self, parts: SignalParts, clock_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._parts = parts
        self._clock_us = clock_us
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        holder = Holder("signals", lambda number: OwnedSignals(parts, number), self._give_up, self._forget)
        self._owned = Holdings(parts.ownership, holder)
        self._checkpoints = WorkPace(parts.checkpoint_s)
        self._housekeeping_at = 0.0

    def run(self) -> None:
        """Work on the partitions that are ours until stopped; then checkpoint everything that is committed.

        Raises:
            FencedError: another process took a partition that is not shared. StateError: see `Position.commit`.
        """
        try:
            while not self._parts.stop.is_set():
                self._parts.metrics.beat("signals")
                try:
                    self.turn()
                except Unavailable as error:
                    _lines.warn("broker", f"signals wait for the broker: {error}")
                    self._parts.stop.wait(0.2)
        finally:
            self._drain()

    def turn(self) -> None:
        """Read once, append what came of it, and look after what is due.

        Raises:
            Unavailable: the broker does not answer; call it again.
        """
        parts = self._parts
        self._owned.follow()
        owned = self._owned.items
        if not owned:
            parts.stop.wait(parts.block_ms / 1e3)
            return
        after = {part.stream: part.applied for part in owned.values()}
        entries_by_stream = parts.broker.read(after, parts.read_entries, parts.block_ms)
        if not self._owned.work(lambda part: part.advance(entries_by_stream.get(part.stream, []))):
            return
        self._housekeeping()
        if self._checkpoints.is_due():
            self._checkpoints.begins()
            for part in owned.values():
                part.checkpoint(self._writer)
            self._writer.submit(self._checkpoints.ended)

    def _housekeeping(self) -> None:
        if time.monotonic() < self._housekeeping_at:
            return
        now_us = self._clock_us()

        def look_after(part: OwnedSignals) -> bool:
            part.tick(now_us)
            part.show()
            return True

        self._owned.work(look_after)
        lengths = [self._parts.broker.length(streams.signals(number)) for number in self._owned.items]
        if max(lengths, default=0) > FULL * self._parts.appends.max_backlog:
            self._checkpoints.hurry()  # only what is before a checkpoint can be trimmed
        self._housekeeping_at = time.monotonic() + _HOUSEKEEPING_S

    def _give_up(self, number: int, part: OwnedSignals) -> bool:
        if not part.hand_over(self._writer):
            return False
        self._forget(number, part)
        return True

    def _forget(self, number: int, part: OwnedSignals) -> None:
        self._parts.metrics.forget(number, part.stream)

    def _drain(self) -> None:
        for part in self._owned.all_held():
            part.finish_saving()
            try:
                part.show()
            except (Unavailable, FencedError) as error:
                log.warning("partition %d: %s", part.number, error)
            part.checkpoint(self._writer)
            part.finish_saving()
        self._writer.shutdown()
        self._owned.end()
