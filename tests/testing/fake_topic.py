"""A topic in memory, read through the port of the reader, and ownership that a test decides."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from aiops.errors import Unavailable
from serving.ingest.receive.topics.topic_messages import TopicFault, TopicMessage


@dataclass
class FakeTopic:
    """Messages by partition; what lies before `low` was removed. `away` = the cluster does not answer."""

    messages: dict[int, list[bytes]]
    low: dict[int, int] = field(default_factory=dict)
    away: bool = False
    held: frozenset[int] = frozenset()
    reads: list[dict[int, int]] = field(default_factory=list)
    faults: list[TopicFault] = field(default_factory=list)
    at: dict[int, int] = field(default_factory=dict)

    def partitions(self) -> int:
        self._answering()
        return len(self.messages)

    def bounds(self, partition: int) -> tuple[int, int]:
        self._answering()
        return self.low.get(partition, 0), len(self.messages[partition])

    def read_from(self, offsets: Mapping[int, int]) -> None:
        self.at = dict(offsets)
        self.reads.append(dict(offsets))

    def poll(self, count: int, wait_s: float) -> list[TopicMessage | TopicFault]:
        self._answering()
        if self.faults:
            return [self.faults.pop()]
        result: list[TopicMessage | TopicFault] = []
        for partition, offset in self.at.items():
            low, high = self.bounds(partition)
            if not low <= offset <= high:
                return [TopicFault("offset out of range", partition, gone=True)]
            if partition not in self.held:
                last = min(high, offset + count)
                contents = self.messages[partition][offset:last]
                result += [TopicMessage(partition, offset + number, content, {}) for number, content in enumerate(contents)]
                self.at[partition] = last
        if not result:
            threading.Event().wait(0.002)
        return result

    def hold(self, partitions: Collection[int]) -> None:
        self.held = frozenset(partitions)

    def high(self, partition: int) -> int:
        return len(self.messages[partition])

    def close(self) -> None:
        """Nothing to close."""

    def _answering(self) -> None:
        if self.away:
            raise Unavailable("kafka: no answer")


class GivenOwnership:
    """What a test says is to be read."""

    def __init__(self, *partitions: int) -> None:
        self.assigned = frozenset(partitions)
        self.lost: list[int] = []
        self.ended = False

    @property
    def shared(self) -> bool:
        return True

    def follow(self, stage: str, holding: Collection[int]) -> frozenset[int]:
        return self.assigned

    def lose(self, number: int) -> None:
        self.lost.append(number)
        self.assigned -= {number}

    def end(self, stage: str) -> None:
        self.ended = True

    def retire(self) -> None:
        """Nobody else is there."""

    def run(self, stop: threading.Event) -> None:
        stop.wait()
