"""Columns of simulated lines and spans → tables of `LOGS` and `SPANS`, as received ones are stored."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.simulator.gray_faults import Mask
from aiops.simulator.id_texts import hexadecimal, scattered
from aiops.simulator.job_runs import FrameTimes
from aiops.simulator.line_bank import SEVERITY_NUMBERS
from aiops.simulator.operations import ServicePlan, noun_of
from aiops.simulator.simulated_lines import LineColumns
from aiops.simulator.simulated_spans import KINDS, SpanColumns
from aiops.types import IntArray
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.schemas.wire_schemas import LOGS, SPANS

REPLICAS: Final = 3
_SCOPE: Final = "aiops.simulator"
_STATUSES: Final = ("", "error")
_STATUS_TEXTS: Final = ("", "status=500")
_ORDINAL_BITS: Final = 32


@dataclass(frozen=True, slots=True)
class RequestTables:
    """Makes tables. `trace_states` (services,): of the traces that came in there. Ids of lines depend on `seed`."""

    plans: tuple[ServicePlan, ...]
    trace_states: Sequence[str | None]
    seed: int

    def spans(self, parts: list[SpanColumns], window: FrameTimes) -> pa.Table:
        """Return the rows (`SPANS`) of traces that begin in the window, in order of their start."""
        names = [field.name for field in fields(SpanColumns)]
        joined = SpanColumns(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
        order = _order(joined.start_us, joined.begun_us, window)
        spans = SpanColumns(*(getattr(joined, name)[order] for name in names))
        rooted, failed = spans.parent == 0, spans.failed.astype(np.int64)
        cells: dict[str, Any] = {
            "timestamp": pa.array(spans.start_us).cast(TIMESTAMP),
            "duration_us": pa.array(spans.end_us - spans.start_us),
            "service": _coded([plan.name for plan in self.plans], spans.service),
            "name": _coded(self._operations(), spans.operation),
            "kind": _coded(KINDS, spans.kind),
            "trace_id": hexadecimal(spans.trace_high, spans.trace_low),
            "span_id": hexadecimal(spans.span),
            "parent_id": _where(~rooted, hexadecimal(spans.parent)),
            "trace_state": _coded([*self.trace_states, None], spans.entry % (len(self.trace_states) + 1)),
            "status": _coded(_STATUSES, failed),
            "status_text": _coded(_STATUS_TEXTS, failed),
            "scope": pa.repeat(_SCOPE, order.size),
            "attributes": pa.repeat("{}", order.size),
            "events": pa.nulls(order.size, pa.string()),
            "links": _links(spans),
            "resource": _coded(self._resources(), _replica(spans.service, spans.span)),
            "available_at": pa.array(spans.end_us).cast(TIMESTAMP),
        }
        return pa.table(cells, schema=SPANS)

    def logs(self, frame: int, parts: list[LineColumns], window: FrameTimes) -> pa.Table:
        """Return the rows (`LOGS`) of traces that begin in the window, in order of time; `frame` numbers all lines of a frame."""
        begun_us, at_us, high, low, span = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("begun_us", "at_us", "trace_high", "trace_low", "span")
        )
        sizes = [part.at_us.size for part in parts]
        service = np.repeat([part.service for part in parts], sizes)
        severity = np.repeat([list(SEVERITY_NUMBERS).index(part.level) for part in parts], sizes)
        ordinal = np.arange(at_us.size, dtype=np.uint64) | np.uint64(frame << _ORDINAL_BITS)
        body: Any = pa.chunked_array([part.body for part in parts], pa.string())
        order = _order(at_us, begun_us, window)
        time = pa.array(at_us[order]).cast(TIMESTAMP)
        cells: dict[str, Any] = {
            "timestamp": time,
            "log_id": pa.array(scattered(ordinal, self.seed)[order]),
            "service": _coded([plan.name for plan in self.plans], service[order]),
            "severity": _coded(list(SEVERITY_NUMBERS), severity[order]),
            "severity_number": pa.array(np.array(list(SEVERITY_NUMBERS.values()), np.int8)[severity[order]]),
            "body": body.take(pa.array(order)),
            "event": pa.nulls(order.size, pa.string()),
            "trace_id": hexadecimal(high[order], low[order]),
            "span_id": hexadecimal(span[order]),
            "scope": pa.repeat(_SCOPE, order.size),
            "attributes": pa.repeat("{}", order.size),
            "resource": _coded(self._resources(), _replica(service, span)[order]),
            "available_at": time,
        }
        return pa.table(cells, schema=LOGS)

    def _operations(self) -> list[str]:
        names = [operation.name for plan in self.plans for operation in plan.operations]
        return [*names, *(f"job {noun_of(plan.name)}-cleanup" for plan in self.plans)]

    def _resources(self) -> list[str]:
        return [
            f'{{"host.name":"{plan.name}-{replica}","service.name":"{plan.name}"}}'
            for plan in self.plans
            for replica in range(REPLICAS)
        ]


def _order(at_us: IntArray, begun_us: IntArray, window: FrameTimes) -> IntArray:
    order = np.argsort(at_us, kind="stable")
    inside = (begun_us[order] >= window.start_us) & (begun_us[order] < window.end_us)
    return order[inside]


def _replica(service: IntArray, span: "np.typing.NDArray[np.uint64]") -> IntArray:
    code: IntArray = service * REPLICAS + (span % np.uint64(REPLICAS)).astype(np.int64)
    return code


def _coded(texts: Sequence[str | None], codes: IntArray) -> Any:
    places: Any = pa.array(codes)
    return pa.array(list(texts), pa.string()).take(places)


def _links(columns: SpanColumns) -> Any:
    trace_id, span_id = hexadecimal(columns.linked_high, columns.linked_low), hexadecimal(columns.linked_span)
    parts: list[Any] = ['[{"attributes":{},"span_id":"', span_id, '","trace_id":"', trace_id, '"}]', ""]
    return _where(columns.linked_span != 0, pc.binary_join_element_wise(*parts))


def _where(mask: Mask, texts: Any) -> Any:
    return pc.if_else(pa.array(mask), texts, pa.scalar(None, pa.string()))
