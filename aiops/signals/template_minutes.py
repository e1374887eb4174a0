"""Templates of log records by service and minute: how often each comes, which are new, and which always came and stopped.

A record counts under the shape of its line, whose id is the same in every process and after every restart; which template that
is, is asked when a minute is closed, so that templates which were merged or split since make nothing new and nothing missing.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.signals.line_templates import masked
from aiops.signals.minute_series import MINUTE_S, MinutePoint
from aiops.signals.series_texts import SeriesTexts, strongest
from aiops.signals.signal_sentences import SignalText
from aiops.signals.span_rows import OTHERS
from aiops.signals.templates.miner import TemplateMiner
from aiops.signals.templates.miner_state import MinerState, miner_of, state_of
from aiops.signals.text_arrays import joined, packed_texts, part_of, unpacked_texts
from aiops.types import IntArray, State

RECORDS: Final = "log.records_per_second"
ERROR_RATIO: Final = "log.error_ratio"
TEMPLATE_RECORDS: Final = "log.template_records_per_second"
NEW_TEMPLATES: Final = "log.new_templates"
MISSING_TEMPLATES: Final = "log.missing_templates"
LineOf = Callable[[str, int], str]
"""The line of a service and shape, "" where none is kept."""


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
class ShapeCount:
    """Records of a shape of a service in a minute, and those of level error and fatal among them."""

    records: int
    errors: int = 0


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


@dataclass(frozen=True, slots=True)
class _Minute:
    """A minute of a service: where texts go, and the line of a shape."""

    minute: int
    service: str
    texts: SeriesTexts
    line_of: Callable[[int], str]

    def say(self, metric: str, text: SignalText, label: tuple[str, ...] = ()) -> None:
        """Say what a series is about, where that is known."""
        self.texts.say_where_known(self.minute, (self.service, metric, label), text)


class TemplateMinutes:
    """Memory: that of a miner, and some 200 B a service and shape, of which the miner bounds the number."""

    def __init__(self, config: TemplateMinutesConfig | None = None) -> None:
        self.config = config or TemplateMinutesConfig()
        self.miner = TemplateMiner()
        self._services: dict[str, _Service] = {}
        self._held_at = (-1, -1)
        self._pattern_of: dict[int, str] = {}

    def shapes(self, bodies: "pa.Array[Any]", times_s: IntArray) -> "npt.NDArray[np.uint64]":
        """Return the shape (n,) of each body; 0 where the stream is refused. Bodies in order."""
        return self.miner.observe(masked(bodies), times_s).shapes

    def points(
        self, minute: int, counts: Mapping[tuple[str, int], ShapeCount], line_of: LineOf, texts: SeriesTexts
    ) -> list[MinutePoint]:
        """Return the points of a minute in which shapes of services had these records, and say in `texts` what they are about."""
        by_service: dict[str, dict[int, ShapeCount]] = {name: {} for name in self._services}
        for (service, shape), count in counts.items():
            by_service.setdefault(service, {})[shape] = count
        points: list[MinutePoint] = []
        for service in sorted(by_service):
            state = self._services.setdefault(service, _Service())
            about = _Minute(minute, service, texts, partial(line_of, service))
            points += self._of_service(about, state, by_service[service])
            if not state.shapes:
                del self._services[service]
        return points

    def is_warm(self, service: str) -> bool:
        """Return whether enough minutes of a service were seen for something in it to be new."""
        state = self._services.get(service)
        return state is not None and state.minutes > self.config.warm_up_minutes

    def held(self, service: str) -> Container[int]:
        """Return the ids of the templates that a service has."""
        state = self._services.get(service)
        return state.courses if state is not None else ()

    def targets(self, ids: Iterable[int]) -> dict[int, int]:
        """Return the template that each id of a shape or template leads to now."""
        ordered = sorted(set(ids))
        return dict(zip(ordered, self.miner.resolve(np.array(ordered, np.uint64)).tolist(), strict=True)) if ordered else {}

    def text(self, template: int, shapes: Iterable[int], line_of: Callable[[int], str]) -> SignalText:
        """Return a template in words, and a line of the first of these shapes that has one; empty where it is not held."""
        example = next((line for line in map(line_of, shapes) if line), "")
        return SignalText.cut(self.words(template), example)

    def words(self, template: int) -> str:
        """Return a template as people read it; empty where it is not held."""
        return in_words(self._patterns().get(template, ""))

    def _patterns(self) -> dict[int, str]:
        """Return the pattern of every template; made anew where the miner held something new since."""
        held_at = (self.miner.settled_at_lines, len(self.miner.held.shapes))
        if held_at != self._held_at:
            self._held_at, self._pattern_of = held_at, self.miner.held.template_texts()
        return self._pattern_of

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

    def _of_service(self, about: "_Minute", state: _Service, counts: dict[int, ShapeCount]) -> list[MinutePoint]:
        minute, service = about.minute, about.service
        state.minutes += 1
        template_of = self.targets({*state.shapes, *counts, *state.courses})
        records, errors = _by_template(counts, template_of)
        known = {template_of[shape] for shape in state.shapes}
        for shape in sorted(counts):
            state.shapes[shape] = minute
        oldest = minute - self.config.forget_minutes
        state.shapes = {shape: last for shape, last in state.shapes.items() if last >= oldest}
        state.courses = _carried(state, template_of)
        missing = [name for name, course in state.courses.items() if self._goes_on(course, name in records, minute)]
        new = {name: count for name, count in records.items() if name not in known}
        points = [
            MinutePoint(minute, service, TEMPLATE_RECORDS, count / MINUTE_S, ("template", name))
            for name, count in self._rates(state, records).items()
        ]
        if state.minutes > self.config.warm_up_minutes:
            points.append(MinutePoint(minute, service, NEW_TEMPLATES, float(len(new))))
        if state.minutes > self.config.steady_minutes:
            points.append(MinutePoint(minute, service, MISSING_TEMPLATES, float(len(missing))))
        named = {point.metric for point in points}
        of_metric = {NEW_TEMPLATES: strongest(new), MISSING_TEMPLATES: min(missing, default=None)}
        subjects = {name: subject for name, subject in of_metric.items() if name in named} | {ERROR_RATIO: strongest(errors)}
        self._say(about, state, template_of, subjects)
        return points

    def _say(self, about: "_Minute", state: _Service, template_of: Mapping[int, int], subjects: Mapping[str, int | None]) -> None:
        """Say what the series of a service are about: its templates, and of each metric the template that stands for it."""
        shapes: dict[int, list[int]] = {}
        for shape in state.shapes:
            shapes.setdefault(template_of[shape], []).append(shape)
        own = list(state.courses)[: self.config.most_templates]
        asked = {*own, *(subject for subject in subjects.values() if subject in shapes)}
        words = {template: self.text(template, shapes[template], about.line_of) for template in asked if template is not None}
        for template in own:
            about.say(TEMPLATE_RECORDS, words[template], ("template", f"{template:016x}"))
        for metric, subject in subjects.items():
            if subject in words:
                about.say(metric, words[subject])
        failing = subjects[ERROR_RATIO]
        if failing in words:
            about.say(RECORDS, words[failing], ("level", "error"))

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


def in_words(pattern: str) -> str:
    """Return the pattern of a masked line as people read it.

    >>> in_words("payment # refused:<*>")
    'payment <*> refused: <*>'
    """
    return pattern.replace("#", "<*>").replace(":<*>", ": <*>")


def _by_template(counts: Mapping[int, ShapeCount], template_of: Mapping[int, int]) -> tuple[dict[int, int], dict[int, int]]:
    """Return records, and errors where there are some, by template."""
    records: dict[int, int] = {}
    errors: dict[int, int] = {}
    for shape in sorted(counts):
        template, count = template_of[shape], counts[shape]
        records[template] = records.get(template, 0) + count.records
        if count.errors:
            errors[template] = errors.get(template, 0) + count.errors
    return records, errors


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
