"""How far a followed source is published, kept on the broker beside what was published.

Before a poll's points are sent, they and the cursor after them are written down in one step, with the producer's number of the
first batch. Whoever starts again sends them again under the same numbers, which adds only what is missing, and goes on from the
cursor. So kill -9 at any moment loses nothing and doubles nothing; a broker that lost its data knows neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import pyarrow as pa

from serving.ingest.pull.prometheus_live import PullCursor
from serving.stream import streams

_WRITE: Final = """#!lua flags=allow-oom
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""
_READ: Final = """#!lua flags=no-writes
return redis.call('HGETALL', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """The cursor, and the batches before it, which bear the numbers `seq`, `seq` + 1, … of the producer."""

    cursor: PullCursor
    seq: int
    batches: tuple[pa.Table, ...] = ()

    def after(self, cursor: PullCursor, batches: Sequence[pa.Table]) -> Self:
        """Return the progress of the next poll."""
        return type(self)(cursor, self.seq + len(self.batches), tuple(batches))


class ProgressStore:
    """The progress of one producer; every method raises `Unavailable` where the broker does not answer."""

    def __init__(self, broker: streams.Streams, producer_id: str) -> None:
        self._broker = broker
        self._key = f"aiops:pull:{producer_id}"

    def load(self) -> Progress | None:
        """Return what was kept, None where there is nothing."""
        words: list[bytes] = self._broker.evaluate(_READ, [self._key], [])
        if not words:
            return None
        held = dict(zip(words[::2], words[1::2], strict=True))
        batches = [streams.from_ipc(held[b"batch:%d" % number]) for number in range(int(held[b"batches"]))]
        return Progress(PullCursor.unpacked(held[b"cursor"]), int(held[b"seq"]), tuple(batches))

    def save(self, progress: Progress) -> None:
        """Keep the progress in the place of the one before."""
        words: list[str | bytes | int] = [
            "cursor",
            progress.cursor.packed(),
            "seq",
            progress.seq,
            "batches",
            len(progress.batches),
        ]
        for number, batch in enumerate(progress.batches):
            words += [f"batch:{number}", streams.to_ipc(batch)]
        self._broker.evaluate(_WRITE, [self._key], words)
