"""The live feed of a recorded source: slices in time, a timeline that goes on, nothing from the future."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import SequenceConflict
from aiops.types import HistorySplit, RequestRows
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from orchestration.pipeline import source_feed
from orchestration.pipeline.request_feed import RequestFeed
from orchestration.pipeline.row_arrivals import arrival_times
from orchestration.pipeline.source_feed import Feed, Pace, slices
from orchestration.pipeline.timeline import Timeline, shifted, timeline_of

START = datetime(2025, 3, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OPTIONS = ("services=3", "hours=4", "history_share=0.5")
SPLIT = HistorySplit(START - timedelta(hours=1), START, START, START + timedelta(hours=2))


def chunk_of(times: list[datetime | None]) -> pa.Table:
    return pa.table({"timestamp": pa.array(times, TIMESTAMP), "value": np.arange(len(times), dtype=np.float64)})


def ticks(count: int, per_tick: int = 3) -> list[datetime | None]:
    return [START + MINUTE * (row // per_tick) for row in range(count * per_tick)]


def test_slices_are_the_chunk_in_order_each_ending_after_its_rows() -> None:
    chunk = chunk_of(ticks(30))
    parts = list(slices(chunk, 2 * MINUTE, START))
    assert pa.concat_tables([rows for _, rows in parts]).equals(chunk)
    assert len(parts) == 15
    assert [end for end, _ in parts] == [START + 2 * MINUTE * (number + 1) for number in range(15)]


@pytest.mark.parametrize("odd", [None, START + timedelta(days=400), START - timedelta(days=400)])
def test_a_row_with_no_time_or_a_wrong_time_comes_with_its_neighbours(odd: datetime | None) -> None:
    times = ticks(60)
    times[91] = odd
    chunk = chunk_of(times)
    parts = list(slices(chunk, MINUTE, START))
    assert len(parts) == 60
    assert parts[30][1]["value"].to_pylist() == [90.0, 91.0, 92.0]


def test_arrival_times_never_decrease_and_keep_honest_times() -> None:
    times = ticks(60)
    times[40], times[100] = None, START + timedelta(hours=7)
    due = arrival_times(chunk_of(times)["timestamp"])
    assert (np.diff(due) >= 0).all()
    honest = [row for row in range(180) if row not in {40, 100}]
    expected = [int((START + MINUTE * (row // 3)).timestamp() * 1e6) for row in honest]
    assert due[honest].tolist() == expected


def test_a_chunk_of_text_times_is_due_at_the_fallback() -> None:
    chunk = pa.table({"timestamp": ["soon", "later"], "value": [1.0, 2.0]})
    assert [(end, rows.num_rows) for end, rows in slices(chunk, MINUTE, START)] == [(START, 2)]
    assert shifted(chunk, MINUTE).equals(chunk)


def test_shifting_moves_every_time_and_nothing_else() -> None:
    chunk = chunk_of([START, None, START + MINUTE])
    moved = shifted(chunk, timedelta(days=3))
    assert moved["timestamp"].to_pylist() == [START + timedelta(days=3), None, START + timedelta(days=3) + MINUTE]
    assert moved["value"].equals(chunk["value"])


def test_a_new_timeline_begins_now_on_a_tick(home: Path) -> None:
    now = START + timedelta(days=500, seconds=17)
    line = timeline_of(home, "simulate", SPLIT, now, 60)
    assert line.origin == now - timedelta(seconds=17)
    assert SPLIT.history_end + line.history_shift(SPLIT) == line.origin


def test_a_kept_timeline_goes_on_and_another_source_begins_after_it(home: Path) -> None:
    now = START + timedelta(days=500)
    line = timeline_of(home, "simulate", SPLIT, now, 60).at(START + timedelta(hours=1), SPLIT)
    line.save(home)
    assert timeline_of(home, "simulate", SPLIT, now + timedelta(days=1), 60) == line
    other = timeline_of(home, "csv", SPLIT, now, 60)
    assert other.origin == line.newest + MINUTE


def test_a_replay_that_lies_before_its_history_still_follows_it_live(home: Path) -> None:
    split = HistorySplit(START, START + timedelta(hours=4), START - timedelta(hours=20), START)
    line = timeline_of(home, "nezha", split, START + timedelta(days=900), 60)
    assert split.history_end + line.history_shift(split) == line.origin == split.replay_start + line.replay_shift(split)


class Ledger:
    """A producer that remembers what it was given."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, pa.Table, datetime]] = []
        self.incidents: list[tuple[str, datetime]] = []
        self.used: set[int] = set()
        self.requests = RequestLedger()

    def resume_from(self) -> int:
        return 41

    def unused(self) -> int:
        return 60

    def publish(self, table: pa.Table, seq: int, available_at: datetime) -> int:
        if seq in self.used:
            raise SequenceConflict(f"seq={seq} was used for another batch")
        self.sent.append((seq, table, available_at))
        return 1

    def publish_incident(self, service: str, known_at: datetime, seq: int) -> int:
        assert seq >= 41
        self.incidents.append((service, known_at))
        return 1


