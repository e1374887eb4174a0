"""Messages of a topic, and a run of them: neighbours of one partition that are taken together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from serving.ingest.topic_positions import Advance


class TopicMessage(NamedTuple):
    """A message: where it lies, its bytes (none where it is a tombstone), and its headers by lower-case name."""

    partition: int
    offset: int
    content: bytes
    headers: Mapping[str, str]


class TopicFault(NamedTuple):
    """What the cluster says in place of a message; `gone`: the offset to read is not there, in `partition`."""

    text: str
    partition: int = -1
    gone: bool = False


@dataclass(frozen=True, slots=True)
class TopicRun:
    """Messages to take together, in order, and the position that moves with them."""

    messages: tuple[TopicMessage, ...]
    advance: Advance

    def first(self, count: int) -> "TopicRun":
        """Return the run of its first messages."""
        messages = self.messages[:count]
        return TopicRun(messages, replace(self.advance, end=messages[-1].offset + 1))

    def after(self, offset: int) -> "TopicRun | None":
        """Return the run of what is left once the position is at an offset, None where nothing is."""
        left = tuple(message for message in self.messages if message.offset >= offset)
        return TopicRun(left, replace(self.advance, begin=offset)) if left else None
