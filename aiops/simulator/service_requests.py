"""All requests of one service in a frame, one row each, from the visits of traces."""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from aiops.simulator.gray_faults import Mask
from aiops.simulator.id_texts import IdArray
from aiops.simulator.traces import Traces
from aiops.types import IntArray

USERS: Final = 5000


@dataclass(frozen=True, slots=True, eq=False)
class ServiceRequests:
    """Requests (n,) of one service. Of its calls (n, calls): whether made, length in us, whether failed or answered wrongly.

    `user`, `record`: numbers that all lines of a trace share.
    """

    begun_us: IntArray
    operation: IntArray
    own_us: IntArray
    start_us: IntArray
    end_us: IntArray
    failed: Mask
    failed_itself: Mask
    wrong: Mask
    trace_high: IdArray
    trace_low: IdArray
    span: IdArray
    user: IntArray
    record: IdArray
    called: Mask
    call_us: IntArray
    call_failed: Mask
    call_wrong: Mask

    def waited_us(self, calls: int) -> IntArray:
        """Return (n,) how long the first `calls` calls took together."""
        waited: IntArray = self.call_us[:, :calls].sum(axis=1)
        return waited


def requests_of_service(traces: list[Traces], service: int, calls: int) -> ServiceRequests | None:
    """Return the requests of a service that has `calls` calls; None where no trace can visit it."""
    parts = [
        _visited(drawn, number, calls)
        for drawn in traces
        for number, visit in enumerate(drawn.visits)
        if visit.service == service
    ]
    names = [field.name for field in fields(ServiceRequests)]
    return ServiceRequests(*(np.concatenate([getattr(part, name) for part in parts]) for name in names)) if parts else None


def _visited(drawn: Traces, number: int, calls: int) -> ServiceRequests:
    """Return the rows of one visit of the tree."""
    rows, times, ids = np.flatnonzero(drawn.made[number]), drawn.times, drawn.ids
    called, failed, wrong = (np.zeros((rows.size, calls), np.bool_) for _ in range(3))
    call_us = np.zeros((rows.size, calls), np.int64)
    for child, visit in enumerate(drawn.visits):
        if visit.parent == number:
            made = called[:, visit.call] = drawn.made[child, rows]
            failed[:, visit.call] = made & drawn.failed[child, rows]
            wrong[:, visit.call] = made & drawn.wrong[child, rows]
            call_us[:, visit.call] = np.where(made, (times.call_end - times.call_start)[child, rows], 0)
    return ServiceRequests(
        drawn.begun_us[rows],
        drawn.operation[number, rows],
        times.own[number, rows],
        times.start[number, rows],
        times.end[number, rows],
        drawn.failed[number, rows],
        drawn.failed_itself[number, rows],
        drawn.wrong[number, rows],
        ids.trace_high[number, rows],
        ids.trace_low[number, rows],
        ids.span[number, rows],
        (ids.trace_low[0, rows] % np.uint64(USERS)).astype(np.int64),
        ids.trace_high[0, rows],
        called,
        call_us,
        failed,
        wrong,
    )
