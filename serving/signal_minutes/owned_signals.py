"""A partition of signals that this process owns: its state, its position, its checkpoints, what it trims."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy.typing as npt

from aiops.errors import FencedError, Unavailable
from serving.ingest.watermark_entries import watermark_entry
from serving.signal_minutes.call_sightings import CallSightings
from serving.signal_minutes.kept_texts import KeptTexts
from serving.signal_minutes.minute_appends import MinuteAppends
from serving.signal_minutes.partition_minutes import Closed, PartitionMinutes
from serving.signal_minutes.progress_notes import COUNTS, PROGRESS, STAGE, progress_text
from serving.signal_minutes.signal_parts import SignalParts
from serving.stream import streams
from serving.stream.archived_stream import KEPT
from serving.stream.consumer.checkpoint import CheckpointStore
from serving.stream.consumer.commit import Commit, Position
from serving.stream.consumer.recovery import Recovery
from serving.stream.consumer.state_saver import SavedReader, StateSaver
from serving.stream.ownership.checkpoint_place import place_of

_ARCHIVE_STAGE: Final = "archive-signals"
_MOST_ROWS: Final = 100_000
"""Points that are appended together, about: memory, and how long the broker is held."""
_TICK: Final = """#!lua
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[2], '*', 'k', ARGV[2], 'n', ARGV[3], 'b', ARGV[4], 't', ARGV[5] .. '000', 'a', ARGV[5])
return 1
"""

log = logging.getLogger(__name__)


class OwnedSignals:
    """The signals of one partition. Taking it fences every earlier owner."""

    def __init__(self, parts: SignalParts, number: int) -> None:
        self.number = number
        self._parts = parts
        self._position = Position(parts.broker, STAGE, number)
        self._store = CheckpointStore(parts.checkpoint_folder, number, self._position.epoch, STAGE)
        self._appends = MinuteAppends(parts.broker, number, parts.appends)
        self._appends.take()
        self._calls = CallSightings(parts.graph_of)
        self._texts = KeptTexts(parts.texts_of)
        place = place_of(parts.checkpoint_folder)
        name = f"signals of partition {number}"
        self._saver = StateSaver(SavedReader(name, self._position, self._store, place, self._saved, self.trim))
        self.applied, self._minutes = Recovery(
            name,
            parts.broker,
            self.stream,
            self._position,
            self._store,
            place,
            lambda: PartitionMinutes(parts.rules, parts.makers),
            lambda state: PartitionMinutes.restore(parts.rules, parts.makers, state),
            parts.metrics.state_lost.inc,
        ).run()
        self._saved_at = ""
        self._ticked_us: dict[str, int] = {}
        self._appended_ns: list[int] = []
        """When the entries were appended that the next commit is of."""

    @property
    def stream(self) -> str:
        """Return the stream of signals."""
        return streams.signals(self.number)

    def advance(self, entries: Sequence[streams.Entry]) -> bool:
        """Apply entries that follow `applied`, append what they gave. False = gave up on the broker.

        Raises:
            FencedError, StateError: as `Position.commit`.
        """
        committed = streams.id_parts(self._position.through)
        replayed = sum(streams.id_parts(entry.entry_id) <= committed for entry in entries)
        if replayed:
            self._replay(entries[:replayed])
        closed = Closed()
        for entry in entries[replayed:]:
            self._apply(entry, closed)
            self._appended_ns.append(entry.produced_ns)
            if entry is entries[-1] or closed.rows >= _MOST_ROWS:
                if not self._commit(closed, entry):
                    return False
                closed = Closed()
        return True

    def _replay(self, entries: Sequence[streams.Entry]) -> None:
        """Apply entries whose points are out already; their calls and texts are kept again."""
        closed = Closed()
        for entry in entries:
            self._apply(entry, closed)
        self._texts.keep(closed)
        self._calls.add(closed)

    def _apply(self, entry: streams.Entry, closed: Closed) -> None:
        self._minutes.apply(entry, closed)
        self.applied = entry.entry_id

    def _commit(self, closed: Closed, newest: streams.Entry) -> bool:
        begun = time.perf_counter()
        self._texts.keep(closed)
        if closed.rows:
            done = self._appends.append(closed, self._position, newest, self._parts.wait)
        else:
            done = self._position.commit_until_done(Commit(newest.entry_id), self._parts.wait)
        if not done:
            return False
        self._calls.add(closed)
        metrics = self._parts.metrics
        metrics.commit_s.observe(time.perf_counter() - begun)
        now_s = time.time()
        for appended_ns in self._appended_ns:
            metrics.end_to_end_s.observe(max(0.0, now_s - appended_ns / 1e9))
        self._appended_ns.clear()
        metrics.points.inc(sum(table.num_rows for tables in closed.series.values() for table in tables))
        metrics.letters.inc(sum(len(letters) for letters in closed.letters.values()))
        metrics.lag_s.labels(str(self.number)).set(max(0.0, now_s - newest.produced_ns / 1e9))
        return True

    def tick(self, now_us: int) -> None:
        """Add to the stream that the clock is so far, for tenants of which a minute is over while nothing comes.

        Raises:
            Unavailable: the broker does not answer; call it again.
        """
        rules, overdue = self._parts.rules.minutes, self._minutes.overdue(now_us)
        if not overdue or self._parts.broker.last_id(self.stream) != self.applied:
            return  # what waits may be of these minutes
        for tenant in overdue:
            if rules.over(now_us) <= rules.over(self._ticked_us.get(tenant, 0)):
                continue
            note = watermark_entry(tenant, now_us)
            arguments: list[str | bytes | int] = [str(self._position.epoch), note.kind, tenant, note.payload, now_us]
            self._parts.broker.evaluate(_TICK, [streams.offset(STAGE, self.number), self.stream], arguments)
            self._ticked_us[tenant] = now_us

    def show(self) -> None:
        """Show what came and what was left out, on the metrics page and beside the position, for people.

        Raises:
            Unavailable: the broker does not answer. FencedError: another process has the partition.
        """
        counts = self._minutes.counts()
        self._parts.metrics.show(self.number, counts)
        if counts:
            self._position.write_field(COUNTS, json.dumps(counts))
            self._position.write_field(PROGRESS, progress_text(self._minutes.progress()))
        self._parts.metrics.lag_entries.labels(self.stream).set(self._parts.broker.length(self.stream))

    def checkpoint(self, writer: ThreadPoolExecutor) -> None:
        """Save the state where it changed since the last two times; calls are in the graph before they leave it."""
        self._calls.keep(hurry=False)
        if self._store.replayable_from == self.applied:
            self._trim_if_answered()
            return
        self._saver.save(writer, self.applied, self.snapshot)

    def finish_saving(self) -> None:
        """Wait for the checkpoint being written; raises what it raised."""
        self._saver.finish()

    def hand_over(self, writer: ThreadPoolExecutor) -> bool:
        """Save the state where that is not done yet; return whether nothing is left to do: else call it again."""
        self._calls.keep(hurry=True)
        return self._saver.hand_over(writer, self.applied, self.snapshot)

    def snapshot(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the whole state."""
        return self._minutes.snapshot()

    def _saved(self, size: int) -> None:
        self._parts.metrics.checkpoint_bytes.labels(str(self.number)).set(size)

    def _trim_if_answered(self) -> None:
        try:
            self.trim()
        except (Unavailable, FencedError) as error:
            log.warning("signals of partition %d: not trimmed: %s", self.number, error)

    def trim(self) -> None:
        """Drop what neither a start nor the archiver needs any more, and note for the archiver what a start needs.

        Raises:
            Unavailable: the broker does not answer. FencedError: another process has the partition.
        """
        through = self._store.replayable_from
        self._position.write_field(KEPT, through)
        if self._parts.appends.archives:
            archived = streams.kept_after(self._parts.broker.hash_all(streams.offset(_ARCHIVE_STAGE, self.number)))
            through = min(through, archived, key=streams.id_parts)
        if through != streams.START:
            self._position.trim_through(self.stream, through)
