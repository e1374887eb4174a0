"""Many producers at once: processes that write the same partitions, one of them killed again and again, on a broker that is full
most of the time. Nothing is lost and nothing doubled; two controls show that the test can fail.
"""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from aiops.errors import ConfigurationError, FencedError, SequenceConflict, Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.tree import Settings
from data_contracts.telemetry.codec import decode
from serving.ingest.producer import ProducerConfig, TelemetryProducer
from serving.ingest.writers import writers
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from tests.testing.deadlines import within
from tests.testing.producer_process import CONFIG, ROWS, START, rows_of_batch
from tests.testing.stream_harness import environment, free_ports, wait_until

PRODUCERS = 4
BATCHES = 16
PARTITIONS = 2
Publish = Callable[[TelemetryProducer, int, int], int]


@pytest.fixture
def settings(home: Path) -> Settings:
    broker = BrokerSettings(port=free_ports(1)[0], partitions=PARTITIONS)
    return Settings(home=home, broker=broker, consumer=ConsumerSettings(archive="off"))


@pytest.fixture
def broker(settings: Settings) -> Iterator[streams.Streams]:
    with EmbeddedBroker(settings):
        yield open_streams(settings)


@dataclass(slots=True)
class SlowReader:
    """Takes entries off the streams, a few at a time with pauses, so that producers stand at the limit; counts rows by value."""

    broker: streams.Streams
    values: Counter[float]
    fullest: int = 0

    def run(self, stop: threading.Event) -> None:
        after = {streams.telemetry(number): streams.START for number in range(PARTITIONS)}
        while True:
            ending = stop.is_set()
            self.fullest = max(self.fullest, *(self.broker.length(name) for name in after))
            entries_by_stream = self.broker.read(after, 8, 0)
            for name, entries in entries_by_stream.items():
                for entry in entries:
                    if entry.kind == streams.KIND_WATERMARK:
                        continue
                    self.values.update(decode(entry.payload)["value"].to_pylist())
                after[name] = entries[-1].entry_id
                self.broker.trim_through(name, after[name])
            if ending and not entries_by_stream:
                return
            time.sleep(0.05)


