"""What the commands `aiops graph …` do: import calls from tables and traces, learn them from telemetry."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import FileError, SourceError
from aiops.topology.graph import LEARNED
from aiops.topology.graph_history import ALWAYS
from aiops.topology.span_calls import SpanCounts
from models.rca.granger import GrangerConfig, LearnedEdge, granger_edges
from orchestration.workspace.workspace import Workspace
from serving.ingest.pull.source_options import SpanColumns
from serving.ingest.pull.span_files import read_calls
from serving.root_cause.incident_telemetry import IncidentTelemetry, TelemetryConfig
from serving.tables.graph_store import FORGET_AFTER, GraphChange, GraphStore

FORGET_LEARNED_AFTER: Final = timedelta(days=30)
"""A learned call that no later look finds again is dropped: series move together for reasons that pass."""
INSTANT: Final = timedelta(microseconds=1)
"""The end of a window is exclusive; the newest point belongs to it."""
_NAMED_WITHIN: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TracesImport:
    """A file of spans to import; `at` = up to when it looks (None = its newest call)."""

    path: Path
    columns: SpanColumns = field(default_factory=SpanColumns)
    at: datetime | None = None
    forget_after: timedelta = FORGET_AFTER
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class TracesImported:
    """What a file of spans said, and what that changed."""

    at: datetime
    spans: SpanCounts
    change: GraphChange


@dataclass(frozen=True, slots=True)
class Learning:
    """How to learn calls: from `hours` of telemetry before `end` (None = the newest), at steps of `step_s`."""

    hours: float = 24.0
    end: datetime | None = None
    step_s: int = 60
    config: GrangerConfig = field(default_factory=GrangerConfig)


@dataclass(frozen=True, slots=True)
class Learned:
    """Calls that were learned; `change` is None where nothing was written."""

    since: datetime
    until: datetime
    services: int
    edges: tuple[LearnedEdge, ...]
    change: GraphChange | None


def import_edges(workspace: Workspace, edges: pa.Table, origin: str, at: datetime) -> GraphChange:
    """Import calls as `schemas.EDGES`. With times of their own they replace what their origin said; any other holds from `at` on.

    Raises:
        ContractError: the origin is unknown, or has said something about a time after `at`.
    """
    store = GraphStore(workspace.lake)
    marked = edges.set_column(edges.column_names.index("origin"), "origin", pa.array([origin] * edges.num_rows, pa.string()))
    timed = pc.call_function(
        "any", [pc.call_function("not_equal", [edges["valid_from"], pa.scalar(ALWAYS, edges["valid_from"].type)])]
    )
    if timed.as_py() or edges["valid_to"].null_count < edges.num_rows:
        return store.replace_source(marked, origin)
    calls = zip(edges["caller"].to_pylist(), edges["callee"].to_pylist(), strict=True)
    return store.replace_configured(((str(caller), str(callee)) for caller, callee in calls), at, origin)


def import_traces(workspace: Workspace, request: TracesImport) -> TracesImported:
    """Import the calls among the spans of a file.

    Raises:
        SourceError: the file cannot be read, or its spans have no times and `at` was not given.
        ContractError: spans are later than `at`.
    """
    calls = read_calls(request.path, request.columns, request.encoding)
    if not calls.seen.num_rows:
        counts = ", ".join(f"{name} {count:,}" for name, count in asdict(calls.counts).items() if count)
        raise FileError(f"{request.path}: no span calls another service ({counts}); give traces that cross services")
    at = request.at or calls.last
    if at is None:
        raise SourceError(f"{request.path}: no call has a time; say when they were seen with --at 2026-01-31T12:00:00Z")
    change = GraphStore(workspace.lake).observe(calls.seen, at, "traces", request.forget_after)
    return TracesImported(at, calls.counts, change)


def learn(workspace: Workspace, request: Learning, dry_run: bool, say: Callable[[str], None]) -> Learned:
    """Learn calls between services that the graph does not connect and keep them, marked as learned.

    Raises:
        SourceError: the lake holds no telemetry.
    """
    store, end = GraphStore(workspace.lake), request.end or workspace.newest_telemetry() + INSTANT
    since = end - timedelta(hours=request.hours)
    services = _services(workspace, max(since, end - _NAMED_WITHIN), end)
    say(f"{len(services)} services, {since:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}")
    grid = IncidentTelemetry(workspace.lake, TelemetryConfig(request.step_s, request.hours)).calm(end, services)
    edges = granger_edges(grid, store.graph(), request.config)
    change = None
    if not dry_run:
        columns: dict[str, Any] = {
            "caller": pa.array([edge.caller for edge in edges], pa.string()),
            "callee": pa.array([edge.callee for edge in edges], pa.string()),
            "weight": pa.array([edge.weight for edge in edges], pa.float64()),
        }
        change = store.observe(pa.table(columns), end, LEARNED, FORGET_LEARNED_AFTER)
    return Learned(since, end, len(services), edges, change)


def _services(workspace: Workspace, start: datetime, end: datetime) -> list[str]:
    rows = workspace.lake.read("telemetry", start, end, ["service"])
    return sorted(str(name) for name in rows["service"].unique().to_pylist())
