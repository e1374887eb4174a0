"""What waits on the broker: streams with entries that a reader has not committed, and for how long the oldest has waited."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from serving.stream import streams

SHARED: Final = (("archive-detections", streams.DETECTIONS), ("archive-predictions", streams.PREDICTIONS))
"""Readers of the streams that all partitions share."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A reader (stage of a partition) that is behind on a stream; `produced_ms` = when its first waiting entry was produced."""

    stage: str
    stream: str
    produced_ms: int

    def age_s(self, now_ms: float) -> float:
        """Return for how long its first waiting entry has waited."""
        return max(0.0, (now_ms - self.produced_ms) / 1e3)


def readers(partitions: int, archive: bool = True, signals: bool = False) -> Iterator[tuple[str, str, int]]:
    """Yield (stage, stream, partition) of every reader; without the archiver where it is off, with the stage of `signals`."""
    for partition in range(partitions):
        yield "stage1", streams.telemetry(partition), partition
        if partitions > 1:
            yield "services", streams.partials(partition), partition
        yield "score", streams.candidates(partition), partition
        if signals:
            yield "signals", streams.signals(partition), partition
        if archive:
            yield "archive-telemetry", streams.telemetry(partition), partition
            yield "archive-rejected", streams.rejected(partition), partition
            yield "archive-features", streams.features(partition), partition
            yield "archive-points", streams.points(partition), partition
            yield "archive-signals", streams.signals(partition), partition
    for stage, stream in SHARED if archive else ():
        yield stage, stream, 0


def waiting(broker: streams.Streams, partitions: int, archive: bool = True, signals: bool = False) -> Iterator[Waiting]:
    """Yield the readers that are behind. One look-up a reader, two more where it is behind.

    Raises:
        Unavailable: the broker does not answer.
    """
    for stage, stream, partition in readers(partitions, archive, signals):
        committed = broker.hash_all(streams.offset(stage, partition)).get("id", streams.START)
        if streams.id_parts(committed) < streams.id_parts(broker.last_id(stream)):
            first = next(iter(broker.range(stream, f"({committed}", count=1)), None)
            if first is not None:
                yield Waiting(stage, stream, first.produced_ns // 1_000_000 or streams.id_parts(first.entry_id)[0])
