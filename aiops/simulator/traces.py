"""Traces of one frame and entry, drawn as arrays (visits, traces): who is visited, for how long, and whether it fails."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.simulator.gray_faults import Fault, Mask
from aiops.simulator.operations import SHARES, Call
from aiops.simulator.visits import Journeys, Visit
from aiops.types import FloatArray, IntArray

OPERATION_FACTORS: Final = (1.0, 1.2, 0.6)
"""Own time of a service's operations, relative to that of all; their mean by `SHARES` is 1."""
_LEAST_OWN: Final = 0.05
_EVERYDAY: Final = 3.0
"""Times its error rate at rest up to which a service's failures are everyday ones."""
_TAIL_SD: Final = 2.326
"""Standard deviations of the 99th percentile of a normal distribution."""
_GAP_SPREAD: Final = 0.4
_QUEUE_MS: Final = 40.0
_PRODUCE_MS: Final = 0.4

IdArray = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class FrameMetrics:
    """What metrics say of services in a frame, (services, steps), without what a callee's trouble adds to its callers; and at
    rest, (services,). `errors_in_all`: with it.
    """

    traffic: FloatArray
    p50_ms: FloatArray
    p99_ms: FloatArray
    errors: FloatArray
    errors_in_all: FloatArray
    p50_at_rest_ms: FloatArray
    errors_at_rest: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Sampled traces (n,): step of the frame, start in us since the epoch."""

    step: IntArray
    start_us: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Own time in us; start and end of the visit and of its call, in us since the epoch."""

    own: IntArray
    start: IntArray
    end: IntArray
    call_start: IntArray
    call_end: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Ids:
    """Keys of ids: both halves of a trace's by visit (the trace of a linked message is its own), of the visit's span and of its
    caller's, (visits, traces) each.
    """

    trace_high: IdArray
    trace_low: IdArray
    span: IdArray
    call_span: IdArray


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """Visits of traces, (visits, traces) each: whether made, operation, times, whether it failed, by itself, and whether its
    answer is wrong. `begun_us` (traces,).
    """

    visits: tuple[Visit, ...]
    begun_us: IntArray
    made: Mask
    operation: IntArray
    times: Times
    failed: Mask
    failed_itself: Mask
    wrong: Mask
    ids: Ids


@dataclass(frozen=True, slots=True)
class CalledVisit:
    """A visit that is called: its number, its caller's, and the call."""

    visit: int
    caller: int
    call: Call


@dataclass(frozen=True, slots=True, eq=False)
class _Lengths:
    """Own time, visits, calls and gaps, (visits, traces) in us."""

    own: FloatArray
    visit: FloatArray
    call: FloatArray
    gap: FloatArray


