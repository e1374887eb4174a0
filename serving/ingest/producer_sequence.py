"""What the broker knows of a producer, and the one call that appends an entry: many producers, each counted by itself.

Per producer one hash `aiops:producer:<id>`: `owner` (the process that has the id now), `done` (newest batch published whole), and
for every partition `last:<p>` (`<seq>-<part>` appended last) and a ring of `REMEMBERED` checksums. The call that appends compares
with them, so an entry that its producer repeats is appended once, and one that only bears an old number is refused. For people
it keeps `newest` (event time, us), `at` (last batch, ms, the server's clock), `interval` (ms between batches, the longest of
late) and `lasting` (1 = it goes on until it says otherwise). A producer that was idle for `FORGOTTEN_AFTER_S` is forgotten; what
it repeats after that is appended again, never dropped.
"""

import re
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aiops.errors import ConfigurationError, FencedError, SequenceConflict
from serving.stream import streams

FORGOTTEN_AFTER_S: Final = 30 * 86_400
REMEMBERED: Final = 64
"""Batches of a producer in a partition whose repetition is distinguished from another batch under their number."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_CLAIM: Final = """#!lua flags=allow-oom
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('HGET', KEYS[1], 'done') or '0'
"""
_APPEND: Final = """#!lua
local held = redis.call('HGET', KEYS[2], 'owner')
if held and held ~= ARGV[1] then return redis.error_reply('FENCED') end
local at, slot = 'last:' .. ARGV[2], ARGV[3]
local seq, part = tonumber(ARGV[4]), tonumber(ARGV[5])
local content = ARGV[4] .. ' ' .. ARGV[6]
local last = redis.call('HGET', KEYS[2], at)
if last then
  local last_seq, last_part = string.match(last, '(%d+)-(%d+)')
  last_seq, last_part = tonumber(last_seq), tonumber(last_part)
  if seq <= last_seq and redis.call('HGET', KEYS[2], slot) ~= content then return redis.error_reply('SEQUENCE ' .. last) end
  if seq < last_seq or (seq == last_seq and part <= last_part) then return 0 end
end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[7]) then return -1 end
redis.call('HSET', KEYS[2], 'owner', ARGV[1], at, ARGV[4] .. '-' .. ARGV[5], slot, content)
redis.call('XADD', KEYS[1], '*', 'o', redis.call('INCR', KEYS[3]), unpack(ARGV, 8))
return 1
"""
_APPEND_ALL: Final = """#!lua
local held = redis.call('HGET', KEYS[2], 'owner')
if held and held ~= ARGV[1] then return redis.error_reply('FENCED') end
local at, slot, seq = 'last:' .. ARGV[2], ARGV[3], tonumber(ARGV[4])
local content = ARGV[4] .. ' ' .. ARGV[5]
local count = (#ARGV - 9) / 3
local length = redis.call('XLEN', KEYS[1])
local last = redis.call('HGET', KEYS[2], at)
if last and seq <= tonumber(string.match(last, '(%d+)-')) then
  if redis.call('HGET', KEYS[2], slot) ~= content then return redis.error_reply('SEQUENCE ' .. last) end
  return {0, length}
end
if length + count > tonumber(ARGV[6]) then return {-1, length} end
redis.call('HSET', KEYS[2], 'owner', ARGV[1], at, ARGV[4] .. '-' .. (count - 1), slot, content)
for i = 0, count - 1 do
  local first, added = 10 + 3 * i, {}
  if KEYS[3] then added = {'o', redis.call('INCR', KEYS[3])} end
  for _, value in ipairs({'k', ARGV[first], 'n', ARGV[first + 1], 'b', ARGV[first + 2], 't', ARGV[7], 'a', ARGV[8],
                          'p', ARGV[9], 's', ARGV[4] .. '-' .. i}) do added[#added + 1] = value end
  redis.call('XADD', KEYS[1], '*', unpack(added))
end
return {1, length + count}
"""
_DONE: Final = """#!lua flags=allow-oom
local held = redis.call('HGET', KEYS[1], 'owner')
if held and held ~= ARGV[1] then return redis.error_reply('FENCED') end
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[1], 'done') or '0') then
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'done', ARGV[2])
end
if tonumber(ARGV[4]) > 0 then
  local clock, held = redis.call('TIME'), redis.call('HMGET', KEYS[1], 'newest', 'at', 'interval')
  local now, interval = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(held[3] or '0')
  local gap = now - tonumber(held[2] or now)
  if gap > interval then interval = gap elseif gap > 0 then interval = interval + (gap - interval) * gap / (10 * interval) end
  local newest = ARGV[4]
  if held[1] and tonumber(held[1]) > tonumber(newest) then newest = held[1] end
  redis.call('HSET', KEYS[1], 'newest', newest, 'at', string.format('%.0f', now), 'interval', string.format('%.0f', interval),
    'lasting', ARGV[5])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""


class Appended(Enum):
    """What became of an entry."""

    NEW = 1
    REPEATED = 0
    BACKLOG_FULL = -1
    MEMORY_FULL = -2


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """One batch in one partition: the producer's number of it, and the checksum of all its entries there."""

    partition: int
    seq: int
    checksum: str


@dataclass(frozen=True, slots=True)
class EncodedEntry:
    """An entry of one tenant as it lies in a stream: its kind (see `serving.stream.streams`) and payload."""

    tenant: str
    kind: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class EntryBatch:
    """All that a producer appends to one stream under one number, in order: all of it or nothing.

    `counter` is the key that counts the stream's entries, "" where nobody counts them.
    """

    stream: str
    counter: str
    seq: int
    available_us: int
    entries: tuple[EncodedEntry, ...]


@dataclass(frozen=True, slots=True)
class BatchAppended:
    """What became of a batch, and how many entries the stream then has (0 = not known)."""

    outcome: Appended
    length: int


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
        done = int(self._broker.evaluate(_CLAIM, [self._key], [self._owner, FORGOTTEN_AFTER_S]))
        self._taken = True
        return done

    def newest(self) -> int:
        """Return the newest number ever used, of a batch published whole or in part.

        Raises:
            Unavailable: the broker did not answer.
        """
        held = self._broker.hash_all(self._key)
        used = [int(value.partition("-")[0]) for name, value in held.items() if name.startswith("last:")]
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
        for name, value in fields.items():
            arguments += [name, value]
        try:
            return Appended(int(self._broker.evaluate(_APPEND, keys, arguments)))
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
        slot = f"{batch.stream}:{batch.seq % REMEMBERED}"
        keys = [batch.stream, self._key, *([batch.counter] if batch.counter else [])]
        arguments: list[str | bytes | int] = [self._owner, batch.stream, slot, batch.seq, content, max_backlog]
        arguments += [time.time_ns(), batch.available_us, self.producer_id]
        for entry in batch.entries:
            arguments += [entry.kind, entry.tenant, entry.payload]
        try:
            outcome, length = self._broker.evaluate(_APPEND_ALL, keys, arguments)
        except redis.OutOfMemoryError:
            return BatchAppended(Appended.MEMORY_FULL, 0)
        except redis.ResponseError as error:
            raise self._explained(error, batch.stream, batch.seq) from error
        return BatchAppended(Appended(int(outcome)), int(length))

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
            self._broker.evaluate(_DONE, [self._key], [self._owner, seq, FORGOTTEN_AFTER_S, newest_us, int(self._lasting)])
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
