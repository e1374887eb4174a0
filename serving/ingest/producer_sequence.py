"""What the broker knows of a producer, and the one call that appends an entry: many producers, each counted by itself.

Per producer one hash `aiops:producer:<id>`: `owner` (the process that has the id now), `done` (newest batch published whole), and
for every partition `last:<p>` (`<seq>-<part>` appended last) and a ring of `REMEMBERED` checksums. The call that appends compares
with them, so an entry that its producer repeats is appended once, and one that only bears an old number is refused. For people
it keeps `newest` (event time, us), `at` (last batch, ms, the server's clock), `interval` (ms between batches, the longest of
late) and `lasting` (1 = it goes on until it says otherwise). A producer that was idle for `FORGOTTEN_AFTER_S` is forgotten; what
it repeats after that is appended again, never dropped.
Where telemetry lies on a log of its own (Kafka), the number is noted before the entry goes there and again when it is there;
what a crash between the two repeats, readers leave out by its number (`serving.stream.sent_sequences`). A group with positions of
topics, or points of HA pairs, goes to an outbox in the state store first, a stream for each partition (`aiops:outbox:<id>:<p>`),
in one step with them, and from there to the log under its numbers: by its producer, or by who takes over a position that a dead
one moved.
"""

import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from aiops.errors import ConfigurationError, FencedError, SequenceConflict, Unavailable
from serving.ingest import producer_scripts as scripts
from serving.ingest.entry_batch import Appended as Appended
from serving.ingest.entry_batch import BatchAppended as BatchAppended
from serving.ingest.entry_batch import BatchPlace as BatchPlace
from serving.ingest.entry_batch import Caller, batch_slot, group_answer, group_call
from serving.ingest.entry_batch import EncodedEntry as EncodedEntry
from serving.ingest.entry_batch import EntryBatch as EntryBatch
from serving.ingest.entry_batch import EntryGroup as EntryGroup
from serving.ingest.entry_batch import GroupAppended as GroupAppended
from serving.ingest.entry_batch import checksum as checksum
from serving.ingest.topic_positions import APPEND_GROUP
from serving.stream import streams
from serving.stream.entry import id_after, id_parts

if TYPE_CHECKING:
    from serving.stream.telemetry_log import TelemetryLog

_NO_LIMIT: Final = 2**53
_OUTBOX: Final = "aiops:outbox:"
FORGOTTEN_AFTER_S: Final = 30 * 86_400
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")


