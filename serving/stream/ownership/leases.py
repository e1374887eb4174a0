"""Members and their leases in the state store, by its clock; each call is one Lua script, so that it happens or does not.

`aiops:members:<group>`: member → `<expires, ms> <what it is, JSON>`. `aiops:leases:<group>`: partition → `<member> <since, ms>`,
or `- <since, ms>` where nobody has it.
A lease holds as long as its member does. One call extends a member, removes those that are expired and frees their leases.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from serving.stream import streams
from serving.stream.ownership.checkpoint_place import CheckpointNote, CheckpointPlace

CHECKPOINT: Final = "checkpoint"
"""Field of a position that says where its newest checkpoint lies."""
_CLOCK: Final = """#!lua flags=allow-oom
local now = tonumber(ARGV[2])
if now < 0 then local at = redis.call('TIME'); now = at[1] * 1000 + math.floor(at[2] / 1000) end
local function free(partition) redis.call('HSET', KEYS[2], partition, '- ' .. string.format('%d', now)) end
local function living(member)
  local kept = redis.call('HGET', KEYS[1], member)
  return kept and tonumber(string.match(kept, '^%d+')) > now
end
"""
_BEAT: Final = (
    _CLOCK
    + """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', now + tonumber(ARGV[3])) .. ' ' .. ARGV[4]) end
for i = 6, #ARGV do
  local held = redis.call('HGET', KEYS[2], ARGV[i])
  if held and string.match(held, '^(%S+)') == ARGV[1] then free(ARGV[i]) end
end
local members = ARGV[4] ~= '' and redis.call('HGETALL', KEYS[1]) or {}
for i = 1, #members, 2 do
  if not living(members[i]) then redis.call('HDEL', KEYS[1], members[i]) end
end
for p = 0, ARGV[4] ~= '' and tonumber(ARGV[5]) - 1 or -1 do
  local held = redis.call('HGET', KEYS[2], p)
  local owner = held and string.match(held, '^(%S+)')
  if not held or (owner ~= '-' and not living(owner)) then free(p) end
