"""The miner of one stream: lines in batches to ids of shapes and templates.

A line's *shape* is the sequence of its tokens, its id the hash of these: the same in every process and at every time. Shapes are
consolidated to *templates* when there are twice as many, and when there are four times the lines, at exactly that line: a
stream in other batches gives the same. A line keeps the id of its shape; which template that is, is asked when it is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.signals.templates.evolution import Evolution
from aiops.signals.templates.fitness import FitRules, StreamCounts, Unfit
from aiops.signals.templates.held_shapes import Capacity, HeldShapes
from aiops.signals.templates.shapes import MergeRules, Shape, shape_of
from aiops.signals.templates.token_rules import HashArray
from aiops.signals.templates.tokeniser import Text, TokenBatch, text_of, tokenise
from aiops.types import IntArray

CHUNK_LINES: Final = 4096
"""Lines that are cut to tokens at a time: memory is 26 bytes a byte of these."""
_FIRST_LINES: Final = 1000
_FIRST_SHAPES: Final = 64


@dataclass(frozen=True, slots=True)
class MinerRules:
    """All that a miner is set up with; the defaults serve every stream."""

    merge: MergeRules = field(default_factory=MergeRules)
    fit: FitRules = field(default_factory=FitRules)
    capacity: Capacity = field(default_factory=Capacity)


@dataclass(frozen=True, slots=True)
class Mined:
    """Ids of n lines, uint64: `shapes` for storing, `templates` as they are at that line; 0 = refused, and `unfit` says why."""

    shapes: HashArray
    templates: HashArray
    unfit: Unfit | None = None


class TemplateMiner:
    """Mines the lines of one stream. Memory: at most `capacity.shapes` shapes of at most 192 tokens and 1 KiB of example."""

    def __init__(self, rules: MinerRules | None = None) -> None:
        self.rules = rules or MinerRules()
        self.held = HeldShapes(self.rules.capacity, self.rules.merge)
        self.counts = StreamCounts()
        self.evolution = Evolution()
        self.unfit: Unfit | None = None
        self.settled_at_lines = 0
        self.next_lines = _FIRST_LINES
        self.next_shapes = _FIRST_SHAPES

    def observe(self, lines: "pa.Array[Any]", times_s: IntArray) -> Mined:
        """Return the ids of lines (Arrow text or binary, n) with event times (n,), s since 1970 UTC, in their order."""
        text = text_of(lines)
        count = len(lines)
        mined = Mined(np.zeros(count, np.uint64), np.zeros(count, np.uint64))
        at = 0
        while at < count and self.unfit is None:
            end = min(count, at + CHUNK_LINES, at + self.next_lines - self.counts.lines)
            batch = tokenise(Text(text.data, text.offsets[at : end + 1]))
            self._chunk(batch, times_s[at:end], Mined(mined.shapes[at:end], mined.templates[at:end]))
            at = end
        return Mined(mined.shapes, mined.templates, self.unfit)

    def settle(self, at_s: int) -> None:
        """Consolidate now, and judge whether the stream fits; `at_s` = event time of the changes, s since 1970 UTC.

        Whoever reads the templates at the end of a stream calls it once more; it changes nothing where no line came since.
        """
        if self.counts.lines != self.settled_at_lines:
            self._settle(self.held.settled_assignment().items(), at_s)

    def adopt(self, shapes: list[Shape], before: Iterable[tuple[int, int]]) -> None:
        """Hold these shapes, consolidated; `before` = pairs of a shape's id and the id of the template that it was part of."""
        self.held.replace_shapes(shapes)
        self._settle(before, max((shape.last_s for shape in shapes), default=0))

    def _settle(self, before: Iterable[tuple[int, int]], at_s: int) -> None:
        self.settled_at_lines = self.counts.lines
        gone = self.held.settle()
        self.evolution.note(before, self.held.assignment() | gone, self.held.first_seen(), at_s)
        self.evolution.succeed({shape: template for shape, template in gone.items() if shape != template})
        self.next_shapes = min(max(_FIRST_SHAPES, 2 * len(self.held.shapes)), self.rules.capacity.shapes)
        while self.next_lines <= self.counts.lines:
            self.next_lines *= 4
        self.unfit = self.unfit or self.counts.judged(self.held.alone(), self.rules.fit)

    def resolve(self, ids: HashArray) -> HashArray:
        """Return the ids that those of shapes and templates lead to now; an id that is not known leads to itself.

        Memory of ids: those of shapes that are held, and the newest 65,536 others.
        """
        unique, index = np.unique(ids, return_inverse=True)
        known = self.held.assignment()
        targets = [known.get(key, key) for key in map(self.evolution.resolve, unique.tolist())]
        return np.array(targets, np.uint64)[index]

    def _chunk(self, batch: TokenBatch, times_s: IntArray, out: Mined) -> None:
        """Mine lines at whose end, at the earliest, it is time to consolidate for their number."""
        begin = 0
        while begin < len(times_s):
            begin = self._run(batch, times_s, begin, out)
        self.counts.bytes += batch.bytes_read
        self.counts.unprintable += batch.unprintable
        if self.counts.lines >= self.next_lines:
            self.settle(int(times_s[-1]))

    def _run(self, batch: TokenBatch, times_s: IntArray, begin: int, out: Mined) -> int:
        """Mine lines from `begin` on, up to the end or to the line whose shape makes it time to consolidate; return where."""
        unique, first, index = np.unique(batch.ids[begin:], return_index=True, return_inverse=True)
        places = np.array([self.held.place.get(key, -1) for key in unique.tolist()], np.int64)
        unknown = np.flatnonzero(places < 0)
        unknown = unknown[np.argsort(first[unknown])]
        patterns = self.held.matches(batch, begin + first[unknown])
        places[unknown] = self.held.stand_ins(patterns)
        end = len(times_s)
        due = False
        new = places[unknown] < 0
        for number, pattern in zip(unknown[new].tolist(), patterns[new].tolist(), strict=True):
            row = begin + int(first[number])
            places[number] = self.held.admit(shape_of(batch, row, int(times_s[row])), pattern)
            if len(self.held.shapes) >= self.next_shapes:
                end, due = row + 1, True
                break
        here = places[index[: end - begin]]
        self.held.count(here, times_s[begin:end])
        out.shapes[begin:end] = self.held.shape_ids(here)
        out.templates[begin:end] = self.held.template_ids(here)
        self.counts.lines += end - begin
        if due:
            self.settle(int(times_s[end - 1]))
        return end
