"""The feed of a followed server is killed again and again, and its broker too: every point is on the stream once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pytest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from data_contracts.telemetry.codec import decode
from orchestration.pipeline.producer_names import producer_id_of
from orchestration.workspace.source_choice import SourceChoice
from serving.ingest.pull.pull_progress import ProgressStore
from serving.ingest.writers import writers
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from tests.testing.deadlines import within
from tests.testing.free_ports import free_ports
from tests.testing.living_prometheus import LivingPrometheus, living_prometheus
from tests.testing.stream_harness import wait_until

SERVICES = ("cart", "pay", "web")
LATE_S = 3


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, broker=BrokerSettings(port=free_ports(1)[0], partitions=2))


@pytest.fixture
def server() -> Iterator[LivingPrometheus]:
    """Serve a value a second of three services; of one of them every fifth comes three seconds late."""

    def value(name: str, labels: Mapping[str, str], at_s: int) -> float | None:
        late_s = LATE_S if labels["service"] == "pay" and at_s % 5 == 0 else 0
        return float(at_s) if time.time() >= at_s + late_s else None

    with living_prometheus(LivingPrometheus({"load": [{"service": name} for name in SERVICES]}, value)) as state:
        yield state


def choice_of(server: LivingPrometheus) -> SourceChoice:
    given = (f"url={server.url}", "queries=load", "step_s=1", "delay_s=1", "overlap_s=20", "retries=0")
    return SourceChoice("prometheus", None, given)


def feed(settings: Settings, choice: SourceChoice) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "AIOPS_HOME": str(settings.root),
        "AIOPS_BROKER__PORT": str(settings.broker.port),
        "AIOPS_BROKER__PARTITIONS": "2",
    }
    return subprocess.Popen([sys.executable, "-m", "orchestration.pipeline.source_feed", *choice.arguments()], env=environment)


def published(broker: streams.Streams) -> Counter[tuple[str, int]]:
    points: Counter[tuple[str, int]] = Counter()
    for partition in range(2):
        for entry in broker.range(streams.telemetry(partition)):
            if entry.kind == streams.KIND_WATERMARK:
                continue
            rows = decode(entry.payload).to_pylist()
            points.update((row["service"], int(row["timestamp"].timestamp())) for row in rows)
    return points


def complete_us(broker: streams.Streams) -> list[int]:
    """Return by partition up to which event time the feed said that it has given everything."""
    entries = [broker.range(streams.telemetry(number)) for number in range(2)]
    said = [[orjson.loads(entry.payload)["event_us"] for entry in of if entry.kind == streams.KIND_WATERMARK] for of in entries]
    return [max(of) for of in said]


def position_s(broker: streams.Streams, choice: SourceChoice) -> int:
    progress = ProgressStore(broker, producer_id_of(choice, "default")).load()
    return 0 if progress is None else progress.cursor.position_s


def test_killed_at_any_moment_the_feed_loses_nothing_and_doubles_nothing(settings: Settings, server: LivingPrometheus) -> None:
    choice, chance = choice_of(server), random.Random(3)
    with EmbeddedBroker(settings) as embedded:
        broker = open_streams(settings)
        for number in range(5):
            process = feed(settings, choice)
            before_s = position_s(broker, choice)
            assert wait_until(lambda before_s=before_s: position_s(broker, choice) > before_s, within(60.0))
            time.sleep(chance.random())
            process.send_signal(signal.SIGKILL)
            process.wait()
            if number == 2:
                embedded.kill()
                embedded.start()
        server.away = True
        process = feed(settings, choice)
        time.sleep(1.0)
        server.away = False
        end_s = int(time.time()) + LATE_S + 2
        assert wait_until(lambda: position_s(broker, choice) > end_s + LATE_S, within(60.0))
        (writer,) = writers(broker, time.time())
        assert writer.lasting
        assert writer.lag_s(time.time()) < within(10.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(within(30.0)) == 0
        assert not writers(broker, time.time())[0].lasting
        points, waited_s = published(broker), settings.telemetry.lateness_s
        newest_s = position_s(broker, choice) - 1
        assert complete_us(broker) == [(newest_s + waited_s) * 1_000_000 + 1] * 2, "no tick waits for the next instant"
    begin_s = min(at for _, at in points)
    assert Counter({key: count for key, count in points.items() if key[1] < end_s}) == Counter(
        (name, at) for name in SERVICES for at in range(begin_s, end_s)
    )
    assert end_s - begin_s > 7200, "it begins before the present, so that tier 1 knows what is usual"
