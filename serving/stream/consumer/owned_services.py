"""The services of the tenants whose home is a partition that this process owns: their state, position and checkpoints."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy.typing as npt

from serving.stream import streams
from serving.stream.consumer.checkpoint import CheckpointStore
from serving.stream.consumer.commit import Commit, Position
from serving.stream.consumer.consumer_metrics import ConsumerMetrics
from serving.stream.consumer.partition_step import OutputPlace, Step, outputs_of
from serving.stream.consumer.recovery import Recovery
from serving.stream.consumer.stage1_parts import Stage1Parts
from serving.stream.consumer.state_saver import SavedReader, StateSaver
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
        committed = streams.id_parts(self._position.through)
        replayed = [entry for entry in entries if streams.id_parts(entry.entry_id) <= committed]
        fresh = entries[len(replayed) :]
        if replayed:
            self._services.apply(replayed)
            self.applied = replayed[-1].entry_id
        if not fresh:
            return True
        steps = self._services.apply(fresh)
        self.applied = fresh[-1].entry_id
        produced_ns = fresh[-1].produced_ns
        places = {tenant: OutputPlace(self.number, produced_ns, tenant) for tenant in steps}
        archives = self._parts.config.archives
        outputs = [output for tenant, step in steps.items() for output in outputs_of(step, places[tenant], archives)]
        counts = sum((step.counts for step in steps.values()), Counter[str]())
        metrics = self._parts.metrics
        with metrics.commit_s.time():
            if not self._position.commit_until_done(Commit(self.applied, counts, outputs), self._parts.stop.wait):
                return False
        metrics.count_points(counts)
        count_candidates(metrics, steps)
        metrics.end_to_end_s.labels(STAGE).observe(max(0.0, time.time() - produced_ns / 1e9))
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


def count_candidates(metrics: ConsumerMetrics, steps: Mapping[str, Step]) -> None:
    """Count the candidates of one commit."""
    candidates = [batch for step in steps.values() for batch in step.candidates]
    rows = sum(batch.num_rows for batch in candidates)
    metrics.count_candidates(rows, rows - sum(batch.column("metric").null_count for batch in candidates))