end
local notes = {}
for i = 3, #KEYS do notes[i - 2] = redis.call('HGET', KEYS[i], 'checkpoint') or '' end
local until_ms = before and string.match(before, '^%d+') or '0'
return {string.format('%d', now), until_ms, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), notes}
"""
)
"""ARGV: member, now (-1 = the server's), lease in ms, what the member is ('' = only look), partitions, and those to release."""
_CLAIM: Final = (
    _CLOCK
    + """
local got = {}
if not living(ARGV[1]) then return got end
for i = 3, #ARGV do
  local held = redis.call('HGET', KEYS[2], ARGV[i])
  local owner = held and string.match(held, '^(%S+)') or '-'
  if owner == '-' or not living(owner) then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[1] .. ' ' .. string.format('%d', now))
    got[#got + 1] = ARGV[i]
  end
end
return got
"""
)
_LEAVE: Final = (
    _CLOCK
    + """
redis.call('HDEL', KEYS[1], ARGV[1])
local held = redis.call('HGETALL', KEYS[2])
for i = 1, #held, 2 do
  if string.match(held[i + 1], '^(%S+)') == ARGV[1] then free(held[i]) end
end
return 1
"""
)


@dataclass(frozen=True, slots=True)
class Member:
    """A process that shares partitions: its id, since when it is there, what checkpoints it reaches, whether it is leaving."""

    member_id: str
    started_ms: int
    place: CheckpointPlace
    pid: int = 0
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """Who owns a partition ("" = nobody), and since when that is so."""

    owner: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class LeaseView:
    """All members and leases at one moment of the state store's clock.

    `until_ms`: until when the asking member's own lease held before it was extended, 0 where it was no member. `notes`: where the
    newest checkpoint of a partition lies, where that is known.
    """

    now_ms: int
    until_ms: int
    members: tuple[Member, ...]
    leases: Mapping[int, Lease]
    notes: Mapping[int, CheckpointNote]

    def owned_by(self, member_id: str) -> set[int]:
        """Return the partitions of a member."""
        return {number for number, lease in self.leases.items() if lease.owner == member_id}


@dataclass(frozen=True, slots=True)
class LeaseGroup:
    """What is shared: the partitions of a stage, or of stages that go together. `lease_s`: how long a silent member stays one.

    `position`: the stage whose position says where checkpoints lie, "" where the group keeps none.
    """

    name: str
    partitions: int
    lease_s: float = 5.0
    position: str = ""

    @property
    def keys(self) -> list[str]:
        """Return the keys of members and leases."""
        return [f"aiops:members:{self.name}", f"aiops:leases:{self.name}"]


class Leases:
    """One member's view of a group. `clock_ms` takes the place of the state store's clock in tests."""

    def __init__(
        self, broker: streams.Streams, group: LeaseGroup, member: Member, clock_ms: Callable[[], int] = lambda: -1
    ) -> None:
        self._broker = broker
        self._group = group
        self._member = member
        self._clock_ms = clock_ms

    @property
    def member(self) -> Member:
        """Return who asks."""
        return self._member

    @property
    def group(self) -> LeaseGroup:
        """Return what is shared."""
        return self._group

    def beat(self, release: Collection[int] = (), leaving: bool = False) -> LeaseView:
        """Extend the membership, free the partitions of `release`, and return how everything stands then.

        Raises:
            Unavailable: the state store does not answer; whether it did any of it is unknown, calling again is safe.
        """
        self._member = replace(self._member, leaving=leaving)
        values = asdict(self._member)
        del values["member_id"]
        request = _Request(self._member.member_id, self._clock_ms(), json.dumps(values))
        return _view(self._broker, self._group, request, release)

    def claim(self, numbers: Collection[int]) -> set[int]:
        """Take the partitions that nobody holds; return those that are ours now.

        Raises:
            Unavailable: as `beat`.
        """
        if not numbers:
            return set()
        arguments: list[str | bytes | int] = [self._member.member_id, self._clock_ms(), *sorted(numbers)]
        return {int(number) for number in self._broker.evaluate(_CLAIM, self._group.keys, arguments)}

    def leave(self) -> None:
        """End the membership; all that is still held is free at once.

        Raises:
            Unavailable: as `beat`.
        """
        self._broker.evaluate(_LEAVE, self._group.keys, [self._member.member_id, self._clock_ms()])


def look(broker: streams.Streams, group: LeaseGroup) -> LeaseView:
    """Return how everything stands, without being a member and changing nothing.

    Raises:
        Unavailable: the state store does not answer.
    """
    return _view(broker, group, _Request(), ())


@dataclass(frozen=True, slots=True)
class _Request:
    """Who asks, when (-1 = by the state store's clock), and what it is; "" = no member."""

    member_id: str = ""
    now_ms: int = -1
    what: str = ""


def _view(broker: streams.Streams, group: LeaseGroup, request: _Request, release: Collection[int]) -> LeaseView:
    positions = [streams.offset(group.position, number) for number in range(group.partitions)] if group.position else []
    lease_ms = int(group.lease_s * 1000)
    arguments: list[str | bytes | int] = [request.member_id, request.now_ms, lease_ms, request.what, group.partitions]
    arguments += sorted(release)
    now, until, members, held, notes = broker.evaluate(_BEAT, [*group.keys, *positions], arguments)
    living = {name.decode(): text.decode() for name, text in _pairs(members) if _expires_ms(text.decode()) > int(now)}
    leases = {int(number): _lease(text.decode(), living) for number, text in _pairs(held)}
    noted = {number: CheckpointNote.of_text(text.decode()) for number, text in enumerate(notes)}
    return LeaseView(
        int(now),
        int(until),
        tuple(_member(name, text) for name, text in sorted(living.items())),
        {number: lease for number, lease in sorted(leases.items()) if number < group.partitions},
        {number: note for number, note in noted.items() if note is not None},
    )


def _pairs(flat: list[bytes]) -> list[Any]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _member(member_id: str, text: str) -> Member:
    values = json.loads(text.partition(" ")[2])
    return Member(member_id, **{**values, "place": CheckpointPlace(**values["place"])})


def _expires_ms(text: str) -> int:
    return int(text.partition(" ")[0])


def _lease(text: str, living: Collection[str]) -> Lease:
    owner, _, since = text.partition(" ")
    return Lease(owner if owner in living else "", int(since))
