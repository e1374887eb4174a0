"""The producer: raw telemetry into one stream a partition, restartable, with back-pressure; any number of them at once.

A producer has an id of its own and numbers its batches: `seq` is the caller's deterministic source offset (1, 2, 3 …; gaps are
allowed), `part` counts the entries that one batch needs in one partition. The broker assigns the entry ids. Sending the same
batch again under its number adds nothing, so a crashed producer starts again at `resume_from()` and neither loses nor doubles a
row; another batch under a number that was used is refused (`SequenceConflict`), not dropped.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aiops.errors import ConfigurationError, Unavailable
from aiops.graph import ServiceGraph, partition_of
from aiops.types import IntArray
from data_contracts.codec import encode
from data_contracts.coerce import Codes, read_codes, whole
from data_contracts.moments import microseconds_of
from data_contracts.series.tenant import DEFAULT_TENANT
from serving import streams
from serving.producer_sequence import Appended, BatchPlace, ProducerSequence, checksum

if TYPE_CHECKING:
    import redis

Table = pa.Table | pa.RecordBatch


@dataclass(frozen=True, slots=True)
class ProducerConfig:
    """`points_per_entry` rows an entry; a stream longer than `max_backlog` entries makes the producer wait up to `patience_s`.

    The clock (aware UTC) says when rows become available where the caller does not: wall time in live use.
    """

    points_per_entry: int = 8192
    max_backlog: int = 1000
    patience_s: float = 600.0
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class TelemetryProducer:
    """Writes telemetry of a call graph's services under `producer_id`; the newest process that takes an id has it."""

    def __init__(
        self,
        client: "redis.Redis",
        partitions: int,
        graph: ServiceGraph,
        producer_id: str,
        config: ProducerConfig | None = None,
    ) -> None:
        """Name the producer; nothing is sent yet.

        Raises:
            ConfigurationError: `producer_id` cannot name a producer.
        """
        self._sequence = ProducerSequence(streams.Streams(client), producer_id)
        self._partitions = partitions
        self._graph = graph
        self._config = config or ProducerConfig()
        self._homes: dict[str, int] = {}

    def resume_from(self) -> int:
        """Return the source offset to continue with: one after the newest that was published whole (1 at first).

        A source that can send the batch of that number again as it was starts there; one that cannot starts at `unused()`.
        """
        return self._sequence.take() + 1

    def unused(self) -> int:
        """Return one after the newest number used, of a batch published whole or in part."""
        self._sequence.take()
        return self._sequence.newest() + 1

    def publish(self, table: Table, seq: int, available_at: datetime | None = None) -> int:
        """Publish raw rows as source offset `seq` (>= 1, ascending); return the entries that were new, 0 for a repeated batch.

        `available_at` = when the rows became known: wall time where absent; a replay gives its own time (the end of the
        rows' interval). Validation, the lake and point-in-time joins all use it.

        Raises:
            ConfigurationError: seq < 1.
            SequenceConflict: another batch bears that number.
            FencedError: another process publishes under this id now.
            Unavailable: the broker did not answer, or stayed full longer than `patience_s`; publish again with the same seq.
        """
        at = available_at or self._config.clock()
        added = 0
        for partition, rows in self._split(table):
            size = self._config.points_per_entry
            payloads = [encode(rows.slice(first, size)) for first in range(0, rows.num_rows, size)]
            added += self._add(partition, seq, streams.KIND_TELEMETRY, payloads, at)
        self._done(seq)
        return added

    def publish_incident(self, service: str, known_at: datetime, seq: int) -> int:
        """Tell the features of `service` that an incident became known at `known_at`; return the entries that were new."""
        note = json.dumps({"service": service, "known_at_us": microseconds_of(known_at)}).encode()
        added = self._add(self._home(service), seq, streams.KIND_INCIDENT, [note], known_at)
        self._done(seq)
        return added

    def publish_close(self, until: datetime, seq: int) -> int:
        """Close every tick up to `until` in all partitions: the end of a finite stream."""
        note = json.dumps({"until_us": microseconds_of(until)}).encode()
        added = sum(self._add(home, seq, streams.KIND_CLOSE, [note], until) for home in range(self._partitions))
        self._done(seq)
        return added

    def _home(self, service: str) -> int:
        if service not in self._homes:
            if len(self._homes) > 1_000_000:
                self._homes.clear()
            self._homes[service] = partition_of(self._graph, service, self._partitions)
        return self._homes[service]

    def _split(self, table: Table) -> Iterator[tuple[int, pa.Table]]:
        rows = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
        if self._partitions == 1 or rows.num_rows == 0:
            yield from [(0, rows)] if rows.num_rows else []
            return
        homes = self._homes_of(rows)
        for partition in range(self._partitions):
            mask = homes == partition
            if mask.any():
                yield partition, rows.filter(pa.array(mask))

    def _homes_of(self, rows: pa.Table) -> IntArray:
        services = read_codes(whole(rows.column("service")), "service")
        tenants = read_codes(whole(rows.column("tenant")), "tenant") if "tenant" in rows.column_names else None
        width = len(services.values) + 1
        pairs = services.codes.astype(np.int64) + 1
        if tenants is not None:
            pairs += (tenants.codes.astype(np.int64) + 1) * width
        distinct, inverse = np.unique(pairs, return_inverse=True)
        names = [(_name(tenants, pair // width - 1), _name(services, pair % width - 1)) for pair in distinct.tolist()]
        homes = [self._home(f"{tenant}/{service}" if tenant else service) for tenant, service in names]
        return np.array(homes, dtype=np.int64)[inverse]

    def _add(self, partition: int, seq: int, kind: bytes, payloads: list[bytes], at: datetime) -> int:
        if seq < 1:
            raise ConfigurationError(f"seq={seq}: source offsets start at 1; count tables from 1")
        place = BatchPlace(partition, seq, checksum([(DEFAULT_TENANT, payload) for payload in payloads]))
        fields: dict[str, bytes | int] = {
            "k": kind,
            "t": time.time_ns(),
            "a": microseconds_of(at),
            "p": self._sequence.producer_id.encode(),
            "n": DEFAULT_TENANT.encode(),
        }
        return sum(
            self._append(place, part, {**fields, "s": f"{seq}-{part}".encode(), "b": payload})
            for part, payload in enumerate(payloads)
        )

    def _append(self, place: BatchPlace, part: int, fields: dict[str, bytes | int]) -> int:
        """Append one entry, waiting for room; return 1, or 0 where it was there already."""
        deadline = time.monotonic() + self._config.patience_s
        while True:
            outcome = self._sequence.append(place, part, fields, self._config.max_backlog)
            if outcome in (Appended.NEW, Appended.REPEATED):
                return int(outcome is Appended.NEW)
            if time.monotonic() > deadline:
                raise Unavailable(self._full(outcome, streams.telemetry(place.partition)))
            time.sleep(0.02)

    def _full(self, outcome: Appended, stream: str) -> str:
        patience = f"{self._config.patience_s:g} s"
        if outcome is Appended.MEMORY_FULL:
            return f"broker: out of memory for {patience}; raise AIOPS_BROKER__MAX_MEMORY_MB"
        return (
            f"{stream}: still {self._config.max_backlog} entries after {patience}; "
            "is a consumer running (python -m serving.consumer), and its archiver where archive is not off?"
        )

    def _done(self, seq: int) -> None:
        self._sequence.done(seq)


def new_id(prefix: str) -> str:
    """Return an id that no producer had before, for one that is never resumed."""
    return f"{prefix}-{secrets.token_hex(6)}"


def _name(codes: Codes | None, code: int) -> str:
    if codes is None or code < 0:
        return ""
    value: bytes = codes.values[code].as_py()
    return value.decode(errors="replace")
