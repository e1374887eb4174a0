"""Recorded telemetry into the lake: source → contract → accepted rows, rejected rows with their reason, graph, labels."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aiops.clock import pieces
from aiops.ports import ChangeLog, TelemetrySource
from data_contracts.schemas import CHANGES, LAKE_TELEMETRY, REJECTED
from orchestration.pipeline.recorded import validate_recorded
from orchestration.workspace import Workspace
from serving.graph_store import GraphStore
from serving.rejected import Redriven, RejectedFilter, RejectedStore


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one ingest did; points_in = accepted + rejected."""

    source: str
    points_in: int
    accepted: int
    rejected: int
    first: datetime | None
    last: datetime | None
    seconds: float

    @property
    def points_per_second(self) -> float:
        """Return rows read, validated and written per second."""
        return self.points_in / self.seconds if self.seconds else 0.0


def ingest_truth(workspace: Workspace, source: TelemetrySource) -> None:
    """Write the source's call graph, incident labels and change events into the lake.

    Its calls take the place of what a source said before; those seen in traces, configured or learned stay.
    """
    write_truth(workspace, source.name, source.edges(), {"incidents": source.incidents(), "changes": source_changes(source)})


def write_truth(workspace: Workspace, name: str, edges: pa.Table, tables: Mapping[str, pa.Table]) -> None:
    """Write calls and further tables under the name of their source; an empty one leaves what is there."""
    if edges.num_rows:
        GraphStore(workspace.lake).replace_source(edges)
    for table, rows in tables.items():
        if rows.num_rows:
            workspace.lake.write(table, rows, key=name)


def source_changes(source: TelemetrySource) -> pa.Table:
    """Return the source's change events as `schemas.CHANGES`; none where it keeps no log of them."""
    return source.changes() if isinstance(source, ChangeLog) else CHANGES.empty_table()


def ingest(workspace: Workspace, name: str, chunks: Iterable[pa.Table], now: datetime, say: Callable[[str], None]) -> Ingested:
    """Validate chunks of recorded telemetry and write them; the same chunks written twice leave the lake as it was.

    Args:
        workspace: where the lake is.
        name: of the source; part of the file keys and of the rejected rows.
        chunks: tables of `schemas.TELEMETRY`, in any order.
        now: when the recording ended at the latest; rows later than that are refused.
        say: receives one line of progress a chunk.
    """
    began, read, kept = time.monotonic(), 0, 0
    first: datetime | None = None
    last: datetime | None = None
    store = RejectedStore(workspace.lake)
    for number, chunk in enumerate(chunks, 1):
        accepted, rejected = _validate_chunk(workspace, name, chunk, now)
        read += chunk.num_rows
        if accepted.num_rows:
            begin, end = time_bounds(accepted["timestamp"])
            first, last = min(first or begin, begin), max(last or end, end)
            workspace.lake.write("telemetry", accepted, key=f"{name}-{begin:%Y%m%dT%H%M%S}-{end:%Y%m%dT%H%M%S}")
            kept += accepted.num_rows
        if rejected.num_rows:
            store.add(rejected.combine_chunks().to_batches()[0], key=f"{name}-{read}")
        if number % 10 == 0:
            say(f"{name}: {read:,} points read, {kept:,} in the lake, {read - kept:,} rejected")
    return Ingested(name, read, kept, read - kept, first, last, time.monotonic() - began)


def time_bounds(times: "pa.ChunkedArray[Any]") -> tuple[datetime, datetime]:
    """Return the first and the last of some times, at least one."""
    bounds: Any = pc.min_max(times).as_py()
    return bounds["min"], bounds["max"]


def redrive_rejected(workspace: Workspace, chosen: RejectedFilter, now: datetime) -> Redriven:
    """Validate rejected rows again; those that pass now go into the lake under a key of their own, once."""

    def into_lake(points: pa.RecordBatch, key: str) -> None:
        workspace.lake.write("telemetry", _as_lake_rows(pa.Table.from_batches([points])), key)

    return RejectedStore(workspace.lake).redrive(chosen, into_lake, now, workspace.settings.telemetry.future_tolerance_s)


def _as_lake_rows(series: pa.Table) -> pa.Table:
    """Return accepted points as LAKE_TELEMETRY, available at their event time."""
    return series.append_column("available_at", series["timestamp"]).cast(LAKE_TELEMETRY)


def _validate_chunk(workspace: Workspace, name: str, chunk: pa.Table, now: datetime) -> tuple[pa.Table, pa.Table]:
    """Return accepted rows as LAKE_TELEMETRY and rejected rows."""
    accepted, rejected = [], []
    tolerance = workspace.settings.telemetry.future_tolerance_s
    for piece in pieces(chunk):
        outcome = validate_recorded(piece, now, name, tolerance, workspace.lake.tenant)
        accepted.append(outcome.accepted)
        rejected.append(outcome.rejected)
    return _as_lake_rows(pa.Table.from_batches(accepted)), pa.Table.from_batches(rejected, schema=REJECTED)
