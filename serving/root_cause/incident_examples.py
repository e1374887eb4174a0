"""Example traces of an incident, read whole from the lake: all services, some minutes around, what was known at the time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from aiops.incidents.root_cause import ExampleTrace
from aiops.signals.critical_path import TraceRole, TraceSpan, critical_path, root_of
from aiops.signals.example_traces import chosen_traces, trace_spans
from data_contracts.series.series_name import SeriesName
from data_contracts.values.moments import moment_of_us
from serving.lake.port import Lake
from serving.root_cause.incident_requests import SPAN_COLUMNS, RequestSpans

AROUND: Final = timedelta(minutes=10)
"""How far from the spans that chose it the others of a trace are looked for."""
MOST_SPANS: Final = 60_000
"""Spans read of all examples together; of longer ones the first."""


def examples_of(lake: Lake, spans: RequestSpans, suspect: str, known_at: datetime) -> tuple[ExampleTrace, ...]:
    """Return a failed, a slow and a normal trace, as far as there are some.

    Raises:
        StateError: the lake is damaged.
    """
    chosen = chosen_traces(spans.window, spans.calm, suspect)
    if not chosen:
        return ()
    rows = _whole(lake, spans, sorted(chosen.values()), known_at)
    traces = trace_spans(rows)
    named = _exemplars(lake, rows, sorted(chosen.values()), known_at)
    examples = []
    for role, trace_id in chosen.items():
        spans_of_trace = traces.get(trace_id, [])
        root = root_of(spans_of_trace)
        if root is not None:
            examples.append(_example(role, trace_id, root, spans_of_trace))
    return tuple(replace(example, exemplar_of=named.get(example.trace_id, ())) for example in examples)


def _example(role: TraceRole, trace_id: str, root: TraceSpan, spans: Sequence[TraceSpan]) -> ExampleTrace:
    failed = sum(span.failed for span in spans)
    lasting_ms = (root.end_us - root.start_us) / 1000
    begin = moment_of_us(root.start_us)
    return ExampleTrace(role, trace_id, begin, lasting_ms, root.service, root.operation, failed, critical_path(spans))


def _whole(lake: Lake, spans: RequestSpans, trace_ids: Sequence[str], known_at: datetime) -> pa.Table:
    parts, read = [], set[str]()
    for seen in (spans.window, spans.calm):
        chosen: Any = pc.is_in(seen["trace_id"], pa.array([trace for trace in trace_ids if trace not in read]))
        of_chosen = seen.filter(chosen)
        if len(of_chosen):
            times, own = of_chosen["timestamp"], {str(trace) for trace in of_chosen["trace_id"].to_pylist()}
            begin, end = pc.min(times).as_py() - AROUND, pc.max(times).as_py() + AROUND
            rows = lake.read("spans", begin, end, [*SPAN_COLUMNS, "available_at"], {"trace_id": sorted(own)})
            read |= own
            parts.append(_known(rows, known_at).select(list(SPAN_COLUMNS)))
    return pa.concat_tables(parts).slice(0, MOST_SPANS)


def _known(rows: pa.Table, known_at: datetime) -> pa.Table:
    known: Any = pc.less_equal(rows["available_at"], pa.scalar(known_at, rows["available_at"].type))
    return rows.filter(known)


def _exemplars(lake: Lake, rows: pa.Table, trace_ids: Sequence[str], known_at: datetime) -> dict[str, tuple[str, ...]]:
    """Return, by trace, the series that it is an exemplar of."""
    begin, end = pc.min(rows["timestamp"]).as_py() - AROUND, pc.max(rows["timestamp"]).as_py() + AROUND
    columns = ["timestamp", "series_id", "trace_id", "available_at"]
    sent = _known(lake.read("exemplars", begin, end, columns, {"trace_id": trace_ids}), known_at)
    if not sent.num_rows:
        return {}
    ids = [int(series_id) for series_id in dict.fromkeys(sent["series_id"].to_pylist()) if series_id is not None]
    catalogue = lake.read("series", None, None, list(SeriesName._fields), {"series_id": ids})
    names = {row["series_id"]: SeriesName(**row).text for row in catalogue.to_pylist()}
    named: dict[str, set[str]] = {}
    for row in sent.to_pylist():
        if row["series_id"] in names:
            named.setdefault(row["trace_id"], set()).add(names[row["series_id"]])
    return {trace_id: tuple(sorted(series)) for trace_id, series in named.items()}
