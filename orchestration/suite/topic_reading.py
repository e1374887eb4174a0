"""How far the topics that others fill are read, and which of their partitions nobody reads, or ever read."""

import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from aiops.errors import ConfigurationError, Unavailable
from aiops.settings.topic_settings import TopicSettings
from aiops.settings.tree import Settings
from serving.ingest.topic_positions import TopicLag, TopicPlace, topic_lags
from serving.stream import streams
from serving.stream.kafka_url import KafkaAddress, kafka_address

if TYPE_CHECKING:
    from serving.ingest.receive.topics.topic_client import TopicClient

NOTED_S: Final = 60.0
"""A reader notes where it stands every few seconds; one that did not for so long is away."""
ANSWER_S: Final = 2.0
"""How long a cluster may take to say what a topic holds that nobody ever read."""
_FIX: Final = "does a receiver run with AIOPS_INGEST__TOPICS?"
OpenTopic = Callable[[KafkaAddress, str], "TopicClient"]


@dataclass(frozen=True, slots=True)
class TopicLine:
    """A partition of a topic: the offset to read next, how many messages wait, and when its reader noted that (aware UTC).

    `noted_at` None = it was never read; what waits is what the cluster says now.
    """

    topic: str
    partition: int
    tenant: str
    next_offset: int
    lag: int
    noted_at: datetime | None


@dataclass(frozen=True, slots=True)
class TopicReading:
    """All partitions of the topics that the settings name, and sentences about those that nobody reads now, or ever read."""

    lines: tuple[TopicLine, ...]
    faults: tuple[str, ...]


def topic_reading(broker: streams.Streams, settings: Settings, open_topic: OpenTopic | None = None) -> TopicReading:
    """Return how far topics are read; the cluster is asked for partitions that the state store knows nothing of.

    Raises:
        Unavailable: the broker does not answer.
    """
    topics = settings.ingest.read_topics
    lags = list(topic_lags(broker, [topic.topic for topic in topics]))
    lines, faults = [_line(lag) for lag in lags], [*_silent(lags)]
    if topics:
        known = {lag.place for lag in lags}
        try:
            address = kafka_address(settings.ingest.kafka_url, "ingest.kafka_url")
            for topic in topics:
                unread, fault = _never_read(topic, known, (open_topic or _opened)(address, topic.topic))
                lines += unread
                faults += [fault] if fault else []
        except (ConfigurationError, Unavailable) as error:
            faults.append(f"topics: what nobody ever read is not known: {error}")
    order = [topic.topic for topic in topics]
    return TopicReading(tuple(sorted(lines, key=lambda line: (order.index(line.topic), line.partition))), tuple(faults))


def _line(lag: TopicLag) -> TopicLine:
    return TopicLine(*lag.place, lag.tenant, lag.next_offset, lag.lag, datetime.fromtimestamp(lag.noted_s, UTC))


def _silent(lags: list[TopicLag]) -> Iterator[str]:
    """Yield sentences about partitions that were read, and are not now."""
    now_s = time.time()
    for lag in lags:
        if now_s - lag.noted_s > NOTED_S:
            yield f"topic {lag.place}: nobody has read it for {now_s - lag.noted_s:.0f} s; {_FIX}"


def _never_read(topic: TopicSettings, known: Set[TopicPlace], client: "TopicClient") -> tuple[list[TopicLine], str]:
    """Return the partitions that were never read, from where they would be, and a sentence about them, "" where there are none.

    Raises:
        Unavailable: the cluster does not answer.
    """
    lines = []
    try:
        count = client.partitions()
        for partition in range(count):
            if TopicPlace(topic.topic, partition) not in known:
                low, high = client.bounds(partition)
                first = low if topic.start == "earliest" else high
                lines.append(TopicLine(topic.topic, partition, topic.tenant, first, high - first, None))
    finally:
        client.close()
    if not count:
        return [], f"topic {topic.topic}: the cluster has no such topic; make it, or take it out of AIOPS_INGEST__TOPICS"
    if not lines:
        return [], ""
    waiting = sum(line.lag for line in lines)
    which = "it" if len(lines) == count else f"partitions {', '.join(str(line.partition) for line in lines)}"
    return lines, f"topic {topic.topic}: nobody has ever read {which}, {waiting} messages wait; {_FIX}"


def _opened(address: KafkaAddress, topic: str) -> "TopicClient":
    from serving.ingest.receive.topics.topic_client import KafkaTopicClient

    return KafkaTopicClient(address, topic, ANSWER_S)
