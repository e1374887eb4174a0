"""Recorded telemetry through the broker: published in pieces, each available when its own event-time clock says."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa

from aiops.ports import TelemetrySource
from aiops.replay.event_clock import event_clock, newest_until, pieces
from orchestration.workspace.workspace import Workspace
from serving.ingest.producer import ProducerConfig, TelemetryProducer, new_id
from serving.stream.broker import open_streams

ANNOUNCE_AHEAD: Final = timedelta(hours=2)
"""Labels are sent this long before their time: the engine uses one only from its known_at on, whatever the order of arrival."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was published."""

    points: int
    entries: int
    seconds: float


class Replay:
    """Publishes chunk after chunk under consecutive source offsets; made once per finite stream.

    `pace` is called before every piece: it may wait until the consumer has caught up.
    """

    def __init__(
        self, producer: TelemetryProducer, incidents: pa.Table, now: datetime, pace: Callable[[], None] = lambda: None
    ) -> None:
        self._pace = pace
        self._producer = producer
        self._seq = producer.resume_from()
        self._incidents = sorted(incidents.to_pylist(), key=lambda row: row["known_at"])
        self._clock = now
        self.points = 0
        self.entries = 0

    @property
    def clock(self) -> datetime:
        """Return the event-time clock of what was published last."""
        return self._clock

    def publish(self, chunks: Iterable[pa.Table]) -> None:
        """Publish chunks in event-time order, and each incident label before its time comes."""
        for chunk in chunks:
            for piece in pieces(chunk):
                self._publish_piece(piece, event_clock(piece, self._clock))

    def publish_recording(self, chunks: Iterable[pa.Table], ended_by: datetime) -> None:
        """Publish a whole recording: none of its rows is from the future only because the row before it is far."""
        last: pa.Table | None = None
        for piece in (piece for chunk in chunks for piece in pieces(chunk)):
            if last is not None:
                self._publish_piece(last, event_clock(last, self._clock, piece))
            last = piece
        if last is not None:
            self._publish_piece(last, max(event_clock(last, self._clock), newest_until(last, ended_by, self._clock)))

    def _publish_piece(self, piece: pa.Table, clock: datetime) -> None:
        self._pace()
        self._clock = clock
        self._publish_incident_labels()
        self.entries += self._producer.publish(piece, self._seq, clock)
        self._seq += 1
        self.points += piece.num_rows

    def close(self, until: datetime) -> None:
        """Close every tick up to `until`: nothing more will come before it."""
        self._producer.publish_close(until, self._seq)
        self._seq += 1

    def _publish_incident_labels(self) -> None:
        while self._incidents and self._incidents[0]["known_at"] <= self._clock + ANNOUNCE_AHEAD:
            incident = self._incidents.pop(0)
            self._producer.publish_incident(incident["service"], incident["known_at"], self._seq)
            self._seq += 1


def replay_recorded(
    workspace: Workspace, source: TelemetrySource, start: datetime | None, end: datetime | None, say: Callable[[str], None]
) -> Replayed:
    """Publish one source from `start` to `end` (None = all) to the broker in force; waits while the consumer is behind.

    Raises:
        Unavailable: the broker does not answer, or no consumer takes what is published.
    """
    began = time.monotonic()
    settings = workspace.settings
    config = ProducerConfig(tenant=workspace.tenant, future_tolerance_s=settings.telemetry.future_tolerance_s)
    producer = TelemetryProducer(open_streams(settings), settings.broker.partitions, new_id("replay"), config)
    now = datetime.now(UTC)
    replay = Replay(producer, source.incidents(), now)

    def chunks() -> Iterator[pa.Table]:
        for chunk in source.batches(start, end):
            yield chunk
            say(f"{replay.points:,} points published, up to {replay.clock:%Y-%m-%d %H:%M}")

    replay.publish_recording(chunks(), now)
    return Replayed(replay.points, replay.entries, time.monotonic() - began)
