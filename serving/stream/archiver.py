"""The archiver: copies the streams into each tenant's lake, each entry once, in few files.

Entries gather in an open part: one file a tenant and table whose key names the part's first entry. A round writes the whole part
anew under that key, which replaces the file, so a crash at any point neither loses nor doubles a row. A part is closed when it
has `chunk_entries` entries or `chunk_bytes`, is `part_s` old, or nothing of it goes to the lake; only then may its entries leave
the broker. Telemetry is validated again and carries the same `available_at` that stage 1 used, so that a backfill from the lake
replays what the stream saw; rows that the features refused as late or duplicate are in the rejected table too. Received points
come as stage 1 scored them, and get their names here (`scored_points`).
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import Unavailable
from data_contracts.schemas import telemetry_schemas
from data_contracts.series.tenant import tenant_fault
from data_contracts.values.moments import moment_of_us
from serving.host.full_disk import is_full
from serving.host.log_rate_limit import LineLimit
from serving.lake.lake_tables import spec_of
from serving.stream import archived_stream, streams
from serving.stream.archived_stream import PART_BYTES, Archived, ArchivedStream, Part, TenantRows
from serving.stream.ownership.holdings import Holder, Holdings
from serving.stream.ownership.ownership import FixedOwnership, Ownership
from serving.stream.scored_points import ScoredPoints

if TYPE_CHECKING:
    from serving.lake.port import Lake

_FINAL_PASSES: Final = 1000
_FOLLOW_S: Final = 0.5
"""How long a partition that is to move waits for the archiver at most, between its rounds."""

log = logging.getLogger(__name__)
_lines = LineLimit(log)


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """`partitions` copied; a round every `every_s`; a part has `chunk_entries` entries at most and about `chunk_bytes`.

    The latter two bound memory and the broker.
    """

    partitions: tuple[int, ...]
    every_s: float = 10.0
    part_s: float = 900.0
    chunk_entries: int = 128
    max_backlog: int = 1000
    """Entries at which the writer of a stream waits: an open part, which stays in the stream, has half as many at most."""

    chunk_bytes: int = PART_BYTES
    future_tolerance_s: int = 300
    ownership: Ownership | None = None
    """Which partitions are ours now; None = `partitions`."""
    signals_read: bool = True
    """Whether series are made of logs and spans: their stream has another reader then, where one ever took it."""

    def part_entries(self, kind: Archived) -> int:
        """Return how many entries a part of a stream has at most."""
        return max(1, min(self.chunk_entries * kind.lengthening, self.max_backlog // 2))


@dataclass(frozen=True, slots=True)
class _Copied:
    """Rows of a stream that were copied; `again`: there may be more to copy in the same round."""

    rows: int
    again: bool


@dataclass(slots=True)
class _Round:
    """One pass over the streams that are `behind`: rows copied so far, and the streams that may have more."""

    stop: threading.Event
    closing: bool
    behind: set[ArchivedStream]
    rows: int = 0
    again: set[ArchivedStream] = field(default_factory=set)


class Archiver:
    """Copies telemetry, points, features, detections, predictions, signals and rejected rows to the lakes of their tenants."""

    def __init__(
        self,
        broker: streams.Streams,
        lake_of: "Callable[[str], Lake]",
        config: ArchiveConfig,
        note: Callable[[str, int], None] = lambda _t, _n: None,
    ) -> None:
        self._broker = broker
        self._lake_of = lake_of
        self._config = config
        self._note = note
        self._points = ScoredPoints(lake_of)
        self._partitions = Holdings(
            config.ownership or FixedOwnership(frozenset(config.partitions)), Holder("archiver", self._take)
        )

    def run(self, stop: threading.Event) -> None:
        """Copy every `every_s` until stopped, then once more.

        Raises:
            FencedError: another archiver took over what is not shared.
        """
        while not self._waited(stop):
            try:
                self.catch_up(stop, closing=False)
            except Unavailable as error:
                _lines.warn("broker", f"archiver waits for the broker: {error}")
            except OSError as error:
                if not is_full(error):
                    raise
                _lines.warn("room", f"archiver waits for room on the disk ({error}); nothing is trimmed meanwhile")
        try:
            self.catch_up(threading.Event())
        except Unavailable as error:
            log.warning("archiver stopped before everything was copied, it goes on at the next start: %s", error)
        except OSError as error:
            if not is_full(error):
                raise
            log.warning("archiver stopped without room for everything, it goes on at the next start: %s", error)
        self._partitions.end()

    def _waited(self, stop: threading.Event) -> bool:
        """Wait for the next round, giving up meanwhile what others are to have; return whether to stop."""
        round_at = time.monotonic() + self._config.every_s
        while (left_s := round_at - time.monotonic()) > 0:
            if stop.wait(min(_FOLLOW_S, left_s)):
                return True
            try:
                self._partitions.follow()
                if self._is_pressed():
                    break
            except Unavailable as error:
                _lines.warn("broker", f"archiver waits for the broker: {error}")
        return stop.is_set()

    def _is_pressed(self) -> bool:
        """Return whether a stream of signals fills up, so that senders would have to wait for a round: each request is an entry.

        Other streams have open parts that may be half of what fits, and writers that join more in an entry.
        """
        config = self._config
        return any(
            self._broker.length(stream.stream) > config.part_entries(stream.kind) + config.max_backlog // 4
            for taken in self._partitions.items.values()
            for stream in taken
            if stream.kind.stage == archived_stream.SIGNALS.stage
        )

    def catch_up(self, stop: threading.Event, closing: bool = True) -> int:
        """Copy what is there now; return the rows copied. `closing`: no part stays open, until no stream has anything new.

        Else a stream whose part is not full is copied once: what comes meanwhile is for the next round.
        """
        self._partitions.follow()
        total, behind = 0, {stream for taken in self._partitions.items.values() for stream in taken}
        for _ in range(_FINAL_PASSES):
            rounds = _Round(stop, closing, behind)
            self._partitions.work(partial(self._copy_all, rounds))
            total, behind = total + rounds.rows, rounds.again
            if not behind or stop.is_set():
                break
        return total

    def _copy_all(self, now: "_Round", taken: Sequence[ArchivedStream]) -> bool:
        for stream in taken:
            if stream in now.behind and not now.stop.is_set():
                copied = self._copy(stream, now.closing)
                now.rows += copied.rows
                if copied.again:
                    now.again.add(stream)
        return True

    def _take(self, number: int) -> list[ArchivedStream]:
        broker = self._broker
        signals = archived_stream.SIGNALS if self._config.signals_read else replace(archived_stream.SIGNALS, reader="")
        taken = [
            ArchivedStream(broker, streams.telemetry(number), archived_stream.TELEMETRY, number),
            ArchivedStream(broker, streams.rejected(number), archived_stream.REJECTED, number),
            ArchivedStream(broker, streams.features(number), archived_stream.FEATURES, number),
            ArchivedStream(broker, streams.points(number), archived_stream.POINTS, number),
            ArchivedStream(broker, streams.signals(number), signals, number),
        ]
        if number == 0:
            taken += [
                ArchivedStream(broker, streams.DETECTIONS, archived_stream.DETECTIONS, 0),
                ArchivedStream(broker, streams.PREDICTIONS, archived_stream.PREDICTIONS, 0),
            ]
        return taken

    def _copy(self, stream: ArchivedStream, last: bool) -> "_Copied":
        config = self._config
        closing = last or stream.is_due(config.part_s)
        part = stream.next_part(config.part_entries(stream.kind), config.chunk_bytes, closing)
        if part is None:
            return _Copied(0, again=False)
        clocks_us = dict(stream.clocks_us)
        tables = self._rows(stream.kind, part, clocks_us)
        copied = 0
        stream.confirm()  # one that was stopped for long must not put its older part in place of a newer
        for rows in tables:
            new = stream.count(rows, self._lake_of(rows.tenant).write(rows.table, rows.rows, stream.key(part)))
            self._note(rows.table, new)
            copied += new
        if tables and not closing and not part.full:
            stream.keep_open(part)
            return _Copied(copied, again=False)
        stream.close(part, clocks_us)
        if stream.kind.trimmed:
            self._broker.trim_through(stream.stream, stream.needed_no_more())
        return _Copied(max(1, copied), again=last or part.full)

    def _rows(self, kind: Archived, part: Part, clocks_us: dict[str, int]) -> list[TenantRows]:
        if kind.validated:
            return self._validated(part.entries, clocks_us)
        return self._points.rows(part.entries) if kind is archived_stream.POINTS else _joined(kind, part.entries)

    def _validated(self, chunk: Sequence[streams.Entry], clocks_us: dict[str, int]) -> list[TenantRows]:
        """Return what the contract accepts, by tenant; moves the tenants' clocks as stage 1 does."""
        from data_contracts.telemetry.codec import UndecodableError, decode
        from data_contracts.telemetry.validate import SchemaError, validate

        accepted: dict[str, list[pa.Table]] = {}
        for entry in chunk:
            if tenant_fault(entry.tenant) is not None:
                continue
            clock_us = clocks_us[entry.tenant] = max(clocks_us.get(entry.tenant, 0), entry.available_us)
            if entry.kind not in archived_stream.TELEMETRY.tables:
                continue
            try:
                tolerance_s = self._config.future_tolerance_s
                valid = validate(decode(entry.payload), moment_of_us(clock_us), "stream", tolerance_s, entry.tenant)
            except (UndecodableError, SchemaError) as error:
                log.info("entry %s is not archived, stage 1 rejects it: %s", entry.name, error)
                continue
            if valid.accepted.num_rows:
                accepted.setdefault(entry.tenant, []).append(_lake_rows(valid.accepted, clock_us))
        table = archived_stream.TELEMETRY.tables[streams.KIND_TELEMETRY]
        return [TenantRows(tenant, table, pa.concat_tables(tables)) for tenant, tables in accepted.items()]


