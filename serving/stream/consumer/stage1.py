"""Stage 1, the hot thread: reads the telemetry of the owned partitions, applies it, commits outputs and position together.

Start: take the partition (fencing earlier owners), load the newest checkpoint at or before the committed position, replay up to
that position with output suppressed, go on. Everything before a checkpoint's predecessor and the archiver is trimmed.
"""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiops.errors import Unavailable
from serving.stream import streams
from serving.stream.consumer.owned_partition import OwnedPartition, Stage1Parts
from serving.stream.consumer.tier1_source import Tier1Follower, tier1_source

FULL: Final = 0.5
"""Share of the backlog from which on checkpoints do not wait for their time: writers would wait for the room they make."""
_HOUSEKEEPING_S: Final = 0.5

log = logging.getLogger(__name__)


class Stage1:
    """The loop over the owned partitions."""

    def __init__(self, parts: Stage1Parts) -> None:
        self._parts = parts
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._owned: list[OwnedPartition] = []
        self._tier1 = Tier1Follower(tier1_source(parts.config.settings), parts.tenants.partition.tier1)
        self._housekeeping_at = 0.0
        self._checkpoint_at = 0.0

    def run(self) -> None:
        """Take the partitions and work until stopped; then checkpoint everything that is committed.

        Raises:
            FencedError: another process took a partition. StateError: see `Position.commit`.
        """
        self._owned = [OwnedPartition(self._parts, number) for number in self._parts.config.partitions]
        self._checkpoint_at = time.monotonic() + self._parts.config.settings.consumer.checkpoint_s
        try:
            while not self._parts.stop.is_set():
                self._parts.metrics.beat("stage1")
                self._turn()
        finally:
            self._drain()

    @property
    def owned(self) -> Sequence[OwnedPartition]:
        """Return the partitions taken."""
        return self._owned

    def _turn(self) -> None:
        try:
            self._housekeeping()
            config = self._parts.config
            entries_by_stream = self._parts.broker.read(
                {part.stream: part.applied for part in self._owned}, config.read_entries, config.block_ms
            )
        except Unavailable as error:
            log.warning("waiting for the broker: %s", error)
            self._parts.stop.wait(0.2)
            return
        for part in self._owned:
            if not part.advance(entries_by_stream.get(part.stream, [])):
                return
        if time.monotonic() >= self._checkpoint_at:
            self._checkpoint_at = time.monotonic() + self._parts.config.settings.consumer.checkpoint_s
            for part in self._owned:
                part.checkpoint(self._writer)

    def _housekeeping(self) -> None:
        if time.monotonic() < self._housekeeping_at:
            return
        self._housekeeping_at = time.monotonic() + _HOUSEKEEPING_S
        tier1 = self._tier1.newest()
        limit = self._parts.config.settings.consumer.max_backlog
        broker = self._parts.broker
        for part in self._owned:
            part.follow(tier1)
            number = part.number
            outputs = (streams.candidates(number), streams.rejected(number), streams.features(number), streams.points(number))
            while any(self._length(broker, stream) >= limit for stream in outputs):
                self._parts.metrics.beat("stage1")
                if self._parts.stop.wait(0.05):
                    return
            self._parts.metrics.lag_entries.labels(part.stream).set(part.lag_entries())
        if broker.log is None and any(broker.length(part.stream) > FULL * limit for part in self._owned):
            self._checkpoint_at = time.monotonic()  # only what is before a checkpoint can be trimmed

    def _length(self, broker: streams.Streams, stream: str) -> int:
        length = broker.length(stream)
        self._parts.metrics.lag_entries.labels(stream).set(length)
        return length

    def _drain(self) -> None:
        for part in self._owned:
            part.finish_saving()
            part.checkpoint(self._writer)
            part.finish_saving()
        self._writer.shutdown()
