"""What a count of a minute does not show of its lines: that they came all at once, and that they hold values never seen before.

| metric | value |
|---|---|
| `log.burst_ratio` | the strongest burst of a template, in units of what chance reaches every other hour (`line_bursts`) |
| `log.new_value_ratio` | lines with a value that its place in the line never had (`parameter_values`), of all lines: at least |

A rare value comes at some time: of n lines with a new value n less its standard deviation (Poisson) count, so that a single line
says nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.signals.line_bursts import SLOTS, LineBursts
from aiops.signals.minute_series import MinutePoint
from aiops.signals.parameter_values import ParameterConfig, ParameterValues, Strange
from aiops.signals.series_texts import SeriesTexts
from aiops.signals.signal_sentences import SignalText
from aiops.signals.template_minutes import TemplateMinutes
from aiops.signals.text_arrays import joined, part_of
from aiops.types import IntArray, State

BURST: Final = "log.burst_ratio"
NEW_VALUES: Final = "log.new_value_ratio"


@dataclass(frozen=True, slots=True, eq=False)
class ShapeLines:
    """Lines of a shape of a service in a minute: place of its name, id of the shape, lines by slot (`SLOTS`,)."""

    place: int
    shape: int
    slots: IntArray


@dataclass(slots=True)
class _Template:
    """A template of a service in a minute: lines by slot, and the shapes that it has."""

    slots: IntArray = field(default_factory=lambda: np.zeros(SLOTS, np.int64))
    shapes: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MinuteOfService:
    """A minute of a service: its number, where texts go, the line of a shape, "" where none is kept."""

    minute: int
    service: str
    texts: SeriesTexts
    line_of: Callable[[int], str]


class LineSurprises:
    """Bursts and new values of one stream of lines."""

    def __init__(self, config: ParameterConfig | None = None) -> None:
        self._values = ParameterValues(config)
        self._bursts = LineBursts()

    def take(self, place: IntArray, at_us: IntArray, bodies: "pa.Array[Any]") -> None:
        """Look at lines (n,) whose shapes have these places (n,), with event times (n,)."""
        self._values.take(place, at_us, bodies)

    def strange(self, minute: int) -> dict[int, Strange]:
        """Return what new values a minute that is over had, by the place of the shape; minutes ascending, each once."""
        return self._values.strange(minute)

    def points(
        self, about: MinuteOfService, lines: Sequence[ShapeLines], strange: Mapping[int, Strange], templates: TemplateMinutes
    ) -> list[MinutePoint]:
        """Return the points of a service with lines in a minute, and say what they are about; none before it is warm."""
        target = templates.targets([of.shape for of in lines])
        by_template: dict[int, _Template] = {}
        for of in lines:
            template = by_template.setdefault(target[of.shape], _Template())
            template.slots += of.slots
            template.shapes.append(of.shape)
        burst = self._bursts.strongest(about.service, {name: template.slots for name, template in by_template.items()})
        if not templates.is_warm(about.service):
            return []
        if burst is not None and burst.ratio > 0:
            text = templates.text(burst.template, by_template[burst.template].shapes, about.line_of)
            about.texts.say_where_known(about.minute, (about.service, BURST, ()), text if burst.ratio >= 1.0 else SignalText(""))
        return [
            MinutePoint(about.minute, about.service, BURST, burst.ratio if burst else 0.0),
            MinutePoint(about.minute, about.service, NEW_VALUES, self._new_values(about, lines, strange, templates)),
        ]

    def _new_values(
        self, about: MinuteOfService, lines: Sequence[ShapeLines], strange: Mapping[int, Strange], templates: TemplateMinutes
    ) -> float:
        own = [(strange[of.place], of.shape) for of in lines if of.place in strange]
        if not own:
            return 0.0
        most, shape = max(own, key=lambda pair: (pair[0].lines, -pair[1]))
        text = SignalText.cut(templates.words(templates.targets([shape])[shape]), most.example or about.line_of(shape))
        about.texts.say_where_known(about.minute, (about.service, NEW_VALUES, ()), text)
        count = sum(values.lines for values, _ in own)
        return (count - math.sqrt(count)) / float(sum(of.slots.sum() for of in lines))

    def forget(self, places: Sequence[int], templates: TemplateMinutes) -> None:
        """Let go of shapes whose places are free now, and of templates that services do not have any more."""
        self._values.forget(places)
        for service in self._bursts.services():
            held = templates.held(service)
            leads = templates.targets(self._bursts.templates(service))
            self._bursts.keep(service, {template: target for template, target in leads.items() if target in held})

    def state(self) -> State:
        """Return all that `restored` goes on from, as plain arrays."""
        return joined({"values": self._values.state(), "bursts": self._bursts.state()})

    @classmethod
    def restored(cls, config: ParameterConfig, state: State) -> "LineSurprises":
        """Return what was saved."""
        surprises = cls(config)
        surprises._values = ParameterValues.restored(config, part_of(state, "values"))
        surprises._bursts = LineBursts.restored(part_of(state, "bursts"))
        return surprises
