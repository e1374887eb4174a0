"""Log lines and spans of simulated services, frame by frame: any part can be made by itself, and cuts change nothing.

Requests follow the metrics: of each service as many as its traffic says, own times as its latency, failures as its error rate,
where the trouble of a callee shows in its callers because they wait for it. A share of the entry's requests is kept (head
sampling: all of a trace or nothing), the same at all times, so that `tracestate` says how many each stands for.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.simulator.effects import ERRORS, P50, P99, TRAFFIC
from aiops.simulator.gray_faults import Fault
from aiops.simulator.job_runs import FrameTimes, job_runs
from aiops.simulator.noise import BLOCK_STEPS
from aiops.simulator.operations import SHARES
from aiops.simulator.request_tables import RequestTables
from aiops.simulator.service_requests import requests_of_service
from aiops.simulator.signals import SignalModel
from aiops.simulator.simulated_lines import LineColumns, RequestLines
from aiops.simulator.simulated_spans import spans_of
from aiops.simulator.streams import Stream, generator
from aiops.simulator.traces import OPERATION_FACTORS, Arrivals, FrameMetrics, TraceDraw, Traces
from aiops.simulator.visits import Journeys
from aiops.types import RequestRows

_FRAME_S: Final = 18_000.0
_FRAME_TRACES: Final = 8192
_SCALE: Final = 1 << 24
"""Shares of kept requests are multiples of its inverse."""


@dataclass(frozen=True, slots=True, eq=False)
class RequestModel:
    """What decides requests. `shown`: metrics as they are; `model`: without what a callee's trouble adds to its callers;
    `start_us` of step 0.

    `traces_per_min` of each entry are kept on average.
    """

    shown: SignalModel
    model: SignalModel
    journeys: Journeys
    faults: tuple[Fault, ...]
    start_us: int
    traces_per_min: float

    @property
    def frame_steps(self) -> int:
        """Return the steps of a frame, a power of two up to a block: some hours, and some thousand traces."""
        step_s = self.model.config.step_s
        most = min(_FRAME_S / step_s, _FRAME_TRACES * 60.0 / (max(1e-9, self.traces_per_min) * step_s), BLOCK_STEPS)
        return int(2 ** math.floor(math.log2(max(most, 1.0))))

    def kept_share(self, entry: int) -> float:
        """Return the share of an entry's requests that is kept, a multiple of 2**-24."""
        wanted = self.traces_per_min / 60.0 / float(self.model.profiles.traffic[entry])
        return max(1.0, round(min(1.0, wanted) * _SCALE)) / _SCALE

    def trace_state(self, entry: int) -> str:
        """Return the `tracestate` of an entry's traces: the threshold of consistent probability sampling."""
        threshold = f"{round((1.0 - self.kept_share(entry)) * _SCALE):06x}".rstrip("0") or "0"
        return f"ot=th:{threshold}"

    def rows(self, first: int, stop: int) -> Iterator[RequestRows]:
        """Yield the rows of traces that begin in steps `first` <= step < `stop`, in tables of one frame each.

        Memory: one frame.
        """
        step_us = self.model.config.step_s * 1_000_000
        stop = min(stop, self.model.config.steps)
        if self.traces_per_min > 0:
            for number in range(first // self.frame_steps, -(-stop // self.frame_steps)):
                window = FrameTimes(self.start_us + first * step_us, self.start_us + stop * step_us)
                yield self._frame(number, window)

    def _frame(self, number: int, window: FrameTimes) -> RequestRows:
        """Return a frame's rows of traces that begin in the window."""
        step_us = self.model.config.step_s * 1_000_000
        start_us = self.start_us + number * self.frame_steps * step_us
        times = FrameTimes(
            start_us, min(start_us + self.frame_steps * step_us, self.start_us + self.model.config.steps * step_us)
        )
        faults = tuple(fault for fault in self.faults if fault.touches(times.start_us, times.end_us))
        metrics, rng = self._metrics(number), generator(self.model.config.seed, Stream.REQUESTS, number)
        traces = []
        for entry in self.journeys.by_entry:
            arrivals = self._arrivals(rng, entry, metrics, times)
            traces.append(TraceDraw(self.journeys, entry, metrics, faults).draw(rng, arrivals))
        plans = self.journeys.plans
        jobs = [job_runs(rng, plan, faults, times) for plan in plans]
        spans = [part for drawn in traces for part in spans_of(drawn, self.journeys)]
        spans += [runs.spans(len(plans) * len(SHARES) + runs.service) for runs in jobs]
        lines = self._lines(rng, traces, faults)
        lines += [line for runs, plan in zip(jobs, plans, strict=True) for line in runs.lines(rng, plan)]
        states = [self.trace_state(plan.number) if plan.number in self.journeys.by_entry else None for plan in plans]
        tables = RequestTables(plans, states, self.model.config.seed)
        return RequestRows(tables.logs(number, lines, window), tables.spans(spans, window))

    def _metrics(self, number: int) -> FrameMetrics:
        """Return the metrics of a frame."""
        block, offset = divmod(number * self.frame_steps, BLOCK_STEPS)
        grid, profiles = self.model.grid, self.model.profiles
        white, part = (grid.white(block - 1), grid.white(block)), slice(offset, offset + self.frame_steps)
        values, shown = (model.values(block, *white)[:, :, part] for model in (self.model, self.shown))
        at_rest = (profiles.latency_ms, profiles.error_rate)
        return FrameMetrics(values[TRAFFIC], values[P50], values[P99], values[ERRORS], shown[ERRORS], *at_rest)

    def _arrivals(self, rng: np.random.Generator, entry: int, metrics: FrameMetrics, times: FrameTimes) -> Arrivals:
        """Return the sampled requests of an entry, in order of their start."""
        step_us = self.model.config.step_s * 1_000_000
        counts = rng.poisson(self.kept_share(entry) * metrics.traffic[entry] * self.model.config.step_s)
        step = np.repeat(np.arange(counts.size), counts)
        start_us = times.start_us + step * step_us + rng.integers(0, step_us, step.size)
        order = np.argsort(start_us, kind="stable")
        inside = order[start_us[order] < times.end_us]
        return Arrivals(step[inside], start_us[inside])

    def _lines(self, rng: np.random.Generator, traces: list[Traces], faults: tuple[Fault, ...]) -> list[LineColumns]:
        services_us = 1000.0 * self.journeys.own_share * self.model.profiles.latency_ms
        lines = []
        for service, plan in enumerate(self.journeys.plans):
            requests = requests_of_service(traces, service, len(plan.calls))
            if requests is not None:
                own = tuple(fault for fault in faults if fault.service == service)
                at_rest_us = services_us[service] * np.array(OPERATION_FACTORS)
                lines += RequestLines(rng, plan, requests, own, at_rest_us).lines()
        return lines