class Feeder:
    """One producer process that can be killed and started again."""

    def __init__(self, settings: Settings, kind: str, number: int) -> None:
        self._command = [sys.executable, "-m", "tests.testing.producer_process", kind, str(number), str(BATCHES)]
        self._settings = settings
        self._log = settings.root / f"feeder-{number}.log"
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, env=environment(self._settings), stdout=log, stderr=log, cwd=Path(__file__).parents[4]
            )

    def kill_and_restart(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def ended(self, timeout_s: float) -> str:
        """Wait for its end; return its log where it did not end well."""
        code = self._process.wait(timeout_s)
        return self._log.read_text() if code else ""

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Delivered:
    """Rows of four producers: lost, arrived twice, and the fullest a stream was."""

    lost: int
    doubled: int
    fullest: int


def delivered_by(settings: Settings, broker: streams.Streams, kind: str, kills: int) -> Delivered:
    """Run four producers, the first killed while it sends, and compare what arrived with what was sent."""
    reader, stop = SlowReader(broker, Counter()), threading.Event()
    thread = threading.Thread(target=reader.run, args=(stop,))
    thread.start()
    feeders = [Feeder(settings, kind, number) for number in range(1, PRODUCERS + 1)]
    try:
        for kill in range(1, kills + 1):
            wanted = kill * BATCHES * ROWS // (kills + 1)
            assert wait_until(lambda wanted=wanted: sum(1 for value in list(reader.values) if value < 2e6) > wanted, 60, 0.005)
            feeders[0].kill_and_restart()
        assert [feeder.ended(90) for feeder in feeders] == [""] * PRODUCERS
    finally:
        for feeder in feeders:
            feeder.end()
        stop.set()
        thread.join()
    sent = {
        value
        for number in range(1, PRODUCERS + 1)
        for seq in range(1, BATCHES + 1)
        for value in rows_of_batch(number, seq)["value"].to_pylist()
    }
    assert len(sent) == PRODUCERS * BATCHES * ROWS
    assert set(reader.values) <= sent
    return Delivered(len(sent - set(reader.values)), sum(count - 1 for count in reader.values.values()), reader.fullest)


def test_four_producers_one_killed_again_and_again_lose_and_double_nothing(settings: Settings, broker: streams.Streams) -> None:
    delivered = delivered_by(settings, broker, "sequence", kills=3)
    assert (delivered.lost, delivered.doubled) == (0, 0)
    assert delivered.fullest == CONFIG.max_backlog, "the limit was reached, and holds however many write"
    assert sum(broker.added(number) for number in range(PARTITIONS)) > 0


def test_control_one_counter_for_all_loses_rows(settings: Settings, broker: streams.Streams) -> None:
    assert delivered_by(settings, broker, "counter", kills=0).lost > 0


def test_control_a_producer_without_a_sequence_doubles_rows(settings: Settings, broker: streams.Streams) -> None:
    delivered = delivered_by(settings, broker, "retry", kills=3)
    assert delivered.lost == 0
    assert delivered.doubled > 0


def producer(broker: streams.Streams, name: str, config: ProducerConfig = CONFIG) -> TelemetryProducer:
    return TelemetryProducer(broker, PARTITIONS, name, config)


def arrived(broker: streams.Streams) -> list[float]:
    return sorted(
        value
        for number in range(PARTITIONS)
        for entry in broker.range(streams.telemetry(number))
        if entry.kind == streams.KIND_TELEMETRY
        for value in decode(entry.payload)["value"].to_pylist()
    )


def test_a_repeated_batch_counts_once_for_its_producer_only(broker: streams.Streams) -> None:
    first_producer, other = producer(broker, "one"), producer(broker, "other")
    rows = rows_of_batch(1, 1)
    first = first_producer.publish(rows, 1)
    assert first > 0
    assert first_producer.publish(rows, 1) == 0
    assert producer(broker, "one").publish(rows, 1) == 0, "a new process of the same producer"
    assert other.publish(rows, 1) == first
    assert arrived(broker) == sorted(2 * rows["value"].to_pylist())
    assert (producer(broker, "one").resume_from(), producer(broker, "third").resume_from()) == (2, 1)


def test_entries_say_who_sent_them_and_are_counted(broker: streams.Streams) -> None:
    sent = producer(broker, "one").publish(rows_of_batch(1, 1), 7)
    entries = [entry for number in range(PARTITIONS) for entry in broker.range(streams.telemetry(number))]
    assert len(entries) == sent == sum(broker.added(number) for number in range(PARTITIONS))
    assert {entry.source.partition("-")[0] for entry in entries} == {"one 7"}
    assert {entry.tenant for entry in entries} == {"default"}
    ordinals = [entry.ordinal for entry in broker.range(streams.telemetry(0))]
    assert ordinals == list(range(1, len(ordinals) + 1))


@pytest.mark.parametrize("used", [1, 100])
def test_a_number_used_for_another_batch_is_refused_and_nothing_written(broker: streams.Streams, used: int) -> None:
    first = producer(broker, "one", ProducerConfig(points_per_entry=4))
    for seq in range(1, used + 1):
        first.publish(rows_of_batch(1, seq).slice(0, 4), seq)
    held = arrived(broker)
    fresh = producer(broker, "one", ProducerConfig(points_per_entry=4))
    with pytest.raises(SequenceConflict, match=r"producer one: seq=1 was used for another batch, or too long ago"):
        fresh.publish(rows_of_batch(2, 1), 1)
    assert arrived(broker) == held
    assert fresh.publish(rows_of_batch(2, 1), fresh.resume_from()) > 0


def test_a_batch_cut_otherwise_is_refused_because_its_parts_do_not_match(broker: streams.Streams) -> None:
    producer(broker, "one").publish(rows_of_batch(1, 1), 1)
    with pytest.raises(SequenceConflict):
        producer(broker, "one", ProducerConfig(points_per_entry=5)).publish(rows_of_batch(1, 1), 1)


def test_the_newest_process_has_the_id_and_the_earlier_one_must_stop(broker: streams.Streams) -> None:
    old, new = producer(broker, "one"), producer(broker, "one")
    old.publish(rows_of_batch(1, 1), 1)
    assert new.resume_from() == 2
    with pytest.raises(FencedError, match="producer one: another process has taken this id"):
        old.publish(rows_of_batch(1, 2), 2)
    assert len(arrived(broker)) == ROWS
    assert new.publish(rows_of_batch(1, 2), 2) > 0


def test_a_full_stream_makes_every_producer_wait_and_loses_nothing(broker: streams.Streams) -> None:
    impatient = ProducerConfig(points_per_entry=1, max_backlog=10, patience_s=0.1)
    producers = [producer(broker, name, impatient) for name in ("one", "two")]
    for number, each in enumerate(producers):
        with pytest.raises(Unavailable, match=r"still 10 entries after 0\.1 s"):
            each.publish(rows_of_batch(number, 1), 1)
    assert max(broker.length(streams.telemetry(number)) for number in range(PARTITIONS)) == 10
    patient = ProducerConfig(points_per_entry=1, max_backlog=1000)
    for number, name in enumerate(("one", "two")):
        again = producer(broker, name, patient)
        again.publish(rows_of_batch(number, 1), again.resume_from())
    assert len(arrived(broker)) == len(set(arrived(broker))) == 2 * ROWS


def test_full_memory_makes_every_producer_wait_and_loses_nothing(broker: streams.Streams) -> None:
    broker.client.config_set("maxmemory", "1mb")
    impatient = ProducerConfig(points_per_entry=4, max_backlog=1000, patience_s=0.1)
    for number, name in enumerate(("one", "two")):
        with pytest.raises(Unavailable, match=r"out of memory for 0\.1 s; raise AIOPS_BROKER__MAX_MEMORY_MB"):
            producer(broker, name, impatient).publish(rows_of_batch(number, 1), 1)
    broker.client.config_set("maxmemory", "64mb")
    for number, name in enumerate(("one", "two")):
        again = producer(broker, name, impatient)
        again.publish(rows_of_batch(number, 1), again.resume_from())
    assert len(arrived(broker)) == len(set(arrived(broker))) == 2 * ROWS


def test_a_producer_is_forgotten_after_thirty_days_and_its_repetition_not_dropped(broker: streams.Streams) -> None:
    sender = producer(broker, "one")
    sender.publish(rows_of_batch(1, 1), 1)
    left = timedelta(seconds=broker.client.ttl(streams.producer("one")))
    assert timedelta(days=29) < left <= timedelta(days=30)
    broker.client.delete(streams.producer("one"))
    assert sender.publish(rows_of_batch(1, 1), 1) > 0
    assert len(arrived(broker)) == 2 * ROWS
    assert 0 < broker.client.ttl(streams.producer("one")) <= left.total_seconds()


def test_what_is_kept_of_a_producer_is_bounded(broker: streams.Streams) -> None:
    sender = producer(broker, "one", ProducerConfig(points_per_entry=ROWS, max_backlog=10_000))
    for seq in range(1, 301):
        sender.publish(rows_of_batch(1, seq), seq, START)
    assert broker.client.hlen(streams.producer("one")) <= 6 + PARTITIONS * (1 + 64)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 129, "ä"])
