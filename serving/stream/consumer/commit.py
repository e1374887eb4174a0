"""The atomic commit: outputs, counters and the reader's own position change together or not at all.

One Lua call checks the owner's epoch, compares and sets the position, adds the counters and appends the outputs. It is
idempotent: repeated after a lost answer it finds its own new position and changes nothing. So a commit may be retried until
the broker is back, and a position that another process took over is never touched (`FencedError`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiops.errors import FencedError, StateError, Unavailable
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.stream import streams

_COMMIT: Final = """#!lua flags=allow-oom
local held = redis.call('HGET', KEYS[1], 'epoch')
if held ~= ARGV[1] then return redis.error_reply('FENCED by epoch ' .. tostring(held)) end
local at = redis.call('HGET', KEYS[1], 'id') or '0-0'
if at == ARGV[3] then return 0 end
if at ~= ARGV[2] then return redis.error_reply('OFFSET is ' .. at) end
redis.call('HSET', KEYS[1], 'id', ARGV[3])
if ARGV[4] ~= '0' then redis.call('HSET', KEYS[1], 'ordinal', ARGV[4]) end
local a = 6
for i = 1, tonumber(ARGV[5]) do
  redis.call('HINCRBY', KEYS[2], ARGV[a], ARGV[a + 1])
  a = a + 2
end
while a <= #ARGV do
  local stream = KEYS[tonumber(ARGV[a]) + 2]
  local fields = {'k', ARGV[a + 1], 'b', ARGV[a + 2], 't', ARGV[a + 3], 'n', ARGV[a + 4]}
  if ARGV[a + 5] ~= '0' then
    fields[9], fields[10] = 'a', ARGV[a + 5]
  end
  redis.call('XADD', stream, '*', unpack(fields))
  a = a + 6
end
return 1
"""
_NOTE: Final = """#!lua flags=allow-oom
local held = redis.call('HGET', KEYS[1], 'epoch')
if held ~= ARGV[1] then return redis.error_reply('FENCED by epoch ' .. tostring(held)) end
return redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
"""
_TRIM: Final = """#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return -1 end
return redis.call('XTRIM', KEYS[2], 'MINID', '=', ARGV[2])
"""
_NOTED: Final = "note"


@dataclass(frozen=True, slots=True)
class Output:
    """One entry to append: stream, kind, payload, the produce time of the input it follows from, and whose it is.

    `available_us` = when its rows became known to stage 1, where whoever copies them to the lake needs it; 0 = left out.
    """

    stream: str
    kind: bytes
    payload: bytes
    produced_ns: int
    tenant: str = DEFAULT_TENANT
    available_us: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything one step of a reader changes: its position moves from the previous id to `through`.

    `ordinal` = which entry of the stream that is, 0 where it is not known.
    """

    through: str
    counts: Mapping[str, int] = field(default_factory=dict)
    outputs: Sequence[Output] = ()
    ordinal: int = 0


class Position:
    """A reader's place in one stream and its claim on it. Taking it fences every earlier owner."""

    def __init__(self, broker: streams.Streams, stage: str, partition: int) -> None:
        self._broker = broker
        self._key = streams.offset(stage, partition)
        self._counts_key = streams.counts(partition)
        self._epoch = broker.hash_increment(self._key, "epoch")
        stored = broker.hash_all(self._key)
        self._stored = stored
        self._through = stored.get("id", streams.START)
        self._note = stored.get(_NOTED, "")
        self._ordinal = int(stored.get("ordinal", 0))

    @property
    def through(self) -> str:
        """Return the id up to which everything is committed."""
        return self._through

    @property
    def ordinal(self) -> int:
        """Return the ordinal in its stream of the newest committed entry that has one, 0 where there is none."""
        return self._ordinal

    @property
    def epoch(self) -> int:
        """Return the epoch this owner took."""
        return self._epoch

    @property
    def note(self) -> str:
        """Return what the owners noted beside the position, "" where nothing."""
        return self._note

    def stored(self, name: str) -> str:
        """Return what a field beside the position held when this owner took it, "" where it was not there."""
        return self._stored.get(name, "")

    def write_note(self, text: str) -> None:
        """Replace the note.

        Raises:
            FencedError: another process took the partition.
            Unavailable: the broker did not answer; whether it has the new note is unknown, `note` is still the old one.
        """
        self.write_field(_NOTED, text)
        self._note = text

    def write_field(self, name: str, text: str) -> None:
        """Set a field beside the position.

        Raises:
            FencedError, Unavailable: as `write_note`.
        """
        import redis

        try:
            self._broker.evaluate(_NOTE, [self._key], [str(self._epoch), name, text])
        except redis.ResponseError as error:
            self._explain(error)

    def trim_through(self, stream: str, entry_id: str) -> None:
        """Delete every entry up to and including `entry_id`; nothing where another process took the partition.

        A log keeps its own retention: none there.
        """
        if self._broker.logged_partition(stream) is None:
            self._broker.evaluate(_TRIM, [self._key, stream], [str(self._epoch), streams.id_after(entry_id)])

    def moved(self, through: str) -> None:
        """Note that an append has moved the position: see `serving.ingest.topic_positions.Advance`."""
        self._through = through

    def commit(self, commit: Commit) -> None:
        """Apply `commit` atomically, exactly once however often it is called with the same content.

        Raises:
            FencedError: another process took the partition.
            StateError: the stored position is neither the previous nor the new one (the broker lost acknowledged data).
            Unavailable: the broker did not answer; whether it applied the commit is unknown, calling again is safe.
        """
        import redis

        names = list(dict.fromkeys(output.stream for output in commit.outputs))
        moved = {name: by for name, by in commit.counts.items() if by}
        arguments: list[str | bytes | int] = [str(self._epoch), self._through, commit.through, commit.ordinal]
        arguments.append(len(moved))
        for name, by in moved.items():
            arguments += [name, by]
        for output in commit.outputs:
            arguments += [names.index(output.stream) + 1, output.kind, output.payload, output.produced_ns, output.tenant]
            arguments.append(output.available_us)
        try:
            self._broker.evaluate(_COMMIT, [self._key, self._counts_key, *names], arguments)
        except redis.ResponseError as error:
            self._explain(error)
        self._through = commit.through
        self._ordinal = commit.ordinal or self._ordinal

    def commit_until_done(self, commit: Commit, wait: Callable[[float], bool]) -> bool:
        """Repeat `commit` through outages; `wait(seconds)` returns True to give up, then False is returned.

        Raises:
            FencedError, StateError: as `commit`.
        """
        delay_s = 0.05
        while True:
            try:
                self.commit(commit)
            except Unavailable:
                if wait(delay_s):
                    return False
                delay_s = min(1.0, delay_s * 2)
            else:
                return True

    def _explain(self, error: Exception) -> None:
        text = str(error)
        if "FENCED" in text:
            raise FencedError(f"{self._key}: epoch {self._epoch} was taken over ({text}); this process must stop") from error
        if "OFFSET" in text:
            message = f"{self._key}: expected {self._through}, but {text}; restart to recover from a checkpoint"
            raise StateError(message) from error
        raise error
