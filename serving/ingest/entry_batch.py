"""Entries that a producer appends together: to one stream, or as a group to several; and what became of them."""

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from serving.ingest.leader_terms import LeaderChanged, LeaderTerm, replicas_key
from serving.ingest.topic_positions import Advance, PositionsLost

REMEMBERED: Final = 64
"""Batches of a producer in a partition whose repetition is distinguished from another batch under their number."""


_LOST: Final = -3
_CHANGED: Final = -4


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
    """Batches of several streams under one number, and the positions of topics that move with them: all of it or nothing.

    `terms`: the leaders of HA pairs whose points are in it; where another one leads by then, nothing of it is appended.
    """

    batches: tuple[EntryBatch, ...]
    advances: tuple[Advance, ...]
    seq: int
    available_us: int
    terms: tuple[LeaderTerm, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupAppended:
    """What became of a group, and how many entries each of its streams then has (nothing is known where it had no room)."""

    outcome: Appended
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Caller:
    """A producer: its key, the process that has it, its id."""

    key: str
    owner: str
    producer_id: str


def group_call(group: EntryGroup, caller: Caller, max_backlog: int) -> tuple[list[str], list[str | bytes | int]]:
    """Return keys and arguments of `APPEND_GROUP` for a group of a producer."""
    keys = [caller.key, *(advance.place.key for advance in group.advances), *(replicas_key(term.tenant) for term in group.terms)]
    arguments: list[str | bytes | int] = [caller.owner, group.seq, max_backlog, time.time_ns(), group.available_us]
    arguments += [caller.producer_id, len(group.advances), len(group.terms), len(group.batches)]
    for advance in group.advances:
        names = advance.fields
        arguments += [advance.token, advance.begin, advance.end, names.owner, names.place]
    for term in group.terms:
        arguments += [term.pair, term.held]
    for batch in group.batches:
        keys += [batch.stream, *([batch.counter] if batch.counter else [])]
        content = checksum([(entry.tenant, entry.payload) for entry in batch.entries])
        slot = batch_slot(batch.stream, batch.seq)
        arguments += [batch.stream, content, slot, int(bool(batch.counter)), len(batch.entries)]
        for entry in batch.entries:
            arguments += [entry.kind, entry.tenant, entry.payload]
    return keys, arguments


def group_answer(group: EntryGroup, answer: Sequence[int]) -> GroupAppended:
    """Return what the answer of `APPEND_GROUP` says became of a group.

    Raises:
        PositionsLost, LeaderChanged: nothing was appended.
    """
    outcome, *numbers = answer
    if outcome == _LOST:
        raise PositionsLost(group.advances[numbers[0] - 1])
    if outcome == _CHANGED:
        raise LeaderChanged(group.terms[numbers[0] - 1])
    return GroupAppended(Appended(outcome), tuple(numbers) if outcome >= 0 else ())


def batch_slot(place: str | int, seq: int) -> str:
    """Return the field of a producer that holds the checksum of a batch."""
    return f"{place}:{seq % REMEMBERED}"


def checksum(payloads: Sequence[tuple[str, bytes]]) -> str:
    """Return a checksum of (tenant, payload) entries in order: it tells mistakes apart, not forgeries. O(bytes)."""
    value = 0
    for tenant, payload in payloads:
        value = zlib.crc32(payload, zlib.crc32(tenant.encode(), value))
    return f"{value:08x}.{sum(len(payload) for _, payload in payloads):x}"
