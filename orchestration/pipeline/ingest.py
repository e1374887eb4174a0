"""Recorded telemetry into the lake: source → contract → accepted rows, rejected rows with their reason, graph, labels."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import ContractError, SourceError, StateError
from aiops.ports import ChangeLog, TelemetrySource
from aiops.replay.event_clock import pieces
from data_contracts.schemas.telemetry_schemas import CHANGES, LAKE_TELEMETRY, REJECTED
from data_contracts.telemetry.owners import by_tenant
from data_contracts.telemetry.validate import Validated
from orchestration.pipeline.recorded_rows import validate_recorded
from orchestration.workspace.workspace import Workspace
from serving.lake.port import Added
from serving.tables.graph_store import GraphStore
from serving.tables.rejected import Redriven, RejectedFilter, RejectedStore

_BATCH_ROWS: Final = 500_000
"""Accepted rows that are gathered before they are written: bounds memory, and keeps small chunks from making small files."""
_ROUNDS: Final = 16
"""How often a piece of 4,096 rows may hold the same point before further repetitions are refused as duplicates."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one ingest did: read = stored + already_there + rejected, exactly.

    `stored`: points that are new, or took the place of a value known earlier. `already_there`: points that the lake held, or
    that the source sent before. `reasons`: rejected rows by reason. `tenants`: accepted rows by the tenant whose lake has them.
    """

    source: str
    read: int
    stored: int
    already_there: int
    rejected: int
    reasons: Mapping[str, int]
    tenants: Mapping[str, int]
    first: datetime | None
    last: datetime | None
    seconds: float

    @property
    def points_per_second(self) -> float:
        """Return rows read, validated and written per second."""
        return self.read / self.seconds if self.seconds else 0.0

    @property
    def sum(self) -> str:
        """Return the account in words.

        >>> Ingested("csv", 3, 1, 0, 2, {}, {}, None, None, 1.0).sum
        'read 3 = stored 1 + already there 0 + rejected 2'
        """
        parts = f"stored {self.stored:,} + already there {self.already_there:,} + rejected {self.rejected:,}"
        return f"read {self.read:,} = {parts}"

    def refuse_nothing_accepted(self) -> None:
        """Raise where no row of the source is in the lake.

        Raises:
            SourceError: nothing was read.
            ContractError: everything was rejected.
        """
        if self.read == 0:
            raise SourceError(f"{self.source}: no rows were read; check --path, --start and --end")
        if self.stored + self.already_there == 0:
            counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.reasons.items()))
            raise ContractError(
                f"{self.source}: 0 of {self.read:,} rows were accepted ({counts}); `aiops rejected list` shows each with the fix"
            )


def ingest_truth(workspace: Workspace, source: TelemetrySource) -> None:
    """Write the source's call graph, incident labels and change events into the lake.

    Its calls take the place of what a source said before; those seen in traces, configured or learned stay.
    """
    write_truth(workspace, source.edges(), {"incidents": source.incidents(), "changes": source_changes(source)})


def write_truth(workspace: Workspace, edges: pa.Table, tables: Mapping[str, pa.Table]) -> None:
    """Write calls and further tables, rows that are there already once; an empty table leaves what is there."""
    if edges.num_rows:
        GraphStore(workspace.lake).replace_source(edges)
    for table, rows in tables.items():
        if rows.num_rows:
            workspace.lake.add(table, rows)


def source_changes(source: TelemetrySource) -> pa.Table:
    """Return the source's change events as `schemas.CHANGES`; none where it keeps no log of them."""
    return source.changes() if isinstance(source, ChangeLog) else CHANGES.empty_table()


def ingest(workspace: Workspace, name: str, chunks: Iterable[pa.Table], now: datetime, say: Callable[[str], None]) -> Ingested:
    """Validate chunks of recorded telemetry and write them, each point once.

    The lake is the same whatever the order, size and overlap of the chunks, and however often they come. Rows go to the lake of
    the tenant that they name; those that name none are the workspace's.

    Args:
        workspace: where the lake is.
        name: of the source; part of the rejected rows.
        chunks: tables of `schemas.TELEMETRY`, in any order.
        now: when the recording ended at the latest; rows later than that are refused.
        say: receives lines of progress.

    Raises:
        StateError: the account does not balance: a fault of the suite, and not of the data.
    """
    began, intakes = time.monotonic(), {workspace.tenant: _Intake(workspace, name, now)}
    for number, chunk in enumerate(chunks, 1):
        for tenant, rows in by_tenant(chunk, workspace.tenant):
            if tenant not in intakes:
                intakes[tenant] = _Intake(Workspace.open(workspace.settings, tenant), name, now)
            intakes[tenant].take(rows)
        if number % 10 == 0:
            read, rejected = (
                sum(counts) for counts in zip(*((i.read, i.rejected.total()) for i in intakes.values()), strict=True)
            )
            say(f"{name}: {read:,} points read, {rejected:,} rejected")
    for intake in intakes.values():
        intake.finish(say)
    done = _summed(name, intakes, time.monotonic() - began)
    say(f"{name}: {done.sum}")
    return done


