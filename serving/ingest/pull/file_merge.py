"""Merge files in event time: one block of each overlapping file in memory, files opened when their time comes."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from serving.ingest.pull.source_rows import Rows


@dataclass(frozen=True, slots=True)
class Stream:
    """One file: the time of its first readable row (us since 1970) and how to read it."""

    first_us: int
    read: Callable[[], Iterator[Rows]]


@dataclass(slots=True, order=True)
class _Open:
    """An open file with the block read last; ordered by the time up to which its rows are known."""

    through_us: int
    number: int
    rows: Rows = field(compare=False)
    rest: Iterator[Rows] = field(compare=False)


def merged(streams: Sequence[Stream]) -> Iterator[Rows]:
    """Yield the rows of all streams in order of time, as far as each stream is ordered itself; nothing is lost.

    A single stream is passed through as it stands. Of n streams, at most those are open whose times overlap.
    """
    if len(streams) == 1:
        yield from streams[0].read()
        return
    waiting = sorted(enumerate(streams), key=lambda item: (item[1].first_us, item[0]), reverse=True)
    opened: list[_Open] = []
    while waiting or opened:
        while waiting and (not opened or waiting[-1][1].first_us <= opened[0].through_us):
            number, stream = waiting.pop()
            _open_next(opened, number, stream.read())
        if opened:
            yield _taken(opened)


def _open_next(opened: list[_Open], number: int, rest: Iterator[Rows]) -> None:
    """Read the next block that has rows; a file at its end leaves."""
    for rows in rest:
        times = np.concatenate([rows.readable_at, rows.raw_at])
        if len(times):
            heapq.heappush(opened, _Open(int(times.max()), number, rows, rest))
            return


def _taken(opened: list[_Open]) -> Rows:
    """Take all rows up to the time to which every open file is known, in order; read on where a block is used up."""
    through = opened[0].through_us
    items = opened.copy()
    opened.clear()
    for item in items:
        if item.through_us == through:
            _open_next(opened, item.number, item.rest)
        else:
            heapq.heappush(opened, _Open(item.through_us, item.number, _before(item.rows, through, False), item.rest))
    return in_order(joined([_before(item.rows, through, True) for item in sorted(items, key=lambda item: item.number)]))


def _before(rows: Rows, through_us: int, taken: bool) -> Rows:
    readable, raw = (rows.readable_at <= through_us) == taken, (rows.raw_at <= through_us) == taken
    return Rows(
        rows.readable.filter(pa.array(readable)), rows.readable_at[readable], rows.raw.filter(pa.array(raw)), rows.raw_at[raw]
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """Return all rows one after the other; columns that only some parts have are null in the others."""
    return Rows(
        pa.concat_tables([part.readable for part in parts], promote_options="default"),
        np.concatenate([part.readable_at for part in parts]),
        pa.concat_tables([part.raw for part in parts], promote_options="permissive"),
        np.concatenate([part.raw_at for part in parts]),
    )


def in_order(rows: Rows) -> Rows:
    """Return the rows sorted by time; rows of one time keep their order."""
    order, raw_order = np.argsort(rows.readable_at, kind="stable"), np.argsort(rows.raw_at, kind="stable")
    return Rows(rows.readable.take(order), rows.readable_at[order], rows.raw.take(raw_order), rows.raw_at[raw_order])