def _lake_rows(accepted: pa.RecordBatch, clock_us: int) -> pa.Table:
    available: Any = pa.array(np.full(accepted.num_rows, clock_us), pa.int64()).cast(telemetry_schemas.TIMESTAMP)
    columns = [
        accepted.column("timestamp"),
        accepted.column("series_id"),
        *(accepted.column(name).cast(pa.string()) for name in ("service", "metric", "labels")),
        accepted.column("value"),
        available,
    ]
    return pa.Table.from_arrays(columns, schema=telemetry_schemas.LAKE_TELEMETRY)


def _joined(kind: Archived, chunk: Sequence[streams.Entry]) -> list[TenantRows]:
    """Return the rows of the entries by tenant and table."""
    parts: dict[tuple[str, str], list[pa.Table]] = {}
    for entry in chunk:
        if entry.kind in kind.tables:
            table = kind.tables[entry.kind]
            parts.setdefault((entry.tenant, table), []).append(_with_optional(table, streams.from_ipc(entry.payload)))
    joined = {key: pa.concat_tables(tables, promote_options="default") for key, tables in parts.items()}
    return [TenantRows(tenant, table, rows.unify_dictionaries()) for (tenant, table), rows in joined.items()]


def _with_optional(table: str, rows: pa.Table) -> pa.Table:
    """Return rows with the optional columns that an older sender did not know, null."""
    for cells in spec_of(table).schema:
        if cells.nullable and cells.name not in rows.schema.names:
            rows = rows.append_column(cells.name, pa.nulls(rows.num_rows))
    return rows