class RequestLedger:
    """A producer of requests that remembers what it was given; a number that it has does not count again."""

    def __init__(self) -> None:
        self.sent: dict[int, tuple[RequestRows, datetime]] = {}

    def publish(self, rows: RequestRows, seq: int, available_at: datetime) -> bool:
        if seq in self.sent:
            assert self.sent[seq][0].spans.equals(rows.spans)
            return False
        self.sent[seq] = (rows, available_at)
        return True


def fed(home: Path, speed: float, stop: threading.Event, monkeypatch: pytest.MonkeyPatch) -> tuple[Feed, Ledger]:
    ledger = Ledger()
    monkeypatch.setattr(source_feed, "TelemetryProducer", lambda *_: ledger)
    monkeypatch.setattr(source_feed, "SignalProducer", lambda *_: ledger.requests)
    monkeypatch.setenv("AIOPS_HOME", str(home))
    choice = source_feed.SourceChoice("simulate", None, OPTIONS)
    return Feed(source_feed.Settings(), choice, Pace(speed, 0.02), stop), ledger


def test_a_fast_feed_says_when_rows_became_available(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed, ledger = fed(home, 36_000.0, threading.Event(), monkeypatch)
    points = feed.run()
    assert points == sum(table.num_rows for _, table, _ in ledger.sent) > 0
    assert [seq for seq, _, _ in ledger.sent] == sorted({seq for seq, _, _ in ledger.sent})
    assert ledger.sent[0][0] >= 41
    before = ledger.sent[0][2]
    for _, table, available in ledger.sent:
        assert available >= before, "availability never goes back"
        before = available
        late = [time for time in table["timestamp"].to_pylist() if time is not None and time > available]
        assert len(late) <= 0.01 * table.num_rows, "rows are not from the future of their own clock"


def test_requests_come_beside_telemetry_at_its_times_and_once_after_a_restart(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, ledger = fed(home, 36_000.0, threading.Event(), monkeypatch)
    feed.run()
    source = source_feed.SourceChoice("simulate", None, OPTIONS).open()
    split, sent = source.split(), list(ledger.requests.sent.values())
    spans = [span for rows, _ in sent for span in rows.spans["span_id"].to_pylist()]
    assert len(spans) == len(set(spans)) > 500
    shift = feed.timeline.origin - split.replay_start
    for rows, available in sent:
        for table in (rows.logs, rows.spans):
            assert all(at <= available for at in table["available_at"].to_pylist())
            assert all(at - shift >= split.replay_start for at in table["timestamp"].to_pylist())
    again = RequestFeed(source, ledger.requests, split, split.replay_start)  # type: ignore[arg-type]
    for end in sorted(split.replay_start + timedelta(milliseconds=number) for number in tuple(ledger.requests.sent)):
        again.publish(end, shift, START)
    assert len(ledger.requests.sent) == len(sent), "what was sent before bears the same numbers"


def test_a_number_left_by_a_batch_that_was_cut_otherwise_costs_no_row(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed, ledger = fed(home, 36_000.0, threading.Event(), monkeypatch)
    ledger.used = set(range(43, 60))
    points = feed.run()
    assert points == sum(table.num_rows for _, table, _ in ledger.sent) > 0
    numbers = [seq for seq, _, _ in ledger.sent]
    assert numbers == sorted(set(numbers))
    assert not ledger.used & set(numbers)
    assert max(numbers) > 60


def test_a_feed_has_the_same_id_whenever_it_feeds_the_same_for_the_same_tenant() -> None:
    choice = source_feed.SourceChoice("csv", Path("rows.csv"), ("labels_path=a.csv",))
    name = source_feed.producer_id_of(choice, "acme")
    assert name == source_feed.producer_id_of(source_feed.SourceChoice("csv", Path("rows.csv"), ("labels_path=a.csv",)), "acme")
    assert name.startswith("feed-csv-")
    others = [
        source_feed.producer_id_of(choice, "globex"),
        source_feed.producer_id_of(source_feed.SourceChoice("csv", Path("b.csv"), ()), "acme"),
    ]
    assert len({name, *others}) == 3


def test_a_stopped_feed_goes_on_where_it_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    first, ledger = fed(home, 36_000.0, stop, monkeypatch)
    publish = ledger.publish

    def publish_and_stop(table: pa.Table, seq: int, available_at: datetime) -> int:
        stop.set()
        return publish(table, seq, available_at)

    monkeypatch.setattr(ledger, "publish", publish_and_stop)
    some = first.run()
    second, rest = fed(home, 36_000.0, threading.Event(), monkeypatch)
    assert second.timeline == Timeline.load(home)
    total = some + second.run()
    fresh = home / "fresh"
    fresh.mkdir()
    whole, everything = fed(fresh, 36_000.0, threading.Event(), monkeypatch)
    assert total == whole.run()
    assert 0 < some < total
    values = [table["value"].to_pylist() for _, table, _ in [*ledger.sent, *rest.sent]]
    expected = [table["value"].to_pylist() for _, table, _ in everything.sent]
    assert repr([item for part in values for item in part]) == repr([item for part in expected for item in part])
