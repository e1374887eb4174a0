"""Broker and stage of signals as processes, entries appended as a receiver does, random kills, comparable outcomes."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aiops.errors import Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.tree import Settings
from data_contracts.telemetry.codec import decode
from serving.ingest.entry_batch import EncodedEntry, EntryBatch
from serving.ingest.producer_sequence import ProducerSequence
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from tests.testing.deadlines import within
from tests.testing.free_ports import free_ports
from tests.testing.signal_lines import SECOND_US, line_entry, minute
from tests.testing.stream_harness import wait_until
from tests.testing.traced_requests import span_rows

TENANTS = ("acme", "other", "third")
STAGE = ("tests.testing.signal_process",)
NAIVE = (*STAGE, "naive")


@dataclass(frozen=True, slots=True)
class SignalBatch:
    """What a receiver appends to one partition under one number."""

    partition: int
    entries: tuple[EncodedEntry, ...]
    available_us: int


def signal_batches(count: int, seed: int = 7) -> list[SignalBatch]:
    """Return batches of lines and spans of three tenants over `count` / 4 minutes: late lines, damaged entries, poison too."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        tenant = TENANTS[int(rng.integers(len(TENANTS)))]
        first_us = minute(0) + number * 15 * SECOND_US
        lines = [
            (first_us + int(rng.integers(-40, 15)) * SECOND_US, f"s{rng.integers(4)}", "error" if rng.random() < 0.2 else "fine")
            for _ in range(int(rng.integers(1, 40)))
        ]
        if rng.random() < 0.05:
            lines.append((first_us, "cart", "poison"))
        payload = b"damaged" if rng.random() < 0.05 else line_entry(number, lines).payload
        entry = EncodedEntry(tenant, streams.KIND_LOGS, payload)
        spans = EncodedEntry(tenant, streams.KIND_SPANS, streams.to_ipc(span_rows(number, 10 + number % 7, first_us=first_us)))
        made.append(SignalBatch(TENANTS.index(tenant) % 2, (entry, spans), first_us + 16 * SECOND_US))
    end_us = minute(count // 4 + 9)
    ends = [EncodedEntry(tenant, streams.KIND_WATERMARK, b'{"event_us": %d}' % end_us) for tenant in TENANTS]
    return [*made, *(SignalBatch(index % 2, (entry,), end_us) for index, entry in enumerate(ends))]


@dataclass(frozen=True, slots=True)
class KillPlan:
    """How many stages, and how often with the broker before them, are killed."""

    seed: int
    stages: int
    brokers: int = 0


@dataclass(slots=True)
class SignalWorld:
    """Everything it starts it also ends."""

    home: Path
    kafka: str | None = None
    settings: Settings = field(init=False)
    broker: EmbeddedBroker = field(init=False)
    remote: streams.Streams = field(init=False)
    stages: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home.mkdir()
        consumer = ConsumerSettings(checkpoint_s=0.2, lease_s=0.5, archive="separate", max_backlog=100_000)
        broker = BrokerSettings(url=self.kafka, port=free_ports(1)[0], partitions=2)
        self.settings = Settings(home=self.home, broker=broker, consumer=consumer)
        self.broker = EmbeddedBroker(self.settings)
        self.remote = open_streams(self.settings)

    def __enter__(self) -> "SignalWorld":
        self.broker.start()
        return self

    def __exit__(self, *_: object) -> None:
        for stage in self.stages:
            if stage.poll() is None:
                stage.kill()
            stage.wait()
        self.broker.stop()

    def start(self, program: Sequence[str] = STAGE) -> "subprocess.Popen[bytes]":
        """Start one stage."""
        consumer = self.settings.consumer.model_dump(exclude_none=True, exclude={"scoring_token"})
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIOPS_")},
            **{f"AIOPS_CONSUMER__{name.upper()}": str(value) for name, value in consumer.items()},
            **({"AIOPS_BROKER__URL": self.kafka} if self.kafka else {}),
            "AIOPS_SIGNALS__METRICS_PORT": "0",
            "AIOPS_SIGNALS__IDLE_S": "1e9",
            "AIOPS_HOME": str(self.settings.root),
            "AIOPS_BROKER__PORT": str(self.settings.broker.port),
            "AIOPS_BROKER__PARTITIONS": str(self.settings.broker.partitions),
        }
        with (self.settings.root / "signals.log").open("ab") as log:
            command = [sys.executable, "-m", *program]
            stage = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        self.stages.append(stage)
        return stage

    def log(self) -> str:
        return (self.settings.root / "signals.log").read_text()

    def send(self, batches: Sequence[SignalBatch], first_seq: int = 1) -> None:
        """Append everything as a receiver does, each once, through outages."""
        producer = ProducerSequence(self.remote, "receiver-test")
        for seq, batch in enumerate(batches, start=first_seq):
            group = EntryBatch(streams.signals(batch.partition), "", seq, batch.available_us, batch.entries)
            while True:
                try:
                    producer.append_batch(group, 100_000)
                    break
                except Unavailable:
                    time.sleep(0.05)

    def settled(self) -> bool:
        """Return whether everything is committed."""
        try:
            return all(
                self.remote.hash_all(streams.offset("signals", number)).get("id") == self.remote.last_id(streams.signals(number))
                for number in range(2)
            )
        except Unavailable:
            return False

    def send_and_kill(self, batches: Sequence[SignalBatch], plan: KillPlan, program: Sequence[str] = STAGE) -> None:
        """Send in parts; in each but the last kill the stage once series of it came, and start it again; the broker sometimes."""
        rng = random.Random(plan.seed)
        size = -(-len(batches) // (plan.stages + 1))
        stage = self.start(program)
        for number in range(plan.stages):
            before = self.appended()
            part = batches[number * size : (number + 1) * size]
            sender = threading.Thread(target=self.send, args=(part, number * size + 1))
            sender.start()
            assert wait_until(lambda least=before: self.appended() > least, 60), self.log()[-3000:]
            time.sleep(rng.uniform(0.0, 0.2))
            if number < plan.brokers:
                self.kill_broker()
            stage.kill()
            stage.wait()
            sender.join()
            stage = self.start(program)
        self.send(batches[plan.stages * size :], plan.stages * size + 1)

    def kill_broker(self) -> None:
        """Kill the broker and start it again."""
        assert self.broker.pid is not None
        os.kill(self.broker.pid, signal.SIGKILL)
        self.broker.stop()
        self.broker.start()

    def appended(self) -> int:
        """Return how many entries of telemetry were ever appended, 0 while the broker is away."""
        try:
            return sum(self.remote.added(number) for number in range(2))
        except Unavailable:
            return 0


@dataclass(frozen=True, slots=True)
class SignalOutcome:
    """All points of telemetry, how often each, and the dead letters."""

    points: Counter[tuple[Any, ...]]
    letters: Counter[str]
    counts: dict[str, str]

    @property
    def doubled(self) -> int:
        return sum(count - 1 for count in self.points.values())


def outcome_of(world: SignalWorld) -> SignalOutcome:
    """Read back everything."""
    points: Counter[tuple[Any, ...]] = Counter()
    letters: Counter[str] = Counter()
    for number in range(2):
        for entry in world.remote.range(streams.telemetry(number)):
            if entry.kind == streams.KIND_TELEMETRY:
                for row in decode(entry.payload).to_pylist():
                    points[(entry.tenant, row["timestamp"], row["service"], row["metric"], str(row["labels"]), row["value"])] += 1
        for entry in world.remote.range(streams.rejected(number)):
            letters.update(row["reject_id"] for row in streams.from_ipc(entry.payload).to_pylist())
    counts = {
        str(number): world.remote.hash_all(streams.offset("signals", number)).get("signal_counts", "") for number in range(2)
    }
    return SignalOutcome(points, letters, counts)


def wait_settled(world: SignalWorld, timeout_s: float = 60.0) -> None:
    """Wait until everything is committed."""
    assert wait_until(world.settled, timeout_s), world.log()[-3000:]


def drain(stage: "subprocess.Popen[bytes]") -> int:
    """Ask a stage to end; return its exit code."""
    stage.send_signal(signal.SIGTERM)
    return stage.wait(within(20))
