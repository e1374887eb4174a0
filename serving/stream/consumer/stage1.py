"""Stage 1, the hot thread: reads the telemetry of the owned partitions, applies it, commits outputs and position together.

Start: take the partition (fencing earlier owners), load the newest checkpoint at or before the committed position, replay up to
that position with output suppressed, go on. Everything before a checkpoint's predecessor and the archiver is trimmed.
"""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiops.detection.levels import Tier1
from aiops.errors import Unavailable
from serving.stream import streams
from serving.stream.consumer.owned_partition import OwnedPartition
from serving.stream.consumer.stage1_parts import Stage1Parts
from serving.stream.consumer.tier1_source import Tier1Follower, tier1_source
from serving.stream.consumer.work_pace import WorkPace
from serving.stream.ownership.holdings import Holder, Holdings
from serving.stream.ownership.ownership import FixedOwnership

FULL: Final = 0.5
"""Share of the backlog from which on checkpoints do not wait for their time: writers would wait for the room they make."""
_HOUSEKEEPING_S: Final = 0.5
_WAIT_S: Final = 0.05
"""How often it is looked whether full streams have room again."""

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
        self._checkpoints = WorkPace(parts.config.settings.consumer.checkpoint_s)
        self._full: set[int] = set()
        """Partitions whose outputs are full, and those where the outputs of the services are."""
        self._services_full: set[int] = set()

    def run(self) -> None:
        """Work on the partitions that are ours until stopped; then checkpoint everything that is committed.

        Raises:
            FencedError: another process took a partition that is not shared. StateError: see `Position.commit`.
        """
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
            if not self._housekeeping():
                return
            after = {part.stream: part.applied for part in owned if part.number not in self._full}
            if not after:
                self._parts.stop.wait(_WAIT_S)
            entries_by_stream = self._parts.broker.read(after, config.read_entries, config.block_ms) if after else {}
        except Unavailable as error:
            log.warning("waiting for the broker: %s", error)
            self._parts.stop.wait(0.2)
            return
        if not self._owned.work(lambda part: part.advance(entries_by_stream.get(part.stream, []))):
            return
        if not self._add_up_services():
            return
        if self._checkpoints.is_due():
            self._checkpoints.begins()
            for part in owned:
                part.checkpoint(self._writer)
            self._writer.submit(self._checkpoints.ended)

    def _add_up_services(self) -> bool:
        """Read what the partitions gave of services, without waiting for more; False = gave up on the broker."""
        held = {part.services.stream: part.services for part in self._owned.items.values() if part.services is not None}
        after = {stream: services.applied for stream, services in held.items() if services.number not in self._services_full}
        if not after:
            return True
        try:
            entries_by_stream = self._parts.broker.read(after, self._parts.config.read_entries, 0)
        except Unavailable as error:
            log.warning("waiting for the broker: %s", error)
            return True

        def advance(part: OwnedPartition) -> bool:
            return part.services is None or part.services.advance(entries_by_stream.get(part.services.stream, []))

        return self._owned.work(advance)

    def _give_up(self, number: int, part: OwnedPartition) -> bool:
        if not part.hand_over(self._writer):
            return False
        if self._parts.outlets is not None:
            self._parts.outlets.hand_over(number)
        self._forget(number, part)
        return True

    def _forget(self, number: int, _part: OwnedPartition) -> None:
        written = (*_outputs(number), streams.candidates(number), streams.partials(number))
        self._parts.metrics.forget(number, (streams.telemetry(number), *written))
        if self._parts.outlets is not None:
            self._parts.outlets.forget(number)

    def _housekeeping(self) -> bool:
        """Look after what is due, sooner where something waits for room; False = stop."""
        if time.monotonic() < self._housekeeping_at:
            return True
        tier1 = self._tier1.newest()
        limit = self._parts.config.settings.consumer.max_backlog
        broker = self._parts.broker
        self._full, self._services_full = set(), set()
        partials = self._partials_are_full()
        if not self._owned.work(lambda part: self._look_after(part, tier1, partials)):
            return False
        self._housekeeping_at = time.monotonic() + (_WAIT_S if self._full or self._services_full else _HOUSEKEEPING_S)
        waiting = [part.services.stream for part in self._owned.items.values() if part.services is not None]
        if broker.log is None:
            waiting += [part.stream for part in self._owned.items.values()]
        if any(broker.length(stream) > FULL * limit for stream in waiting):
            self._checkpoints.hurry()  # only what is before a checkpoint can be trimmed
        return True

    def _look_after(self, part: OwnedPartition, tier1: Tier1, partials_are_full: bool) -> bool:
        """Bring a partition up to date, and note whether its outputs are full: then it is not read meanwhile."""
        part.follow(tier1)
        number = part.number
        candidates, written = streams.candidates(number), _outputs(number)
        alone = part.services is None
        if self._are_full([*written, candidates] if alone else written) or partials_are_full:
            self._full.add(number)
        if not alone and self._are_full([candidates, streams.features(number)]):
            self._services_full.add(number)
        self._parts.metrics.lag_entries.labels(part.stream).set(part.lag_entries())
        return True

    def _partials_are_full(self) -> bool:
        """Return whether a home has as many partial sums waiting as it may: every partition writes to all homes."""
        homes = self._parts.tenants.partition.partitions
        return homes > 1 and self._are_full([streams.partials(home) for home in range(homes)])

    def _are_full(self, names: Sequence[str]) -> bool:
        limit = self._parts.config.settings.consumer.max_backlog
        return max([self._length(self._parts.broker, stream) for stream in names], default=0) >= limit

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


def _outputs(number: int) -> tuple[str, str, str]:
    """Return what stage 1 of a partition writes whether there are others or not."""
    return streams.rejected(number), streams.features(number), streams.points(number)
