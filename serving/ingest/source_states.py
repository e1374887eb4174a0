"""What is known of each source that sends, kept on the broker: one hash for all processes that watch.

A state goes there only if nobody has written a newer one, or has said meanwhile that the source is silent or back; what is said
and the states that follow from it are written in one step. So of several watchers, and of one that is killed at any moment, each
says what the others do not, and nothing is said twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from serving.stream import streams
from serving.stream.notices import MOST_ENTRIES, Notice, notice_fields

SOURCES: Final = "aiops:sources"
"""Hash of all sources: `<tenant> <source>` → state."""
_CHUNK: Final = 1000
_NUMBERS: Final = 7
_COMPARE: Final = """
local function conflict(key, field, value)
  local held = redis.call('HGET', key, field)
  if not held then return false end
  local held_last, held_said = string.match(held, '^(%d+) %d+ %d+ %d+ (%d+ %d+ %d+)')
  local last, said = string.match(value, '^(%d+) %d+ %d+ %d+ (%d+ %d+ %d+)')
  if held_said == said and tonumber(held_last) <= tonumber(last) then return false end
  return held
end
"""
_MERGE: Final = f"""#!lua flags=allow-oom
{_COMPARE}
local newer = {{}}
for i = 1, #ARGV, 2 do
  local held = conflict(KEYS[1], ARGV[i], ARGV[i + 1])
  if held then
    table.insert(newer, ARGV[i])
    table.insert(newer, held)
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return newer
"""
_SAY: Final = f"""#!lua flags=allow-oom
{_COMPARE}
local fields, newer = tonumber(ARGV[1]), {{}}
local first = fields + 3
for i = first, #ARGV, 3 do
  local held = conflict(KEYS[1], ARGV[i], ARGV[i + 1])
  if held then
    table.insert(newer, ARGV[i])
    table.insert(newer, held)
  end
end
if #newer > 0 then return newer end
for i = first, #ARGV, 3 do
  if ARGV[i + 2] == '' then redis.call('HDEL', KEYS[1], ARGV[i]) else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
end
if fields > 0 then redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3, fields + 2)) end
return newer
"""


class SourceName(NamedTuple):
    """A source of a tenant: a service or job."""

    tenant: str
    source: str


class Silence(NamedTuple):
    """Of a source that is silent: when it sent last, `outage_us` = begin of the outage that it is told with (0 = told alone),
    and when that was said last; all us since 1970, all 0 = it sends."""

    since_us: int = 0
    outage_us: int = 0
    said_us: int = 0


SENDS: Final = Silence()
A_FEED: Final = "*"
"""In place of a feed: it is one itself, a server that is asked for what other sources say."""


@dataclass(slots=True)
class SourceState:
    """One source: first and last arrival of something newer (s since 1970), newest event time, the interval learned from it.

    `via`: the feed that it is asked through, "" = it sends by itself. A feed counts as known since it last answered again.
    """

    name: SourceName
    first_s: float
    last_s: float
    newest_us: int
    interval_s: float = 0.0
    silence: Silence = SENDS
    via: str = ""

    def arrived(self, now_s: float, newest_us: int, gap_s: float, limit_s: float) -> None:
        """Note an arrival and learn from the gap before it: the longest of late, which fades with ten times its length.

        A gap above the limit is silence and no interval; the interval grows to at most twice itself, if it has become longer.
        While a source catches up with the clock its pace is not its own: it counts as known from the end of that on.
        """
        behind_s, passed_s = now_s - newest_us / 1e6, (newest_us - self.newest_us) / 1e6
        answers_again = self.via == A_FEED and gap_s > limit_s
        if answers_again or (behind_s > limit_s and passed_s > 2.0 * gap_s and not self.silence.since_us):
            self.first_s = now_s
        elif self.silence.since_us or (gap_s > limit_s and self.known_for_s >= limit_s):
            self.interval_s = max(self.interval_s, min(gap_s, 2.0 * self.interval_s))
        elif gap_s > self.interval_s:
            self.interval_s = gap_s
        elif gap_s > 0:
            self.interval_s += (gap_s - self.interval_s) * gap_s / (10.0 * self.interval_s)
        self.last_s, self.newest_us = now_s, newest_us

    def text(self, silence: Silence | None = None) -> str:
        """Return the state as it is kept, with another silence where one is given."""
        times = (round(self.last_s * 1e3), round(self.first_s * 1e3), self.newest_us, round(self.interval_s * 1e3))
        words = (*times, *(self.silence if silence is None else silence), *((self.via,) if self.via else ()))
        return " ".join(map(str, words))

    @classmethod
    def of_text(cls, field: str, text: str) -> Self:
        """Return the state of what is kept."""
        tenant, _, source = field.partition(" ")
        words = text.split(" ", _NUMBERS)
        last_ms, first_ms, newest_us, interval_ms, *silence = (int(word) for word in words[:_NUMBERS])
        times = (first_ms / 1e3, last_ms / 1e3, newest_us, interval_ms / 1e3)
        return cls(SourceName(tenant, source), *times, Silence(*silence), "".join(words[_NUMBERS:]))

    @property
    def last_us(self) -> int:
        """Return the last arrival, us since 1970, as it is kept: to the millisecond."""
        return round(self.last_s * 1e3) * 1000

    @property
    def is_back(self) -> bool:
        """Return whether something came since it was called silent."""
        return self.last_us > self.silence.since_us

    @property
    def known_for_s(self) -> float:
        """Return the time from its first to its last arrival."""
        return self.last_s - self.first_s

    @property
    def field(self) -> str:
        """Return the name under which it is kept."""
        return " ".join(self.name)


class Said(NamedTuple):
    """A state and the silence that it has once something is said; None = it is forgotten."""

    state: SourceState
    silence: Silence | None


class SourceStates:
    """The hash on the broker. Every method raises `Unavailable` where that does not answer."""

    def __init__(self, broker: streams.Streams) -> None:
        self._broker = broker

    def load(self) -> list[SourceState]:
        """Return all that is kept."""
        return [SourceState.of_text(field, text) for field, text in self._broker.hash_all(SOURCES).items()]

    def merge(self, states: Sequence[SourceState]) -> list[SourceState]:
        """Keep states; return those that another process knows better, which are not kept."""
        newer: list[SourceState] = []
        for first in range(0, len(states), _CHUNK):
            words = [word for state in states[first : first + _CHUNK] for word in (state.field, state.text())]
            newer += _states(self._broker.evaluate(_MERGE, [SOURCES], words))
        return newer

    def say(self, notices: Sequence[Notice], said: Iterable[Said]) -> list[SourceState]:
        """Say something (of one tenant) and keep what follows from it; return the states because of which nothing was said."""
        entry = notice_fields(notices[0].tenant, notices) if notices else []
        words = [
            word
            for state, silence in said
            for word in (state.field, state.text(), "" if silence is None else state.text(silence))
        ]
        keys = [SOURCES, streams.NOTICES]
        return _states(self._broker.evaluate(_SAY, keys, [len(entry), MOST_ENTRIES, *entry, *words]))


def _states(answer: Any) -> list[SourceState]:
    words = [word.decode(errors="replace") for word in answer]
    return [SourceState.of_text(field, text) for field, text in zip(words[::2], words[1::2], strict=True)]
