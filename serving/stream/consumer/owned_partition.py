"""One partition that this process owns: its state, its position on the broker, its checkpoints, what it trims."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.detection.levels import Tier1
from aiops.errors import ArtifactError, FencedError, ModelNotFound, OutdatedState, Unavailable
from serving.stream import streams
from serving.stream.consumer.checkpoint import Checkpoint, CheckpointStore
from serving.stream.consumer.commit import Commit, Position
from serving.stream.consumer.consumer_config import ConsumerConfig
from serving.stream.consumer.consumer_metrics import ConsumerMetrics
from serving.stream.consumer.outlets import Outlets
from serving.stream.consumer.partition_step import OutputPlace, Step, outputs_of
from serving.stream.consumer.tenant_partitions import TenantPartitions, TenantsConfig
from serving.stream.consumer.tier1_source import InForce, Tier1Source, tier1_source
from serving.stream.ownership.checkpoint_place import CheckpointNote, place_of
from serving.stream.ownership.leases import CHECKPOINT
from serving.stream.ownership.ownership import Ownership
from serving.stream.sent_sequences import SentSequences

STAGE: Final = "stage1"
ARCHIVE_STAGE: Final = "archive-telemetry"
_SENT: Final = "sent"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stage1Parts:
    """What stage 1 works with."""

    config: ConsumerConfig
    tenants: TenantsConfig
    broker: streams.Streams
    metrics: ConsumerMetrics
    outlets: Outlets | None
    stop: threading.Event
    ownership: Ownership | None = None
    """Which partitions are ours now; None = those of `config`."""


class OwnedPartition:
    """One partition this process owns: its state, its position, its checkpoints."""

    def __init__(self, parts: Stage1Parts, number: int) -> None:
        self.number = number
        self._parts = parts
        self._tier1: Tier1Source = tier1_source(parts.config.settings)
        self._position = Position(parts.broker, STAGE, number)
        self._store = CheckpointStore(parts.config.checkpoint_folder, number, self._position.epoch)
        self._place = place_of(parts.config.checkpoint_folder)
        self._in_force = InForce.of_text(self._position.note)
        self._sent = SentSequences()
        self.applied, self._partition = self._recover()
        self._produced_ns = 0
        self._saving: Future[None] | None = None
        self._saved_at = ""

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

    def _recover(self) -> tuple[str, TenantPartitions]:
        committed = self._position.through
        checkpoint, passed = self._store.load(committed)
        for reason in passed:
            log.warning("partition %d: %s", self.number, reason)
        start = checkpoint.through if checkpoint else streams.START
        gap = streams.id_parts(self._parts.broker.trimmed_id(self.stream)) > streams.id_parts(start)
        if gap:
            self._parts.metrics.state_lost.inc()
            log.error(
                "partition %d: entries after %s are gone; warming up anew at %s%s",
                self.number,
                start,
                committed,
                self._elsewhere(),
            )
            return committed, TenantPartitions(self._parts.tenants)
        log.info("partition %d: epoch %d, state at %s, committed %s", self.number, self._position.epoch, start, committed)
        if checkpoint is None:
            return start, TenantPartitions(self._parts.tenants)
        try:
            restored = TenantPartitions.restore(self._parts.tenants, checkpoint.state)
            self._sent = SentSequences.of_text(str(checkpoint.state.get(_SENT, "")))
            return start, restored
        except OutdatedState as error:
            self._parts.metrics.state_lost.inc()
            oldest = self._parts.broker.trimmed_id(self.stream)
            log.error("partition %d: the state at %s is outdated, warming up anew from %s: %s", self.number, start, oldest, error)
            return oldest, TenantPartitions(self._parts.tenants)

    def _elsewhere(self) -> str:
        """Say where the newest checkpoint lies, if it is a folder that is not seen here."""
        note = CheckpointNote.of_text(self._position.stored(CHECKPOINT))
        if note is None or self._place.reaches(note.place):
            return ""
        return f"; the state at {note.through} lies in {note.place}: set AIOPS_CONSUMER__CHECKPOINT_FOLDER to a shared folder"

    def advance(self, entries: Sequence[streams.Entry]) -> bool:
        """Apply entries that follow `applied`; commit those beyond the committed position. False = gave up on the broker."""
        committed = streams.id_parts(self._position.through)
        replayed = [entry for entry in entries if streams.id_parts(entry.entry_id) <= committed]
        fresh = entries[len(replayed) :]
        for version, run in groupby(replayed, lambda entry: self._in_force.at(entry.entry_id)):
            self._judge_by(version)
            self._partition.apply(self._unsent(list(run)))
            self.applied = replayed[-1].entry_id
        if not fresh:
            return True
        self._judge_by(self._in_force.newest)
        begun = time.perf_counter()
        steps = self._partition.apply(self._unsent(fresh))
        self.applied = fresh[-1].entry_id
        self._produced_ns = fresh[-1].produced_ns
        archives = self._parts.config.archives
        places = {tenant: OutputPlace(self.number, self._produced_ns, tenant) for tenant in steps}
        outputs = [output for tenant, step in steps.items() for output in outputs_of(step, places[tenant], archives)]
        counts = sum((step.counts for step in steps.values()), Counter[str]())
        commit = Commit(self.applied, counts, outputs, fresh[-1].ordinal)
        self._parts.metrics.tick_s.observe(time.perf_counter() - begun)
        return self._commit(commit, steps)

    def _unsent(self, entries: Sequence[streams.Entry]) -> Sequence[streams.Entry]:
        """Return the entries that a log holds for the first time; the state store holds none twice."""
        return entries if self._parts.broker.log is None else self._sent.fresh(entries)

    def _commit(self, commit: Commit, steps: Mapping[str, Step]) -> bool:
        metrics = self._parts.metrics
        with metrics.commit_s.time():
            if not self._position.commit_until_done(commit, self._parts.stop.wait):
                return False
        metrics.count_points(commit.counts)
        candidates = [batch for step in steps.values() for batch in step.candidates]
        rows = sum(batch.num_rows for batch in candidates)
        metrics.count_candidates(rows, rows - sum(batch.column("metric").null_count for batch in candidates))
        waited_s = max(0.0, time.time() - self._produced_ns / 1e9)
        metrics.end_to_end_s.labels("stage1").observe(waited_s)
        metrics.lag_s.labels(str(self.number)).set(waited_s)
        for tenant, step in steps.items():
            metrics.count_tenant(tenant, step.counts)
            if self._parts.outlets is not None:
                self._parts.outlets.offer(self.number, tenant, step)
        return True

    def checkpoint(self, writer: ThreadPoolExecutor) -> None:
        """Copy the state now, write it in `writer`; nothing where the last one is still being written or state is ahead."""
        if self._saving is not None and not self._saving.done():
            return
        self.finish_saving()
        if self.in_step and self.applied != streams.START:
            self._saved_at = self.applied
            self._saving = writer.submit(self._save, Checkpoint(self.applied, self.snapshot()))

    def finish_saving(self) -> None:
        """Wait for the checkpoint being written; raises what it raised."""
        if self._saving is not None:
            self._saving.result()
            self._saving = None

    def hand_over(self, writer: ThreadPoolExecutor) -> bool:
        """Save the state where that is not done yet; return whether nothing is left to do: else call it again."""
        if self._saving is not None and not self._saving.done():
            return False
        self.finish_saving()
        if self._saved_at != self.applied:
            self.checkpoint(writer)
        return self._saving is None

    def _save(self, checkpoint: Checkpoint) -> None:
        size = self._store.save_if_room(checkpoint)
        if size is None:
            return
        self._parts.metrics.checkpointed(self.number, size)
        try:
            self._position.write_field(CHECKPOINT, CheckpointNote(checkpoint.through, self._place).to_text())
            self._trim()
        except Unavailable as error:
            log.warning("partition %d: not trimmed: %s", self.number, error)
        except FencedError:
            log.info("partition %d: another process has it: what it needs is left to that", self.number)

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
