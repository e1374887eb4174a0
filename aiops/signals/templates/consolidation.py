"""From shapes to templates: a pure function of the shapes, whatever the order and the process in which they were seen.

Shapes that are equal but for one token become one template where that token is judged a value (`shapes.Place`); a template in
normal form may become part of another, until nothing changes. A shape that fits the template of others joins it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from aiops.signals.templates.normal_form import Tokens, normalise, part, room_for, shape_id
from aiops.signals.templates.shapes import MergeRules, Shape, place_of
from aiops.signals.templates.stars import PatternSet, mixed_groups, rare_groups, stars
from aiops.signals.templates.token_rules import OPEN, VALUE, VALUE_HASH, WORD
from aiops.types import IntArray

_MOST_ROUNDS = 12
_RARE_SHAPES = 3
"""A word is rare that stands in at most so many shapes."""
_LEAST_CONSTANTS = 2
"""Words that a template has at least before shapes join it that differ in several places."""


@dataclass(frozen=True, slots=True)
class Templates:
    """Templates of shapes: `template_of[i]` = place in `templates` of the i-th shape.

    `patterns` = sequences of tokens, not in normal form, that lines of a template fit; `pattern_template` = theirs.
    """

    templates: list[Shape]
    template_of: IntArray
    patterns: list[Shape] = field(default_factory=list)
    pattern_template: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))


def consolidate(shapes: Sequence[Shape], rules: MergeRules) -> Templates:
    """Return the templates of `shapes`; equal for every order of these.

    Cost: a sort of all tokens for each of at most 12 rounds, most streams need 3 or 4.
    """
    working = _Consolidation(shapes, rules)
    working.join_mixed()
    for _ in range(_MOST_ROUNDS):
        if not working.join_stars():
            break
    working.join_rare()
    working.join_stars()
    working.join_fitting()
    return working.result([shape.shape_id for shape in shapes])


class _Consolidation:
    """Nodes = shapes and the templates made of them; `successor` leads from a node to the template it is part of."""

    def __init__(self, shapes: Sequence[Shape], rules: MergeRules) -> None:
        self._rules = rules
        self._live = {shape.shape_id: shape for shape in shapes}
        self._given = set(self._live)
        self._successor: dict[int, int] = {}
        self._patterns: list[Shape] = []
        self._values: set[int] = set()

    def _nodes(self) -> list[Shape]:
        return [self._live[key] for key in sorted(self._live)]

    def join_mixed(self) -> None:
        """Join shapes that are equal but for several words with digits."""
        nodes = self._nodes()
        for group in mixed_groups(nodes):
            members = [nodes[row] for row in group.tolist()]
            columns = np.stack([member.tokens.hashes for member in members])
            places = np.flatnonzero((columns != columns[0]).any(axis=0))
            if members[0].constants and places.size >= 2:
                self._join(members, places)

    def join_rare(self) -> None:
        """Join many shapes that are equal but for rare words in several places, where enough else is constant."""
        nodes = self._nodes()
        for group in rare_groups(nodes, _RARE_SHAPES, 2 * self._rules.words):
            members = [nodes[row] for row in group.tolist()]
            columns = np.stack([member.tokens.hashes for member in members])
            places = np.flatnonzero((columns != columns[0]).any(axis=0))
            if members[0].constants - places.size >= _LEAST_CONSTANTS + 1:
                self._join(members, places)

    def join_stars(self) -> bool:
        """Join what differs in one place that holds values; return whether anything was joined."""
        nodes = self._nodes()
        joined = False
        for star in stars(nodes):
            members = [nodes[row] for row in star.members.tolist() if nodes[row].shape_id in self._live]
            if len(members) >= 2 and place_of(members, star.place, self._values).is_value(self._rules):
                if len(members) >= self._rules.words:
                    self._values.update(
                        int(member.tokens.hashes[star.place]) for member in members if member.tokens.kinds[star.place] == WORD
                    )
                self._join(members, np.array([star.place]))
                joined = True
        return joined

    def join_fitting(self) -> None:
        """Join shapes to the template whose places for words they fit."""
        patterns = [pattern for pattern in self._patterns if pattern.constants >= _LEAST_CONSTANTS]
        fitting = PatternSet(patterns)
        for node in self._nodes():
            number = fitting.first_match(node.tokens)
            target = self._live[self._root(patterns[number].shape_id)] if number >= 0 else node
            if target is not node:
                self._absorb(target, node)

    def _join(self, members: Sequence[Shape], places: IntArray) -> None:
        """Make one template of `members`, with values at `places`."""
        first = members[0].tokens
        hashes, kinds, marks = first.hashes.copy(), first.kinds.copy(), first.marks.copy()
        for place in places.tolist():
            words = any(member.tokens.kinds[place] != VALUE or member.tokens.marks[place] & OPEN for member in members)
            hashes[place], kinds[place], marks[place] = VALUE_HASH, VALUE, OPEN if words else 0
        tokens = Tokens(hashes, kinds, marks, first.starts, first.ends)
        pattern = replace(members[0], shape_id=int(shape_id(hashes)), tokens=tokens)
        normal = _in_normal_form(pattern)
        target = self._live.get(normal.shape_id)
        if target is None:
            target = replace(normal, lines=0)
            self._live[target.shape_id] = target
            self._given.discard(target.shape_id)
        else:
            if target.shape_id in self._given:
                target = self._live[target.shape_id] = replace(target)
                self._given.discard(target.shape_id)
            target.tokens = target.tokens._replace(marks=target.tokens.marks | normal.tokens.marks)
        self._patterns.append(pattern)
        if pattern.shape_id != target.shape_id:
            self._successor[pattern.shape_id] = target.shape_id
        for member in members:
            if member.shape_id != target.shape_id:
                self._absorb(target, member)

    def _absorb(self, target: Shape, member: Shape) -> None:
        target.lines += member.lines
        target.first_s, target.last_s = min(target.first_s, member.first_s), max(target.last_s, member.last_s)
        del self._live[member.shape_id]
        self._successor[member.shape_id] = target.shape_id

    def _root(self, key: int) -> int:
        while key not in self._live:
            key = self._successor[key]
        return key

    def result(self, ids: Sequence[int]) -> Templates:
        """Return the templates of the shapes with these ids."""
        templates = self._nodes()
        place = {template.shape_id: number for number, template in enumerate(templates)}
        template_of = np.array([place[self._root(key)] for key in ids], np.int64)
        owners = np.array([place[self._root(pattern.shape_id)] for pattern in self._patterns], np.int64)
        return Templates(templates, template_of, self._patterns, owners)


def _in_normal_form(pattern: Shape) -> Shape:
    out = room_for(pattern.tokens.hashes.size)
    size = normalise(pattern.tokens, out)
    tokens = part(out, 0, size)
    return replace(pattern, shape_id=int(shape_id(tokens.hashes)), tokens=tokens)
