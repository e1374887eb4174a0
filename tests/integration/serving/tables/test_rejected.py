"""Rejected rows are stored, listed and re-driven once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest

from aiops.errors import ConfigurationError, ContractError
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.rejects import Refusal, rejected_batch, rejected_payload
from data_contracts.telemetry.validate import validate
from serving.lake.opening import open_lake
from serving.lake.port import Added
from serving.tables.rejected import Redriven, RejectedFilter, RejectedStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)


class RawRow(NamedTuple):
    """A row of one metric as a source sends it."""

    at: datetime
    service: str
    value: float | None


def raw(*rows: RawRow) -> pa.Table:
    """Return rows of one metric."""
    moments, services, values = zip(*rows, strict=True)
    return pa.table(
        {
            "timestamp": pa.array(moments, pa.timestamp("us", tz="UTC")),
            "service": pa.array(services, pa.string()),
            "metric": pa.array(["cpu_utilization"] * len(rows), pa.string()),
            "value": pa.array(values, pa.float64()),
        }
    )


class Taken:
    """A sink that keeps the points by key, as the lake does."""

    def __init__(self, failures: int = 0) -> None:
        self.points: dict[str, list[dict[str, object]]] = {}
        self.calls = 0
        self._failures = failures

    def __call__(self, points: pa.RecordBatch, key: str) -> None:
        self.calls += 1
        self.points[key] = points.to_pylist()
        if self._failures:
            self._failures -= 1
            raise OSError("the disk is full")

    @property
    def services(self) -> list[str]:
        return sorted(str(point["service"]) for points in self.points.values() for point in points)


@pytest.fixture
def store(home: Path) -> RejectedStore:
    """Return a store with two rows from the future, a missing value, a duplicate and an undecodable payload."""
    built = RejectedStore(open_lake(home / "lake").for_tenant(DEFAULT_TENANT))
    soon = NOW + timedelta(hours=1)
    rows = raw(
        RawRow(soon, "cart", 0.1),
        RawRow(soon, "pay", 0.2),
        RawRow(NOW, "cart", None),
        RawRow(NOW, "cart", 0.3),
        RawRow(NOW, "cart", 0.3),
    )
    assert built.add(validate(rows, NOW, source="csv").rejected) == Added(4, 0)
    built.add(rejected_payload(b"noise", "no stream", NOW + timedelta(minutes=1), "stream"))
    return built


def reasons(rows: pa.Table) -> list[str]:
    return [str(reason) for reason in rows.column("reason").to_pylist()]


def test_rows_are_listed_newest_first_and_filtered(store: RejectedStore) -> None:
    everything = store.list(RejectedFilter())
    assert reasons(everything)[0] == "undecodable"
    assert sorted(reasons(everything)) == ["duplicate", "future_timestamp", "future_timestamp", "missing_value", "undecodable"]
    assert store.list(RejectedFilter(), limit=2).num_rows == 2
    assert reasons(store.list(RejectedFilter(reason="missing_value"))) == ["missing_value"]
    assert reasons(store.list(RejectedFilter(source="stream"))) == ["undecodable"]
    assert reasons(store.list(RejectedFilter(since=NOW + timedelta(seconds=1)))) == ["undecodable"]
    reject_id = str(everything.column("reject_id")[3].as_py())
    assert store.list(RejectedFilter(ids=(reject_id, "unknown"))).column("reject_id").to_pylist() == [reject_id]
    assert store.list(RejectedFilter(source="nab")).num_rows == 0


def test_an_empty_store_lists_and_redrives_nothing(home: Path) -> None:
    empty = RejectedStore(open_lake(home / "lake").for_tenant(DEFAULT_TENANT))
    assert empty.list(RejectedFilter()).num_rows == 0
    assert empty.redrive(RejectedFilter(), Taken(), NOW) == Redriven(0, 0, {})


def test_storing_the_same_rows_again_doubles_nothing(store: RejectedStore) -> None:
    rows = store.list(RejectedFilter(source="stream"))
    assert store.add(rows) == Added(0, 1)
    assert store.list(RejectedFilter()).num_rows == 5


def test_rows_that_pass_now_are_handed_over_once(store: RejectedStore) -> None:
    sink = Taken()
    outcome = store.redrive(RejectedFilter(), sink, LATER)
    assert outcome == Redriven(5, 2, {"duplicate": 1, "missing_value": 1, "undecodable": 1})
    assert sink.services == ["cart", "pay"]
    assert store.redrive(RejectedFilter(), sink, LATER) == Redriven(3, 0, {"duplicate": 1, "missing_value": 1, "undecodable": 1})
    assert sink.calls == 1
    assert sorted(reasons(store.list(RejectedFilter()))) == ["duplicate", "missing_value", "undecodable"]
    assert store.list(RejectedFilter(redriven=True)).num_rows == 5


def test_refused_logs_and_points_of_no_series_keep_their_reason(home: Path) -> None:
    store = RejectedStore(open_lake(home / "lake").for_tenant(DEFAULT_TENANT))
    ahead, unknown = (
        Refusal("future_timestamp", "time_unix_nano", "ahead"),
        Refusal("unknown_series", "series_id", "no definition"),
    )
    store.add(rejected_batch(['{"signal": "log"}'], [ahead], NOW, "otlp/logs"))
    store.add(rejected_batch(['{"series_id": "5"}'], [unknown], NOW, "points"))
    sink = Taken()
    assert store.redrive(RejectedFilter(), sink, LATER) == Redriven(2, 0, {"future_timestamp": 1, "unknown_series": 1})
    assert sink.calls == 0


def test_only_the_chosen_rows_are_tried(store: RejectedStore) -> None:
    sink = Taken()
    future = store.list(RejectedFilter(reason="future_timestamp"))
    ids = tuple(str(reject_id) for reject_id in future.column("reject_id").to_pylist())
    assert store.redrive(RejectedFilter(ids=ids[:1]), sink, LATER) == Redriven(1, 1, {})
    assert store.redrive(RejectedFilter(reason="future_timestamp"), sink, LATER) == Redriven(1, 1, {})
    assert sink.services == ["cart", "pay"]


def test_a_wider_tolerance_is_a_fix(store: RejectedStore) -> None:
    sink = Taken()
    chosen = RejectedFilter(reason="future_timestamp")
    assert store.redrive(chosen, sink, NOW) == Redriven(2, 0, {"future_timestamp": 2})
    assert store.redrive(chosen, sink, NOW, future_tolerance_s=3600) == Redriven(2, 2, {})


def test_a_sink_that_fails_gets_the_same_rows_under_the_same_key_again(store: RejectedStore) -> None:
    sink = Taken(failures=1)
    with pytest.raises(OSError, match="disk is full"):
        store.redrive(RejectedFilter(), sink, LATER)
    assert store.redrive(RejectedFilter(), sink, LATER).redriven == 2
    assert (sink.calls, list(map(len, sink.points.values())), sink.services) == (2, [2], ["cart", "pay"])


def test_a_row_rejected_twice_is_redriven_once(store: RejectedStore) -> None:
    again = validate(raw(RawRow(NOW + timedelta(hours=1), "cart", 0.1)), NOW + timedelta(minutes=5), source="csv").rejected
    store.add(again)
    sink = Taken()
    assert store.redrive(RejectedFilter(reason="future_timestamp"), sink, LATER).redriven == 2
    assert sink.services == ["cart", "pay"]


def test_many_rows_are_handed_over_in_parts(home: Path) -> None:
    many = RejectedStore(open_lake(home / "lake").for_tenant(DEFAULT_TENANT))
    rows = raw(*(RawRow(NOW + timedelta(hours=1, microseconds=row), "cart", 0.5) for row in range(50_001)))
    many.add(validate(rows, NOW).rejected)
    sink = Taken()
    assert many.redrive(RejectedFilter(), sink, LATER) == Redriven(50_001, 50_001, {})
    assert (sink.calls, len(sink.services)) == (16, 50_001)
    assert many.redrive(RejectedFilter(), sink, LATER).tried == 0


def test_wrong_requests_are_refused(store: RejectedStore) -> None:
    with pytest.raises(ConfigurationError, match="'late' is unknown; use one of missing_value"):
        store.list(RejectedFilter(reason="late"))
    with pytest.raises(ConfigurationError, match="limit is 0"):
        store.list(RejectedFilter(), limit=0)
    with pytest.raises(ConfigurationError, match="no time zone"):
        store.list(RejectedFilter(since=NOW.replace(tzinfo=None)))
    with pytest.raises(ContractError, match="columns missing"):
        store.add(raw(RawRow(NOW, "cart", 1.0)))
