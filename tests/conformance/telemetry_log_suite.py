"""What every place for telemetry must do, seen through `Streams` and the producer's sequence: a base class of tests.

A subclass has a fixture `broker`: streams with nothing on partition 0 yet.
"""

import threading
import time

from serving.ingest.producer_sequence import Appended, BatchPlace, ProducerSequence
from serving.stream import streams
from tests.testing.deadlines import within

STREAM = streams.telemetry(0)


def sequence(broker: streams.Streams, name: str = "writer") -> ProducerSequence:
    return ProducerSequence(broker, name)


def append(writer: ProducerSequence, seq: int, part: int = 0, payload: bytes = b"", room: int = 1000) -> Appended:
    body = payload or f"{seq}-{part}".encode()
    fields: dict[str, bytes | int] = {
        "k": b"t",
        "t": 7,
        "a": 1000 + seq,
        "p": writer.producer_id.encode(),
        "s": f"{seq}-{part}".encode(),
        "n": b"shop",
        "b": body,
    }
    return writer.append(BatchPlace(0, seq, f"sum-{seq}"), part, fields, room)


class TelemetryLogSuite:
    """Order, ids, positions, repeats and limits."""

    def test_nothing_is_there_at_first(self, broker: streams.Streams) -> None:
        assert broker.last_id(STREAM) == broker.trimmed_id(STREAM) == streams.START
        assert broker.read({STREAM: streams.START}, 10, 0) == {}
        assert broker.range(STREAM) == []
        assert broker.added(0) == broker.length(STREAM) == 0

    def test_entries_come_back_whole_and_in_order(self, broker: streams.Streams) -> None:
        writer = sequence(broker)
        for seq in range(1, 6):
            assert append(writer, seq) is Appended.NEW
        read = broker.read({STREAM: streams.START}, 10, 2000)[STREAM]
        assert [entry.payload for entry in read] == [f"{seq}-0".encode() for seq in range(1, 6)]
        assert [(entry.kind, entry.tenant, entry.produced_ns) for entry in read] == [(b"t", "shop", 7)] * 5
        assert [entry.available_us for entry in read] == [1001, 1002, 1003, 1004, 1005]
        assert [entry.ordinal for entry in read] == [1, 2, 3, 4, 5]
        assert [entry.source for entry in read] == [f"writer {seq}-0" for seq in range(1, 6)]
        ids = [streams.id_parts(entry.entry_id) for entry in read]
        assert ids == sorted(set(ids))
        assert broker.last_id(STREAM) == read[-1].entry_id
        assert broker.added(0) == broker.length(STREAM) == 5

    def test_a_reader_goes_on_anywhere_in_pieces_of_any_size(self, broker: streams.Streams) -> None:
        writer = sequence(broker)
        for seq in range(1, 8):
            append(writer, seq)
        entries = broker.range(STREAM)
        for start in (0, 3, 6, 1):
            at, rest = entries[start].entry_id, []
            while more := broker.read({STREAM: at}, 2, 50).get(STREAM, []):
                assert len(more) <= 2
                rest += more
                at = more[-1].entry_id
            assert rest == entries[start + 1 :]

    def test_ranges_include_exclude_and_stop(self, broker: streams.Streams) -> None:
        writer = sequence(broker)
        for seq in range(1, 6):
            append(writer, seq)
        entries = broker.range(STREAM)
        assert broker.range(STREAM, f"({entries[1].entry_id}") == entries[2:]
        assert broker.range(STREAM, entries[1].entry_id, entries[3].entry_id) == entries[1:4]
        assert broker.range(STREAM, "-", "+", 2) == entries[:2]
        assert broker.range(STREAM, f"({entries[4].entry_id}") == []

    def test_a_waiting_reader_gets_what_comes(self, broker: streams.Streams) -> None:
        writer = sequence(broker)
        append(writer, 1)
        first = broker.read({STREAM: streams.START}, 10, 2000)[STREAM]
        later = threading.Timer(0.2, append, (writer, 2))
        later.start()
        began, rest = time.monotonic(), []
        while not rest and time.monotonic() - began < within(10):
            rest = broker.read({STREAM: first[-1].entry_id}, 10, 500).get(STREAM, [])
        later.join()
        assert [entry.payload for entry in rest] == [b"2-0"]

    def test_a_repeated_entry_is_said_so_and_is_there_once(self, broker: streams.Streams) -> None:
        writer = sequence(broker)
        assert append(writer, 1) is Appended.NEW
        assert append(writer, 1) is Appended.REPEATED
        again = sequence(broker)
        assert again.take() == 0
        assert append(again, 1) is Appended.REPEATED
        assert len(broker.range(STREAM)) == 1

    def test_a_full_stream_refuses_and_loses_nothing(self, broker: streams.Streams) -> None:
        writer = sequence(broker)
        assert [append(writer, seq, room=2) for seq in (1, 2, 3)] == [Appended.NEW, Appended.NEW, Appended.BACKLOG_FULL]
        assert append(writer, 3, room=3) is Appended.NEW
        assert [entry.payload for entry in broker.range(STREAM)] == [b"1-0", b"2-0", b"3-0"]
