"""The stage of signals with the stand-in for series of lines: `python -m tests.testing.signal_process [naive]`.

`naive` is the control of the kill test: it appends what came of an entry, then moves its position and saves its state now and
then, so that a crash between these repeats what it had appended, or loses what it had counted.
"""

import logging
import signal
import sys
import threading

from aiops.errors import Unavailable
from aiops.settings.tree import Settings
from serving.ingest.producer import ProducerConfig, TelemetryProducer, new_id
from serving.signal_minutes.partition_minutes import Closed, PartitionMinutes
from serving.signal_minutes.signal_process import partition_rules, run_signals
from serving.stream import streams
from serving.stream.broker import open_streams
from serving.stream.consumer.checkpoint import Checkpoint, CheckpointStore
from tests.testing.minute_double import makers_with_requests
from tests.testing.stream_harness import NEVER

ENTRIES_PER_CHECKPOINT = 16


class NaiveStage:
    """One partition, series first, state and position whenever a checkpoint is due."""

    def __init__(self, settings: Settings, number: int) -> None:
        self.broker = open_streams(settings)
        self.number = number
        self.store = CheckpointStore(settings.root / "consumer", number, stage="signals")
        checkpoint, _ = self.store.load(NEVER)
        rules = partition_rules(settings)
        self.state = (
            PartitionMinutes.restore(rules, makers_with_requests(), checkpoint.state)
            if checkpoint
            else PartitionMinutes(rules, makers_with_requests())
        )
        self.through = checkpoint.through if checkpoint else streams.START
        self.producers: dict[str, TelemetryProducer] = {}
        self.partitions = settings.broker.partitions
        self.seq = 0
        self.since = 0

    def turn(self) -> None:
        stream = streams.signals(self.number)
        for entry in self.broker.read({stream: self.through}, 8, 100).get(stream, []):
            closed = Closed()
            self.state.apply(entry, closed)
            for tenant, tables in closed.series.items():
                for table in tables:
                    self.seq += 1
                    self.producer(tenant).publish(table, self.seq)
            self.through = entry.entry_id
            self.since += 1
            if self.since >= ENTRIES_PER_CHECKPOINT:
                self.store.save(Checkpoint(self.through, self.state.snapshot()))
                self.broker.hash_set(streams.offset("signals", self.number), {"id": self.through})
                self.since = 0

    def producer(self, tenant: str) -> TelemetryProducer:
        if tenant not in self.producers:
            config = ProducerConfig(tenant=tenant, max_backlog=100_000)
            self.producers[tenant] = TelemetryProducer(self.broker, self.partitions, new_id("naive"), config)
        return self.producers[tenant]


def naive(settings: Settings) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    stages = [NaiveStage(settings, number) for number in range(settings.broker.partitions)]
    while not stop.is_set():
        try:
            for stage in stages:
                stage.turn()
        except Unavailable:
            stop.wait(0.1)


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s")
    if sys.argv[1:] == ["naive"]:
        naive(Settings())
        sys.exit(0)
    sys.exit(run_signals(Settings(), makers_with_requests()))