def test_an_id_that_names_no_producer_is_refused(broker: streams.Streams, name: str) -> None:
    with pytest.raises(ConfigurationError, match="an id is 1 to 128 of"):
        producer(broker, name)


def test_numbers_begin_at_one(broker: streams.Streams) -> None:
    with pytest.raises(ConfigurationError, match="seq=0: source offsets start at 1"):
        producer(broker, "one").publish(rows_of_batch(1, 1), 0)


def test_each_writer_says_its_newest_event_and_stands_still_only_where_it_is_to_go_on(broker: streams.Streams) -> None:
    began_s = time.time()
    config = ProducerConfig(lasting=True)
    feed = TelemetryProducer(broker, PARTITIONS, "feed", config)
    replay = TelemetryProducer(broker, PARTITIONS, "replay", CONFIG)
    rows = rows_of_batch(0, 1)
    for producer in (feed, replay):
        producer.publish(rows, 1)
        producer.publish_incident("cart", START, 2)
    newest_s = max(moment.timestamp() for moment in rows["timestamp"].to_pylist())
    known = {writer.producer_id: writer for writer in writers(broker, began_s)}
    assert {name: writer.newest_s for name, writer in known.items()} == {"feed": newest_s, "replay": newest_s}
    assert known["feed"].lag_s(newest_s + 5.0) == 5.0
    assert abs(known["feed"].written_s - began_s) < within(30.0)
    later_s = known["feed"].written_s + 61.0
    assert [known[name].stands_still(later_s) for name in ("feed", "replay")] == [True, False]
    assert not known["feed"].stands_still(later_s - 2.0)
    feed.ends()
    assert not any(writer.stands_still(later_s) for writer in writers(broker, began_s))
    assert writers(broker, began_s + 90_000.0) == ()


def test_older_points_and_points_of_the_future_are_not_the_newest_event(broker: streams.Streams) -> None:
    producer = TelemetryProducer(broker, PARTITIONS, "feed", ProducerConfig(lasting=True))
    rows = rows_of_batch(0, 1)
    times = rows["timestamp"].to_pylist()
    at = max(times)
    for seq, shift in enumerate((0, -600, 86_400), 1):
        moved = [moment + timedelta(seconds=shift) for moment in times]
        table = rows.set_column(rows.schema.get_field_index("timestamp"), "timestamp", pa.array(moved, rows["timestamp"].type))
        producer.publish(table, seq, at)
    (writer,) = writers(broker, time.time())
    assert writer.newest_s == at.timestamp()


def test_a_source_that_says_how_far_it_has_come_closes_ticks_everywhere_and_once(broker: streams.Streams) -> None:
    producer = TelemetryProducer(broker, PARTITIONS, "asked", ProducerConfig())
    rows, complete_us = rows_of_batch(0, 1), 1_800_000_000_000_000
    assert producer.publish(rows, 1, START, complete_us) > 0
    assert producer.publish(rows, 1, START, complete_us) == 0
    for number in range(PARTITIONS):
        entries = broker.range(streams.telemetry(number))
        assert entries[-1].kind == streams.KIND_WATERMARK, "after the points that it speaks of"
        assert orjson.loads(entries[-1].payload) == {"event_us": complete_us}
        assert len([entry for entry in entries if b"1800000000000000" in entry.payload]) == 1
