"""The producer: raw telemetry into one stream a partition, restartable, with back-pressure.

Entry ids are `<seq>-<part>`: `seq` is the caller's deterministic source offset (1, 2, 3 …), `part` counts the entries that one
table needs in one partition. Sending the same offset again is a no-op on the broker, so a crashed producer starts again at
`resume_from()` and neither loses nor doubles a row.
"""

import json
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
from serving import streams

if TYPE_CHECKING:
    import redis

Table = pa.Table | pa.RecordBatch


@dataclass(frozen=True, slots=True)
class ProducerConfig:
    """`points_per_entry` rows an entry; a stream longer than `max_backlog` entries makes the producer wait up to `patience_s`."""

    points_per_entry: int = 8192
    max_backlog: int = 1000
    patience_s: float = 600.0


class TelemetryProducer:
    """Writes telemetry of a call graph's services; one producer a source offset sequence.

    The clock (aware UTC) says when rows become available where the caller does not: wall time in live use.
    """

    def __init__(
        self,
        client: "redis.Redis",
        partitions: int,
        graph: ServiceGraph,
        config: ProducerConfig | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = streams.Streams(client)
        self._partitions = partitions
        self._graph = graph
        self._config = config or ProducerConfig()
        self._clock = clock
        self._homes: dict[str, int] = {}

    def resume_from(self) -> int:
        """Return the source offset to continue with: one after the newest that was published completely (1 at first)."""
        return int(self._broker.hash_all(streams.PRODUCED).get("seq", 0)) + 1

    def publish(self, table: Table, seq: int, available_at: datetime | None = None) -> int:
        """Publish raw rows as source offset `seq` (>= 1, ascending); return the entries that were new.

        `available_at` = when the rows became known: wall time where absent; a replay gives its own time (the end of the
        rows' interval). Validation, the lake and point-in-time joins all use it.

        Raises:
            ConfigurationError: seq < 1.
            Unavailable: the broker did not answer, or stayed full longer than `patience_s`; publish again with the same seq.
        """
        at = available_at or self._clock()
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

    def _wait_for_room(self, partition: int) -> None:
        deadline = time.monotonic() + self._config.patience_s
        stream = streams.telemetry(partition)
        while self._broker.length(stream) >= self._config.max_backlog:
            if time.monotonic() > deadline:
                message = (
                    f"{stream}: still {self._config.max_backlog} entries after {self._config.patience_s:g} s; "
                    "is a consumer running (python -m serving.consumer), and its archiver where archive is not off?"
                )
                raise Unavailable(message)
            time.sleep(0.02)

    def _add(self, partition: int, seq: int, kind: bytes, payloads: list[bytes], at: datetime) -> int:
        if seq < 1:
            raise ConfigurationError(f"seq={seq}: source offsets start at 1; count tables from 1")
        stamp: dict[str, bytes | int] = {"k": kind, "t": time.time_ns(), "a": microseconds_of(at)}
        added = 0
        deadline = time.monotonic() + self._config.patience_s
        for part, payload in enumerate(payloads):
            self._wait_for_room(partition)
            while (
                outcome := self._broker.add_at(streams.telemetry(partition), f"{seq}-{part}", {**stamp, "b": payload})
            ) is None:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"broker: out of memory for {self._config.patience_s:g} s; raise AIOPS_BROKER__MAX_MEMORY_MB"
                    )
                time.sleep(0.05)
            added += outcome
        return added

    def _done(self, seq: int) -> None:
        self._broker.hash_set(streams.PRODUCED, {"seq": str(seq)})


def _name(codes: Codes | None, code: int) -> str:
    if codes is None or code < 0:
        return ""
    value: bytes = codes.values[code].as_py()
    return value.decode(errors="replace")
