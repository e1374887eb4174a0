"""The producer of logs and spans: rows onto the stream that receivers write, from where they reach the lake and their minutes."""

import time
from datetime import datetime
from typing import Final

import pyarrow as pa

from aiops.errors import Unavailable
from aiops.types import RequestRows
from data_contracts.series.tenant import DEFAULT_TENANT, checked_tenant
from data_contracts.values.moments import microseconds_of
from serving.ingest.producer_sequence import Appended, EncodedEntry, EntryBatch, ProducerSequence
from serving.stream import streams
from serving.stream.partitioning import signals_home

_ROWS_PER_ENTRY: Final = 8192
_MOST_BACKLOG: Final = 1000
_PATIENCE_S: Final = 600.0


class SignalProducer:
    """Writes logs and spans of one tenant under `producer_id`; the newest process that takes an id has it."""

    def __init__(self, broker: streams.Streams, partitions: int, producer_id: str, tenant: str = DEFAULT_TENANT) -> None:
        """Name the producer; nothing is sent yet.

        Raises:
            ConfigurationError: `producer_id` cannot name a producer.
            TenantError: the tenant cannot name one.
        """
        self._sequence = ProducerSequence(broker, producer_id)
        self._tenant = checked_tenant(tenant)
        self._stream = streams.signals(signals_home(tenant, partitions))

    def publish(self, rows: RequestRows, seq: int, available_at: datetime) -> bool:
        """Publish rows as batch `seq` (>= 1, ascending); return whether they are new: a repeated batch adds nothing.

        Raises:
            SequenceConflict: another batch bears that number.
            FencedError: another process publishes under this id now.
            Unavailable: the broker did not answer, or stayed full for long; publish again with the same number.
        """
        entries = (*self._entries(streams.KIND_LOGS, rows.logs), *self._entries(streams.KIND_SPANS, rows.spans))
        batch = EntryBatch(self._stream, "", seq, microseconds_of(available_at), entries)
        deadline = time.monotonic() + _PATIENCE_S
        while (outcome := self._sequence.append_batch(batch, _MOST_BACKLOG).outcome) not in (Appended.NEW, Appended.REPEATED):
            if time.monotonic() > deadline:
                raise Unavailable(f"{self._stream}: no room for {_PATIENCE_S:g} s; does the consumer run, which archives it?")
            time.sleep(0.02)
        self._sequence.done(seq)
        return outcome is Appended.NEW

    def _entries(self, kind: bytes, rows: pa.Table) -> tuple[EncodedEntry, ...]:
        cuts = range(0, rows.num_rows, _ROWS_PER_ENTRY)
        return tuple(EncodedEntry(self._tenant, kind, streams.to_ipc(rows.slice(cut, _ROWS_PER_ENTRY))) for cut in cuts)
