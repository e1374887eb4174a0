"""What the broker knows of a producer, and the one call that appends an entry: many producers, each counted by itself.

Per producer one hash `aiops:producer:<id>`: `owner` (the process that has the id now), `done` (newest batch published whole), and
for every partition `last:<p>` (`<seq>-<part>` appended last) and a ring of `REMEMBERED` checksums. The call that appends compares
with them, so an entry that its producer repeats is appended once, and one that only bears an old number is refused. For people
it keeps `newest` (event time, us), `at` (last batch, ms, the server's clock), `interval` (ms between batches, the longest of
late) and `lasting` (1 = it goes on until it says otherwise). A producer that was idle for `FORGOTTEN_AFTER_S` is forgotten; what
it repeats after that is appended again, never dropped.
Where telemetry lies on a log of its own (Kafka), the number is noted before the entry goes there and again when it is there;
what a crash between the two repeats, readers leave out by its number (`serving.stream.sent_sequences`).
"""

import re
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aiops.errors import ConfigurationError, FencedError, SequenceConflict
from serving.ingest import producer_scripts as scripts
from serving.ingest.entry_batch import Appended as Appended
from serving.ingest.entry_batch import BatchAppended as BatchAppended
from serving.ingest.entry_batch import BatchPlace as BatchPlace
from serving.ingest.entry_batch import EncodedEntry as EncodedEntry
from serving.ingest.entry_batch import EntryBatch as EntryBatch
from serving.ingest.entry_batch import EntryGroup as EntryGroup
from serving.ingest.entry_batch import GroupAppended as GroupAppended
from serving.ingest.topic_positions import APPEND_GROUP, PositionsLost
from serving.stream import streams

if TYPE_CHECKING:
    from serving.stream.telemetry_log import TelemetryLog

_NO_LIMIT: Final = 2**53
_LOST: Final = -3
FORGOTTEN_AFTER_S: Final = 30 * 86_400
REMEMBERED: Final = 64
"""Batches of a producer in a partition whose repetition is distinguished from another batch under their number."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")


class ProducerSequence:
    """One producer's place on the broker. The newest process that takes an id has it; an earlier one is fenced."""

    def __init__(self, broker: streams.Streams, producer_id: str, lasting: bool = False) -> None:
        """Name the producer; nothing is sent yet. `lasting` = it goes on until `ends`, so that standing still is a fault.

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
        slot = f"{place.partition}:{place.seq % REMEMBERED}"
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
        content = checksum([(entry.tenant, entry.payload) for entry in batch.entries])
        partition = self._broker.logged_partition(batch.stream)
        if partition is not None:
            return self._append_each(batch, BatchPlace(partition, batch.seq, content), max_backlog)
        slot = f"{batch.stream}:{batch.seq % REMEMBERED}"
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

    def append_group(self, group: EntryGroup, max_backlog: int) -> GroupAppended:
        """Append a group and move its positions in one step of the state store, where telemetry must lie too.

        Raises:
            PositionsLost: a position is another reader's; nothing was appended.
            FencedError, SequenceConflict, Unavailable: as `append_batch`.
        """
        import redis

        if not self._taken:
            self.take()
        keys = [self._key, *(advance.place.key for advance in group.advances)]
        arguments: list[str | bytes | int] = [self._owner, group.seq, max_backlog, time.time_ns(), group.available_us]
        arguments += [self.producer_id, len(group.advances), len(group.batches)]
        for advance in group.advances:
            arguments += [advance.token, advance.begin, advance.end]
        for batch in group.batches:
            keys += [batch.stream, *([batch.counter] if batch.counter else [])]
            content = checksum([(entry.tenant, entry.payload) for entry in batch.entries])
            slot = f"{batch.stream}:{batch.seq % REMEMBERED}"
            arguments += [batch.stream, content, slot, int(bool(batch.counter)), len(batch.entries)]
            for entry in batch.entries:
                arguments += [entry.kind, entry.tenant, entry.payload]
        try:
            outcome, *lengths = map(int, self._broker.evaluate(APPEND_GROUP, keys, arguments))
        except redis.OutOfMemoryError:
            return GroupAppended(Appended.MEMORY_FULL)
        except redis.ResponseError as error:
            raise self._explained(error, group.batches[0].stream if group.batches else "", group.seq) from error
        if outcome == _LOST:
            lost = group.advances[lengths[0] - 1]
            raise PositionsLost(f"{lost.place}: another process reads it now, or it was read further than {lost.begin}")
        return GroupAppended(Appended(outcome), tuple(lengths) if outcome >= 0 else ())

    def _append_each(self, batch: EntryBatch, place: BatchPlace, max_backlog: int) -> BatchAppended:
        """Append a batch to a log of its own, entry by entry; one that there is no room for is not begun."""
        length = self._broker.length(batch.stream)
        if length + len(batch.entries) > max_backlog:
            return BatchAppended(Appended.BACKLOG_FULL, length)
        outcomes = []
        for part, entry in enumerate(batch.entries):
            fields: dict[str, bytes | int] = {
                "k": entry.kind,
                "n": entry.tenant.encode(),
                "b": entry.payload,
                "t": time.time_ns(),
                "a": batch.available_us,
                "p": self.producer_id.encode(),
                "s": f"{batch.seq}-{part}".encode(),
            }
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


def checksum(payloads: Sequence[tuple[str, bytes]]) -> str:
    """Return a checksum of (tenant, payload) entries in order: it tells mistakes apart, not forgeries. O(bytes)."""
    value = 0
    for tenant, payload in payloads:
        value = zlib.crc32(payload, zlib.crc32(tenant.encode(), value))
    return f"{value:08x}.{sum(len(payload) for _, payload in payloads):x}"