class _Intake:
    """What was read so far, and what of it is still to be written."""

    def __init__(self, workspace: Workspace, name: str, now: datetime) -> None:
        self._workspace, self._name, self._now = workspace, name, now
        self._waiting: list[pa.Table] = []
        self.added = Added()
        self.times: list[datetime] = []
        self.read = 0
        self.rejected: Counter[str] = Counter()

    def take(self, chunk: pa.Table) -> None:
        """Validate a chunk; accepted rows wait until there are enough, rejected ones are stored."""
        self.read += chunk.num_rows
        accepted, rejected = _validate_chunk(self._workspace, self._name, chunk, self._now)
        if rejected.num_rows:
            self.rejected.update(str(reason) for reason in rejected["reason"].to_pylist())
            RejectedStore(self._workspace.lake).add(rejected)
        if accepted.num_rows:
            self.times += time_bounds(accepted["timestamp"])
            self.times = [min(self.times), max(self.times)]
            self._waiting.append(accepted)
        if sum(table.num_rows for table in self._waiting) >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self.added += self._workspace.lake.add("telemetry", pa.concat_tables(self._waiting))
            self._waiting = []

    def finish(self, say: Callable[[str], None]) -> None:
        """Write what waits, check the account, merge small files.

        Raises:
            StateError: the account does not balance.
        """
        self.flush()
        rejected = self.rejected.total()
        if self.read != self.added.stored + self.added.present + rejected:
            account = f"read {self.read:,}, {self.added}, rejected {rejected:,}"
            raise StateError(
                f"ingest of {self._name} for tenant {self._workspace.tenant}: {account} does not hold; ingest it again"
            )
        merged = self._workspace.lake.compact()
        if merged.files:
            say(f"{self._name}: {merged.files} small files of the lake merged into {merged.into}")


def _summed(name: str, intakes: Mapping[str, _Intake], seconds: float) -> Ingested:
    """Return the account of all tenants."""
    added, reasons = Added(), Counter[str]()
    for intake in intakes.values():
        added += intake.added
        reasons += intake.rejected
    times = [moment for intake in intakes.values() for moment in intake.times]
    first, last = (min(times), max(times)) if times else (None, None)
    tenants = {tenant: intake.added.stored + intake.added.present for tenant, intake in intakes.items() if intake.read}
    read = sum(intake.read for intake in intakes.values())
    return Ingested(name, read, added.stored, added.present, reasons.total(), dict(reasons), tenants, first, last, seconds)


def time_bounds(times: "pa.ChunkedArray[Any]") -> tuple[datetime, datetime]:
    """Return the first and the last of some times, at least one."""
    bounds: Any = pc.min_max(times).as_py()
    return bounds["min"], bounds["max"]


def redrive_rejected(workspace: Workspace, chosen: RejectedFilter, now: datetime) -> Redriven:
    """Validate rejected rows again; those that pass now go into the lake, once."""

    def into_lake(points: pa.RecordBatch, _key: str) -> None:
        workspace.lake.add("telemetry", as_lake_rows(pa.Table.from_batches([points])))

    return RejectedStore(workspace.lake).redrive(chosen, into_lake, now, workspace.settings.telemetry.future_tolerance_s)


def as_lake_rows(series: pa.Table) -> pa.Table:
    """Return accepted points as LAKE_TELEMETRY, available at their event time."""
    return series.append_column("available_at", series["timestamp"]).cast(LAKE_TELEMETRY)


def _validate_chunk(workspace: Workspace, name: str, chunk: pa.Table, now: datetime) -> tuple[pa.Table, pa.Table]:
    """Return accepted rows as LAKE_TELEMETRY and rejected rows; a point that is sent twice is accepted twice: the lake counts."""
    accepted, rejected = [], []
    tolerance = workspace.settings.telemetry.future_tolerance_s
    for piece in pieces(chunk):
        waiting = piece
        for round_number in range(_ROUNDS):
            outcome = validate_recorded(waiting, now, name, tolerance, workspace.lake.tenant)
            accepted.append(outcome.accepted)
            waiting, refused = _accepted_again(waiting, outcome)
            if not waiting.num_rows or round_number == _ROUNDS - 1:
                rejected.append(outcome.rejected)
                break
            rejected.append(refused)
    rows = pa.Table.from_batches(accepted) if accepted else None
    lake_rows = LAKE_TELEMETRY.empty_table() if rows is None else as_lake_rows(rows)
    return lake_rows, pa.Table.from_batches(rejected, schema=REJECTED)


def _accepted_again(piece: pa.Table, outcome: Validated) -> tuple[pa.Table, pa.RecordBatch]:
    """Return the rows that were refused only because the batch had their point already, and the other refusals."""
    duplicate = np.asarray(pc.equal(outcome.rejected["reason"], pa.scalar("duplicate")).to_numpy(zero_copy_only=False), np.bool_)
    rows = np.setdiff1d(np.arange(piece.num_rows), outcome.accepted_rows, assume_unique=True)[duplicate]
    return piece.take(pa.array(rows, pa.int64())), outcome.rejected.filter(pa.array(~duplicate))
