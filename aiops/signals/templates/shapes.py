"""Shapes of lines: what is kept of each, and what decides whether shapes that differ in one place are one template."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.signals.templates.normal_form import Tokens
from aiops.signals.templates.token_rules import CUE, EQUALS_HASH, FIXED, MIXED, NUMBERED, OPEN, TEXT_KEYS, VALUE, WORD
from aiops.signals.templates.tokeniser import TokenBatch

_TEXT_KEYS: Final = frozenset(TEXT_KEYS.tolist())
LONGEST_EXAMPLE: Final = 1024
"""Bytes of a line that are kept as the example of its shape."""


@dataclass(slots=True)
class Shape:
    """Lines with equal tokens: `shape_id` = 64-bit hash of these, the same in every process; spans are places in `example`.

    `lines` = how many there were; `first_s`, `last_s` = their event times, s since 1970 UTC.
    """

    shape_id: int
    tokens: Tokens
    example: bytes
    first_s: int
    last_s: int
    lines: int = 0

    @property
    def constants(self) -> int:
        """Return how many words there are that may be part of the message."""
        return int(np.count_nonzero((self.tokens.kinds == WORD) | (self.tokens.kinds == NUMBERED)))

    def text(self) -> str:
        """Return the example with `<*>` in the place of its values.

        Bytes that are no UTF-8 are shown as U+FFFD.
        """
        parts, at = [], 0
        for kind, start, end in zip(self.tokens.kinds, self.tokens.starts, self.tokens.ends, strict=True):
            if kind in (VALUE, MIXED) and start >= at:
                parts += [self.example[at:start], b"<*>"]
                at = int(end)
        return b"".join([*parts, self.example[at:]]).decode(errors="replace")


def shape_of(batch: TokenBatch, row: int, at_s: int) -> Shape:
    """Return the shape of a line, as a copy."""
    origin = batch.text.offsets[row]
    part = batch.of(row)
    tokens = Tokens(part.hashes.copy(), part.kinds.copy(), part.marks.copy(), part.starts - origin, part.ends - origin)
    return Shape(int(batch.ids[row]), tokens, batch.line(row)[:LONGEST_EXAMPLE], at_s, at_s)


@dataclass(frozen=True, slots=True)
class MergeRules:
    """How many distinct words in one place make it a value. Fitted on four of the sets of Loghub-2k, judged on four others.

    `words` in a place with at least 3 other words; `words_after_cue` after `user`, `from`, `:` …; twice `words` beside two
    other words, four times beside one; `fixed_words` where at least half look like parts of the message.
    A place whose words, fewer than `fixed_words`, each occurred in `closed_lines` lines or more is a closed set: no value.
    """

    words: int = 6
    words_after_cue: int = 3
    numbered: int = 3
    fixed_words: int = 24
    closed_lines: int = 500


@dataclass(frozen=True, slots=True)
class Place:
    """The shapes that are equal but for one token, and what stands there in each: kinds, marks, and lines of each shape."""

    kinds: Sequence[int]
    marks: Sequence[int]
    lines: Sequence[int]
    constants: int
    before_mark: int
    before_hash: int
    key_hash: int
    known_values: int = 0
    """How many of these words are values elsewhere."""

    def is_value(self, rules: MergeRules) -> bool:
        """Return whether what stands in this place is a value, so that the shapes are one template."""
        count = len(self.kinds)
        likely = sum(kind in (VALUE, MIXED) for kind in self.kinds)
        if self.constants == 0:
            return likely == count
        if any(kind == VALUE and mark & OPEN for kind, mark in zip(self.kinds, self.marks, strict=True)):
            return True
        if likely * 2 >= count or (likely and count >= rules.words):
            return True
        return self._are_values(count, rules)

    def _are_values(self, count: int, rules: MergeRules) -> bool:
        """Return whether these words are values."""
        if self.before_hash == int(EQUALS_HASH) and self.key_hash not in _TEXT_KEYS:
            return True
        fixed = sum(bool(mark & FIXED) for mark in self.marks)
        if fixed * 2 >= count:
            return count >= rules.fixed_words
        if self.constants >= 2 and self.known_values * 2 >= count:
            return True
        if self.constants >= 2 and all(kind == NUMBERED for kind in self.kinds):
            return count >= rules.numbered
        if self.constants <= 2:
            needed = rules.words * (2 if self.constants == 2 else 4)
        else:
            needed = rules.words_after_cue if self.before_mark & CUE else rules.words
        if count < rules.fixed_words and not self.before_mark & CUE and min(self.lines) >= rules.closed_lines:
            return False
        return count >= needed


def place_of(members: Sequence[Shape], place: int, values: Container[int] = ()) -> Place:
    """Return what stands at `place` in shapes that are equal but for it; `values` = hashes of words that are values elsewhere."""
    tokens = members[0].tokens
    before = place - 1
    own = int(tokens.kinds[place] in (WORD, NUMBERED))
    return Place(
        [int(shape.tokens.kinds[place]) for shape in members],
        [int(shape.tokens.marks[place]) for shape in members],
        [shape.lines for shape in members],
        members[0].constants - own,
        int(tokens.marks[before]) if place else 0,
        int(tokens.hashes[before]) if place else 0,
        int(tokens.hashes[before - 1]) if place >= 2 else 0,
        sum(int(shape.tokens.hashes[place]) in values for shape in members),
    )
