"""Requests of a service → lines of its log: where in a request each is written, and with which parameters."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.simulator.gray_faults import Fault, Mask
from aiops.simulator.id_texts import IdArray
from aiops.simulator.line_bank import Level, LineTemplate
from aiops.simulator.line_texts import LineTexts, TextRows
from aiops.simulator.operations import Operation, ServicePlan
from aiops.simulator.service_requests import ServiceRequests
from aiops.types import FloatArray, IntArray

SLOW_FACTOR: Final = 4.0
"""Times its usual own time from which a request is called slow."""
_NOTICED: Final = 0.5
"""Share of wrong answers that the caller notices."""


@dataclass(frozen=True, slots=True, eq=False)
class LineColumns:
    """Lines (n,) of one service, by its number: when their trace began, time, text, keys of trace and span; all of one level."""

    service: int
    begun_us: IntArray
    at_us: IntArray
    level: Level
    body: "pa.Array[Any]"
    trace_high: IdArray
    trace_low: IdArray
    span: IdArray


@dataclass(frozen=True, slots=True, eq=False)
class _Written:
    """A line of some requests, in the part of their own time after `after` calls; `ms` (rows,) where the line states it."""

    after: int
    template: LineTemplate
    rows: IntArray
    ms: IntArray | None = None
    odd: Mask | None = None


class RequestLines:
    """Writes the lines of a service's requests. O(lines), a few array operations a template."""

    def __init__(
        self,
        rng: np.random.Generator,
        plan: ServicePlan,
        requests: ServiceRequests,
        faults: tuple[Fault, ...],
        at_rest_us: FloatArray,
    ) -> None:
        """`faults` of this service alone; `at_rest_us` (operations,) own time at rest."""
        self._rng = rng
        self._plan = plan
        self._requests = requests
        self._faults = faults
        self._at_rest_us = at_rest_us
        self._texts = LineTexts(rng, requests.user, requests.record)

    def lines(self) -> list[LineColumns]:
        """Return all lines, in parts."""
        parts = []
        for number in range(len(self._plan.operations)):
            rows = np.flatnonzero(self._requests.operation == number)
            parts += self._placed(self._written(number, rows)) if rows.size else []
        return parts

    def _written(self, number: int, rows: IntArray) -> list[_Written]:
        """Return what an operation writes, in order."""
        operation, requests = self._plan.operations[number], self._requests
        last = len(self._plan.calls)
        written = [_Written(0, operation.started, rows)]
        for after in range(last + 1):
            written += self._call_lines(after, rows) if after else []
            written += self._steps(operation, after, rows)
        written += self._remarks(last, rows)
        slow = rows[requests.own_us[rows] > SLOW_FACTOR * self._at_rest_us[number]]
        written.append(_Written(last, operation.slow, slow, self._length_ms(slow)))
        well = rows[~requests.failed[rows]]
        written.append(_Written(last, operation.done, well, self._length_ms(well)))
        return written + self._failures(number, rows)

    def _call_lines(self, after: int, rows: IntArray) -> list[_Written]:
        call, requests, place = self._plan.calls[after - 1], self._requests, after - 1
        made, lost = requests.called[rows, place], requests.call_failed[rows, place] & (not self._plan.calls[place].is_message)
        well, wrong = rows[made & ~lost], requests.call_wrong[rows, place] & ~lost
        noticed = wrong & (self._rng.random(rows.size) < _NOTICED) & (not call.is_message)
        return [
            _Written(after, call.answered, well, requests.call_us[well, place] // 1000),
            _Written(after, call.failed, rows[lost]),
            _Written(after, call.incomplete, rows[noticed]),
        ]

    def _steps(self, operation: Operation, after: int, rows: IntArray) -> list[_Written]:
        requests, written = self._requests, []
        for number, step in enumerate(operation.steps):
            if step.after != after:
                continue
            odd, skipped = np.zeros(rows.size, np.bool_), np.zeros(rows.size, np.bool_)
            for fault in self._faults:
                reached = number >= int(fault.place * len(operation.steps))
                if fault.kind == "skipped_step" and reached:
                    skipped |= requests.wrong[rows] & fault.strikes(requests.begun_us[rows])
                elif fault.kind == "wrong_parameter":
                    odd |= fault.strikes_requests(requests.begun_us[rows], self._rng.random(rows.size))
            written.append(_Written(after, step.template, rows[~skipped], odd=odd[~skipped]))
        return written

    def _remarks(self, after: int, rows: IntArray) -> list[_Written]:
        """Return handled exceptions, and warnings of a resource that runs out."""
        begun_us, written = self._requests.begun_us[rows], []
        for fault in self._faults:
            if fault.kind == "handled_exception":
                struck = fault.strikes_requests(begun_us, self._rng.random(rows.size))
                written.append(_Written(after, self._plan.handled, rows[struck]))
            elif fault.kind in self._plan.incident_warnings:
                struck = fault.warns(begun_us, self._rng.random(rows.size))
                written.append(_Written(after, self._plan.incident_warnings[fault.kind], rows[struck]))
        return written

    def _failures(self, number: int, rows: IntArray) -> list[_Written]:
        """Return the last lines of requests that fail: the error of the incident that they are in, or an everyday one."""
        requests, operation, last = self._requests, self._plan.operations[number], len(self._plan.calls)
        by_call = rows[requests.failed[rows] & ~requests.failed_itself[rows]]
        written = [_Written(last, operation.broken, by_call, self._length_ms(by_call))]
        left = rows[requests.failed_itself[rows]]
        for fault in self._faults:
            templates = self._plan.incident_failures.get(fault.kind)
            if templates is not None:
                struck = fault.strikes(requests.begun_us[left])
                written.append(_Written(last, templates[number], left[struck], self._length_ms(left[struck])))
                left = left[~struck]
        which = self._rng.integers(len(operation.failures), size=left.size)
        for place, template in enumerate(operation.failures):
            chosen = left[which == place]
            written.append(_Written(last, template, chosen, self._length_ms(chosen)))
        return written

    def _length_ms(self, rows: IntArray) -> IntArray:
        return (self._requests.end_us[rows] - self._requests.start_us[rows]) // 1000

    def _placed(self, written: list[_Written]) -> list[LineColumns]:
        """Return the lines with their times: those of a part of the own time at equal distances, whether written or not."""
        requests, parts = self._requests, len(self._plan.calls) + 1
        counts, seen, placed = np.bincount([line.after for line in written], minlength=parts), [0] * parts, []
        for line in written:
            seen[line.after] += 1
            if line.rows.size:
                share = (line.after + seen[line.after] / (counts[line.after] + 1)) / parts
                own_us = np.floor(share * requests.own_us[line.rows]).astype(np.int64)
                at_us = requests.start_us[line.rows] + own_us + requests.waited_us(line.after)[line.rows]
                placed.append(
                    LineColumns(
                        self._plan.number,
                        requests.begun_us[line.rows],
                        at_us,
                        line.template.level,
                        self._texts.made(line.template, TextRows(line.rows, line.ms, line.odd)),
                        requests.trace_high[line.rows],
                        requests.trace_low[line.rows],
                        requests.span[line.rows],
                    )
                )
        return placed
