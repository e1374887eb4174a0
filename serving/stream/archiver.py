"""The archiver: copies the streams into each tenant's lake, each entry once, in few files.

Entries gather in an open part: one file a tenant and table whose key names the part's first entry. A round writes the whole part
anew under that key, which replaces the file, so a crash at any point neither loses nor doubles a row. A part is closed when it
has `chunk_entries` entries or is `part_s` old; only then may its entries leave the broker. Telemetry is validated again and
carries the same `available_at` that stage 1 used, so that a backfill from the lake replays what the stream saw; rows that the
features refused as late or duplicate are in the rejected table too.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import FencedError, Unavailable
from data_contracts.schemas import telemetry_schemas
from data_contracts.series.tenant import DEFAULT_TENANT, tenant_fault
from data_contracts.values.moments import moment_of_us
from serving.host.full_disk import is_full
from serving.host.log_rate_limit import LineLimit
from serving.stream import streams

if TYPE_CHECKING:
    from serving.lake.port import Lake

_FINAL_PASSES: Final = 1000
_CLOCK: Final = "clock_us"
_SET: Final = """#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return redis.error_reply('FENCED') end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""

log = logging.getLogger(__name__)
_lines = LineLimit(log)


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """`partitions` copied; a round every `every_s`; a part has `chunk_entries` entries at most (bounds memory and the broker)."""

    partitions: tuple[int, ...]
    every_s: float = 10.0
    part_s: float = 900.0
    chunk_entries: int = 128
    future_tolerance_s: int = 300


@dataclass(frozen=True, slots=True)
class Archived:
    """What a stream is to the archiver: the table each kind of entry goes to, and what becomes of the stream afterwards."""

    stage: str
    tables: Mapping[bytes, str]
    validated: bool = False
    """Entries are raw telemetry: only what the contract accepts is kept, with the time at which it became available."""
    trimmed: bool = False
    """Nobody else reads it: what is in the lake leaves the broker."""


TELEMETRY: Final = Archived("telemetry", {streams.KIND_TELEMETRY: "telemetry"}, validated=True)
REJECTED: Final = Archived("rejected", {streams.KIND_TELEMETRY: "rejected"}, trimmed=True)
FEATURES: Final = Archived(
    "features", {streams.KIND_SERIES: "series_features", streams.KIND_SERVICE: "service_features"}, trimmed=True
)
DETECTIONS: Final = Archived("detections", {streams.KIND_SERVICE: "detections"})
PREDICTIONS: Final = Archived("predictions", {streams.KIND_SERVICE: "predictions"})


@dataclass(frozen=True, slots=True)
class TenantRows:
    """Rows for one table of one tenant's lake."""

    tenant: str
    table: str
    rows: pa.Table


class ArchivedStream:
    """One stream and its open part. Taking it fences another archiver of the same stream.

    On the broker: `id` = everything up to here is in the lake; `part` = the open part begins after it; as of there, the clock of
    each tenant: `clock_us` of the default one, `clock_us:<tenant>` of the others.
    """

    def __init__(self, broker: streams.Streams, stream: str, kind: Archived, partition: int) -> None:
        self.stream = stream
        self.kind = kind
        self._broker = broker
        self._key = streams.offset(f"archive-{kind.stage}", partition)
        self._label = f"{kind.stage}-{partition}"
        self._epoch = broker.hash_increment(self._key, "epoch")
        stored = broker.hash_all(self._key)
        self.through = stored.get("id", streams.START)
        self.part_after = stored.get("part", self.through)
        self.clocks_us = {_clock_tenant(name): int(value) for name, value in stored.items() if name.startswith(_CLOCK)}
        self._opened_s = time.monotonic()
        self._counted: Counter[tuple[str, str]] = Counter()

    def next_chunk(self, entries: int, closing: bool) -> list[streams.Entry]:
        """Return the open part with what is new, up to `entries` entries; nothing where nothing is new, unless `closing`."""
        chunk = self._broker.range(self.stream, f"({self.part_after}", "+", entries)
        if self.through == self.part_after:
            self._opened_s = time.monotonic()
        return chunk if chunk and (closing or chunk[-1].entry_id != self.through) else []

    def is_due(self, part_s: float) -> bool:
        """Return whether the open part is `part_s` old."""
        return self.through != self.part_after and time.monotonic() - self._opened_s >= part_s

    def key(self, chunk: Sequence[streams.Entry]) -> str:
        """Return the lake key of the part that `chunk` is."""
        return f"{self._label}-{chunk[0].entry_id}"

    def count(self, part: TenantRows, rows: int) -> int:
        """Return how many of the part's rows of a tenant in a table were not counted before."""
        place = (part.tenant, part.table)
        new = rows - self._counted[place]
        self._counted[place] = rows
        return new

    def keep_open(self, through: str) -> None:
        """Note that everything up to `through` is in the lake."""
        self._set({"id": through, "part": self.part_after})
        self.through = through

    def close(self, through: str, clocks_us: Mapping[str, int]) -> None:
        """Note that everything up to `through` is in the lake and needed no more; the next part begins after it."""
        self._set({"id": through, "part": through, **{_clock_field(tenant): str(us) for tenant, us in clocks_us.items()}})
        self.through, self.part_after, self.clocks_us = through, through, dict(clocks_us)
        self._counted.clear()

    def _set(self, values: dict[str, str]) -> None:
        import redis

        words = [word for pair in values.items() for word in pair]
        try:
            self._broker.evaluate(_SET, [self._key], [str(self._epoch), *words])
        except redis.ResponseError as error:
            if "FENCED" in str(error):
                raise FencedError(f"{self._key}: another archiver took this stream; this one must stop") from error
            raise


