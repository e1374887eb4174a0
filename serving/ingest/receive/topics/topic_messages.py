"""Messages of a topic, and a run of them: neighbours of one partition that are taken together."""

from collections.abc import Mapping
from dataclasses import dataclass
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
