"""Scheduled jobs of services: each run is a trace of one span with two lines."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.simulator.gray_faults import Fault
from aiops.simulator.id_texts import IdArray
from aiops.simulator.line_bank import LineTemplate
from aiops.simulator.line_texts import LineTexts, TextRows
from aiops.simulator.operations import ServicePlan
from aiops.simulator.simulated_lines import LineColumns
from aiops.simulator.simulated_spans import INTERNAL, SpanColumns
from aiops.types import IntArray

_LENGTH_MS: Final = 400.0
_LENGTH_SPREAD: Final = 0.3
_MINUTE_US: Final = 60_000_000
_JITTER_US: Final = 50_000


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """A frame's start and end in us since the epoch, exclusive."""

    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True, eq=False)
class JobRuns:
    """The runs of one service's job in a frame (n,)."""

    service: int
    start_us: IntArray
    end_us: IntArray
    trace_high: IdArray
    trace_low: IdArray
    span: IdArray

    def spans(self, operation: int) -> SpanColumns:
        """Return their spans; `operation` = code of the job's name."""
        none, count = np.zeros(len(self.span), np.uint64), len(self.span)
        return SpanColumns(
            np.full(count, -1),
            self.start_us,
            self.start_us,
            self.end_us,
            np.full(count, self.service),
            np.full(count, operation),
            np.full(count, INTERNAL),
            np.zeros(count, np.bool_),
            self.trace_high,
            self.trace_low,
            self.span,
            none,
            none,
            none,
            none,
        )

    def lines(self, rng: np.random.Generator, plan: ServicePlan) -> list[LineColumns]:
        """Return their lines."""
        rows = np.arange(len(self.span))
        texts = LineTexts(rng, rows, self.trace_high)
        took_ms = (self.end_us - self.start_us) // 1000
        return [
            self._line(plan.job_started, self.start_us, texts.made(plan.job_started, TextRows(rows))),
            self._line(plan.job_done, self.end_us - 1, texts.made(plan.job_done, TextRows(rows, took_ms))),
        ]

    def _line(self, template: LineTemplate, at_us: IntArray, body: "pa.Array[pa.StringScalar]") -> LineColumns:
        return LineColumns(self.service, self.start_us, at_us, template.level, body, self.trace_high, self.trace_low, self.span)


def job_runs(rng: np.random.Generator, plan: ServicePlan, faults: tuple[Fault, ...], frame: FrameTimes) -> JobRuns:
    """Return the runs that start in a frame: each `job_min` minutes of the clock, unless the job has stopped."""
    every_us = plan.job_min * _MINUTE_US
    first = -(-frame.start_us // every_us) * every_us
    start_us = np.arange(first, frame.end_us, every_us, dtype=np.int64)
    start_us = start_us + rng.integers(0, _JITTER_US, start_us.size)
    length_us = np.rint(1000.0 * _LENGTH_MS * np.exp(_LENGTH_SPREAD * rng.standard_normal(start_us.size))).astype(np.int64)
    high, low, span = (rng.integers(1, 1 << 64, start_us.size, np.uint64, endpoint=False) for _ in range(3))
    runs = np.ones(start_us.size, np.bool_)
    for fault in faults:
        if fault.kind == "stopped_job" and fault.service == plan.number:
            runs &= ~fault.strikes(start_us)
    return JobRuns(plan.number, start_us[runs], (start_us + length_us)[runs], high[runs], low[runs], span[runs])
