"""How far topics of others are read. A position moves in the very call that appends what was read, so each message counts once.

`aiops:topic:<topic>:<p>`: `owner` (token of the reader that has the partition now), `next` (offset to read next), `high` (offset
after the newest, as its reader knows it), `at` (when that was noted, ms, the server's clock), `tenant`, and `by` (producer and
number of the append that moved it last). An append that brings another token than the owner's, or begins elsewhere than at
`next`, adds nothing at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from aiops.errors import FencedError, Unavailable
from serving.stream import streams

_PREFIX: Final = "aiops:topic:"
_CLAIM: Final = """#!lua flags=allow-oom
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'tenant', ARGV[2])
return redis.call('HMGET', KEYS[1], 'next', 'by')
"""
_OWNED: Final = """#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return redis.error_reply('FENCED') end
"""
_CURRENT: Final = f"{_OWNED}return redis.call('HGET', KEYS[1], 'next')\n"
_MOVE: Final = f"{_OWNED}redis.call('HSET', KEYS[1], 'next', ARGV[2])\nreturn 1\n"
_NOTE: Final = f"""{_OWNED}local at = redis.call('TIME')
redis.call('HSET', KEYS[1], 'high', ARGV[2], 'at', string.format('%.0f', at[1] * 1000 + math.floor(at[2] / 1000)))
return 1
"""
APPEND_GROUP: Final = """#!lua
local producer, seq, backlog = KEYS[1], ARGV[2], tonumber(ARGV[3])
local places, terms, count = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local held = redis.call('HGET', producer, 'owner')
if held and held ~= ARGV[1] then return redis.error_reply('FENCED') end
local at, key, batches, lengths = 10 + 5 * places + 2 * terms, 2 + places + terms, {}, {}
for i = 1, count do
  local batch = {name = ARGV[at], content = seq .. ' ' .. ARGV[at + 1], slot = ARGV[at + 2], entries = tonumber(ARGV[at + 4])}
  batch.stream, batch.first = KEYS[key], at + 5
  key, at = key + 1, at + 5 + 3 * batch.entries
  if ARGV[batch.first - 2] == '1' then batch.counter, key = KEYS[key], key + 1 end
  batch.length = redis.call('XLEN', batch.stream)
  batches[i] = batch
end
if count > 0 then
  local last = redis.call('HGET', producer, 'last:' .. batches[1].name)
  if last and tonumber(seq) <= tonumber(string.match(last, '(%d+)-')) then
    if redis.call('HGET', producer, batches[1].slot) ~= batches[1].content then return redis.error_reply('SEQUENCE ' .. last) end
    for i, batch in ipairs(batches) do lengths[i] = batch.length end
    return {0, unpack(lengths)}
  end
end
for i = 1, places do
  local first = 5 + 5 * i
  local held = redis.call('HMGET', KEYS[1 + i], ARGV[first + 3], ARGV[first + 4])
  if held[1] ~= ARGV[first] or (held[2] or '0-0') ~= ARGV[first + 1] then return {-3, i} end
end
for i = 1, terms do
  local first = 8 + 5 * places + 2 * i
  local lease = redis.call('HGET', KEYS[1 + places + i], ARGV[first])
  if not lease or string.match(lease, '^%d+ (.*)$') ~= ARGV[first + 1] then return {-4, i} end
end
for i, batch in ipairs(batches) do
  lengths[i] = batch.length
  if batch.length + batch.entries > backlog then return {-1, i} end
end
for i = 1, places do
  local first = 5 + 5 * i
  redis.call('HSET', KEYS[1 + i], ARGV[first + 4], ARGV[first + 2], 'by', ARGV[6] .. ' ' .. seq)
