"""The archiver: copies the streams into the lake, each entry once.

A chunk is planned (its first and last id are written down on the broker), written to the lake under a key made of those ids,
and then committed. After a crash the planned chunk is written again under the same key, which replaces the same files: no row
is lost or doubled whatever happens in between. Telemetry is validated again and carries the same `available_at` that stage 1
used, so that a backfill from the lake replays what the stream saw; rows that the features refused as late or duplicate are in
the rejected table too.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import FencedError, Unavailable
from data_contracts import schemas
from serving import streams

if TYPE_CHECKING:
    from serving.lake import Lake

_FINAL_PASSES: Final = 1000
_SET: Final = """#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return redis.error_reply('FENCED') end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """`partitions` copied; a round every `every_s`; at most `chunk_entries` entries a chunk (bounds memory)."""

    partitions: tuple[int, ...]
    every_s: float = 10.0
    chunk_entries: int = 128
    future_tolerance_s: int = 300


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for one table of the lake."""

    table: str
    rows: pa.Table


class ArchivedStream:
    """One stream and how its entries become rows. Taking it fences another archiver of the same stream."""

    def __init__(self, broker: streams.Streams, stream: str, stage: str, partition: int) -> None:
        self.stream = stream
        self._broker = broker
        self._key = streams.offset(f"archive-{stage}", partition)
        self._label = f"{stage}-{partition}"
        self._epoch = broker.hash_increment(self._key, "epoch")
        held = broker.hash_all(self._key)
        self.through = held.get("id", streams.START)
        self._planned = held.get("plan", "")
        self.clock_us = int(held.get("clock_us", 0))

    def next_chunk(self, entries: int) -> list[streams.Entry]:
        """Return the chunk to write now: the planned one after a crash, else up to `entries` new entries, planned first."""
        if self._planned and streams.id_parts(self._planned) > streams.id_parts(self.through):
            return self._broker.range(self.stream, f"({self.through}", self._planned)
        found = self._broker.range(self.stream, f"({self.through}", "+", entries)
        if found:
            self._planned = found[-1].entry_id
            self._set({"plan": self._planned})
        return found

    def key(self, chunk: Sequence[streams.Entry]) -> str:
        """Return the deterministic lake key of `chunk`."""
        return f"{self._label}-{chunk[0].entry_id}-{chunk[-1].entry_id}"

    def commit(self, through: str, clock_us: int) -> None:
        """Note that everything up to `through` is in the lake."""
        self._set({"id": through, "clock_us": str(clock_us)})
        self.through, self.clock_us = through, clock_us

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
    """Copies telemetry, rejected rows, features, detections and predictions to `lake`."""

    def __init__(
        self, broker: streams.Streams, lake: "Lake", config: ArchiveConfig, note: Callable[[str, int], None] = lambda _t, _n: None
    ) -> None:
        self._broker = broker
        self._lake = lake
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
                self.catch_up(stop)
            except Unavailable as error:
                log.warning("archiver waits for the broker: %s", error)
        try:
            self.catch_up(threading.Event())
        except Unavailable as error:
            log.warning("archiver stopped before everything was copied, it goes on at the next start: %s", error)

    def catch_up(self, stop: threading.Event) -> int:
        """Copy until no stream has anything new, or stopped; return the number of rows copied."""
        if not self._taken:
            self._taken = self._take()
        total = 0
        for _ in range(_FINAL_PASSES):
            copied = [self._copy(stream) for stream in self._taken if not stop.is_set()]
            total += sum(copied)
            if not any(copied):
                break
        return total

    def _take(self) -> list[ArchivedStream]:
        taken = []
        for number in self._config.partitions:
            taken += [
                ArchivedStream(self._broker, streams.telemetry(number), "telemetry", number),
                ArchivedStream(self._broker, streams.rejected(number), "rejected", number),
                ArchivedStream(self._broker, streams.features(number), "features", number),
            ]
        if 0 in self._config.partitions:
            taken += [
                ArchivedStream(self._broker, streams.DETECTIONS, "detections", 0),
                ArchivedStream(self._broker, streams.PREDICTIONS, "predictions", 0),
            ]
        return taken

    def _copy(self, stream: ArchivedStream) -> int:
        chunk = stream.next_chunk(self._config.chunk_entries)
        if not chunk:
            return 0
        tables, clock_us = self._tables(stream, chunk)
        for part in tables:
            written = self._lake.write(part.table, part.rows, stream.key(chunk))
            self._note(part.table, written)
        stream.commit(chunk[-1].entry_id, clock_us)
        if ":rejected:" in stream.stream or ":features:" in stream.stream:
            self._broker.trim_through(stream.stream, stream.through)
        return max(1, sum(part.rows.num_rows for part in tables))

    def _tables(self, stream: ArchivedStream, chunk: Sequence[streams.Entry]) -> tuple[list[Rows], int]:
        if ":telemetry:" in stream.stream:
            return self._telemetry(chunk, stream.clock_us)
        if ":features:" in stream.stream:
            kinds = ((streams.KIND_SERIES, "series_features"), (streams.KIND_SERVICE, "service_features"))
            return [found for kind, table in kinds if (found := _joined(table, chunk, kind))], stream.clock_us
        table = stream.stream.split(":")[1]
        found = _joined(table, chunk)
        return ([found] if found else []), stream.clock_us

    def _telemetry(self, chunk: Sequence[streams.Entry], clock_us: int) -> tuple[list[Rows], int]:
        from data_contracts.codec import UndecodableError, decode
        from data_contracts.validate import SchemaError, validate

        parts: list[pa.Table] = []
        for entry in chunk:
            clock_us = max(clock_us, entry.available_us)
            if entry.kind != streams.KIND_TELEMETRY:
                continue
            now = streams.from_us(clock_us)
            try:
                valid = validate(decode(entry.payload), now, "stream", self._config.future_tolerance_s)
            except (UndecodableError, SchemaError) as error:
                log.info("entry %s is not archived, stage 1 rejects it: %s", entry.entry_id, error)
                continue
            if valid.accepted.num_rows:
                parts.append(_lake_rows(valid.accepted, clock_us))
        return ([Rows("telemetry", pa.concat_tables(parts))] if parts else []), clock_us


def _lake_rows(accepted: pa.RecordBatch, clock_us: int) -> pa.Table:
    available: Any = pa.array(np.full(accepted.num_rows, clock_us), pa.int64()).cast(schemas.TIMESTAMP)
    columns = [
        accepted.column("timestamp"),
        accepted.column("service").cast(pa.string()),
        accepted.column("metric").cast(pa.string()),
        accepted.column("value"),
        available,
    ]
    return pa.Table.from_arrays(columns, schema=schemas.LAKE_TELEMETRY)


def _joined(table: str, chunk: Sequence[streams.Entry], kind: bytes | None = None) -> Rows | None:
    parts = [streams.from_ipc(entry.payload) for entry in chunk if kind is None or entry.kind == kind]
    return Rows(table, pa.concat_tables(parts)) if parts else None
