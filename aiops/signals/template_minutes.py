"""Templates of log records by service and minute: how often each comes, which are new, and which always came and stopped.

A record counts under the shape of its line, whose id is the same in every process and after every restart; which template that
is, is asked when a minute is closed, so that templates which were merged or split since make nothing new and nothing missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.signals.line_templates import masked
from aiops.signals.minute_series import MINUTE_S, MinutePoint
from aiops.signals.span_rows import OTHERS
from aiops.signals.templates.miner import TemplateMiner
from aiops.signals.templates.miner_state import MinerState, miner_of, state_of
from aiops.signals.text_arrays import joined, packed_texts, part_of, unpacked_texts
from aiops.types import IntArray, State

TEMPLATE_RECORDS: Final = "log.template_records_per_second"
NEW_TEMPLATES: Final = "log.new_templates"
MISSING_TEMPLATES: Final = "log.missing_templates"


@dataclass(frozen=True, slots=True)
class TemplateMinutesConfig:
    """`warm_up_minutes` of a service before a template of it can be new; `steady_minutes` in a row in which a template came
    before it can be missing, and minutes that it stays so; `most_templates` of a service with a series each, later ones share
    one; what did not come for `forget_minutes` is forgotten.
    """

    warm_up_minutes: int = 30
    steady_minutes: int = 30
    most_templates: int = 50
    forget_minutes: int = 1440


@dataclass(frozen=True, slots=True)
class TemplateText:
    """A template in words, and a line that it was made of."""

    pattern: str
    example: str


@dataclass(slots=True)
class _Course:
    """Of a template of a service: minutes in a row in which it came, whether these were enough, and the last one."""

    streak: int = 0
    steady: bool = False
    last: int = 0


@dataclass(slots=True)
class _Service:
    """Of a service: minutes that were seen, shapes that came (with the last minute), templates by id."""

    minutes: int = 0
    shapes: dict[int, int] = field(default_factory=dict)
    courses: dict[int, _Course] = field(default_factory=dict)


class TemplateMinutes:
    """Memory: that of a miner, and some 200 B a service and shape, of which the miner bounds the number."""

    def __init__(self, config: TemplateMinutesConfig | None = None) -> None:
        self.config = config or TemplateMinutesConfig()
        self.miner = TemplateMiner()
        self._services: dict[str, _Service] = {}

    def shapes(self, bodies: "pa.Array[Any]", times_s: IntArray) -> list[str]:
        """Return the shape (n,) of each body as 16 hexadecimal digits; empty where the stream is refused. Bodies in order."""
        shapes = self.miner.observe(masked(bodies), times_s).shapes
        return [f"{shape:016x}" if shape else "" for shape in shapes.tolist()]

    def points(self, minute: int, counts: dict[tuple[str, str], int]) -> list[MinutePoint]:
        """Return the points of a minute in which these shapes of services (hexadecimal) had so many records."""
        by_service: dict[str, dict[int, int]] = {name: {} for name in self._services}
        for (service, shape), count in counts.items():
            by_service.setdefault(service, {})[int(shape, 16)] = count
        points: list[MinutePoint] = []
        for service in sorted(by_service):
            state = self._services.setdefault(service, _Service())
            points += self._of_service(minute, service, state, by_service[service])
            if not state.shapes:
                del self._services[service]
        return points

    def text(self, template: str) -> TemplateText | None:
        """Return the words and an example of a template by the value of the label `template`; None where it is not held."""
        key = int(self.miner.resolve(np.array([int(template, 16)], np.uint64))[0])
        held = [*self.miner.held.templates.templates, *self.miner.held.shapes[self.miner.held.settled :]]
        for shape in held:
            if shape.shape_id == key:
                return TemplateText(shape.text(), shape.example.decode(errors="replace"))
        return None

    def state(self) -> State:
        """Return all that `restored` goes on from, as plain arrays."""
        numbers = [len(self._services)]
        for service in self._services.values():
            numbers += [service.minutes, len(service.shapes), len(service.courses)]
            for shape, last in service.shapes.items():
                numbers += [_signed(shape), last]
            for template, course in service.courses.items():
                numbers += [_signed(template), course.streak, int(course.steady), course.last]
        data, offsets = packed_texts(list(self._services))
        miner = state_of(self.miner)
        manifest = np.frombuffer(miner.manifest.encode(), np.uint8).copy()
        own: dict[str, npt.NDArray[Any]] = {
            "numbers": np.array(numbers, np.int64),
            "names": data,
            "offsets": offsets,
            "manifest": manifest,
        }
        return {**own, **joined({"miner": miner.arrays})}

    @classmethod
    def restored(cls, config: TemplateMinutesConfig, state: State) -> "TemplateMinutes":
        """Return what was saved."""
        minutes = cls(config)
        minutes.miner = miner_of(MinerState(part_of(state, "miner"), state["manifest"].astype(np.uint8).tobytes().decode()))
        numbers = iter(state["numbers"].tolist())
        names = unpacked_texts(state["names"], state["offsets"])
        if next(numbers) != len(names):
            raise ValueError("services and their names do not fit")
        minutes._services = {name: _service(numbers) for name in names}
        return minutes

    def _of_service(self, minute: int, service: str, state: _Service, counts: dict[int, int]) -> list[MinutePoint]:
        state.minutes += 1
        template_of = self._templates({*state.shapes, *counts, *state.courses})
        records: dict[int, int] = {}
        for shape in sorted(counts):
            records[template_of[shape]] = records.get(template_of[shape], 0) + counts[shape]
        known = {template_of[shape] for shape in state.shapes}
        for shape in sorted(counts):
            state.shapes[shape] = minute
        oldest = minute - self.config.forget_minutes
        state.shapes = {shape: last for shape, last in state.shapes.items() if last >= oldest}
        state.courses = _carried(state, template_of)
        missing = sum(self._goes_on(course, template in records, minute) for template, course in state.courses.items())
        points = [
            MinutePoint(minute, service, TEMPLATE_RECORDS, count / MINUTE_S, ("template", name))
            for name, count in self._rates(state, records).items()
        ]
        if state.minutes > self.config.warm_up_minutes:
            points.append(MinutePoint(minute, service, NEW_TEMPLATES, float(len(records.keys() - known))))
        if state.minutes > self.config.steady_minutes:
            points.append(MinutePoint(minute, service, MISSING_TEMPLATES, float(missing)))
        return points

    def _templates(self, ids: set[int]) -> dict[int, int]:
        """Return the template that each id of a shape or template leads to now."""
        ordered = sorted(ids)
        return dict(zip(ordered, self.miner.resolve(np.array(ordered, np.uint64)).tolist(), strict=True)) if ordered else {}

    def _goes_on(self, course: _Course, came: bool, minute: int) -> bool:
        """Take in whether a template came in a minute; return whether it is missing."""
        if came:
            course.streak, course.last = course.streak + 1, minute
            course.steady |= course.streak >= self.config.steady_minutes
            return False
        course.streak = 0
        course.steady &= minute - course.last <= self.config.steady_minutes
        return course.steady

    def _rates(self, state: _Service, records: dict[int, int]) -> dict[str, int]:
        """Return records by the value of the label: those of the first templates, and all others together."""
        rates: dict[str, int] = {}
        for number, template in enumerate(state.courses):
            name = f"{template:016x}" if number < self.config.most_templates else OTHERS
            rates[name] = rates.get(name, 0) + records.get(template, 0)
        return rates


def _carried(state: _Service, template_of: dict[int, int]) -> dict[int, _Course]:
    """Return the courses of templates that shapes lead to now; of merged ones the longer goes on."""
    live = {template_of[shape] for shape in state.shapes}
    courses: dict[int, _Course] = {}
    for template, course in state.courses.items():
        target = template_of[template]
        known = courses.get(target)
        if target in live and (known is None or (course.streak, course.last) > (known.streak, known.last)):
            courses[target] = course
    for shape in state.shapes:
        courses.setdefault(template_of[shape], _Course())
    return courses


def _service(numbers: Iterator[int]) -> _Service:
    minutes, shapes, courses = (next(numbers) for _ in range(3))
    service = _Service(minutes)
    for _ in range(shapes):
        shape = next(numbers)
        service.shapes[_unsigned(shape)] = next(numbers)
    for _ in range(courses):
        template = next(numbers)
        service.courses[_unsigned(template)] = _Course(next(numbers), bool(next(numbers)), next(numbers))
    return service


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _unsigned(number: int) -> int:
    return number + (1 << 64) if number < 0 else number
