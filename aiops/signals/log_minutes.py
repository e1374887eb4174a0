"""Log records → telemetry series a service and minute: how many of each level and template, errors, new and missing templates.

    minutes = LogMinutes(LogMinutesConfig())
    minutes.observe(rows)                  # any table or batch with the columns of LOGS; order and batches change nothing
    series = minutes.closed(up_to_us)      # MINUTE_SERIES of all minutes that end by then, each exactly once
    texts = minutes.texts()                # SIGNAL_TEXTS: what series are about, in words and by example, since the last call
    minutes = LogMinutes.restore(config, minutes.state())

| metric | labels | value |
|---|---|---|
| `log.records_per_second` | `level` | records; 0 in a minute without any, once the level was seen |
| `log.error_ratio` | | records of level error and fatal, of those whose level is known; absent where none is |
| `log.template_records_per_second` | `template` | of a template |
| `log.new_templates` | | templates that never came before, once the service is warm |
| `log.missing_templates` | | templates that came in each of the last minutes, and do not now |
| `log.burst_ratio` | | how much of a template came at once (`line_surprises`), once the service is warm |
| `log.new_value_ratio` | | records with a value that its place in the line never had, at least |

A minute counts records by their timestamp. It is over when the caller says so, who knows how late senders are. A record of a
minute that is closed is late: counted, and left out. A minute without a record of any service says nothing: silence of the whole
stream is unknown, not zero. A series that was not seen for `forget_minutes` ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import ContractError, OutdatedState, StateError
from aiops.signals.line_bursts import SLOT_US, SLOTS
from aiops.signals.line_examples import LineExamples
from aiops.signals.line_surprises import LineSurprises, MinuteOfService, ShapeLines
from aiops.signals.minute_cells import MINUTE_US, Mask, MinuteCells, MinuteCount
from aiops.signals.minute_series import MINUTE_S, MinutePoint, table_of
from aiops.signals.parameter_values import ParameterConfig
from aiops.signals.series_places import NO_ROOM, CodedNames, SeriesPlaces
from aiops.signals.series_texts import SeriesTexts
from aiops.signals.span_rows import encoded_texts
from aiops.signals.template_minutes import ERROR_RATIO, RECORDS, ShapeCount, TemplateMinutes, TemplateMinutesConfig
from aiops.signals.text_arrays import joined, part_of
from aiops.signals.traced_lines import TRACED_LINES, traced_lines
from aiops.types import IntArray, State

VERSION: Final = 4
_SHAPE: Final = 1 << 30
"""Numbers with this bit are of services and shapes, those without of services and levels."""
_ERROR: Final = 1 << 31
"""Numbers of services and shapes with this bit are of records of level error and fatal."""
_SLOT: Final = 1 << 32
"""Numbers of services and shapes from this bit on are the part of the minute."""
LEVELS: Final = ("unspecified", "trace", "debug", "info", "warn", "error", "fatal")
"""Levels of OpenTelemetry's severity numbers: 0, then four numbers each."""
_FIRST_ERROR: Final = 5
_ERRORS: Final = frozenset(LEVELS[_FIRST_ERROR:])
_FIX: Final = "remove the state to begin anew"


@dataclass(frozen=True, slots=True)
class LogMinutesConfig:
    """`most_minutes` open at once, `most_series` (service and level); a series ends after `forget_minutes` without a record."""

    most_minutes: int = 1440
    most_series: int = 20_000
    forget_minutes: int = 1440
    templates: TemplateMinutesConfig | None = field(default_factory=TemplateMinutesConfig)
    """None = no series of templates."""
    parameters: ParameterConfig = field(default_factory=ParameterConfig)
    traced: bool = False
    """Whether lines of spans are given on (`LogMinutes.traced`)."""

    def __post_init__(self) -> None:
        if min(self.most_minutes, self.most_series, self.forget_minutes) < 1:
            raise ContractError(f"{self}: give at least 1 of each")


@dataclass(frozen=True, slots=True)
class LogCounts:
    """Where records went: `late`, `ahead` (of a minute for which there is no room), `unusable` (no service or time), and
    `left_out` (a service and level for which there is no room); all others count in their minute.

    `without_template`: of these, records without a series of their template: the stream is refused, or there is no room.
    """

    records: int
    late: int
    ahead: int
    unusable: int
    left_out: int
    without_template: int


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """Lines (n,): bodies, event times, and whether the level is error or fatal."""

    bodies: "pa.Array[Any]"
    at_us: IntArray
    failed: Mask


