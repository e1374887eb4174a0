"""The producer of logs and spans against a broker: rows arrive whole where receivers put theirs, a repeated batch once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from aiops.errors import SequenceConflict
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from aiops.simulator.simulate import simulate
from aiops.simulator.simulation_config import SimulationConfig
from aiops.types import RequestRows
from serving.ingest.signal_producer import SignalProducer
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from serving.stream.partitioning import signals_home
from tests.testing.stream_harness import free_ports

PARTITIONS = 3
CONFIG = SimulationConfig(seed=3, services=5, hours=4.0, incidents_per_day=0.0, traces_per_min=40.0)
AT = CONFIG.start + timedelta(hours=4)


@pytest.fixture
def broker(home: Path) -> Iterator[streams.Streams]:
    settings = Settings(home=home, broker=BrokerSettings(port=free_ports(1)[0], partitions=PARTITIONS))
    with EmbeddedBroker(settings):
        yield open_streams(settings)


@pytest.fixture(scope="module")
def rows() -> RequestRows:
    parts = list(simulate(CONFIG).requests())
    return RequestRows(pa.concat_tables([part.logs for part in parts]), pa.concat_tables([part.spans for part in parts]))


def stored(broker: streams.Streams, kind: bytes) -> pa.Table:
    entries = broker.range(streams.signals(signals_home("acme", PARTITIONS)))
    assert {entry.tenant for entry in entries} == {"acme"}
    return pa.concat_tables([streams.from_ipc(entry.payload) for entry in entries if entry.kind == kind])


def test_rows_arrive_whole_and_a_repeated_batch_adds_nothing(broker: streams.Streams, rows: RequestRows) -> None:
    first = SignalProducer(broker, PARTITIONS, "story", "acme")
    assert first.publish(rows, 1, AT)
    assert rows.logs.num_rows > 8192, "more than one entry"
    again = SignalProducer(broker, PARTITIONS, "story", "acme")
    assert not again.publish(rows, 1, AT)
    assert stored(broker, streams.KIND_LOGS).equals(rows.logs.combine_chunks())
    assert stored(broker, streams.KIND_SPANS).equals(rows.spans.combine_chunks())
    elsewhere = [number for number in range(PARTITIONS) if number != signals_home("acme", PARTITIONS)]
    assert [broker.length(streams.signals(number)) for number in elsewhere] == [0, 0]


def test_another_batch_under_a_number_that_was_used_is_refused(broker: streams.Streams, rows: RequestRows) -> None:
    producer = SignalProducer(broker, PARTITIONS, "story", "acme")
    producer.publish(rows, 5, AT)
    with pytest.raises(SequenceConflict):
        producer.publish(RequestRows(rows.logs.slice(1), rows.spans), 5, AT)
