"""One partition that this process owns: its state, its position on the broker, its checkpoints, what it trims."""

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.detection.levels import Tier1
from aiops.errors import ArtifactError, ModelNotFound
from serving.stream import streams
from serving.stream.consumer.checkpoint import CheckpointStore
from serving.stream.consumer.commit import Position
from serving.stream.consumer.owned_services import OwnedServices
from serving.stream.consumer.partition_step import Step
from serving.stream.consumer.recovery import Recovery
from serving.stream.consumer.stage1_parts import Stage1Parts
from serving.stream.consumer.state_saver import SavedReader, StateSaver
from serving.stream.consumer.step_commit import StepCommit
from serving.stream.consumer.tenant_partitions import TenantPartitions
from serving.stream.consumer.tier1_source import InForce, Tier1Source, tier1_source
from serving.stream.ownership.checkpoint_place import CheckpointPlace, place_of
from serving.stream.sent_sequences import SentSequences

STAGE: Final = "stage1"
ARCHIVE_STAGE: Final = "archive-telemetry"
_SENT: Final = "sent"

log = logging.getLogger(__name__)


class OwnedPartition:
    """One partition this process owns: its state, its position, its checkpoints; `services`, where there are several."""

    def __init__(self, parts: Stage1Parts, number: int) -> None:
        self.number = number
        self._parts = parts
        self._tier1: Tier1Source = tier1_source(parts.config.settings)
        self._position = Position(parts.broker, STAGE, number)
        self._commits = StepCommit(parts, self._position, STAGE, number)
        store = CheckpointStore(parts.config.checkpoint_folder, number, self._position.epoch)
        self._store = store
        self._in_force = InForce.of_text(self._position.note)
        self._sent = SentSequences()
        place = place_of(parts.config.checkpoint_folder)
        reader = SavedReader(f"partition {number}", self._position, store, place, self._saved, self._trim)
        self._saver = StateSaver(reader)
        self.applied, self._partition = self._recovery(place).run()
        self.services = OwnedServices(parts, number, place) if parts.tenants.partition.partitions > 1 else None

    @property
    def stream(self) -> str:
        """Return the telemetry stream."""
        return streams.telemetry(self.number)

    def lag_entries(self) -> int:
        """Return how many entries of producers are not committed yet.

        Raises:
            Unavailable: the broker does not answer.
        """
        return max(0, self._parts.broker.added(self.number) - self._position.ordinal)

    @property
    def in_step(self) -> bool:
        """Return whether the state stands exactly at the committed position: only then may it be checkpointed."""
        return self.applied == self._position.through

    def _recovery(self, place: CheckpointPlace) -> Recovery[TenantPartitions]:
        parts = self._parts
        return Recovery(
            f"partition {self.number}",
            parts.broker,
            self.stream,
            self._position,
            self._store,
            place,
            lambda: TenantPartitions(parts.tenants),
            self._restored,
            parts.metrics.state_lost.inc,
        )

    def _restored(self, state: Mapping[str, npt.NDArray[Any]]) -> TenantPartitions:
        restored = TenantPartitions.restore(self._parts.tenants, state)
        self._sent = SentSequences.of_text(str(state.get(_SENT, "")))
        return restored

    def advance(self, entries: Sequence[streams.Entry]) -> bool:
        """Apply entries that follow `applied`; commit those beyond the committed position. False = gave up on the broker."""
        replayed, fresh = self._commits.replayed_and_fresh(entries)
        for version, run in groupby(replayed, lambda entry: self._in_force.at(entry.entry_id)):
            self._judge_by(version)
            self._partition.apply(self._unsent(list(run)))
            self.applied = replayed[-1].entry_id
        if not fresh:
            return True
        self._judge_by(self._in_force.newest)
        begun = time.perf_counter()
        steps, newest = self._partition.apply(self._unsent(fresh)), fresh[-1]
        self.applied = newest.entry_id
        commit = self._commits.prepared(steps, newest)
        self._parts.metrics.tick_s.observe(time.perf_counter() - begun)
        waited_s = self._commits.commit(commit, steps, fresh)
        if waited_s is None:
            return False
        self._parts.metrics.lag_s.labels(str(self.number)).set(waited_s)
        self._offer(steps)
        return True

    def _unsent(self, entries: Sequence[streams.Entry]) -> Sequence[streams.Entry]:
        """Return the entries that a log holds for the first time; the state store holds none twice."""
        return entries if self._parts.broker.log is None else self._sent.fresh(entries)

    def _offer(self, steps: Mapping[str, Step]) -> None:
        for tenant, step in steps.items():
            self._parts.metrics.count_tenant(tenant, step.counts)
            if self._parts.outlets is not None:
                self._parts.outlets.offer(self.number, tenant, step)

    def checkpoint(self, writer: ThreadPoolExecutor) -> None:
        """Copy the state now, write it in `writer`; nothing where the last one is still being written or state is ahead."""
        self._saver.save(writer, self.applied, self.snapshot)
        if self.services is not None:
            self.services.checkpoint(writer)

    def finish_saving(self) -> None:
        """Wait for the checkpoint being written; raises what it raised."""
        self._saver.finish()
        if self.services is not None:
            self.services.finish_saving()

    def hand_over(self, writer: ThreadPoolExecutor) -> bool:
        """Save the state where that is not done yet; return whether nothing is left to do: else call it again."""
        done = self._saver.hand_over(writer, self.applied, self.snapshot)
        return (self.services is None or self.services.hand_over(writer)) and done

    def _saved(self, size: int) -> None:
        self._parts.metrics.checkpointed(self.number, size)

    def _trim(self) -> None:
        through = self._store.replayable_from
        if self._parts.config.archives:
            archived = streams.kept_after(self._parts.broker.hash_all(streams.offset(ARCHIVE_STAGE, self.number)))
            through = min(through, archived, key=streams.id_parts)
        if through != streams.START:
            self._position.trim_through(self.stream, through)

    def follow(self, tier1: Tier1) -> None:
        """Judge the points from now on by `tier1`, and note beside the position where it came into force: a replay obeys.

        Nothing while the state is not exactly at the committed position; ask again later.

        Raises:
            Unavailable, FencedError: as `Position.write_note`; the levels stay as they are.
        """
        if not self.in_step or tier1.version == self._in_force.newest:
            return
        in_force = self._in_force.followed_by(self.applied, tier1.version, self._store.replayable_from)
        self._position.write_note(in_force.to_text())
        self._in_force = in_force
        self._partition.use_tier1(tier1)
        log.info("partition %d: tier 1 version %s in force after %s", self.number, tier1.version or "none", self.applied)

    def _judge_by(self, version: str | None) -> None:
        if version is None or version == self._partition.tier1_version:
            return
        try:
            self._partition.use_tier1(self._tier1.load(version))
        except (ArtifactError, ModelNotFound) as error:
            log.warning("partition %d: replayed by version %s: %s", self.number, self._partition.tier1_version, error)

    def snapshot(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the whole state: of the tenants, and which entries of a log came."""
        sent = {} if self._parts.broker.log is None else {_SENT: np.array(self._sent.to_text())}
        return {**self._partition.snapshot(), **sent}
