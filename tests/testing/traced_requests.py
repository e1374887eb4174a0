"""Requests for the stage of signals: spans of one service, and their log lines, as entries that a receiver appends."""

from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from data_contracts.schemas.wire_schemas import LOGS, SPANS
from serving.stream import streams
from tests.testing.signal_lines import SECOND_US, minute

REQUESTS = 30
_MIX = 2654435761


def _ids(number: int, request: int) -> tuple[str, str]:
    key = (number * 1000 + request + 1) * _MIX % (1 << 32)
    return f"{key:032x}", f"{key:016x}"


def span_rows(number: int, count: int = REQUESTS, rooted: bool = True, first_us: int | None = None) -> pa.Table:
    """Return `SPANS` of a minute, or from a time on: one span a request, of which each tenth failed."""
    begin_us = minute(number) if first_us is None else first_us
    rows = []
    for request in range(count):
        trace_id, span_id = _ids(number, request)
        start_us = begin_us + request * SECOND_US // 2
        cells = {"timestamp": start_us, "duration_us": 50_000, "service": "cart", "name": "GET /cart", "kind": "server"}
        cells["status"] = "" if request % 10 else "error"
        ids = {"trace_id": trace_id, "span_id": span_id, "parent_id": None if rooted else "00f0" * 4}
        blank: dict[str, object] = {field.name: None if field.nullable else "" for field in SPANS}
        rows.append(blank | cells | ids | {"available_at": start_us})
    return pa.Table.from_pylist(rows, schema=SPANS)


def traced_rows(number: int, lines: Sequence[str], count: int = REQUESTS) -> pa.Table:
    """Return `LOGS` of a minute: these lines in each request."""
    rows = []
    for request in range(count):
        trace_id, span_id = _ids(number, request)
        for place, body in enumerate(lines):
            at_us = minute(number) + request * SECOND_US // 2 + (place + 1) * 1000
            blank: dict[str, object] = {field.name: None if field.nullable else "" for field in LOGS}
            cells = {"timestamp": at_us, "log_id": request * 100 + place, "service": "cart", "severity_number": 9, "body": body}
            rows.append(blank | cells | {"trace_id": trace_id, "span_id": span_id, "available_at": at_us})
    return pa.Table.from_pylist(rows, schema=LOGS)


def traced_entries(minutes: Iterable[int], lines: Callable[[int], Sequence[str]], tenant: str = "default") -> list[streams.Entry]:
    """Return two entries a minute, its lines and its spans, as they arrive at its end."""
    made: list[streams.Entry] = []
    for number in minutes:
        arrived_us = minute(number) + 59 * SECOND_US
        for kind, rows in ((streams.KIND_LOGS, traced_rows(number, lines(number))), (streams.KIND_SPANS, span_rows(number))):
            made.append(streams.Entry(f"{len(made) + 1}-0", kind, streams.to_ipc(rows), arrived_us * 1000, arrived_us, tenant))
    return made
