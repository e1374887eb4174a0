"""How templates change: born, merged, split, each with the event time at which it was seen; and what became of old ids."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

MOST_EVENTS: Final = 4096
"""Events that are kept; of older ones only their number is."""
MOST_SUCCESSORS: Final = 65536
"""Ids that are remembered beside those of the shapes that are held; the oldest are forgotten first."""


class Change(IntEnum):
    """What happened to a template."""

    BORN = 0
    MERGED = 1
    """It is part of `into` now."""
    SPLIT = 2
    """Its shapes are those of several templates now; its id stays the one of lines whose shape was not kept."""


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one template at an event time, s since 1970 UTC; `into` = its successors, ascending."""

    change: Change
    template_id: int
    at_s: int
    into: tuple[int, ...] = ()


@dataclass(slots=True)
class Evolution:
    """The newest events, the number of those that are no longer kept, and the successors of ids."""

    events: list[Event] = field(default_factory=list)
    dropped: int = 0
    successors: dict[int, int] = field(default_factory=dict)

    def note(self, before: Iterable[tuple[int, int]], after: Mapping[int, int], first_s: Mapping[int, int], at_s: int) -> None:
        """Note at event time `at_s` what changed between two assignments of shapes to templates (ids; `before` = pairs of these).

        Shapes only in `after` are new; a template that is new was born at its `first_s`, which is that of its first line.
        """
        into: dict[int, set[int]] = {}
        for shape, template in before:
            into.setdefault(template, set()).add(after.get(shape, template))
        known = set(into)
        born = (Event(Change.BORN, template, first_s.get(template, at_s)) for template in set(after.values()) - known)
        self._add(sorted(born, key=_order))
        for template in sorted(into):
            targets = tuple(sorted(into[template]))
            if targets == (template,):
                continue
            if len(targets) == 1:
                self._add([Event(Change.MERGED, template, at_s, targets)])
                self.succeed({template: targets[0]})
            else:
                self._add([Event(Change.SPLIT, template, at_s, targets)])

    def succeed(self, successors: Mapping[int, int]) -> None:
        """Remember what ids lead to."""
        for key, target in successors.items():
            self.successors.pop(key, None)
            self.successors.pop(target, None)
            self.successors[key] = target
        while len(self.successors) > MOST_SUCCESSORS:
            del self.successors[next(iter(self.successors))]

    def resolve(self, key: int) -> int:
        """Return what an id leads to; itself where it has no successor."""
        while key in self.successors:
            key = self.successors[key]
        return key

    def joined(self, other: "Evolution") -> "Evolution":
        """Return both histories, by time; where they differ in a successor, the smaller id is kept."""
        events = sorted({*self.events, *other.events}, key=_order)
        both = Evolution([], self.dropped + other.dropped)
        both._add(events)
        for key in sorted({*self.successors, *other.successors}):
            targets = [history.successors[key] for history in (self, other) if key in history.successors]
            if both.resolve(min(targets)) != key:
                both.successors[key] = min(targets)
        return both

    def _add(self, events: Iterable[Event]) -> None:
        self.events.extend(events)
        surplus = len(self.events) - MOST_EVENTS
        if surplus > 0:
            del self.events[:surplus]
            self.dropped += surplus


def _order(event: Event) -> tuple[int, int, int, tuple[int, ...]]:
    return (event.at_s, event.template_id, int(event.change), event.into)
