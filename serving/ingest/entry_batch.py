"""Entries that a producer appends together: to one stream, or as a group to several; and what became of them."""

from dataclasses import dataclass
from enum import Enum

from serving.ingest.topic_positions import Advance


class Appended(Enum):
    """What became of an entry."""

    NEW = 1
    REPEATED = 0
    BACKLOG_FULL = -1
    MEMORY_FULL = -2


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """One batch in one partition: the producer's number of it, and the checksum of all its entries there."""

    partition: int
    seq: int
    checksum: str


@dataclass(frozen=True, slots=True)
class EncodedEntry:
    """An entry of one tenant as it lies in a stream: its kind (see `serving.stream.streams`) and payload."""

    tenant: str
    kind: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class EntryBatch:
    """All that a producer appends to one stream under one number, in order: all of it or nothing.

    `counter` is the key that counts the stream's entries, "" where nobody counts them.
    """

    stream: str
    counter: str
    seq: int
    available_us: int
    entries: tuple[EncodedEntry, ...]


@dataclass(frozen=True, slots=True)
class BatchAppended:
    """What became of a batch, and how many entries the stream then has (0 = not known)."""

    outcome: Appended
    length: int


@dataclass(frozen=True, slots=True)
class EntryGroup:
    """Batches of several streams under one number, and the positions of topics that move with them: all of it or nothing."""

    batches: tuple[EntryBatch, ...]
    advances: tuple[Advance, ...]
    seq: int
    available_us: int


@dataclass(frozen=True, slots=True)
class GroupAppended:
    """What became of a group, and how many entries each of its streams then has (nothing is known where it had no room)."""

    outcome: Appended
    lengths: tuple[int, ...] = ()
