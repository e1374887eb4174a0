"""Example traces of an incident: one that failed, one that was slow, and a normal one to compare them with.

Traces are compared as they lie in the minutes that were read, by where they enter (service and operation of their longest span).
All is decided by what is read, with ties broken by time and id, so that the same spans give the same examples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, Final

import pyarrow as pa

from aiops.signals.critical_path import TraceRole, TraceSpan

LEAST_NORMAL: Final = 5
"""Traces while all was well that tell what is normal for an entry."""
SLOW: Final = 1.5
"""A slow trace takes so many times what is normal, and longer than all but one of 20 did while all was well."""
_COLUMNS: Final = ("trace_id", "timestamp", "duration_us", "service", "name", "status")


@dataclass(slots=True)
class _Seen:
    """What is seen of a trace: its longest span, whether one of the suspect failed, and whether any did."""

    trace_id: str
    start_us: int
    duration_us: int
    entry: tuple[str, str]
    touches: bool
    suspect_failed: bool
    failed: bool


def chosen_traces(window: pa.Table, calm: pa.Table, suspect: str) -> dict[TraceRole, str]:
    """Return the id of a trace for each role, as far as there are some.

    Of spans (`SPAN_ROWS`) of the incident's window and of the time while all was well; none without a failed or a slow one.
    Traces that pass `suspect`, the service that probably began it, come first. O(spans).
    """
    now, then = _of_service(_seen(window, suspect)), _of_service(_seen(calm, suspect))
    normal = _normal(then)
    chosen: dict[TraceRole, str] = {}
    failed = min((trace for trace in now if trace.failed), key=_first, default=None)
    slow = max((trace for trace in now if _is_slow(trace, normal)), key=lambda trace: _slowness(trace, normal), default=None)
    if failed:
        chosen["failed"] = failed.trace_id
    if slow:
        chosen["slow"] = slow.trace_id
    compared = slow or failed
    alike = [trace for trace in then if compared and trace.entry == compared.entry and not trace.failed]
    if alike:
        typical = median(trace.duration_us for trace in alike)
        nearest = min(alike, key=lambda trace: (abs(trace.duration_us - typical), -trace.start_us, trace.trace_id))
        chosen["normal"] = nearest.trace_id
    return chosen


def _first(trace: _Seen) -> tuple[bool, int, str]:
    return not trace.suspect_failed, trace.start_us, trace.trace_id


def trace_spans(rows: pa.Table) -> dict[str, list[TraceSpan]]:
    """Return the spans (`SPAN_ROWS`) of each trace."""
    traces: dict[str, list[TraceSpan]] = {}
    for row in rows.to_pylist():
        start_us = _us(row["timestamp"])
        span = TraceSpan(
            row["span_id"],
            row["parent_id"] or "",
            row["service"],
            row["name"],
            row["kind"] or "",
            start_us,
            start_us + row["duration_us"],
            row["status"] == "error",
        )
        traces.setdefault(row["trace_id"], []).append(span)
    return traces


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def _seen(rows: pa.Table, suspect: str) -> list[_Seen]:
    columns: Mapping[str, list[Any]] = rows.select(list(_COLUMNS)).to_pydict()
    traces: dict[str, _Seen] = {}
    for trace_id, moment, duration_us, service, name, status in zip(*(columns[column] for column in _COLUMNS), strict=True):
        failed, own = status == "error", service == suspect
        known = traces.get(trace_id)
        if known is None:
            traces[trace_id] = _Seen(trace_id, _us(moment), duration_us, (service, name), own, own and failed, failed)
            continue
        if duration_us > known.duration_us:
            known.start_us, known.duration_us, known.entry = _us(moment), duration_us, (service, name)
        known.touches |= own
        known.failed |= failed
        known.suspect_failed |= own and failed
    return list(traces.values())


def _of_service(traces: Sequence[_Seen]) -> Sequence[_Seen]:
    """Return the traces that pass the suspect, all of them where none does."""
    return [trace for trace in traces if trace.touches] or traces


def _normal(traces: Sequence[_Seen]) -> dict[tuple[str, str], tuple[float, float]]:
    """Return, by entry, the median duration while all was well and the one that all but one of 20 stay below."""
    durations: dict[tuple[str, str], list[int]] = {}
    for trace in traces:
        if not trace.failed:
            durations.setdefault(trace.entry, []).append(trace.duration_us)
    return {
        entry: (median(lengths), float(sorted(lengths)[int(0.95 * (len(lengths) - 1))]))
        for entry, lengths in durations.items()
        if len(lengths) >= LEAST_NORMAL
    }


def _is_slow(trace: _Seen, normal: Mapping[tuple[str, str], tuple[float, float]]) -> bool:
    if trace.failed or trace.entry not in normal:
        return False
    typical, rare = normal[trace.entry]
    return trace.duration_us > max(SLOW * typical, rare)


def _slowness(trace: _Seen, normal: Mapping[tuple[str, str], tuple[float, float]]) -> tuple[float, int, str]:
    return trace.duration_us / max(normal[trace.entry][0], 1.0), -trace.start_us, trace.trace_id
