"""Stage 1, the hot thread: reads the telemetry of the owned partitions, applies it, commits outputs and position together.

Start: take the partition (fencing earlier owners), load the newest checkpoint at or before the committed position, replay up to
that position with output suppressed, go on. Everything before a checkpoint's predecessor and the archiver is trimmed.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiops.detection.levels import Tier1
from aiops.errors import Unavailable
from serving.stream import streams
from serving.stream.consumer.owned_partition import OwnedPartition, Stage1Parts
from serving.stream.consumer.tier1_source import Tier1Follower, tier1_source
from serving.stream.ownership.holdings import Holder, Holdings
from serving.stream.ownership.ownership import FixedOwnership

FULL: Final = 0.5
"""Share of the backlog from which on checkpoints do not wait for their time: writers would wait for the room they make."""
_HOUSEKEEPING_S: Final = 0.5

log = logging.getLogger(__name__)


class Stage1:
    """The loop over the owned partitions."""

    def __init__(self, parts: Stage1Parts) -> None:
        self._parts = parts
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        holder = Holder("stage 1", lambda number: OwnedPartition(parts, number), self._give_up, self._forget)
        self._owned = Holdings(parts.ownership or FixedOwnership(frozenset(parts.config.partitions)), holder)
        self._tier1 = Tier1Follower(tier1_source(parts.config.settings), parts.tenants.partition.tier1)
        self._housekeeping_at = 0.0
        self._checkpoint_at = 0.0

    def run(self) -> None:
        """Work on the partitions that are ours until stopped; then checkpoint everything that is committed.

        Raises:
            FencedError: another process took a partition that is not shared. StateError: see `Position.commit`.
        """
        self._checkpoint_at = time.monotonic() + self._parts.config.settings.consumer.checkpoint_s
        try:
            while not self._parts.stop.is_set():
                self._parts.metrics.beat("stage1")
                self._turn()
        finally:
            self._drain()

    def _turn(self) -> None:
        try:
            self._owned.follow()
            config, owned = self._parts.config, self._owned.items.values()
            if not owned:
                self._parts.stop.wait(config.block_ms / 1e3)
                return
            self._housekeeping()
            entries_by_stream = self._parts.broker.read(
                {part.stream: part.applied for part in owned}, config.read_entries, config.block_ms
            )
        except Unavailable as error:
            log.warning("waiting for the broker: %s", error)
            self._parts.stop.wait(0.2)
            return
        if not self._owned.work(lambda part: part.advance(entries_by_stream.get(part.stream, []))):
            return
        if time.monotonic() >= self._checkpoint_at:
            self._checkpoint_at = time.monotonic() + self._parts.config.settings.consumer.checkpoint_s
            for part in owned:
                part.checkpoint(self._writer)

    def _give_up(self, number: int, part: OwnedPartition) -> bool:
        if not part.hand_over(self._writer):
            return False
        if self._parts.outlets is not None:
            self._parts.outlets.features.flush()  # before the next owner writes newer ones
        self._forget(number, part)
        return True

    def _forget(self, number: int, _part: OwnedPartition) -> None:
        self._parts.metrics.forget(number, (streams.telemetry(number), *_outputs(number)))
        if self._parts.outlets is not None:
            self._parts.outlets.forget(number)

    def _housekeeping(self) -> None:
        if time.monotonic() < self._housekeeping_at:
            return
        self._housekeeping_at = time.monotonic() + _HOUSEKEEPING_S
        tier1 = self._tier1.newest()
        limit = self._parts.config.settings.consumer.max_backlog
        broker = self._parts.broker
        if not self._owned.work(lambda part: self._look_after(part, tier1)):
            return
        if broker.log is None and any(broker.length(part.stream) > FULL * limit for part in self._owned.items.values()):
            self._checkpoint_at = time.monotonic()  # only what is before a checkpoint can be trimmed

    def _look_after(self, part: OwnedPartition, tier1: Tier1) -> bool:
        """Bring a partition up to date and wait while its outputs are full; False = stop."""
        part.follow(tier1)
        limit, number = self._parts.config.settings.consumer.max_backlog, part.number
        while any(self._length(self._parts.broker, stream) >= limit for stream in _outputs(number)):
            self._parts.metrics.beat("stage1")
            self._owned.follow()
            if self._parts.stop.wait(0.05):
                return False
            if number not in self._owned.items:
                return True
        self._parts.metrics.lag_entries.labels(part.stream).set(part.lag_entries())
        return True

    def _length(self, broker: streams.Streams, stream: str) -> int:
        length = broker.length(stream)
        self._parts.metrics.lag_entries.labels(stream).set(length)
        return length

    def _drain(self) -> None:
        for part in self._owned.all_held():
            part.finish_saving()
            part.checkpoint(self._writer)
            part.finish_saving()
        self._writer.shutdown()
        self._owned.end()


def _outputs(number: int) -> tuple[str, str, str, str]:
    """Return the streams that stage 1 of a partition waits for when they are full."""
    return streams.candidates(number), streams.rejected(number), streams.features(number), streams.points(number)
