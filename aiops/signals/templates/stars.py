"""Which shapes are equal but for one token, and which fit a template: kernels over tokens that lie one behind the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aiops.jit import bare
from aiops.signals.templates.normal_form import Tokens, placed, room_for
from aiops.signals.templates.shapes import Shape
from aiops.signals.templates.token_rules import FIXED, MIXED, OPEN, SIGN, VALUE, WORD, BoolArray, ByteArray, HashArray
from aiops.signals.templates.tokeniser import MOST_TOKENS, TokenBatch
from aiops.types import IntArray


@dataclass(frozen=True, slots=True)
class Star:
    """Shapes (places in the list that was given) that are equal but for the token at `place`."""

    members: IntArray
    place: int


class Packed(NamedTuple):
    """Tokens of shapes one behind the other: those of shape i lie at `offsets[i]` to `offsets[i + 1]`."""

    hashes: HashArray
    kinds: ByteArray
    marks: ByteArray
    offsets: IntArray
    ids: HashArray


class Run(NamedTuple):
    """A half-open run of rows."""

    start: int
    end: int


class Runs(NamedTuple):
    """Tokens of lines: those of line i lie at `first[i]` to `first[i] + count[i]`."""

    tokens: Tokens
    first: IntArray
    sizes: IntArray


def packed(shapes: Sequence[Shape]) -> Packed:
    """Return the tokens of shapes as flat arrays."""
    offsets = np.zeros(len(shapes) + 1, np.int64)
    np.cumsum([shape.tokens.hashes.size for shape in shapes], out=offsets[1:])
    parts = [shape.tokens for shape in shapes] or [room_for(0)]
    return Packed(
        np.concatenate([part.hashes for part in parts]),
        np.concatenate([part.kinds for part in parts]),
        np.concatenate([part.marks for part in parts]),
        offsets,
        np.array([shape.shape_id for shape in shapes], np.uint64),
    )


def stars(shapes: Sequence[Shape]) -> list[Star]:
    """Return the stars of two shapes or more, the largest first, ties by what they have in common.

    Cost: one sort of all tokens.
    """
    flat = packed(shapes)
    keys = np.empty(flat.hashes.size, np.uint64)
    _keys_without_token(flat.hashes, flat.offsets, flat.ids, keys)
    tokens = np.flatnonzero(flat.kinds != SIGN)
    order = tokens[np.argsort(keys[tokens], kind="stable")]
    bounds = np.flatnonzero(np.diff(keys[order])) + 1
    starts = np.concatenate([[0], bounds])
    ends = np.concatenate([bounds, [order.size]])
    several = np.flatnonzero(ends - starts >= 2)
    ranked = several[np.lexsort((keys[order[starts[several]]], starts[several] - ends[several]))] if order.size else several
    rows = np.searchsorted(flat.offsets, order, "right") - 1
    return [
        Star(rows[starts[run] : ends[run]], int(order[starts[run]] - flat.offsets[rows[starts[run]]])) for run in ranked.tolist()
    ]


def mixed_groups(shapes: Sequence[Shape]) -> list[IntArray]:
    """Return groups of shapes that are equal but for words with digits, ascending by what they have in common."""
    flat = packed(shapes)
    keys = np.empty(len(shapes), np.uint64)
    _keys_without_mixed(flat.hashes, flat.kinds, flat.offsets, flat.ids, keys)
    order = np.argsort(keys, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)
    return [run for run in runs if run.size >= 2]


def rare_groups(shapes: Sequence[Shape], most: int, least: int) -> list[IntArray]:
    """Return groups of `least` shapes or more that are equal but for words that stand in at most `most` shapes each."""
    flat = packed(shapes)
    _, index, counts = np.unique(flat.hashes, return_inverse=True, return_counts=True)
    rare = (counts[index] <= most) & (flat.kinds == WORD) & (flat.marks & FIXED == 0)
    kinds = np.where(rare, MIXED, SIGN).astype(np.uint8)
    keys = np.empty(len(shapes), np.uint64)
    _keys_without_mixed(flat.hashes, kinds, flat.offsets, flat.ids, keys)
    order = np.argsort(keys, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)
    return [run for run in runs if run.size >= least]


@bare
def _keys_without_token(hashes: HashArray, offsets: IntArray, ids: HashArray, keys: HashArray) -> None:
    for row in range(ids.size):
        for at in range(offsets[row], offsets[row + 1]):
            keys[at] = ids[row] - placed(hashes[at], at - offsets[row])


@bare
def _keys_without_mixed(hashes: HashArray, kinds: ByteArray, offsets: IntArray, ids: HashArray, keys: HashArray) -> None:
    for row in range(ids.size):
        keys[row] = ids[row]
        for at in range(offsets[row], offsets[row + 1]):
            if kinds[at] == MIXED:
                keys[row] -= placed(hashes[at], at - offsets[row])


@bare
def _fits(own: Tokens, patterns: Packed, row: int) -> bool:
    base = patterns.offsets[row]
    for at in range(own.hashes.size):
        if own.hashes[at] != patterns.hashes[base + at]:
            is_open = patterns.kinds[base + at] == VALUE and patterns.marks[base + at] & OPEN and own.kinds[at] != SIGN
            if not is_open:
                return False
    return True


@bare
def _first_match(own: Tokens, patterns: Packed, rows: Run) -> int:
    for row in range(rows.start, rows.end):
        if _fits(own, patterns, row):
            return row
    return -1


@bare
def _first_matches(rows: IntArray, batch: Runs, patterns: Packed, of_size: IntArray, numbers: IntArray) -> None:
    for at in range(rows.size):
        first = batch.first[rows[at]]
        size = batch.sizes[rows[at]]
        own = Tokens(
            batch.tokens.hashes[first : first + size],
            batch.tokens.kinds[first : first + size],
            batch.tokens.marks[first : first + size],
            batch.tokens.starts[first : first + size],
            batch.tokens.ends[first : first + size],
        )
        numbers[at] = _first_match(own, patterns, Run(of_size[size], of_size[size + 1]))


@bare
def _open_places(own: Tokens, patterns: Packed, rows: Run, places: BoolArray) -> None:
    for row in range(rows.start, rows.end):
        if _fits(own, patterns, row):
            base = patterns.offsets[row]
            for at in range(places.size):
                places[at] |= patterns.marks[base + at] & OPEN != 0


class PatternSet:
    """Patterns, each a sequence of tokens with places where any word belongs."""

    def __init__(self, patterns: Sequence[Shape]) -> None:
        sizes = np.array([pattern.tokens.hashes.size for pattern in patterns], np.int64)
        self._order = np.argsort(sizes, kind="stable")
        self._packed = packed([patterns[number] for number in self._order.tolist()])
        bounds = np.searchsorted(sizes[self._order], np.arange(MOST_TOKENS + 2))
        self._of_size = bounds

    def first_match(self, tokens: Tokens) -> int:
        """Return the number of the first pattern that these tokens fit; -1 = none. Cost: linear in patterns of this length."""
        rows = self._run(tokens.hashes.size)
        row = _first_match(tokens, self._packed, rows) if rows.end > rows.start else -1
        return -1 if row < 0 else int(self._order[row])

    def first_matches(self, batch: TokenBatch, rows: IntArray) -> IntArray:
        """Return the number of the first pattern that each of these lines fits; -1 = none."""
        matches = np.full(rows.size, -1, np.int64)
        if self._order.size:
            _first_matches(rows, Runs(batch.tokens, batch.first, batch.count), self._packed, self._of_size, matches)
            matches[matches >= 0] = self._order[matches[matches >= 0]]
        return matches

    def _run(self, size: int) -> Run:
        return Run(int(self._of_size[size]), int(self._of_size[size + 1]))

    def open_places(self, tokens: Tokens) -> BoolArray:
        """Return where any word belongs in one of the patterns that these tokens fit, (tokens,)."""
        places = np.zeros(tokens.hashes.size, np.bool_)
        _open_places(tokens, self._packed, self._run(tokens.hashes.size), places)
        return places
