"""Closed minutes and dead letters to the streams they belong to, in one step with the position of their reader.

So no entry is read whose series are missing, and none is appended twice: an append whose answer was lost is repeated under its
number, and after a crash the position says whether it was in. Where telemetry lies on a log of its own, the outbox of the
producer carries it there (`serving.ingest.producer_sequence`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pyarrow as pa

from aiops.errors import FencedError, Unavailable
from data_contracts.values.moments import moment_of_us
from serving.ingest.entry_batch import Appended, EncodedEntry, EntryBatch, EntryGroup
from serving.ingest.producer_sequence import ProducerSequence
from serving.ingest.row_routing import RowRouting
from serving.ingest.topic_positions import OF_STAGES, Advance, PositionsLost, StreamPlace
from serving.signal_minutes.partition_minutes import Closed
from serving.signal_minutes.progress_notes import STAGE
from serving.stream import streams
from serving.stream.consumer.commit import Position

_POINTS_PER_ENTRY: Final = 8192
_WAIT_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class AppendRules:
    """Over how many partitions series are spread, how many entries a stream may hold, how far ahead a time may lie."""

    partitions: int
    max_backlog: int
    future_tolerance_s: int = 300
    archives: bool = True
    """Whether dead letters are kept: an archiver copies them to the lake."""


class MinuteAppends:
    """Appends what a partition of signals gave; the producer's id names the partition."""

    def __init__(self, broker: streams.Streams, number: int, rules: AppendRules) -> None:
        self._producer = ProducerSequence(broker, f"signals-{number}")
        self._routing = RowRouting(rules.partitions, _POINTS_PER_ENTRY)
        self._rules = rules
        self._number = number
        self._seq = 0

    def take(self) -> None:
        """Take the producer's id, and send what a dead process left in its outbox.

        Raises:
            Unavailable: the broker does not answer; call it again.
        """
        self._producer.take()
        self._seq = self._producer.newest()

    def append(self, closed: Closed, position: Position, newest: streams.Entry, wait: Callable[[float], bool]) -> bool:
        """Append and move the position to `newest`, through outages and while streams are full; False = `wait` gave up.

        Raises:
            FencedError: another process has the partition.
        """
        self._seq += 1
        advance = Advance(StreamPlace(STAGE, self._number), str(position.epoch), position.through, newest.entry_id, OF_STAGES)
        group = EntryGroup(tuple(self._batches(closed, newest.available_us)), (advance,), self._seq, newest.available_us)
        while True:
            try:
                outcome = self._producer.append_group(group, self._rules.max_backlog).outcome
            except PositionsLost as error:
                raise FencedError(f"signals of partition {self._number}: {error}") from error
            except Unavailable:
                outcome = Appended.BACKLOG_FULL
            if outcome in (Appended.NEW, Appended.REPEATED):
                position.moved(newest.entry_id)
                return True
            if wait(_WAIT_S):
                return False

    def _batches(self, closed: Closed, available_us: int) -> list[EntryBatch]:
        latest = moment_of_us(available_us) + timedelta(seconds=self._rules.future_tolerance_s)
        telemetry: dict[int, list[EncodedEntry]] = {}
        for tenant, tables in closed.series.items():
            for partition, entry in self._routing.entries(tenant, pa.concat_tables(tables), latest):
                telemetry.setdefault(partition, []).append(entry)
        batches = [
            EntryBatch(streams.telemetry(partition), streams.entries(partition), self._seq, available_us, tuple(entries))
            for partition, entries in sorted(telemetry.items())
        ]
        letters = [
            EncodedEntry(tenant, streams.KIND_TELEMETRY, streams.to_ipc(rows))
            for tenant, refused in closed.letters.items()
            for rows in refused
        ]
        if letters and self._rules.archives:
            batches.append(EntryBatch(streams.rejected(self._number), "", self._seq, available_us, tuple(letters)))
        return batches
