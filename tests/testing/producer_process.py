"""One producer of the tests as a process of its own: `python -m tests.testing.producer_process KIND PRODUCER BATCHES`.

KIND: `sequence` = the producer of the suite. The controls: `counter` = ids from one counter that all share, as in version 0.1;
`retry` = ids from the broker, a batch sent again from the newest finished one, no sequence checked.
Each row's value is unique among all producers, so that a reader can tell what is lost and what came twice.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa

from aiops.errors import Unavailable
from aiops.settings.tree import Settings
from data_contracts.schemas import telemetry_schemas
from data_contracts.telemetry.codec import encode
from serving.ingest.producer import ProducerConfig, TelemetryProducer
from serving.stream import streams
from serving.stream.broker import open_streams
from tests.testing.stream_harness import SERVICES

ROWS: Final = 48
PER_ENTRY: Final = 4
START: Final = datetime(2026, 3, 2, tzinfo=UTC)
CONFIG: Final = ProducerConfig(points_per_entry=PER_ENTRY, max_backlog=40, patience_s=1.0)
Send = Callable[[pa.Table, int], object]


def rows_of_batch(producer: int, seq: int) -> pa.Table:
    """Return the rows of one batch: value = producer * 1e6 + a number of its own."""
    first = (seq - 1) * ROWS
    times = [START + timedelta(seconds=first + row) for row in range(ROWS)]
    columns = {
        "timestamp": pa.array(times, telemetry_schemas.TIMESTAMP),
        "service": [SERVICES[(row + producer) % len(SERVICES)] for row in range(ROWS)],
        "metric": ["requests_per_second"] * ROWS,
        "value": [producer * 1e6 + first + row for row in range(ROWS)],
    }
    return pa.table(columns)


def send_all(send: Send, resume: Callable[[], int], producer: int, count: int) -> None:
    """Send batch after batch; after an outage ask where to go on."""
    seq = 0
    while seq < count:
        try:
            seq = seq or max(0, resume() - 1)
            if seq < count:
                send(rows_of_batch(producer, seq + 1), seq + 1)
                seq += 1
        except Unavailable:
            time.sleep(0.05)
            seq = 0


def with_shared_counter(broker: streams.Streams, partitions: int) -> tuple[Send, Callable[[], int]]:
    """Return how version 0.1 sent: explicit ids `<seq>-<part>`, what has been passed is answered 0."""
    import redis

    def send(rows: pa.Table, seq: int) -> None:
        for part, first in enumerate(range(0, ROWS, PER_ENTRY)):
            stream = streams.telemetry(part % partitions)
            while broker.length(stream) >= CONFIG.max_backlog:
                time.sleep(0.01)
            try:
                broker.client.xadd(stream, {"k": b"t", "b": encode(rows.slice(first, PER_ENTRY))}, id=f"{seq}-{part}")
            except redis.ResponseError as error:
                if "equal or smaller" not in str(error):
                    raise
        broker.hash_set("aiops:produced", {"seq": str(seq)})

    return send, lambda: int(broker.hash_all("aiops:produced").get("seq", 0)) + 1


def without_sequence(broker: streams.Streams, partitions: int, name: str) -> tuple[Send, Callable[[], int]]:
    """Return how a producer sends that repeats what it has not seen finished, without a sequence."""

    def send(rows: pa.Table, seq: int) -> None:
        for part, first in enumerate(range(0, ROWS, PER_ENTRY)):
            stream = streams.telemetry(part % partitions)
            while broker.length(stream) >= CONFIG.max_backlog:
                time.sleep(0.01)
            broker.client.xadd(stream, {"k": b"t", "b": encode(rows.slice(first, PER_ENTRY))})
        broker.hash_set(f"test:done:{name}", {"seq": str(seq)})

    return send, lambda: int(broker.hash_all(f"test:done:{name}").get("seq", 0)) + 1


def main() -> None:
    """Send everything and end."""
    kind, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    settings = Settings()
    broker = open_streams(settings)
    partitions = settings.broker.partitions
    if kind == "sequence":
        producer = TelemetryProducer(open_streams(settings), partitions, f"producer-{name}", CONFIG)
        send: Send = producer.publish
        resume = producer.resume_from
    elif kind == "counter":
        send, resume = with_shared_counter(broker, partitions)
    else:
        send, resume = without_sequence(broker, partitions, name)
    send_all(send, resume, int(name), count)


if __name__ == "__main__":
    main()
