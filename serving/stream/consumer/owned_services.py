"""The services of the tenants whose home is a partition that this process owns: their state, position and checkpoints."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy.typing as npt

from serving.stream import streams
from serving.stream.consumer.checkpoint import CheckpointStore
from serving.stream.consumer.commit import Position
from serving.stream.consumer.recovery import Recovery
from serving.stream.consumer.stage1_parts import Stage1Parts
from serving.stream.consumer.state_saver import SavedReader, StateSaver
from serving.stream.consumer.step_commit import StepCommit
from serving.stream.consumer.tenant_services import TenantServices
from serving.stream.ownership.checkpoint_place import CheckpointPlace

STAGE: Final = "services"

log = logging.getLogger(__name__)


class OwnedServices:
    """Adds up what the partitions give of services; reads the partials of one partition."""

    def __init__(self, parts: Stage1Parts, number: int, place: CheckpointPlace) -> None:
        self.number = number
        self._parts = parts
        self._position = Position(parts.broker, STAGE, number)
        self._commits = StepCommit(parts, self._position, STAGE, number)
        self._store = CheckpointStore(parts.config.checkpoint_folder, number, self._position.epoch, STAGE)
        name = f"services of partition {number}"
        self._saver = StateSaver(SavedReader(name, self._position, self._store, place, self._saved, self._trim))
        self.applied, self._services = Recovery(
            name,
            parts.broker,
            self.stream,
            self._position,
            self._store,
            place,
            lambda: TenantServices(parts.tenants),
            lambda state: TenantServices.restore(parts.tenants, state),
            parts.metrics.state_lost.inc,
        ).run()

    @property
    def stream(self) -> str:
        """Return the stream of partial sums."""
        return streams.partials(self.number)

    def advance(self, entries: Sequence[streams.Entry]) -> bool:
        """Apply entries that follow `applied`; commit those beyond the committed position. False = gave up on the broker."""
        replayed, fresh = self._commits.replayed_and_fresh(entries)
        if replayed:
            self._services.apply(replayed)
            self.applied = replayed[-1].entry_id
        if not fresh:
            return True
        steps, newest = self._services.apply(fresh), fresh[-1]
        self.applied = newest.entry_id
        if self._commits.commit(self._commits.prepared(steps, newest), steps, fresh) is None:
            return False
        if self._parts.outlets is not None:
            for tenant, step in steps.items():
                self._parts.outlets.features.offer(tenant, (), step.service_rows)
        return True

    def checkpoint(self, writer: ThreadPoolExecutor) -> None:
        """Copy the state now, write it in `writer`; nothing where the last one is still being written or state is ahead."""
        self._saver.save(writer, self.applied, self.snapshot)

    def finish_saving(self) -> None:
        """Wait for the checkpoint being written; raises what it raised."""
        self._saver.finish()

    def hand_over(self, writer: ThreadPoolExecutor) -> bool:
        """Save the state where that is not done yet; return whether nothing is left to do: else call it again."""
        return self._saver.hand_over(writer, self.applied, self.snapshot)

    def snapshot(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the whole state."""
        return self._services.snapshot()

    def _saved(self, size: int) -> None:
        log.debug("services of partition %d: checkpoint of %d bytes", self.number, size)

    def _trim(self) -> None:
        if self._store.replayable_from != streams.START:
            self._position.trim_through(self.stream, self._store.replayable_from)