class TraceDraw:
    """Draws the traces of one entry and frame; the draws are the same in number whatever the faults. O(visits x traces)."""

    def __init__(self, journeys: Journeys, entry: int, metrics: FrameMetrics, faults: tuple[Fault, ...]) -> None:
        self._journeys = journeys
        self._visits = journeys.by_entry[entry]
        self._metrics = metrics
        self._faults = faults

    def draw(self, rng: np.random.Generator, arrivals: Arrivals) -> Traces:
        """Return the traces of all arrivals."""
        shape, step, begun_us = (len(self._visits), arrivals.step.size), arrivals.step, arrivals.start_us
        operation = np.searchsorted(np.cumsum(SHARES)[:-1], rng.random(shape), side="right").astype(np.int64)
        made = self._made(rng.random(shape), operation, step)
        own_us = self._own_us(rng.standard_normal(shape), operation, step)
        gap_us = self._gap_us(rng.standard_normal(shape), begun_us)
        failed_itself = made & (rng.random(shape) < self._metrics.errors[self._services[:, None], step])
        failed = self._failed(failed_itself, made, rng.random(shape), step)
        wrong = made & self._wrong(rng.random(shape), begun_us)
        lengths = self._lengths(own_us, gap_us, made)
        call_start, start = self._starts(lengths, made)
        times = Times(
            np.rint(lengths.own).astype(np.int64),
            begun_us + np.rint(start).astype(np.int64),
            begun_us + np.rint(start + lengths.visit).astype(np.int64),
            begun_us + np.rint(call_start).astype(np.int64),
            begun_us + np.rint(call_start + lengths.call).astype(np.int64),
        )
        return Traces(self._visits, begun_us, made, operation, times, failed, failed_itself, wrong, self._ids(rng, shape))

    @property
    def _services(self) -> IntArray:
        return np.array([visit.service for visit in self._visits], np.int64)

    def _call_of(self, visit: Visit) -> Call:
        return self._journeys.plans[self._visits[visit.parent].service].calls[visit.call]

    def _called(self) -> list[CalledVisit]:
        """Return all visits but the entry."""
        return [CalledVisit(number, visit.parent, self._call_of(visit)) for number, visit in enumerate(self._visits) if number]

    def _made(self, luck: FloatArray, operation: IntArray, step: IntArray) -> Mask:
        shares = self._journeys.call_shares(self._metrics.traffic)
        made = np.ones(luck.shape, np.bool_)
        for at in self._called():
            made[at.visit] = made[at.caller] & (luck[at.visit] < shares[at.call.edge, operation[at.caller], step])
        return made

    def _own_us(self, normal: FloatArray, operation: IntArray, step: IntArray) -> FloatArray:
        """Return own times: what the service's latency is above what its calls take at rest."""
        metrics, services = self._metrics, self._services[:, None]
        at_rest, own_share = metrics.p50_at_rest_ms, self._journeys.own_share
        level = np.maximum(_LEAST_OWN * at_rest[:, None], metrics.p50_ms - ((1.0 - own_share) * at_rest)[:, None])
        spread = np.log(np.maximum(metrics.p99_ms / np.maximum(metrics.p50_ms, 1e-9), 1.05)) / _TAIL_SD
        factors = np.array(OPERATION_FACTORS)[operation]
        own: FloatArray = 1000.0 * factors * level[services, step] * np.exp(spread[services, step] * normal)
        return own

    def _gap_us(self, normal: FloatArray, begun_us: IntArray) -> FloatArray:
        """Return the time that each call takes beyond the callee's; of a message, until it is consumed."""
        gap = np.exp(_GAP_SPREAD * normal)
        for at in self._called():
            gap[at.visit] *= 1000.0 * (_QUEUE_MS if at.call.is_message else self._journeys.gap_ms[at.call.edge])
            for fault in self._faults:
                if fault.kind == "slow_network" and fault.service in (
                    self._visits[at.visit].service,
                    self._visits[at.caller].service,
                ):
                    gap[at.visit] += np.where(fault.strikes(begun_us), 1000.0 * fault.delay_ms, 0.0)
        return gap

    def _failed(self, itself: Mask, made: Mask, luck: FloatArray, step: IntArray) -> Mask:
        """Return which requests fail: everyday failures of a call are tried again, those beyond fail the caller by its weight."""
        metrics, edges, failed = self._metrics, self._journeys.topology.edges, itself.copy()
        everyday = _EVERYDAY * metrics.errors_at_rest[:, None] / np.maximum(metrics.errors_in_all, 1e-12)
        beyond = np.clip(1.0 - everyday, 0.0, 1.0)
        for at in reversed(self._called()):
            if not at.call.is_message:
                share = edges[at.call.edge].weight * beyond[at.call.callee, step]
                failed[at.caller] |= failed[at.visit] & made[at.visit] & (luck[at.visit] < share)
        return failed

    def _wrong(self, luck: FloatArray, begun_us: IntArray) -> Mask:
        """Return which requests leave out steps, and so answer wrongly."""
        wrong = np.zeros(luck.shape, np.bool_)
        for fault in self._faults:
            if fault.kind == "skipped_step":
                at = np.flatnonzero(self._services == fault.service)
                wrong[at] |= fault.strikes_requests(begun_us, luck[at])
        return wrong

    def _lengths(self, own_us: FloatArray, gap_us: FloatArray, made: Mask) -> _Lengths:
        visit, call = own_us.copy(), gap_us.copy()
        for at in reversed(self._called()):
            if at.call.is_message:
                call[at.visit] = 1000.0 * _PRODUCE_MS
            else:
                call[at.visit] += visit[at.visit]
            visit[at.caller] += np.where(made[at.visit], call[at.visit], 0.0)
        return _Lengths(own_us, visit, call, gap_us)

    def _starts(self, lengths: _Lengths, made: Mask) -> tuple[FloatArray, FloatArray]:
        """Return when calls and visits start, in us after the trace: a service's own time is cut into equal parts, before,
        between and after its calls.
        """
        start, call_start = np.zeros(made.shape), np.zeros(made.shape)
        waited = np.zeros(made.shape)
        for at in self._called():
            parts = len(self._journeys.plans[self._visits[at.caller].service].calls) + 1
            before = lengths.own[at.caller] * (self._visits[at.visit].call + 1) / parts
            call_start[at.visit] = start[at.caller] + before + waited[at.caller]
            waited[at.caller] += np.where(made[at.visit], lengths.call[at.visit], 0.0)
            gap = lengths.gap[at.visit]
            start[at.visit] = call_start[at.visit] + (lengths.call[at.visit] + gap if at.call.is_message else 0.5 * gap)
        return call_start, start

    def _ids(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Ids:
        high, low, span, call_span = (rng.integers(1, 1 << 64, shape, np.uint64, endpoint=False) for _ in range(4))
        for at in self._called():
            if not at.call.is_linked:
                high[at.visit], low[at.visit] = high[at.caller], low[at.caller]
        return Ids(high, low, span, call_span)