end
for i, batch in ipairs(batches) do
  local newest = seq .. '-' .. (batch.entries - 1)
  redis.call('HSET', producer, 'owner', ARGV[1], 'last:' .. batch.name, newest, batch.slot, batch.content)
  for part = 0, batch.entries - 1 do
    local first, added = batch.first + 3 * part, {}
    if batch.counter then added = {'o', redis.call('INCR', batch.counter)} end
    for _, value in ipairs({'k', ARGV[first], 'n', ARGV[first + 1], 'b', ARGV[first + 2], 't', ARGV[4], 'a', ARGV[5],
                            'p', ARGV[6], 's', seq .. '-' .. part}) do added[#added + 1] = value end
    redis.call('XADD', batch.stream, '*', unpack(added))
  end
  lengths[i] = batch.length + batch.entries
end
return {1, unpack(lengths)}
"""
"""All of a group or nothing. KEYS: the producer, the positions, the leaders of pairs, then each stream, behind it its counter
where it has one. ARGV: owner, seq, backlog, produced, available, producer id, how many positions, terms of leaders and streams;
for each position its token, where it stands before and after, and the fields of both; for each term its pair, and how it is
held; for each stream its name, checksum, slot, 1 = counted, how many entries, and of these kind, tenant, payload."""


class TopicPlace(NamedTuple):
    """A partition of a topic that others fill."""

    topic: str
    partition: int

    @property
    def key(self) -> str:
        """Return the hash that holds its position."""
        return f"{_PREFIX}{self.topic}:{self.partition}"

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class StreamPlace(NamedTuple):
    """A stream of the suite, as a stage reads it: its position is that of `serving.stream.consumer.commit`."""

    stage: str
    partition: int

    @property
    def key(self) -> str:
        """Return the hash that holds its position."""
        return streams.offset(self.stage, self.partition)

    def __str__(self) -> str:
        return f"{self.stage}/{self.partition}"


@dataclass(frozen=True, slots=True)
class PositionFields:
    """Which fields of a position say whose it is and where it stands."""

    owner: str = "owner"
    place: str = "next"


OF_STAGES: Final = PositionFields("epoch", "id")


@dataclass(frozen=True, slots=True)
class Advance:
    """A position that moves from `begin` to `end` with an append, if its reader is still `token`.

    Of a topic these are offsets to read next; of a stream the ids of the newest entry that is read.
    """

    place: TopicPlace | StreamPlace
    token: str
    begin: int | str
    end: int | str
    fields: PositionFields = PositionFields()


class Claimed(NamedTuple):
    """Where a partition goes on (None = it was never read); producer and number of the append that moved it ("" and 0 = none)."""

    next_offset: int | None
    producer_id: str
    seq: int


class PositionsLost(Unavailable):
    """A position is another reader's by now than its `condition` says, or elsewhere: nothing of the append is in."""

    def __init__(self, advance: Advance) -> None:
        super().__init__(f"{advance.place}: another process reads it now, or it was read further than {advance.begin}")
        self.condition = advance


@dataclass(frozen=True, slots=True)
class TopicLag:
    """How far a partition of a topic is read: next offset, the one after the newest, when that was noted (s since 1970)."""

    place: TopicPlace
    tenant: str
    next_offset: int
    high: int
    noted_s: float

    @property
    def lag(self) -> int:
        """Return how many messages wait."""
        return max(0, self.high - self.next_offset)


class TopicPositions:
    """Positions in the state store.

    Raises:
        Unavailable: from every method, while it does not answer.
    """

    def __init__(self, broker: streams.Streams) -> None:
        self._broker = broker

    def claim(self, place: TopicPlace, token: str, tenant: str) -> Claimed:
        """Take a partition, from whoever had it; return where it goes on."""
        following, by = self._broker.evaluate(_CLAIM, [place.key], [token, tenant])
        producer_id, _, seq = (by or b"").decode().rpartition(" ")
        return Claimed(None if following is None else int(following), producer_id, int(seq or 0))

    def move(self, place: TopicPlace, token: str, offset: int) -> None:
        """Set where a partition goes on: at its first reading, or where its messages are no longer there.

        Raises:
            FencedError: it is another reader's by now.
        """
        self._owned(_MOVE, place, [token, offset])

    def current(self, place: TopicPlace, token: str) -> int:
        """Return the offset to read next; raises FencedError where it is another reader's by now."""
        return int(self._owned(_CURRENT, place, [token]))

    def note(self, place: TopicPlace, token: str, high: int) -> None:
        """Note the offset after the newest message, for people; raises FencedError as `current`."""
        self._owned(_NOTE, place, [token, high])

    def _owned(self, script: str, place: TopicPlace, arguments: list[str | bytes | int]) -> bytes | int:
        import redis

        try:
            answer: bytes | int = self._broker.evaluate(script, [place.key], arguments)
        except redis.ResponseError as error:
            if "FENCED" not in str(error):
                raise
            raise FencedError(f"{place}: another process reads it now") from error
        return answer


def topic_lags(broker: streams.Streams, topics: Sequence[str]) -> Iterator[TopicLag]:
    """Yield how far the partitions of topics are read, in order."""
    for topic in topics:
        prefix = f"{_PREFIX}{topic}:"
        places = (TopicPlace(topic, int(key.removeprefix(prefix))) for key in broker.keys(f"{prefix}*"))
        for place in sorted(places):
            held = broker.hash_all(place.key)
            if "next" in held:
                following = int(held["next"])
                high = int(held.get("high", following))
                yield TopicLag(place, held.get("tenant", ""), following, high, int(held.get("at", 0)) / 1e3)