class ProducerSequence:
    """One producer's place on the broker. The newest process that takes an id has it; an earlier one is fenced."""

    def __init__(self, broker: streams.Streams, producer_id: str, lasting: bool = False) -> None:
        """Name the producer; nothing is sent yet. `lasting` = it goes on until `ends`: standing still is a fault then.

        Raises:
            ConfigurationError: `producer_id` breaks the rule.
        """
        if not _ID.fullmatch(producer_id):
            rule = "1 to 128 of A-Z a-z 0-9 _ . : -, beginning with a letter or digit"
            raise ConfigurationError(f"producer id {producer_id[:150]!r}: an id is {rule}; name the producer like that")
        self.producer_id = producer_id
        self._broker = broker
        self._key = streams.producer(producer_id)
        self._owner = secrets.token_hex(8)
        self._taken = False
        self._lasting = lasting
        self._unsent: set[str] | None = None
        """Streams of the outbox that may hold something; None = it was not looked."""

    def take(self) -> int:
        """Take the id if this object has not yet; return the newest batch that was published whole, 0 where there is none.

        Raises:
            Unavailable: the broker did not answer; take again.
        """
        done = int(self._broker.evaluate(scripts.CLAIM, [self._key], [self._owner, FORGOTTEN_AFTER_S]))
        self._taken = True
        return done

    def newest(self) -> int:
        """Return the newest number ever used, of a batch published whole or in part.

        Raises:
            Unavailable: the broker did not answer.
        """
        with suppress(Unavailable):  # else with the next append
            self._send()
        held = self._broker.hash_all(self._key)
        used = [int(value.partition("-")[0]) for name, value in held.items() if name.startswith(("last:", "sent:"))]
        return max([int(held.get("done", 0)), *used])

    def append(self, place: BatchPlace, part: int, fields: Mapping[str, bytes | int], max_backlog: int) -> Appended:
        """Append one entry of a batch; `part` counts the batch's entries in this partition.

        Raises:
            FencedError: another process has taken the id.
            SequenceConflict: the number was used for another batch, or so long ago that this cannot be told.
            Unavailable: the broker did not answer; append again.
        """
        import redis

        if not self._taken:
            self.take()
        keys = [streams.telemetry(place.partition), self._key, streams.entries(place.partition)]
        slot = batch_slot(place.partition, place.seq)
        arguments: list[str | bytes | int] = [self._owner, place.partition, slot, place.seq, part, place.checksum, max_backlog]
        try:
            if self._broker.log is not None:
                return self._append_to(self._broker.log, keys, arguments, fields)
            for name, value in fields.items():
                arguments += [name, value]
            return Appended(int(self._broker.evaluate(scripts.APPEND, keys, arguments)))
        except redis.OutOfMemoryError:
            return Appended.MEMORY_FULL
        except redis.ResponseError as error:
            raise self._explained(error, f"partition {place.partition}", place.seq) from error

    def append_batch(self, batch: EntryBatch, max_backlog: int) -> BatchAppended:
        """Append a batch in one step: entries `<seq>-0`, `<seq>-1` …; numbers ascend in each stream.

        Raises:
            FencedError: another process has taken the id.
            SequenceConflict: the number was used for another batch, or so long ago that this cannot be told.
            Unavailable: the broker did not answer; append the same batch again.
        """
        import redis

        if not self._taken:
            self.take()
        self._send()
        content = checksum([(entry.tenant, entry.payload) for entry in batch.entries])
        partition = self._broker.logged_partition(batch.stream)
        if partition is not None:
            return self._append_each(batch, BatchPlace(partition, batch.seq, content), max_backlog)
        slot = batch_slot(batch.stream, batch.seq)
        keys = [batch.stream, self._key, *([batch.counter] if batch.counter else [])]
        arguments: list[str | bytes | int] = [self._owner, batch.stream, slot, batch.seq, content, max_backlog]
        arguments += [time.time_ns(), batch.available_us, self.producer_id]
        for entry in batch.entries:
            arguments += [entry.kind, entry.tenant, entry.payload]
        try:
            outcome, length = self._broker.evaluate(scripts.APPEND_ALL, keys, arguments)
        except redis.OutOfMemoryError:
            return BatchAppended(Appended.MEMORY_FULL, 0)
        except redis.ResponseError as error:
            raise self._explained(error, batch.stream, batch.seq) from error
        return BatchAppended(Appended(int(outcome)), int(length))

    def finish(self, seq: int) -> None:
        """Send what a dead process left in the outbox, in its place, where it has something up to a number.

        Raises:
            Unavailable: the state store or the log does not answer; call it again.
        """
        if self._broker.log is None:
            return
        left = [entry for stream in self._outbox() for entry in self._broker.range(stream, count=1)]
        if any(id_parts(entry.source.rpartition(" ")[2])[0] <= seq for entry in left):
            self.take()
            self._send()

    def _outbox(self) -> list[str]:
        return self._broker.keys(f"{_OUTBOX}{self.producer_id}:*")

    def _send(self) -> None:
        """Send what lies in the outbox to the log, under its numbers, in order."""
        if self._broker.log is None:
            return
        if self._unsent is None:
            self._unsent = set(self._outbox())
        if self._unsent and not self._taken:
            self.take()
        for stream in sorted(self._unsent):
            partition = int(stream.rpartition(":")[2])
            entries = self._broker.range(stream)
            for seq, batch in groupby(entries, lambda entry: id_parts(entry.source.rpartition(" ")[2])[0]):
                rows = list(batch)
                place = BatchPlace(partition, seq, checksum([(entry.tenant, entry.payload) for entry in rows]))
                for part, entry in enumerate(rows):
                    fields = self._fields(entry, f"{seq}-{part}", entry.produced_ns, entry.available_us)
                    self.append(place, part, fields, _NO_LIMIT)
                self._broker.evaluate(scripts.SENT, [stream], [id_after(rows[-1].entry_id)])
            self._unsent.discard(stream)

    def _fields(
        self, entry: EncodedEntry | streams.Entry, number: str, produced_ns: int, available_us: int
    ) -> dict[str, bytes | int]:
        source, tenant = self.producer_id.encode(), entry.tenant.encode()
        named = {"k": entry.kind, "n": tenant, "b": entry.payload, "p": source, "s": number.encode()}
        return {**named, "t": produced_ns, "a": available_us}

    def append_group(self, group: EntryGroup, max_backlog: int) -> GroupAppended:
        """Append a group and move its positions in one step; what belongs on a log of its own goes there by the outbox.

        Raises:
            PositionsLost, LeaderChanged: a position is another reader's, or another member leads; nothing was appended.
            FencedError, SequenceConflict, Unavailable: as `append_batch`.
        """
        if self._broker.log is None:
            return self._appended_group(group, max_backlog)
        if not self._taken:
            self.take()
        self._send()
        batches, lengths = [], []
        for batch in group.batches:
            partition = self._broker.logged_partition(batch.stream)
            lengths.append(self._broker.length(batch.stream))
            if lengths[-1] + len(batch.entries) > max_backlog:
                return GroupAppended(Appended.BACKLOG_FULL)
            outbox = batch.stream if partition is None else f"{_OUTBOX}{self.producer_id}:{partition}"
            batches.append(batch if partition is None else replace(batch, stream=outbox, counter=""))
        appended = self._appended_group(replace(group, batches=tuple(batches)), _NO_LIMIT)
        if appended.outcome in (Appended.NEW, Appended.REPEATED):
            assert self._unsent is not None
            self._unsent |= {batch.stream for batch in batches if batch.stream.startswith(_OUTBOX)}
            self._send()
            return GroupAppended(appended.outcome, tuple(lengths))
        return appended

    def _appended_group(self, group: EntryGroup, max_backlog: int) -> GroupAppended:
        """Append a group in one step of the state store; raises as `append_group`."""
        import redis

        if not self._taken:
            self.take()
        keys, arguments = group_call(group, Caller(self._key, self._owner, self.producer_id), max_backlog)
        try:
            answer = self._broker.evaluate(APPEND_GROUP, keys, arguments)
        except redis.OutOfMemoryError:
            return GroupAppended(Appended.MEMORY_FULL)
        except redis.ResponseError as error:
            raise self._explained(error, group.batches[0].stream if group.batches else "", group.seq) from error
        return group_answer(group, [int(number) for number in answer])

    def _append_each(self, batch: EntryBatch, place: BatchPlace, max_backlog: int) -> BatchAppended:
        """Append a batch to a log of its own, entry by entry; one that there is no room for is not begun."""
        length = self._broker.length(batch.stream)
        if length + len(batch.entries) > max_backlog:
            return BatchAppended(Appended.BACKLOG_FULL, length)
        outcomes = []
        for part, entry in enumerate(batch.entries):
            fields = self._fields(entry, f"{batch.seq}-{part}", time.time_ns(), batch.available_us)
            outcomes.append(self.append(place, part, fields, _NO_LIMIT))
        new = Appended.NEW in outcomes
        return BatchAppended(Appended.NEW if new else Appended.REPEATED, length + len(batch.entries))

    def _append_to(
        self, log: "TelemetryLog", keys: list[str], arguments: list[str | bytes | int], fields: Mapping[str, bytes | int]
    ) -> Appended:
        """Append to a log that the state store knows nothing of: its number is used first, readers leave out what comes twice."""
        if not int(self._broker.evaluate(scripts.INTEND, keys, arguments)):
            return Appended.REPEATED
        if self._broker.length(keys[0]) >= int(arguments[-1]):
            return Appended.BACKLOG_FULL
        log.append(int(arguments[1]), fields)
        self._broker.evaluate(scripts.APPENDED, keys, arguments)
        return Appended.NEW

    def done(self, seq: int, newest_us: int = 0) -> None:
        """Note that batch `seq` is published whole; `newest_us` = newest event time in it (us since 1970), 0 = it has none.

        Raises:
            FencedError: another process has taken the id.
            Unavailable: the broker did not answer.
        """
        import redis

        if not self._taken:
            self.take()
        try:
            self._broker.evaluate(scripts.DONE, [self._key], [self._owner, seq, FORGOTTEN_AFTER_S, newest_us, int(self._lasting)])
        except redis.ResponseError as error:
            raise self._explained(error, "", seq) from error

    def ends(self) -> None:
        """Note that a lasting producer ends as it should.

        Raises:
            Unavailable: the broker did not answer.
        """
        if self._taken and self._lasting:
            self._broker.hash_set(self._key, {"lasting": "0"})

    def _explained(self, error: Exception, place: str, seq: int) -> Exception:
        text = str(error)
        if "FENCED" in text:
            return FencedError(
                f"producer {self.producer_id}: another process has taken this id and goes on in its place; this one must stop. "
                "Two producers at once need two ids"
            )
        if "SEQUENCE" in text and place:
            newest = text.rpartition(" ")[2].partition("-")[0]
            return SequenceConflict(
                f"producer {self.producer_id}: seq={seq} was used for another batch, or too long ago to tell (newest in "
                f"{place}: {newest}); nothing was written. Go on at resume_from(), or take an id of its own"
            )
        return error
