"""Two miners as one: that of a stream which both have read a part of.

Shapes are joined by id, lines are added, templates consolidated anew from all shapes. As long as neither has forgotten shapes and
all have room, the order in which miners are joined changes nothing. Ids of both stay valid: ids are hashes of tokens.
"""

from dataclasses import replace

from aiops.errors import ConfigurationError
from aiops.signals.templates.fitness import StreamCounts
from aiops.signals.templates.miner import TemplateMiner
from aiops.signals.templates.shapes import Shape


def merged(first: TemplateMiner, second: TemplateMiner) -> TemplateMiner:
    """Return a miner that knows what both know; neither is changed. The event time of the changes is the newest of both.

    Raises:
        ConfigurationError: they have other rules.
    """
    if first.rules != second.rules:
        raise ConfigurationError(f"miners of {first.rules} and {second.rules} cannot be merged: give both the same rules")
    shapes: dict[int, Shape] = {}
    for shape in (*first.held.shapes, *second.held.shapes):
        known = shapes.get(shape.shape_id)
        shapes[shape.shape_id] = replace(shape) if known is None else _both(known, shape)
    both = TemplateMiner(first.rules)
    both.counts = StreamCounts(
        first.counts.lines + second.counts.lines,
        first.counts.bytes + second.counts.bytes,
        first.counts.unprintable + second.counts.unprintable,
    )
    both.evolution = first.evolution.joined(second.evolution)
    both.unfit = min((miner.unfit for miner in (first, second) if miner.unfit), key=str, default=None)
    both.held.forgotten = first.held.forgotten + second.held.forgotten
    before = {*first.held.assignment().items(), *second.held.assignment().items()}
    both.adopt(sorted(shapes.values(), key=lambda shape: (shape.first_s, shape.shape_id)), sorted(before))
    return both


def _both(known: Shape, other: Shape) -> Shape:
    """Return a shape with the lines of both; of two examples the lesser is kept, whoever comes first."""
    shown = min(known, other, key=lambda shape: (shape.example, shape.tokens.starts.tobytes()))
    tokens = shown.tokens._replace(marks=known.tokens.marks | other.tokens.marks)
    first_s, last_s = min(known.first_s, other.first_s), max(known.last_s, other.last_s)
    return Shape(known.shape_id, tokens, shown.example, first_s, last_s, known.lines + other.lines)
