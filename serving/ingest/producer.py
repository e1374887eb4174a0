"""The producer: raw telemetry into one stream a partition, restartable, with back-pressure; any number of them at once.

A producer has an id of its own and numbers its batches: `seq` is the caller's deterministic source offset (1, 2, 3 …; gaps are
allowed), `part` counts the entries that one batch needs in one partition. The broker assigns the entry ids. Sending the same
batch again under its number adds nothing, so a crashed producer starts again at `resume_from()` and neither loses nor doubles a
row; another batch under a number that was used is refused (`SequenceConflict`), not dropped.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from aiops.errors import ConfigurationError, Unavailable
from data_contracts.series.tenant import DEFAULT_TENANT, checked_tenant
from data_contracts.telemetry.owners import by_tenant, without_tenant
from data_contracts.values.moments import microseconds_of
from serving.ingest.event_times import newest_us
from serving.ingest.producer_sequence import Appended, BatchPlace, EncodedEntry, ProducerSequence, checksum
from serving.ingest.row_routing import RowRouting
from serving.ingest.watermark_entries import watermark_entry
from serving.stream import streams
from serving.stream.partitioning import home_of

Table = pa.Table | pa.RecordBatch


@dataclass(frozen=True, slots=True)
class ProducerConfig:
    """`points_per_entry` rows an entry; a stream longer than `max_backlog` entries makes the producer wait up to `patience_s`.

    Rows that name no tenant are of `tenant`; those more than `future_tolerance_s` ahead of the clock will be refused.
    `lasting` = it goes on until `ends`, so that standing still is a fault. The clock (aware UTC) says when rows become available
    where the caller does not: wall time in live use.
    """

    points_per_entry: int = 8192
    max_backlog: int = 1000
    patience_s: float = 600.0
    tenant: str = DEFAULT_TENANT
    lasting: bool = False
    future_tolerance_s: int = 300
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class TelemetryProducer:
    """Writes telemetry under `producer_id`, each tenant's as entries of its own; the newest process that takes an id has it."""

    def __init__(
        self,
        broker: streams.Streams,
        partitions: int,
        producer_id: str,
        config: ProducerConfig | None = None,
    ) -> None:
        """Name the producer; nothing is sent yet.

        Raises:
            ConfigurationError: `producer_id` cannot name a producer.
            TenantError: the tenant of the configuration cannot name one.
        """
        self._sequence = ProducerSequence(broker, producer_id, bool(config and config.lasting))
        self._config = config or ProducerConfig()
        self._routing = RowRouting(partitions, self._config.points_per_entry)
        self._tenants = {checked_tenant(self._config.tenant)}

    def resume_from(self) -> int:
        """Return the source offset to continue with: one after the newest that was published whole (1 at first).

        A source that can send the batch of that number again as it was starts there; one that cannot starts at `unused()`.
        """
        return self._sequence.take() + 1

    def unused(self) -> int:
        """Return one after the newest number used, of a batch published whole or in part."""
        self._sequence.take()
        return self._sequence.newest() + 1

    def publish(self, table: Table, seq: int, available_at: datetime | None = None, complete_us: int = 0) -> int:
        """Publish raw rows as source offset `seq` (>= 1, ascending); return the entries that were new, 0 for a repeated batch.

        `available_at` = when the rows became known: wall time where absent; a replay gives its own time (the end of the
        rows' interval). Validation, the lake and point-in-time joins all use it. `complete_us` = up to which event time the
        source has given everything, us: ticks need not wait for later points to know that; 0 = not known.

        Raises:
            ConfigurationError: seq < 1.
            SequenceConflict: another batch bears that number.
            FencedError: another process publishes under this id now.
            Unavailable: the broker did not answer, or stayed full longer than `patience_s`; publish again with the same seq.
        """
        at = available_at or self._config.clock()
        rows = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
        latest = at + timedelta(seconds=self._config.future_tolerance_s)
        entries: dict[int, list[EncodedEntry]] = {}
        for tenant, owned in by_tenant(rows, self._config.tenant):
            for partition, entry in self._routing.entries(tenant, without_tenant(owned), latest):
                entries.setdefault(partition, []).append(entry)
            for partition in range(self._routing.partitions if complete_us else 0):
                entries.setdefault(partition, []).append(watermark_entry(tenant, complete_us))
        return self._publish(seq, entries, at, newest_us(rows["timestamp"], at))

    def publish_incident(self, service: str, known_at: datetime, seq: int) -> int:
        """Tell the features of the producer's tenant that an incident of `service` became known; return the new entries."""
        note = json.dumps({"service": service, "known_at_us": microseconds_of(known_at)}).encode()
        tenant = self._config.tenant
        home = home_of(tenant, self._routing.partitions)
        at = datetime.fromtimestamp(0, UTC)  # the note says when; it must not make points that follow it known later
        return self._publish(seq, {home: [EncodedEntry(tenant, streams.KIND_INCIDENT, note)]}, at)

    def publish_close(self, until: datetime, seq: int) -> int:
        """Close every tick up to `until` of all tenants published, in all partitions: the end of a finite stream."""
        note = json.dumps({"until_us": microseconds_of(until)}).encode()
        entries = [EncodedEntry(tenant, streams.KIND_CLOSE, note) for tenant in sorted(self._tenants)]
        return self._publish(seq, dict.fromkeys(range(self._routing.partitions), entries), until)

    def ends(self) -> None:
        """Say that this producer ends as it should: that it writes nothing any more is no fault.

        Raises:
            Unavailable: the broker did not answer.
        """
        self._sequence.ends()

    def _publish(self, seq: int, by_partition: Mapping[int, list[EncodedEntry]], at: datetime, newest: int = 0) -> int:
        if seq < 1:
            raise ConfigurationError(f"seq={seq}: source offsets start at 1; count tables from 1")
        fields: dict[str, bytes | int] = {
            "t": time.time_ns(),
            "a": microseconds_of(at),
            "p": self._sequence.producer_id.encode(),
        }
        added = 0
        for partition, entries in sorted(by_partition.items()):
            place = BatchPlace(partition, seq, checksum([(entry.tenant, entry.payload) for entry in entries]))
            for part, entry in enumerate(entries):
                self._tenants.add(entry.tenant)
                own = {"k": entry.kind, "n": entry.tenant.encode(), "s": f"{seq}-{part}".encode(), "b": entry.payload}
                added += self._append(place, part, {**fields, **own})
        self._sequence.done(seq, newest)
        return added

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
            "is a consumer running (python -m serving.stream.consumer), and its archiver where archive is not off?"
        )


def new_id(prefix: str) -> str:
    """Return an id that no producer had before, for one that is never resumed."""
    return f"{prefix}-{secrets.token_hex(6)}"
