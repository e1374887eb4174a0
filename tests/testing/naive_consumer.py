"""The control of the kill test: the same state machine, at least once. It appends outputs, then saves state and position now and
then, so that a crash between the two repeats what it had already said. Run as `python -m tests.testing.naive_consumer`.
"""

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiops.errors import Unavailable
from aiops.settings.tree import Settings
from serving.stream import streams
from serving.stream.broker import open_streams
from serving.stream.consumer.checkpoint import Checkpoint, CheckpointStore
from serving.stream.consumer.consumer_process import tenants_config
from serving.stream.consumer.partition_step import OutputPlace, Step, outputs_of
from serving.stream.consumer.tenant_partitions import TenantPartitions
from serving.stream.consumer.tenant_services import TenantServices
from serving.stream.partitioning import home_of
from tests.testing.stream_harness import NEVER

ENTRIES_PER_CHECKPOINT = 24


@dataclass(frozen=True)
class Stage:
    """A stage by name: its state, and the stream that it reads."""

    name: str
    state: type[TenantPartitions] | type[TenantServices]
    stream_of: Callable[[int], str]


STAGES = (Stage("stage1", TenantPartitions, streams.telemetry), Stage("services", TenantServices, streams.partials))


class NaiveConsumer:
    """One stage of one partition, outputs first, position whenever a checkpoint is due."""

    def __init__(self, settings: Settings, broker: streams.Streams, number: int, stage: Stage) -> None:
        self.broker = broker
        self.number = number
        self.stage = stage
        self.partitions = settings.broker.partitions
        self.store = CheckpointStore(settings.root / "consumer", number, stage=stage.name)
        config = tenants_config(settings)
        checkpoint, _ = self.store.load(NEVER)
        self.state = stage.state.restore(config, checkpoint.state) if checkpoint else stage.state(config)
        self.through = checkpoint.through if checkpoint else streams.START
        self.since = 0

    @property
    def stream(self) -> str:
        return self.stage.stream_of(self.number)

    def advance(self, entries: Sequence[streams.Entry]) -> None:
        for entry in entries:
            for tenant, step in self.state.apply([entry]).items():
                self.emit(tenant, step)
            self.through = entry.entry_id
            self.since += 1
            if self.since >= ENTRIES_PER_CHECKPOINT:
                self.save()

    def save(self) -> None:
        if self.through != streams.START:
            self.store.save(Checkpoint(self.through, self.state.snapshot()))
            self.broker.hash_set(streams.offset(self.stage.name, self.number), {"id": self.through})
        self.since = 0

    def emit(self, tenant: str, step: Step) -> None:
        for output in outputs_of(step, OutputPlace(self.number, 0, tenant, home_of(tenant, self.partitions)), archives=True):
            self.broker.client.xadd(output.stream, {"k": output.kind, "b": output.payload, "n": tenant})
        for name, by in step.counts.items():
            self.broker.client.hincrby(streams.counts(self.number), name, by)


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    settings = Settings()
    broker = open_streams(settings)
    numbers = range(settings.broker.partitions)
    owned = [NaiveConsumer(settings, broker, number, stage) for stage in STAGES for number in numbers]
    while not stop.is_set():
        try:
            entries_by_stream = {}
            for stage in STAGES:  # telemetry may lie on a log of its own
                places = {part.stream: part.through for part in owned if part.stage is stage}
                entries_by_stream |= broker.read(places, 8, 200 if stage is STAGES[0] else 0)
        except Unavailable:
            stop.wait(0.1)
            continue
        for part in owned:
            part.advance(entries_by_stream.get(part.stream, []))
            if not entries_by_stream and part.since:
                part.save()
    for part in owned:
        part.save()


if __name__ == "__main__":
    main()
