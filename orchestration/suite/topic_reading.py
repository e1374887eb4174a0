"""How far the topics that others fill are read, and which of their partitions nobody reads."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiops.settings.tree import Settings
from serving.ingest.topic_positions import topic_lags
from serving.stream import streams

NOTED_S: Final = 60.0
"""A reader notes where it stands every few seconds; one that did not for so long is away."""


@dataclass(frozen=True, slots=True)
class TopicLine:
    """A partition of a topic: the offset to read next, how many messages wait, and when its reader noted that (aware UTC)."""

    topic: str
    partition: int
    tenant: str
    next_offset: int
    lag: int
    noted_at: datetime


@dataclass(frozen=True, slots=True)
class TopicReading:
    """All partitions that were ever read of the topics that the settings name, and sentences about those nobody reads now."""

    lines: tuple[TopicLine, ...]
    faults: tuple[str, ...]


def topic_reading(broker: streams.Streams, settings: Settings) -> TopicReading:
    """Return how far topics are read.

    Raises:
        Unavailable: the broker does not answer.
    """
    now_s = time.time()
    lags = list(topic_lags(broker, [topic.topic for topic in settings.ingest.read_topics]))
    lines = [
        TopicLine(*lag.place, lag.tenant, lag.next_offset, lag.lag, datetime.fromtimestamp(lag.noted_s, UTC)) for lag in lags
    ]
    faults = [
        f"topic {lag.place}: nobody has read it for {now_s - lag.noted_s:.0f} s; does a receiver run with AIOPS_INGEST__TOPICS?"
        for lag in lags
        if now_s - lag.noted_s > NOTED_S
    ]
    return TopicReading(tuple(lines), tuple(faults))