class Archiver:
    """Copies telemetry, rejected rows, features, detections and predictions to the lakes of their tenants."""

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
        self._taken: list[ArchivedStream] = []

    def run(self, stop: threading.Event) -> None:
        """Copy every `every_s` until stopped, then once more.

        Raises:
            FencedError: another archiver took over.
        """
        while not stop.wait(self._config.every_s):
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

    def catch_up(self, stop: threading.Event, closing: bool = True) -> int:
        """Copy until no stream has anything new, or stopped; return the rows copied. `closing`: no part stays open."""
        if not self._taken:
            self._taken = self._take()
        total = 0
        for _ in range(_FINAL_PASSES):
            copied = [self._copy(stream, closing) for stream in self._taken if not stop.is_set()]
            total += sum(copied)
            if not any(copied):
                break
        return total

    def _take(self) -> list[ArchivedStream]:
        taken = []
        for number in self._config.partitions:
            taken += [
                ArchivedStream(self._broker, streams.telemetry(number), TELEMETRY, number),
                ArchivedStream(self._broker, streams.rejected(number), REJECTED, number),
                ArchivedStream(self._broker, streams.features(number), FEATURES, number),
            ]
        if 0 in self._config.partitions:
            taken += [
                ArchivedStream(self._broker, streams.DETECTIONS, DETECTIONS, 0),
                ArchivedStream(self._broker, streams.PREDICTIONS, PREDICTIONS, 0),
            ]
        return taken

    def _copy(self, stream: ArchivedStream, closing: bool) -> int:
        config = self._config
        closing = closing or stream.is_due(config.part_s)
        chunk = stream.next_chunk(config.chunk_entries, closing)
        if not chunk:
            return 0
        clocks_us = dict(stream.clocks_us)
        parts = self._validated(chunk, clocks_us) if stream.kind.validated else _joined(stream.kind, chunk)
        copied = 0
        for part in parts:
            new = stream.count(part, self._lake_of(part.tenant).write(part.table, part.rows, stream.key(chunk)))
            self._note(part.table, new)
            copied += new
        if not closing and len(chunk) < config.chunk_entries:
            stream.keep_open(chunk[-1].entry_id)
            return copied
        stream.close(chunk[-1].entry_id, clocks_us)
        if stream.kind.trimmed:
            self._broker.trim_through(stream.stream, stream.through)
        return max(1, copied)

    def _validated(self, chunk: Sequence[streams.Entry], clocks_us: dict[str, int]) -> list[TenantRows]:
        """Return what the contract accepts, by tenant; moves the tenants' clocks as stage 1 does."""
        from data_contracts.telemetry.codec import UndecodableError, decode
        from data_contracts.telemetry.validate import SchemaError, validate

        accepted: dict[str, list[pa.Table]] = {}
        for entry in chunk:
            if tenant_fault(entry.tenant) is not None:
                continue
            clock_us = clocks_us[entry.tenant] = max(clocks_us.get(entry.tenant, 0), entry.available_us)
            if entry.kind not in TELEMETRY.tables:
                continue
            try:
                tolerance_s = self._config.future_tolerance_s
                valid = validate(decode(entry.payload), moment_of_us(clock_us), "stream", tolerance_s, entry.tenant)
            except (UndecodableError, SchemaError) as error:
                log.info("entry %s is not archived, stage 1 rejects it: %s", entry.name, error)
                continue
            if valid.accepted.num_rows:
                accepted.setdefault(entry.tenant, []).append(_lake_rows(valid.accepted, clock_us))
        table = TELEMETRY.tables[streams.KIND_TELEMETRY]
        return [TenantRows(tenant, table, pa.concat_tables(tables)) for tenant, tables in accepted.items()]


def _clock_field(tenant: str) -> str:
    return _CLOCK if tenant == DEFAULT_TENANT else f"{_CLOCK}:{tenant}"


def _clock_tenant(field: str) -> str:
    return field.removeprefix(_CLOCK).removeprefix(":") or DEFAULT_TENANT


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
            parts.setdefault((entry.tenant, kind.tables[entry.kind]), []).append(streams.from_ipc(entry.payload))
    return [TenantRows(tenant, table, pa.concat_tables(tables)) for (tenant, table), tables in parts.items()]