class LogMinutes:
    """Series of a stream of log records. Memory: 16 B an open minute, service and level, and names. Not thread-safe."""

    def __init__(self, config: LogMinutesConfig | None = None) -> None:
        self.config = config or LogMinutesConfig()
        self._records = 0
        self._unusable = 0
        self._cells = MinuteCells(self.config.most_minutes)
        self._series = SeriesPlaces(self.config.most_series, 2)
        self._shapes = SeriesPlaces(self.config.most_series, 2)
        self._without_template = 0
        self._examples = LineExamples()
        self._texts = SeriesTexts()
        self._traced: list[pa.Table] = []
        self._templates = TemplateMinutes(self.config.templates) if self.config.templates else None
        self._surprises = LineSurprises(self.config.parameters)

    @property
    def counts(self) -> LogCounts:
        """Return where records went so far."""
        without = self._without_template + self._shapes.left_out
        return LogCounts(self._records, self._cells.late, self._cells.ahead, self._unusable, self._series.left_out, without)

    def observe(self, rows: "pa.Table | pa.RecordBatch") -> None:
        """Take in records: columns `timestamp`, `service`, `severity_number` and `body` of `LOGS`. O(rows log rows)."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        self._records += table.num_rows
        services = encoded_texts(table["service"])
        texts: list[str] = [text or "" for text in services.dictionary.to_pylist()]
        service = np.asarray(services.indices.cast(pa.int64()).fill_null(-1)).astype(np.int64)
        at_us = np.asarray(table["timestamp"].combine_chunks().cast(pa.int64()).fill_null(-1)).astype(np.int64)
        filled = np.array([*(bool(text) for text in texts), False], np.bool_)
        usable = filled[service] & (at_us >= 0)
        self._unusable += int((~usable).sum())
        minute = at_us // MINUTE_US
        usable[usable] = self._cells.admitted(minute[usable])
        level = _levels(table["severity_number"])[usable]
        place = self._series.places(CodedNames((service[usable], level), (texts, list(LEVELS))))
        kept = place != NO_ROOM
        self._cells.add(minute[usable][kept], place[kept], np.ones(int(kept.sum()), np.int64))
        if self._templates is not None:
            counted: Any = pa.array(np.flatnonzero(usable)[kept])
            lines = _Lines(table["body"].combine_chunks().take(counted), at_us[usable][kept], level[kept] >= _FIRST_ERROR)
            shapes = self._templates.shapes(lines.bodies, lines.at_us // 1_000_000)
            self._count_shapes(CodedNames((service[usable][kept],), (texts,)), lines, shapes)
            if self.config.traced:
                self._traced.append(traced_lines(table.take(counted), shapes))

    def traced(self) -> pa.Table:
        """Return the counted lines of spans since the last call, as `TRACED_LINES`; none where the configuration keeps none."""
        traced, self._traced = self._traced, []
        return pa.concat_tables([TRACED_LINES.empty_table(), *traced])

    def resolve(self, ids: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint64]":
        """Return the ids of the templates that those of shapes and templates lead to now."""
        return self._templates.miner.resolve(ids) if self._templates is not None else ids

    def words(self, template: int) -> str:
        """Return a template as people read it; empty where it is not held."""
        return self._templates.words(template) if self._templates is not None else ""

    def texts(self) -> pa.Table:
        """Return what series are about as far as it is new since the last call, as `SIGNAL_TEXTS`."""
        return self._texts.taken()

    def _count_shapes(self, services: CodedNames, lines: "_Lines", shapes: "npt.NDArray[np.uint64]") -> None:
        unique, code = np.unique(shapes, return_inverse=True)
        mined = unique[code] != 0
        self._without_template += int((~mined).sum())
        names = CodedNames(
            (services.codes[0][mined], code[mined]), (services.texts[0], [f"{shape:016x}" for shape in unique.tolist()])
        )
        place = self._shapes.places(names)
        roomy = place != NO_ROOM
        rows, place = np.flatnonzero(mined)[roomy], place[roomy]
        at_us = lines.at_us[rows]
        keys = _SHAPE | place | np.where(lines.failed[rows], _ERROR, 0) | at_us % MINUTE_US // SLOT_US * _SLOT
        self._cells.add(at_us // MINUTE_US, keys, np.ones(len(rows), np.int64))
        kept: Any = pa.array(rows)
        bodies = lines.bodies.take(kept)
        self._examples.take(place, at_us, bodies)
        self._surprises.take(place, at_us, bodies)

    def closed(self, up_to_us: int) -> pa.Table:
        """Return `MINUTE_SERIES` of minutes that end by `up_to_us` (µs since 1970 UTC) and were not closed before."""
        points: list[MinutePoint] = []
        for minute in self._cells.close(up_to_us):
            of_shape = minute.keys & _SHAPE > 0
            points += self._points(minute.where(~of_shape))
            points += self._template_points(minute.where(of_shape))
            waiting, oldest = self._cells.open_keys(), minute.minute - self.config.forget_minutes
            of_shape = waiting & _SHAPE > 0
            self._series.forget(oldest, waiting[~of_shape])
            gone = self._shapes.forget(oldest, waiting[of_shape] & (_SHAPE - 1))
            self._examples.forget(gone)
            if self._templates is not None:
                self._surprises.forget(gone, self._templates)
        return table_of(points)

    def state(self) -> State:
        """Return all that `restore` goes on from, as plain arrays."""
        marks = np.array([VERSION, self._records, self._unusable, self._without_template], np.int64)
        parts = {"cells": self._cells.state(), "series": self._series.state(), "shapes": self._shapes.state()}
        parts |= {"examples": self._examples.state(), "surprises": self._surprises.state()}
        if self._templates is not None:
            parts["templates"] = self._templates.state()
        return {"marks": marks, **joined(parts)}

    @classmethod
    def restore(cls, config: LogMinutesConfig, state: State) -> "LogMinutes":
        """Return minutes that go on as those that were saved would have.

        Raises:
            OutdatedState: the state is of another version.
            StateError: it is damaged.
        """
        minutes = cls(config)
        try:
            version, minutes._records, minutes._unusable, minutes._without_template = state["marks"].tolist()
            if version != VERSION:
                raise OutdatedState(f"log minutes are of version {version}, this program reads {VERSION}; {_FIX}")
            minutes._cells = MinuteCells.restored(config.most_minutes, part_of(state, "cells"))
            minutes._series = SeriesPlaces.restored(config.most_series, 2, part_of(state, "series"))
            minutes._shapes = SeriesPlaces.restored(config.most_series, 2, part_of(state, "shapes"))
            minutes._examples = LineExamples.restored(part_of(state, "examples"))
            minutes._surprises = LineSurprises.restored(config.parameters, part_of(state, "surprises"))
            if config.templates is not None:
                minutes._templates = TemplateMinutes.restored(config.templates, part_of(state, "templates"))
        except (KeyError, ValueError, IndexError, StopIteration, RuntimeError) as error:
            raise StateError(f"state of log minutes is damaged: {error!r}; {_FIX}") from error
        return minutes

    def _template_points(self, minute: MinuteCount) -> list[MinutePoint]:
        if self._templates is None:
            return []
        places, group = np.unique(minute.keys & (_SHAPE - 1), return_inverse=True)
        self._shapes.seen(places, minute.minute)
        failed = minute.keys & _ERROR > 0
        records, errors = (
            np.bincount(group, weights, len(places)).astype(np.int64) for weights in (minute.counts, minute.counts * failed)
        )
        slots = np.bincount(group * SLOTS + minute.keys // _SLOT, minute.counts, len(places) * SLOTS).astype(np.int64)
        counts: dict[tuple[str, int], ShapeCount] = {}
        lines: dict[str, list[ShapeLines]] = {}
        rows = zip(places.tolist(), records.tolist(), errors.tolist(), slots.reshape(-1, SLOTS), strict=True)
        for place, count, failures, own in rows:
            service, shape = self._shapes.name(place)
            counts[service, int(shape, 16)] = ShapeCount(count, failures)
            lines.setdefault(service, []).append(ShapeLines(place, int(shape, 16), own))
        points = self._templates.points(minute.minute, counts, self._line_of, self._texts)
        return points + self._surprising(minute.minute, lines, self._templates)

    def _surprising(self, minute: int, lines: Mapping[str, list[ShapeLines]], templates: TemplateMinutes) -> list[MinutePoint]:
        strange = self._surprises.strange(minute)
        points: list[MinutePoint] = []
        for service in sorted(lines):
            about = MinuteOfService(minute, service, self._texts, partial(self._line_of, service))
            points += self._surprises.points(about, lines[service], strange, templates)
        return points

    def _line_of(self, service: str, shape: int) -> str:
        return self._examples.of(self._shapes.place((service, f"{shape:016x}")))

    def _points(self, minute: MinuteCount) -> list[MinutePoint]:
        self._series.seen(minute.keys, minute.minute)
        counted = dict(zip(minute.keys.tolist(), minute.counts.tolist(), strict=True))
        points: list[MinutePoint] = []
        known: dict[str, int] = {}
        errors: dict[str, int] = {}
        for place in self._series.known():
            service, level = self._series.name(place)
            count = counted.get(place, 0)
            points.append(MinutePoint(minute.minute, service, RECORDS, count / MINUTE_S, ("level", level)))
            if level != LEVELS[0]:
                known[service] = known.get(service, 0) + count
                errors[service] = errors.get(service, 0) + count * (level in _ERRORS)
        ratios = (
            MinutePoint(minute.minute, name, ERROR_RATIO, errors[name] / count) for name, count in known.items() if count > 0
        )
        return [*points, *ratios]


def _levels(severity: "pa.ChunkedArray[Any]") -> IntArray:
    """Return the place among `LEVELS` (n,) of severity numbers; null and what is no such number = the first."""
    number = np.asarray(severity.combine_chunks().cast(pa.int64()).fill_null(0)).astype(np.int64)
    return np.where((number >= 1) & (number <= 24), (number + 3) // 4, 0)
