"""Group commit: what gathers while an append is in flight becomes the next one; a request is answered when its append is in.

One group is in flight at a time, under one number of the producer, so that an append whose answer was lost is repeated and not
doubled. When a group fails, whatever was gathered before that fails with it: it was judged against points of the failed group.
Where another member leads a pair by now, or another process reads a topic, only what rests on that fails, with what was judged by
the tables of its tenant; the rest goes on.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from aiops.errors import AiopsError, Unavailable
from serving.ingest.leader_terms import LeaderChanged
from serving.ingest.producer_sequence import Appended, BatchAppended, EncodedEntry, EntryBatch, EntryGroup, GroupAppended
from serving.ingest.receive.joined_signals import JoinedSignals
from serving.ingest.receive.raw_batch import RawBatch, exemplar_entries, telemetry_entries
from serving.ingest.topic_positions import PositionsLost
from serving.ingest.watermark_entries import Watermarks
from serving.stream import streams
from serving.stream.partitioning import signals_home

PRESSED: Final = 0.9
"""Share of the backlog from which on senders are asked to wait."""
_APART_S: Final = 0.005
"""So far apart appends begin at least while several senders wait: few large entries cost everybody less than many small ones."""
_LOOK_S: Final = 0.25
_NOTE_S: Final = 1.0
"""How often the newest event time is noted, for people."""

log = logging.getLogger(__name__)


class BacklogFull(AiopsError):
    """The streams hold as much as they may: readers are behind."""


class Appender(Protocol):
    """Appends batches of one producer: see `ProducerSequence`."""

    def newest(self) -> int:
        """Return the newest number ever used."""

    def append_batch(self, batch: EntryBatch, max_backlog: int) -> BatchAppended:
        """Append a batch, all or nothing."""

    def append_group(self, group: EntryGroup, max_backlog: int) -> GroupAppended:
        """Append batches of several streams and move positions of topics, all or nothing."""

    def done(self, seq: int, newest_us: int = 0) -> None:
        """Note that a number is published whole, and its newest event time."""


@dataclass(frozen=True, slots=True)
class CommitRules:
    """`patience_s`: how long a broker that does not answer, or is full, is tried again before requests are refused."""

    partitions: int
    max_backlog: int
    patience_s: float = 3.0
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class _Request:
    """A batch, of one tenant, and what is answered once it is in."""

    batch: RawBatch
    done: asyncio.Future[None]

    def accept(self) -> None:
        """Say that the batch is in."""
        if not self.done.done():
            self.done.set_result(None)

    def refuse(self, error: AiopsError) -> None:
        """Say that it is not, and why."""
        self.batch.take_back()
        if not self.done.done():
            self.done.set_exception(error)


class GroupCommit:
    """Commits batches of one event loop; `run` is its task there, the broker is asked in a thread of its own."""

    def __init__(self, producer: Appender, broker: streams.Streams, rules: CommitRules) -> None:
        self._producer = producer
        self._broker = broker
        self._rules = rules
        self._thread = ThreadPoolExecutor(1, "append")
        self._gathered: list[_Request] = []
        self._wake = asyncio.Event()
        self._lengths: dict[str, int] = {}
        self._seq = 0
        self._newest_us, self._noted = 0, 0.0
        self._watermarks = Watermarks(rules.partitions)
        self.appends = 0

    @property
    def pressed(self) -> bool:
        """Return whether senders should wait: a stream is nearly full."""
        return max(self._lengths.values(), default=0) >= PRESSED * self._rules.max_backlog

    async def commit(self, batch: RawBatch) -> None:
        """Return when the batch, and all that was gathered with it, is on the broker.

        Raises:
            Unavailable: the broker does not answer; nothing may be said of the batch but that it may be sent again.
            BacklogFull: it is full.
        """
        await self.gather(batch)

    def gather(self, batch: RawBatch) -> asyncio.Future[None]:
        """Put a batch behind what was gathered before; return what `commit` waits for."""
        done = asyncio.get_running_loop().create_future()
        self._gathered.append(_Request(batch, done))
        self._wake.set()
        return done

    async def run(self) -> None:
        """Append what gathers, until cancelled.

        Raises:
            FencedError: another process goes on under this producer's id; SequenceConflict likewise.
        """
        loop = asyncio.get_running_loop()
        self._seq = await loop.run_in_executor(self._thread, self._producer.newest)
        due_s = 0.0
        while True:
            await self._wake.wait()
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            self._wake.clear()
            requests, self._gathered = self._gathered, []
            due_s = loop.time() + _APART_S if len(requests) > 1 else 0.0
            while requests:
                requests = await self._left_of(requests)

    async def watch(self) -> None:
        """Look, while senders wait, whether the streams have room again; until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_S)
            if self.pressed:
                await loop.run_in_executor(None, self._look)

    def close(self) -> None:
        """End the thread once its append is over."""
        self._thread.shutdown()

    async def _left_of(self, requests: list[_Request]) -> list[_Request]:
        """Append requests as one group and answer them; return those that are to be appended without the others."""
        batch = RawBatch()
        for request in requests:
            batch.take_in(request.batch)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._append, batch)
        except (LeaderChanged, PositionsLost) as error:
            return self._without(requests, error)
        except (Unavailable, BacklogFull) as error:
            self._fail(requests, error)
        except Exception as error:
            self._fail(requests, Unavailable(f"receiver: {error}"))
            raise
        else:
            for request in requests:
                request.accept()
        return []

    def _without(self, requests: list[_Request], error: LeaderChanged | PositionsLost) -> list[_Request]:
        """Refuse what rests on a condition that holds no longer, and what was judged by the same tables; return the rest."""
        tables = {table for request in requests if request.batch.rests_on(error.condition) for table in request.batch.tables()}
        left, gathered, self._gathered = list[_Request](), self._gathered, list[_Request]()
        for asked, rest in ((requests, left), (gathered, self._gathered)):
            for request in asked:
                if request.batch.rests_on(error.condition) or not tables.isdisjoint(request.batch.tables()):
                    request.refuse(error)
                else:
                    rest.append(request)
        if len(left) == len(requests):
            self._fail(left, error)
            return []
        return left

    def _fail(self, requests: Sequence[_Request], error: AiopsError) -> None:
        """Refuse a group and whatever gathered meanwhile."""
        also, self._gathered = self._gathered, []
        for request in [*requests, *also]:
            request.refuse(error)

    def _append(self, batch: RawBatch) -> None:
        """Append a group; the same one is tried again until it is in, or patience ends."""
        now_us = round(self._rules.clock() * 1e6)
        newest_us = _newest_us(batch)
        pending = [group for group in self._entries(batch, newest_us, now_us) if group.entries]
        if not pending and not batch.advances:
            return
        self._seq += 1
        deadline, terms = time.monotonic() + self._rules.patience_s, batch.terms()
        if batch.advances or terms:
            whole = EntryGroup(tuple(pending), tuple(batch.advances), self._seq, now_us, terms)
            while not self._appended_whole(whole, deadline):
                time.sleep(0.02)
            pending = []
        for group in pending:
            while not self._appended(group, deadline):
                time.sleep(0.02)
        self.appends += 1
        self._watermarks.appended(newest_us)
        self._newest_us = max(self._newest_us, *(max(own.values()) for own in newest_us.values()), 0)
        if time.monotonic() - self._noted >= _NOTE_S:
            self._noted = time.monotonic()
            self._producer.done(self._seq, self._newest_us)

    def _appended(self, group: EntryBatch, deadline: float) -> bool:
        late = time.monotonic() > deadline
        try:
            result = self._producer.append_batch(group, self._rules.max_backlog)
        except Unavailable:
            if late:
                raise
            return False
        if result.outcome in (Appended.NEW, Appended.REPEATED):
            self._lengths[group.stream] = result.length
            return True
        self._lengths[group.stream] = self._rules.max_backlog
        if late or result.outcome is Appended.MEMORY_FULL:
            raise self._full(group.stream)
        return False

    def _appended_whole(self, group: EntryGroup, deadline: float) -> bool:
        """Append a group in one step: with the positions of its messages of topics, if the leaders of its pairs still lead."""
        late = time.monotonic() > deadline
        try:
            result = self._producer.append_group(group, self._rules.max_backlog)
        except (PositionsLost, LeaderChanged):
            raise
        except Unavailable:
            if late:
                raise
            return False
        names = [batch.stream for batch in group.batches]
        if result.outcome in (Appended.NEW, Appended.REPEATED):
            self._lengths |= dict(zip(names, result.lengths, strict=True))
            return True
        self._lengths |= dict.fromkeys(names, self._rules.max_backlog)
        if late or result.outcome is Appended.MEMORY_FULL:
            raise self._full(", ".join(names))
        return False

    def _full(self, names: str) -> BacklogFull:
        return BacklogFull(f"{names}: {self._rules.max_backlog} entries wait to be read, or the broker's memory is full")

    def _entries(self, batch: RawBatch, newest_us: Mapping[str, Mapping[int, int]], now_us: int) -> list[EntryBatch]:
        partitions = range(self._rules.partitions)
        telemetry: list[list[EncodedEntry]] = [[] for _ in partitions]
        signals = [JoinedSignals() for _ in partitions]
        for place, share in batch.shares.items():
            telemetry[place.partition] += telemetry_entries(place.tenant, share)
            for entry in exemplar_entries(place.tenant, share, now_us):
                signals[place.partition].add(entry)
        for partition, entry in self._watermarks.entries(newest_us):
            telemetry[partition].append(entry)
        for entry in batch.signals:
            signals[signals_home(entry.tenant, len(signals))].add(entry)
        seq = self._seq + 1
        groups = [
            EntryBatch(streams.telemetry(number), streams.entries(number), seq, now_us, tuple(telemetry[number]))
            for number in partitions
        ]
        joined = [tuple(own.entries()) for own in signals]
        return groups + [EntryBatch(streams.signals(number), "", seq, now_us, joined[number]) for number in partitions]

    def _look(self) -> None:
        try:
            for stream in list(self._lengths):  # appends go on beside, also to further streams
                self._lengths[stream] = self._broker.length(stream)
        except Unavailable as error:
            log.warning("backlog: %s", error)


def _newest_us(batch: RawBatch) -> dict[str, dict[int, int]]:
    """Return the newest event time of the points by tenant and partition."""
    newest: dict[str, dict[int, int]] = {}
    for place, share in batch.shares.items():
        if share.points or share.histograms:
            newest.setdefault(place.tenant, {})[place.partition] = share.newest_us()
    return newest
