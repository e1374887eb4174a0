"""Spans that wait for their partner: found by key in a hash table, forgotten by event time, bounded in number."""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import inlined, kernel
from aiops.signals.span_rows import CLIENT, PRODUCER, SpanColumns
from aiops.types import IntArray, State

_FREE: Final = -1
_LOAD: Final = 2
"""Places of a hash table for each span that it holds at most."""
Slots = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Spans with their parents: slots of both (n,), and how many children of the parent came before this one."""

    parent: Slots
    child: Slots
    order: Slots


@dataclass(slots=True)
class Forgotten:
    """Spans that left: those whose parent never came, clients and producers that nobody answered, and those that had to go
    before their time because too many waited."""

    orphans: int = 0
    unanswered: int = 0
    crowded: int = 0


class _Keys(NamedTuple):
    """Keys of spans and of their parents."""

    own: IntArray
    parent: IntArray


class _Links(NamedTuple):
    """Tables from key to slot, of spans and of those that wait for a parent; then of each span the next that waits for the same
    parent, its children, and whether its parent came."""

    own: Slots
    waiting: Slots
    following: Slots
    children: Slots
    resolved: npt.NDArray[np.bool_]


@dataclass(slots=True)
class SpanArena:
    """At most `most` spans, in order of arrival. Memory: 80 B a span that fits, whether it is there or not."""

    most: int
    used: int = 0
    repeated: int = 0
    columns: SpanColumns = field(init=False)
    _links: _Links = field(init=False)

    def __post_init__(self) -> None:
        kinds = (np.int64, np.int64, np.int64, np.int64, np.int32, np.int32, np.uint8, np.bool_, np.float64)
        blank: list[Any] = [np.zeros(self.most, kind) for kind in kinds]
        self.columns = SpanColumns(*blank)
        places = 1 << (_LOAD * self.most - 1).bit_length()
        own, waiting, following = (np.full(size, _FREE, np.int32) for size in (places, places, self.most))
        self._links = _Links(own, waiting, following, np.zeros(self.most, np.int32), np.zeros(self.most, np.bool_))

    @property
    def room(self) -> int:
        """Return how many spans more fit."""
        return self.most - self.used

    def add(self, spans: SpanColumns) -> Pairs:
        """Take in at most `room` spans and return the pairs that they complete. O(spans)."""
        first, last = self.used, self.used + len(spans.key)
        arrived: tuple[Any, ...] = spans
        mine: Any
        for mine, given in zip(self.columns, arrived, strict=True):
            mine[first:last] = given
        self._links.children[first:last], self._links.following[first:last], self._links.resolved[first:last] = 0, _FREE, False
        self.used = last
        out = np.empty((3, last), np.int32)
        pairs, repeated = _linked(_Keys(self.columns.key, self.columns.parent), self._links, first, last, out)
        self.repeated += repeated
        return Pairs(out[0, :pairs], out[1, :pairs], out[2, :pairs])

    def forget(self, horizon_us: int, gone: Forgotten) -> None:
        """Drop spans that ended before the horizon; where more than three quarters stay, the oldest quarter too. O(spans)."""
        ends, kind = self.columns.end_us[: self.used], self.columns.kind[: self.used]
        live = self.columns.key[: self.used] != 0
        kept = live & (ends >= horizon_us)
        if kept.sum() > 3 * self.most // 4:
            oldest = np.partition(ends[kept], self.most // 4)[self.most // 4]
            spared = kept & (ends > oldest)
            gone.crowded += int(kept.sum() - spared.sum())
            kept = spared
        leaving = live & ~kept
        alone = ~self._links.resolved[: self.used] & (self.columns.parent[: self.used] != 0)
        calls = ((kind == CLIENT) | (kind == PRODUCER)) & (self._links.children[: self.used] == 0)
        gone.orphans += int((leaving & alone).sum())
        gone.unanswered += int((leaving & calls).sum())
        self._keep(np.flatnonzero(kept))

    def state(self) -> State:
        """Return the spans that wait, in order of arrival."""
        kept = {name: column[: self.used].copy() for name, column in self.columns._asdict().items()}
        links = {"children": self._links.children[: self.used].copy(), "resolved": self._links.resolved[: self.used].copy()}
        return {**kept, **links, "repeated": np.array([self.repeated], np.int64)}

    @classmethod
    def restored(cls, most: int, state: State) -> "SpanArena":
        """Return what was saved; more than `most` spans are refused.

        Raises:
            ValueError: more spans were saved than fit.
        """
        arena = cls(most, len(state["key"]), int(state["repeated"][0]))
        for name, column in arena.columns._asdict().items():
            column[: arena.used] = state[name]
        arena._links.children[: arena.used] = state["children"]
        arena._links.resolved[: arena.used] = state["resolved"]
        _placed_again(_Keys(arena.columns.key, arena.columns.parent), arena._links, arena.used)
        return arena

    def _keep(self, slots: IntArray) -> None:
        count = len(slots)
        columns: tuple[Any, ...] = (*self.columns, self._links.children, self._links.resolved)
        for mine in columns:
            mine[:count] = mine[slots]
        self.used = count
        self._links.own[:], self._links.waiting[:], self._links.following[:] = _FREE, _FREE, _FREE
        _placed_again(_Keys(self.columns.key, self.columns.parent), self._links, count)


@kernel
def _place(keys: IntArray, table: Slots, key: int) -> int:
    """Return where in the table the span with this key lies, or where it would."""
    mask = table.size - 1
    at = (key >> 1) & mask
    while table[at] != _FREE and keys[table[at]] != key:
        at = (at + 1) & mask
    return at


@kernel
def _waits(keys: _Keys, links: _Links, slot: int) -> None:
    """Queue a span before those that wait for the same parent."""
    at = _place(keys.parent, links.waiting, keys.parent[slot])
    links.following[slot] = links.waiting[at]
    links.waiting[at] = slot


@inlined
def _paired(links: _Links, above: int, child: int, out: Slots, pairs: int) -> int:
    """Note a pair and return how many there are now."""
    out[0, pairs], out[1, pairs], out[2, pairs] = above, child, links.children[above]
    links.children[above] += 1
    links.resolved[child] = True
    return pairs + 1


@kernel
def _linked(keys: _Keys, links: _Links, first: int, last: int, out: Slots) -> tuple[int, int]:
    """Link spans first..last to those there; return how many pairs that gives and how many spans were there already."""
    pairs, repeated = 0, 0
    for slot in range(first, last):
        at = _place(keys.own, links.own, keys.own[slot])
        if links.own[at] != _FREE:
            keys.own[slot] = 0
            repeated += 1
            continue
        links.own[at] = slot
        if keys.parent[slot] != 0:
            above = links.own[_place(keys.own, links.own, keys.parent[slot])]
            if above != _FREE:
                pairs = _paired(links, above, slot, out, pairs)
            else:
                _waits(keys, links, slot)
        child = links.waiting[_place(keys.parent, links.waiting, keys.own[slot])]
        while child != _FREE:
            if not links.resolved[child]:
                pairs = _paired(links, slot, child, out, pairs)
            child = links.following[child]
    return pairs, repeated


@kernel
def _placed_again(keys: _Keys, links: _Links, count: int) -> None:
    """Fill empty tables with the first `count` spans; those that were repeated are in none."""
    for slot in range(count):
        if keys.own[slot] == 0:
            continue
        links.own[_place(keys.own, links.own, keys.own[slot])] = slot
        if keys.parent[slot] != 0 and not links.resolved[slot]:
            _waits(keys, links, slot)
