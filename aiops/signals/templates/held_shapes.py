"""The shapes that a miner holds, with the template of each as of the last consolidation; at most so many."""

from dataclasses import dataclass

import numpy as np

from aiops.signals.templates.consolidation import Templates, consolidate
from aiops.signals.templates.normal_form import Tokens
from aiops.signals.templates.shapes import MergeRules, Shape
from aiops.signals.templates.stars import PatternSet
from aiops.signals.templates.token_rules import BoolArray, HashArray
from aiops.signals.templates.tokeniser import TokenBatch
from aiops.types import IntArray


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bounds of memory: shapes in all, and shapes kept of one template once it has a place for any word."""

    shapes: int = 8192
    shapes_of_template: int = 64


class HeldShapes:
    """Shapes by id, in order of first sight; `settled` of them were part of the last consolidation, the others stand alone."""

    def __init__(self, capacity: Capacity, rules: MergeRules) -> None:
        self.capacity = capacity
        self.rules = rules
        self.shapes: list[Shape] = []
        self.place: dict[int, int] = {}
        self.settled_lines: IntArray = np.zeros(0, np.int64)
        self.templates = Templates([], np.zeros(0, np.int64))
        self.forgotten = 0
        self._template_ids: list[int] = []
        self._patterns = PatternSet([])
        self._members: IntArray = np.zeros(0, np.int64)

    @property
    def settled(self) -> int:
        """Return how many of the shapes, the first ones, were consolidated."""
        return self.settled_lines.size

    def assignment(self) -> dict[int, int]:
        """Return the template id of every shape id."""
        return dict(zip(self.place, self._template_ids, strict=True))

    def settled_assignment(self) -> dict[int, int]:
        """Return the template id of every shape id that was part of the last consolidation."""
        return dict(zip((shape.shape_id for shape in self.shapes[: self.settled]), self._template_ids, strict=False))

    def first_seen(self) -> dict[int, int]:
        """Return the event time of the first line of every template of the last consolidation, by its id."""
        return {template.shape_id: template.first_s for template in self.templates.templates}

    def shape_ids(self, places: IntArray) -> HashArray:
        """Return the ids of shapes at these places."""
        return np.array([shape.shape_id for shape in self.shapes], np.uint64)[places]

    def template_ids(self, places: IntArray) -> HashArray:
        """Return the template ids of shapes at these places."""
        return np.array(self._template_ids, np.uint64)[places]

    def template_texts(self) -> dict[int, str]:
        """Return the text of every template by its id."""
        texts = {template.shape_id: template.text() for template in self.templates.templates}
        return texts | {shape.shape_id: shape.text() for shape in self.shapes[self.settled :]}

    def matches(self, batch: TokenBatch, rows: IntArray) -> IntArray:
        """Return the numbers of the patterns that new lines fit; -1 = none."""
        return self._patterns.first_matches(batch, rows)

    def stand_ins(self, numbers: IntArray) -> IntArray:
        """Return the places of the templates that stand for lines which fit these patterns; -1 = the shape is to be admitted."""
        places = np.full(numbers.size, -1, np.int64)
        if not (numbers >= 0).any():
            return places
        owners = self.templates.pattern_template[numbers]
        for owner in np.unique(owners[numbers >= 0]).tolist():
            if self._members[owner] >= self.capacity.shapes_of_template:
                place = self.place.get(self.templates.templates[owner].shape_id, -1)
                places[(owners == owner) & (numbers >= 0)] = place
        return places

    def admit(self, shape: Shape, number: int) -> int:
        """Return the place of what stands for a new shape that fits this pattern (-1 = none).

        That is the shape, or its template where that has shapes enough.
        """
        if number < 0:
            return self._append(shape, shape.shape_id)
        owner = int(self.templates.pattern_template[number])
        template = self.templates.templates[owner]
        if self._members[owner] >= self.capacity.shapes_of_template:
            known = self.place.get(template.shape_id)
            if known is not None:
                return known
            own = Shape(template.shape_id, template.tokens, template.example, shape.first_s, shape.last_s)
            return self._append(own, template.shape_id)
        self._members[owner] += 1
        return self._append(shape, template.shape_id)

    def _append(self, shape: Shape, template_id: int) -> int:
        self.place[shape.shape_id] = len(self.shapes)
        self.shapes.append(shape)
        self._template_ids.append(template_id)
        return len(self.shapes) - 1

    def count(self, places: IntArray, times_s: IntArray) -> None:
        """Count lines of shapes at these places, with their event times."""
        touched, index, lines = np.unique(places, return_inverse=True, return_counts=True)
        first = np.full(touched.size, np.iinfo(np.int64).max)
        last = np.full(touched.size, np.iinfo(np.int64).min)
        np.minimum.at(first, index, times_s)
        np.maximum.at(last, index, times_s)
        rows = zip(touched.tolist(), lines.tolist(), first.tolist(), last.tolist(), strict=True)
        for place, own_lines, first_s, last_s in rows:
            shape = self.shapes[place]
            shape.lines += own_lines
            shape.first_s, shape.last_s = min(shape.first_s, first_s), max(shape.last_s, last_s)

    def settle(self) -> dict[int, int]:
        """Consolidate all shapes; return the template ids of those that were forgotten to keep within the capacity.

        The rarest are forgotten, of these the ones not seen for longest, so that an eighth of the room is free.
        """
        self._consolidate()
        gone: dict[int, int] = {}
        if len(self.shapes) > self.capacity.shapes - self.capacity.shapes // 8:
            kept = sorted(self.shapes, key=lambda shape: (-shape.lines, -shape.last_s, shape.shape_id))
            kept = kept[: self.capacity.shapes // 2]
            names = {shape.shape_id for shape in kept}
            gone = {key: template for key, template in self.assignment().items() if key not in names}
            self.forgotten += len(gone)
            self.replace_shapes([shape for shape in self.shapes if shape.shape_id in names])
        return gone

    def replace_shapes(self, shapes: list[Shape]) -> None:
        """Hold these shapes instead, consolidated."""
        self.shapes = shapes
        self.place = {shape.shape_id: number for number, shape in enumerate(shapes)}
        self._consolidate()

    def _consolidate(self) -> None:
        self.settled_lines = np.array([shape.lines for shape in self.shapes], np.int64)
        self._take(consolidate(self.shapes, self.rules))

    def restore(self, shapes: list[Shape], settled_lines: IntArray, template_ids: HashArray) -> None:
        """Hold these shapes, the first of them consolidated with the lines that they had then."""
        self.shapes = shapes
        self.place = {shape.shape_id: number for number, shape in enumerate(shapes)}
        self.settled_lines = settled_lines
        then = [_with_lines(shape, lines) for shape, lines in zip(shapes, settled_lines.tolist(), strict=False)]
        self._take(consolidate(then, self.rules))
        late = template_ids[settled_lines.size :].tolist()
        self._template_ids += late
        owners = {template.shape_id: owner for owner, template in enumerate(self.templates.templates)}
        for key in late:
            if key in owners:
                self._members[owners[key]] += 1

    def _take(self, templates: Templates) -> None:
        self.templates = templates
        ids = [template.shape_id for template in templates.templates]
        self._template_ids = [ids[owner] for owner in templates.template_of.tolist()]
        self._members = np.bincount(templates.template_of, minlength=len(ids)).astype(np.int64)
        self._patterns = PatternSet(templates.patterns)

    def alone(self) -> int:
        """Return how many templates had one line, among them those forgotten."""
        lines: dict[int, int] = {}
        for key, shape in zip(self._template_ids, self.shapes, strict=True):
            lines[key] = lines.get(key, 0) + shape.lines
        return sum(count == 1 for count in lines.values()) + self.forgotten

    def open_places(self, tokens: Tokens) -> BoolArray:
        """Return where, among these tokens, templates that they fit have a place for any word."""
        return self._patterns.open_places(tokens)


def _with_lines(shape: Shape, lines: int) -> Shape:
    return Shape(shape.shape_id, shape.tokens, shape.example, shape.first_s, shape.last_s, lines)
