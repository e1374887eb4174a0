"""Which label the service of a series was taken from, agreed among all receivers: the first one to say it holds it.

Two series that only that label tells apart have one identity. `aiops:naming:<tenant>:<bucket>`: id of a series (8 bytes) →
`<minute it was said last> <label>`, by the state store's clock; what nobody said for `hold_s` is anybody's. Buckets keep the
hashes small: as lists they take some 40 B a series, and what has expired is removed where series are added.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from aiops.errors import Unavailable
from serving.stream import streams

_BUCKETS: Final = 4096
_AT_ONCE: Final = 1000
_CLAIM: Final = """#!lua
local hold, now, held = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
if now < 0 then now = math.floor(redis.call('TIME')[1] / 60) end
for i, key in ipairs(KEYS) do
  local id, label = ARGV[2 * i + 1], ARGV[2 * i + 2]
  local known = redis.call('HGET', key, id)
  local minute, holder = string.match(known or '', '^(%d+) (.*)$')
  if holder and holder ~= label and now - tonumber(minute) <= hold then
    held[#held + 1] = i - 1
    held[#held + 1] = holder
  else
    if not known and redis.call('HLEN', key) % 32 == 31 then
      local all = redis.call('HGETALL', key)
      for j = 1, #all, 2 do
        if now - tonumber(string.match(all[j + 1], '^%d+')) > hold then redis.call('HDEL', key, all[j]) end
      end
    end
    redis.call('HSET', key, id, string.format('%d ', now) .. label)
    redis.call('EXPIRE', key, 60 * hold + 120)
  end
end
return held
"""
"""ARGV: how long a label is held, minutes, now (-1 = the server's), then id and label of each key."""


class NameHolders(Protocol):
    """Where it is agreed which label names a series."""

    def claim(self, tenant: str, labels: Mapping[int, str]) -> dict[int, str]:
        """Say the labels of series by id; return those of series that another label holds. Raises: Unavailable."""


class SeriesNames:
    """The labels of all tenants; safe to share between threads. `clock_min` takes the place of the state store's in tests."""

    def __init__(self, broker: streams.Streams, hold_s: float, clock_min: Callable[[], int] = lambda: -1) -> None:
        self._broker = broker
        self._hold_min = max(1, round(hold_s / 60))
        self._clock_min = clock_min

    def claim(self, tenant: str, labels: Mapping[int, str]) -> dict[int, str]:
        """Say the labels of series by id; return those of series that another label holds.

        Raises:
            Unavailable: the state store does not answer, or has no room: a series is not let in without its name.
        """
        import redis

        held: dict[int, str] = {}
        for part in _parts(labels):
            keys = [f"aiops:naming:{tenant}:{series_id % _BUCKETS}" for series_id, _ in part]
            arguments: list[str | bytes | int] = [self._hold_min, self._clock_min()]
            for series_id, label in part:
                arguments += [series_id.to_bytes(8, "big", signed=True), label]
            try:
                answer = self._broker.evaluate(_CLAIM, keys, arguments)
            except redis.OutOfMemoryError as error:
                raise Unavailable(f"broker: no room for the names of series ({error}); raise its maxmemory") from error
            held |= {part[int(place)][0]: label.decode() for place, label in zip(answer[::2], answer[1::2], strict=True)}
        return held


def _parts(labels: Mapping[int, str]) -> list[list[tuple[int, str]]]:
    """Return the items in parts of one call each."""
    items = list(labels.items())
    return [items[first : first + _AT_ONCE] for first in range(0, len(items), _AT_ONCE)]
