"""Who leads an HA pair, agreed among all receivers: leases in the state store, by its clock.

One Lua script takes a lease that nobody holds, extends it for the replica that has it, and changes nothing for any other: a
receiver that was stopped for long learns so that another leads. What is held, and how an append checks it, is in `leader_terms`.
"""

from collections.abc import Callable, Sequence
from typing import Final

from serving.ingest.leader_terms import replicas_key
from serving.ingest.receive.replica_election import Claim, Lead
from serving.stream import streams

MOST_PAIRS: Final = 4096
_ELECT: Final = """#!lua flags=allow-oom
local now = tonumber(ARGV[2])
if now < 0 then local at = redis.call('TIME'); now = at[1] * 1000 + math.floor(at[2] / 1000) end
local function kept(text)
  if not text then return 0, 0, '' end
  local expires, changes, leader = string.match(text, '^(%d+) (%d+) (.*)$')
  return tonumber(expires), tonumber(changes), leader
end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do if kept(all[i + 1]) <= now then redis.call('HDEL', KEYS[1], all[i]) end end
end
local answer = {}
for i = 4, #ARGV, 2 do
  local expires, changes, leader = kept(redis.call('HGET', KEYS[1], ARGV[i]))
  if expires <= now and leader ~= ARGV[i + 1] then leader, changes = ARGV[i + 1], changes + 1 end
  if leader == ARGV[i + 1] then
    expires = now + tonumber(ARGV[1])
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%d %d ', expires, changes) .. leader)
  end
  answer[#answer + 1] = leader
  answer[#answer + 1] = string.format('%d', expires - now)
  answer[#answer + 1] = changes
end
return answer
"""
"""ARGV: lease in ms, now (-1 = the server's), most pairs, then pair and replica of each claim."""


class ReplicaLeases:
    """The leases of all tenants; safe to share between threads. `clock_ms` takes the place of the state store's in tests."""

    def __init__(self, broker: streams.Streams, silent_s: float, clock_ms: Callable[[], int] = lambda: -1) -> None:
        self._broker = broker
        self._lease_ms = max(1, int(silent_s * 1000))
        self._clock_ms = clock_ms

    def elect(self, tenant: str, claims: Sequence[Claim], asked_s: float) -> list[Lead]:
        """Return who leads the pairs of claims; `asked_s`: seconds of the caller's clock, from before the call.

        Raises:
            Unavailable: the state store does not answer.
        """
        words = [word for claim in claims for word in claim]
        arguments: list[str | bytes | int] = [self._lease_ms, self._clock_ms(), MOST_PAIRS, *words]
        answer = self._broker.evaluate(_ELECT, [replicas_key(tenant)], arguments)
        return [
            Lead(claim.pair, leader.decode(), asked_s + int(left_ms) / 1000, int(changes))
            for claim, leader, left_ms, changes in zip(claims, answer[::3], answer[1::3], answer[2::3], strict=True)
        ]
