"""The archiver: copies the streams into the lake, each entry once, in few files.

Entries gather in an open part: one file a table whose key names the part's first entry. A round writes the whole part anew
under that key, which replaces the file, so a crash at any point neither loses nor doubles a row. A part is closed when it has
`chunk_entries` entries or is `part_s` old; only then may its entries leave the broker. Telemetry is validated again and carries
the same `available_at` that stage 1 used, so that a backfill from the lake replays what the stream saw; rows that the features
refused as late or duplicate are in the rejected table too.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import FencedError, Unavailable
from data_contracts import schemas
from data_contracts.moments import moment_of_us
from serving import streams

if TYPE_CHECKING:
    from serving.lake.port import Lake

_FINAL_PASSES: Final = 1000
_SET: Final = """#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return redis.error_reply('FENCED') end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """`partitions` copied; a round every `every_s`; a part has `chunk_entries` entries at most (bounds memory and the broker)."""

    partitions: tuple[int, ...]
    every_s: float = 10.0
    part_s: float = 900.0
    chunk_entries: int = 128
    future_tolerance_s: int = 300


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for one table of the lake."""

    table: str
    rows: pa.Table


class ArchivedStream:
    """One stream and its open part. Taking it fences another archiver of the same stream.

    On the broker: `id` = everything up to here is in the lake; `part` = the open part begins after it; `clock_us` as of there.
    """

    def __init__(self, broker: streams.Streams, stream: str, stage: str, partition: int) -> None:
        self.stream = stream
        self._broker = broker
        self._key = streams.offset(f"archive-{stage}", partition)
        self._label = f"{stage}-{partition}"
        self._epoch = broker.hash_increment(self._key, "epoch")
        held = broker.hash_all(self._key)
        self.through = held.get("id", streams.START)
        self.part_after = held.get("part", self.through)
        self.clock_us = int(held.get("clock_us", 0))
        self._opened_s = time.monotonic()
        self._counted: Counter[str] = Counter()

    def next_chunk(self, entries: int, closing: bool) -> list[streams.Entry]:
        """Return the open part with what is new, up to `entries` entries; nothing where nothing is new, unless `closing`."""
        found = self._broker.range(self.stream, f"({self.part_after}", "+", entries)
        if self.through == self.part_after:
            self._opened_s = time.monotonic()
        return found if found and (closing or found[-1].entry_id != self.through) else []

    def is_due(self, part_s: float) -> bool:
        """Return whether the open part is `part_s` old."""
        return self.through != self.part_after and time.monotonic() - self._opened_s >= part_s

    def key(self, chunk: Sequence[streams.Entry]) -> str:
        """Return the lake key of the part that `chunk` is."""
        return f"{self._label}-{chunk[0].entry_id}"

    def count(self, table: str, rows: int) -> int:
        """Return how many of the part's rows in `table` were not counted before."""
        new = rows - self._counted[table]
        self._counted[table] = rows
        return new

    def keep_open(self, through: str) -> None:
        """Note that everything up to `through` is in the lake."""
        self._set({"id": through, "part": self.part_after})
        self.through = through

    def close(self, through: str, clock_us: int) -> None:
        """Note that everything up to `through` is in the lake and needed no more; the next part begins after it."""
        self._set({"id": through, "part": through, "clock_us": str(clock_us)})
        self.through, self.part_after, self.clock_us = through, through, clock_us
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
                self.catch_up(stop, closing=False)
            except Unavailable as error:
                log.warning("archiver waits for the broker: %s", error)
        try:
            self.catch_up(threading.Event())
        except Unavailable as error:
            log.warning("archiver stopped before everything was copied, it goes on at the next start: %s", error)

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

    def _copy(self, stream: ArchivedStream, closing: bool) -> int:
        config = self._config
        closing = closing or stream.is_due(config.part_s)
        chunk = stream.next_chunk(config.chunk_entries, closing)
        if not chunk:
            return 0
        tables, clock_us = self._tables(stream, chunk)
        copied = 0
        for part in tables:
            new = stream.count(part.table, self._lake.write(part.table, part.rows, stream.key(chunk)))
            self._note(part.table, new)
            copied += new
        if not closing and len(chunk) < config.chunk_entries:
            stream.keep_open(chunk[-1].entry_id)
            return copied
        stream.close(chunk[-1].entry_id, clock_us)
        if ":rejected:" in stream.stream or ":features:" in stream.stream:
            self._broker.trim_through(stream.stream, stream.through)
        return max(1, copied)

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
            now = moment_of_us(clock_us)
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
