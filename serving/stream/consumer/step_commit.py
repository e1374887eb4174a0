"""The commit of what entries gave: outputs of all tenants and counters, with the position of their reader; and its metrics."""

from collections import Counter
from collections.abc import Mapping, Sequence

from serving.stream import streams
from serving.stream.consumer.commit import Commit, Position
from serving.stream.consumer.partition_step import OutputPlace, Step, outputs_of
from serving.stream.consumer.stage1_parts import Stage1Parts
from serving.stream.partitioning import home_of

Entries = Sequence[streams.Entry]


class StepCommit:
    """Commits the steps of one reader of a partition, `stage` in the metrics."""

    def __init__(self, parts: Stage1Parts, position: Position, stage: str, partition: int) -> None:
        self._parts = parts
        self._position = position
        self._stage = stage
        self._partition = partition

    def replayed_and_fresh(self, entries: Entries) -> tuple[Entries, Entries]:
        """Return the entries that are committed, whose outputs are out already, and those that follow."""
        committed = streams.id_parts(self._position.through)
        replayed = [entry for entry in entries if streams.id_parts(entry.entry_id) <= committed]
        return replayed, entries[len(replayed) :]

    def prepared(self, steps: Mapping[str, Step], newest: streams.Entry) -> Commit:
        """Return the commit of what entries up to `newest` gave, by tenant."""
        config, partitions = self._parts.config, self._parts.tenants.partition.partitions
        outputs = []
        for tenant, step in steps.items():
            place = OutputPlace(self._partition, newest.produced_ns, tenant, home_of(tenant, partitions))
            outputs += outputs_of(step, place, config.archives)
        counts = sum((step.counts for step in steps.values()), Counter[str]())
        return Commit(newest.entry_id, counts, outputs, newest.ordinal)

    def commit(self, commit: Commit, steps: Mapping[str, Step], entries: Entries) -> float | None:
        """Commit `entries`, through outages, and count it; return the age (s) of the newest, None = gave up on the broker.

        Raises:
            FencedError, StateError: as `Position.commit`.
        """
        metrics = self._parts.metrics
        with metrics.commit_s.time():
            if not self._position.commit_until_done(commit, self._parts.stop.wait):
                return None
        metrics.count_points(commit.counts)
        candidates = [rows for step in steps.values() for rows in step.candidate_rows]
        metrics.count_candidates(sum(map(len, candidates)), sum(rows.with_point for rows in candidates))
        return metrics.committed(self._stage, [entry.produced_ns for entry in entries])
