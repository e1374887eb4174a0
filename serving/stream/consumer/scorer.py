"""Stage 2: candidates to tiers 2 and 3 in batches of one tenant, verdicts and position committed together.

When a tier does not answer for `fallback_after_s`, what tier 1 flagged is reported without it (revision 0, the reason says so),
and the candidates concerned move to the deferred stream in the same commit. The breaker of that tier then answers at once until
a trial call succeeds; deferred candidates are asked about again after that and reported as revision 1, once each.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.detection.detection_rows import Verdicts, context_of, judged, prediction_rows
from aiops.detection.opinions import Context
from aiops.errors import Unavailable
from serving.host.log_rate_limit import LineLimit
from serving.stream import streams
from serving.stream.consumer.circuit_breaker import BreakerState
from serving.stream.consumer.commit import Commit, Output, Position
from serving.stream.consumer.confirmation import Confirmation, ConfirmingTiers
from serving.stream.consumer.consumer_config import ConsumerConfig
from serving.stream.consumer.consumer_metrics import ConsumerMetrics
from serving.stream.consumer.questions import ModelsOf
from serving.stream.consumer.routing_source import TenantRoutes
from serving.stream.consumer.text_source import TextSource
from serving.stream.entry import by_tenant
from serving.stream.ownership.holdings import Holder, Holdings
from serving.stream.ownership.ownership import FixedOwnership, Ownership

_TRIM_S: Final = 2.0
_RETRY_S: Final = 0.2
_ENTRIES: Final = 64

log = logging.getLogger(__name__)
_lines = LineLimit(log)


@dataclass(frozen=True, slots=True)
class ScorerParts:
    """What stage 2 works with."""

    config: ConsumerConfig
    broker: streams.Streams
    models_of: ModelsOf
    metrics: ConsumerMetrics
    stop: threading.Event
    ownership: Ownership | None = None
    """Which partitions are ours now; None = those of `config`."""


@dataclass(frozen=True, slots=True)
class _Places:
    """Where stage 2 stands in a partition: in its candidates, and in those that were put off."""

    number: int
    live: Position
    late: Position


class Scorer:
    """The loop of stage 2 over the owned partitions; one thread."""

    def __init__(self, parts: ScorerParts) -> None:
        self._parts = parts
        self._settings = parts.config.settings.consumer
        self._tiers = ConfirmingTiers(parts.models_of, parts.metrics, self._settings.fallback_after_s, parts.stop)
        self._routing = TenantRoutes(parts.config.settings, time.monotonic)
        self._texts = TextSource(parts.config.settings)
        holder = Holder("stage 2", self._take, fenced=lambda number, _places: self._forget(number), give_up=self._give_up)
        self._owned = Holdings(parts.ownership or FixedOwnership(frozenset(parts.config.partitions)), holder)
        self._trim_at = 0.0

    def run(self) -> None:
        """Work on the partitions that are ours until stopped.

        Raises:
            FencedError: another scorer took a partition that is not shared. StateError: see `Position.commit`.
        """
        while not self._parts.stop.is_set():
            self._parts.metrics.beat("scorer")
            self._parts.metrics.breaker.set(self._tiers.state)
            try:
                self._turn()
            except Unavailable as error:
                _lines.warn("broker", f"scorer waits for the broker: {error}")
                self._parts.stop.wait(_RETRY_S)
        self._owned.end()

    def _take(self, number: int) -> _Places:
        broker = self._parts.broker
        return _Places(number, Position(broker, "score", number), Position(broker, "deferred", number))

    def _give_up(self, number: int, _places: _Places) -> bool:
        self._forget(number)
        return True

    def _forget(self, number: int) -> None:
        self._parts.metrics.forget(number, (streams.deferred(number),))

    def _turn(self) -> None:
        self._owned.follow()
        after = {streams.candidates(number): places.live.through for number, places in self._owned.items.items()}
        if not after:
            self._parts.stop.wait(self._parts.config.block_ms / 1e3)
            return
        entries_by_stream = self._parts.broker.read(after, _ENTRIES, self._parts.config.block_ms)
        if not self._owned.work(lambda places: self._handle_all(places, entries_by_stream)):
            return
        if self._tiers.state is not BreakerState.OPEN:
            self._owned.work(self._catch_up)
        self._trim()

    def _handle_all(self, places: _Places, entries_by_stream: Mapping[str, Sequence[streams.Entry]]) -> bool:
        groups = self._batches(entries_by_stream.get(streams.candidates(places.number), []))
        return all(self._handle(places.number, places.live, entries) for entries in groups)

    def _batches(self, entries: Sequence[streams.Entry]) -> list[list[streams.Entry]]:
        """Group entries so that each group but an oversized single one has at most `score_batch` rows."""
        groups: list[list[streams.Entry]] = []
        rows = 0
        for entry in entries:
            size = streams.from_ipc(entry.payload).num_rows
            if not groups or rows + size > self._settings.score_batch:
                groups.append([])
                rows = 0
            groups[-1].append(entry)
            rows += size
        return groups

    def _handle(self, number: int, position: Position, entries: list[streams.Entry]) -> bool:
        results: dict[str, Verdicts] = {}
        deferred: list[Output] = []
        for tenant, own in by_tenant(entries).items():
            candidates = _joined(own)
            context = self._context(tenant, candidates)
            confirmation = self._tiers.confirm(tenant, candidates, context)
            if confirmation.deferred.any() and self._parts.stop.is_set():
                return False
            if confirmation.deferred.any():
                deferred.append(self._deferred(number, tenant, _again(candidates, confirmation), own[-1].produced_ns))
            self._count_fallbacks(context, confirmation)
            results[tenant] = self._verdicts(candidates, confirmation, self._with_texts(tenant, candidates, context))
        done = self._commit(position, entries, results, deferred)
        if deferred:
            self._bound_deferred(number)
        return done

    def _context(self, tenant: str, candidates: pa.RecordBatch) -> Context:
        return context_of(candidates, self._routing.router(tenant))

    def _with_texts(self, tenant: str, candidates: pa.RecordBatch, context: Context) -> Context:
        """Return the context with what series are about: read once it is known that the answers are committed."""
        return replace(context, texts=self._texts.texts(tenant, candidates))

    def _deferred(self, number: int, tenant: str, again: pa.RecordBatch, produced_ns: int) -> Output:
        self._parts.metrics.deferred.inc(again.num_rows)
        return Output(streams.deferred(number), streams.KIND_SERVICE, streams.to_ipc(again), produced_ns, tenant)

    def _verdicts(self, candidates: pa.RecordBatch, confirmation: Confirmation, context: Context, revision: int = 0) -> Verdicts:
        predictions = prediction_rows(candidates, confirmation.predicted, "caught up later" if revision else "on schedule")
        return Verdicts(judged(candidates, confirmation.opinions, context, revision), predictions)

    def _count_fallbacks(self, context: Context, confirmation: Confirmation) -> None:
        for row, route in enumerate(context.routes):
            tier = route.confirmers[0]
            opinion = confirmation.opinions.get(tier)
            if opinion is None or np.isnan(opinion.score[row]):
                missing = confirmation.unanswered.get(tier)
                self._parts.metrics.fallbacks.labels(str(tier), missing.kind if missing else "unknown").inc()

    def _catch_up(self, places: _Places) -> bool:
        """Ask about what was put off, as far as the models answer; return True: other partitions go on whatever comes of it."""
        number, position = places.number, places.late
        entries = self._parts.broker.range(streams.deferred(number), f"({position.through}", "+", _ENTRIES)
        for group in self._batches(entries):
            results: dict[str, Verdicts] = {}
            for tenant, own in by_tenant(group).items():
                candidates = _joined(own)
                context = self._context(tenant, candidates)
                confirmation = self._tiers.confirm(tenant, candidates, context)
                if confirmation.deferred.any():
                    return True
                results[tenant] = self._verdicts(
                    candidates, confirmation, self._with_texts(tenant, candidates, context), revision=1
                )
            if not self._commit(position, group, results):
                return True
            log.info("partition %d: caught up with %d deferred entries", number, len(group))
        return True

    def _commit(
        self, position: Position, entries: list[streams.Entry], results: Mapping[str, Verdicts], more: Sequence[Output] = ()
    ) -> bool:
        produced_ns = entries[-1].produced_ns
        outputs = [output for tenant, verdicts in results.items() for output in _outputs(tenant, verdicts, produced_ns)]
        counts = {
            "detections": sum(verdicts.detections.num_rows for verdicts in results.values()),
            "predictions": sum(verdicts.predictions.num_rows for verdicts in results.values()),
        }
        commit = Commit(entries[-1].entry_id, counts, [*outputs, *more])
        with self._parts.metrics.commit_s.time():
            if not position.commit_until_done(commit, self._parts.stop.wait):
                return False
        self._parts.metrics.committed("stage2", [entry.produced_ns for entry in entries])
        self._parts.metrics.predictions.inc(counts["predictions"])
        for verdicts in results.values():
            for row in verdicts.detections.select(["tier", "revision"]).to_pylist():
                self._parts.metrics.detections.labels(str(row["tier"]), str(row["revision"])).inc()
        return True

    def _bound_deferred(self, number: int) -> None:
        dropped = self._parts.broker.keep_newest(streams.deferred(number), self._settings.max_deferred, streams.counts(number))
        if dropped:
            _lines.warn("dropped", f"partition {number}: {dropped} deferred entries dropped, the models are away too long")

    def _trim(self) -> None:
        if time.monotonic() < self._trim_at:
            return
        self._trim_at = time.monotonic() + _TRIM_S
        broker = self._parts.broker
        for number, places in self._owned.items.items():
            broker.trim_through(streams.candidates(number), places.live.through)
            broker.trim_through(streams.deferred(number), places.late.through)
            self._parts.metrics.lag_entries.labels(streams.deferred(number)).set(broker.length(streams.deferred(number)))
        oldest_ms = int((time.time() - self._settings.keep_results_h * 3600) * 1000)
        for stream, stage in ((streams.DETECTIONS, "archive-detections"), (streams.PREDICTIONS, "archive-predictions")):
            through = f"{oldest_ms}-0"
            if self._parts.config.archives:
                archived = streams.kept_after(broker.hash_all(streams.offset(stage, 0)))
                through = min(through, archived, key=streams.id_parts)
            broker.trim_through(stream, through)


def _outputs(tenant: str, verdicts: Verdicts, produced_ns: int) -> list[Output]:
    tables = ((streams.DETECTIONS, verdicts.detections), (streams.PREDICTIONS, verdicts.predictions))
    return [
        Output(stream, streams.KIND_SERVICE, streams.to_ipc(rows), produced_ns, tenant)
        for stream, rows in tables
        if rows.num_rows
    ]


def _again(candidates: pa.RecordBatch, confirmation: Confirmation) -> pa.RecordBatch:
    """Return the rows to ask about again; those whose predictions are made are no longer scheduled: they come once."""
    rows = candidates.filter(pa.array(confirmation.deferred))
    if confirmation.predictions_due:
        return rows
    place = rows.schema.get_field_index("scheduled")
    return rows.set_column(place, rows.schema.field(place), pa.array([False] * rows.num_rows))


def _joined(entries: Sequence[streams.Entry]) -> pa.RecordBatch:
    table = pa.concat_tables([streams.from_ipc(entry.payload) for entry in entries], promote_options="default")
    return streams.single_batch(table)
