"""Visits of traces → spans as columns: of each visit the service's span, and of each call the caller's."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.simulator.gray_faults import Mask
from aiops.simulator.id_texts import IdArray
from aiops.simulator.operations import SHARES, Call
from aiops.simulator.traces import Traces
from aiops.simulator.visits import Journeys
from aiops.types import IntArray

KINDS: Final = ("internal", "server", "client", "producer", "consumer")
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(len(KINDS))
_STATUSES: Final = ("", "error")
REPLICAS: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class SpanColumns:
    """Spans (n,): when their trace began, start and end in us, codes of service and operation (service * operations + number),
    kind, whether failed, keys of ids (a parent of 0 = none); `linked` = keys of the span that a new trace is linked to, 0 = none.
    `entry`: service by which the trace came, -1 = none.
    """

    entry: IntArray
    begun_us: IntArray
    start_us: IntArray
    end_us: IntArray
    service: IntArray
    operation: IntArray
    kind: IntArray
    failed: Mask
    trace_high: IdArray
    trace_low: IdArray
    span: IdArray
    parent: IdArray
    linked_high: IdArray
    linked_low: IdArray
    linked_span: IdArray


def spans_of(traces: Traces, journeys: Journeys) -> list[SpanColumns]:
    """Return the spans of traces, in parts."""
    parts = []
    for number, visit in enumerate(traces.visits):
        rows = np.flatnonzero(traces.made[number])
        call = None if number == 0 else journeys.plans[traces.visits[visit.parent].service].calls[visit.call]
        parts.append(_visit_spans(traces, number, rows, call))
        if call is not None:
            parts.append(_call_spans(traces, number, rows, call))
    return parts


def _visit_spans(traces: Traces, number: int, rows: IntArray, call: Call | None) -> SpanColumns:
    """Return the callee's spans of one visit."""
    ids, times, service = traces.ids, traces.times, traces.visits[number].service
    none = np.zeros(rows.size, np.uint64)
    above = traces.visits[number].parent
    is_linked = call is not None and call.is_linked
    return SpanColumns(
        np.full(rows.size, traces.visits[0].service),
        traces.begun_us[rows],
        times.start[number, rows],
        times.end[number, rows],
        np.full(rows.size, service),
        service * len(SHARES) + traces.operation[number, rows],
        np.full(rows.size, CONSUMER if call is not None and call.is_message else SERVER),
        traces.failed[number, rows],
        ids.trace_high[number, rows],
        ids.trace_low[number, rows],
        ids.span[number, rows],
        none if call is None or is_linked else ids.call_span[number, rows],
        ids.trace_high[above, rows] if is_linked else none,
        ids.trace_low[above, rows] if is_linked else none,
        ids.call_span[number, rows] if is_linked else none,
    )


def _call_spans(traces: Traces, number: int, rows: IntArray, call: Call) -> SpanColumns:
    """Return the caller's spans of one visit."""
    ids, times, above = traces.ids, traces.times, traces.visits[number].parent
    none = np.zeros(rows.size, np.uint64)
    return SpanColumns(
        np.full(rows.size, traces.visits[0].service),
        traces.begun_us[rows],
        times.call_start[number, rows],
        times.call_end[number, rows],
        np.full(rows.size, traces.visits[above].service),
        call.callee * len(SHARES) + traces.operation[number, rows],
        np.full(rows.size, PRODUCER if call.is_message else CLIENT),
        traces.failed[number, rows] & (not call.is_message),
        ids.trace_high[above, rows],
        ids.trace_low[above, rows],
        ids.call_span[number, rows],
        ids.span[above, rows],
        none,
        none,
        none,
    )
