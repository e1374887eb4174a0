"""Who writes telemetry: of each producer the newest event time and when it wrote last, as `producer_sequence` keeps them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from serving.stream import streams

SHOWN_S: Final = 86_400.0
"""A producer that wrote nothing for so long is not shown any more."""
MOST: Final = 100
INTERVALS: Final = 5.0
LEAST_S: Final = 60.0
_PREFIX: Final = streams.producer("")


@dataclass(frozen=True, slots=True)
class Writer:
    """One producer: newest event time and last batch (s since 1970), seconds between its batches.

    `lasting` = it is to go on (a receiver, a feed); others end when they are done (a replay).
    """

    producer_id: str
    newest_s: float
    written_s: float
    interval_s: float
    lasting: bool

    def lag_s(self, now_s: float) -> float:
        """Return how far its newest event is behind the clock; negative = ahead, because a recording is played faster."""
        return now_s - self.newest_s

    def stands_still(self, now_s: float) -> bool:
        """Return whether one that is to go on has written nothing for five of its intervals and a minute."""
        return self.lasting and now_s - self.written_s > max(LEAST_S, INTERVALS * self.interval_s)


def writers(broker: streams.Streams, now_s: float) -> tuple[Writer, ...]:
    """Return the producers of the last day, at most `MOST`, the one that wrote last first.

    Raises:
        Unavailable: the broker does not answer.
    """
    known = sorted(_kept(broker), key=lambda writer: -writer.written_s)
    return tuple(writer for writer in known if now_s - writer.written_s < SHOWN_S)[:MOST]


def _kept(broker: streams.Streams) -> Iterator[Writer]:
    for key in broker.keys(f"{_PREFIX}*"):
        held = broker.hash_all(key)
        if "at" in held:
            times = (int(held["newest"]) / 1e6, int(held["at"]) / 1e3, int(held["interval"]) / 1e3)
            yield Writer(key.removeprefix(_PREFIX), *times, held.get("lasting") == "1")
