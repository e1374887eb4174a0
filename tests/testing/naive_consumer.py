"""The control of the kill test: the same state machine, at least once. It appends outputs, then saves state and position now and
then, so that a crash between the two repeats what it had already said. Run as `python -m tests.testing.naive_consumer`.
"""

import signal
import threading
from collections.abc import Sequence

import pyarrow as pa

from aiops.errors import Unavailable
from aiops.settings.tree import Settings
from serving.stream import streams
from serving.stream.broker import open_streams
from serving.stream.consumer.checkpoint import Checkpoint, CheckpointStore
from serving.stream.consumer.consumer_process import tenants_config
from serving.stream.consumer.partition_step import Step
from serving.stream.consumer.tenant_partitions import TenantPartitions
from tests.testing.stream_harness import NEVER

ENTRIES_PER_CHECKPOINT = 24


class NaiveConsumer:
    """One partition, outputs first, position whenever a checkpoint is due."""

    def __init__(self, settings: Settings, broker: streams.Streams, number: int) -> None:
        self.broker = broker
        self.number = number
        self.store = CheckpointStore(settings.root / "consumer", number)
        config = tenants_config(settings)
        checkpoint, _ = self.store.load(NEVER)
        self.partition = TenantPartitions.restore(config, checkpoint.state) if checkpoint else TenantPartitions(config)
        self.through = checkpoint.through if checkpoint else streams.START
        self.since = 0

    def advance(self, entries: Sequence[streams.Entry]) -> None:
        for entry in entries:
            for step in self.partition.apply([entry]).values():
                self.emit(step)
            self.through = entry.entry_id
            self.since += 1
            if self.since >= ENTRIES_PER_CHECKPOINT:
                self.save()

    def save(self) -> None:
        if self.through != streams.START:
            self.store.save(Checkpoint(self.through, self.partition.snapshot()))
            self.broker.hash_set(streams.offset("stage1", self.number), {"id": self.through})
        self.since = 0

    def emit(self, step: Step) -> None:
        tables = (
            (streams.candidates(self.number), streams.KIND_SERVICE, step.candidates),
            (streams.rejected(self.number), streams.KIND_TELEMETRY, step.rejected),
            (streams.features(self.number), streams.KIND_SERIES, step.series_features),
            (streams.features(self.number), streams.KIND_SERVICE, step.service_features),
        )
        for stream, kind, batches in tables:
            if batches:
                self.broker.client.xadd(stream, {"k": kind, "b": streams.to_ipc(pa.Table.from_batches(batches))})
        for kind, known in ((streams.KIND_DEFINITIONS, step.catalogue), (streams.KIND_POINTS, step.points)):
            for made in known:
                self.broker.client.xadd(streams.points(self.number), {"k": kind, "b": streams.to_ipc(made.rows)})
        for name, by in step.counts.items():
            self.broker.client.hincrby(streams.counts(self.number), name, by)


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    settings = Settings()
    broker = open_streams(settings)
    owned = [NaiveConsumer(settings, broker, number) for number in range(settings.broker.partitions)]
    while not stop.is_set():
        try:
            entries_by_stream = broker.read({streams.telemetry(part.number): part.through for part in owned}, 8, 200)
        except Unavailable:
            stop.wait(0.1)
            continue
        for part in owned:
            part.advance(entries_by_stream.get(streams.telemetry(part.number), []))
            if not entries_by_stream and part.since:
                part.save()
    for part in owned:
        part.save()


if __name__ == "__main__":
    main()
