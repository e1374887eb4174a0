"""Rows go where their series lie, and every partition learns how far a batch has come."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.telemetry.codec import decode
from data_contracts.telemetry.validate import validate
from data_contracts.values.coerce import SchemaError
from serving.ingest.row_routing import RowRouting
from serving.ingest.watermark_entries import Watermarks
from serving.stream import streams
from serving.stream.partitioning import home_of, partitions_of

NOW = datetime(2026, 3, 2, tzinfo=UTC)
PARTITIONS = 4
LATEST = NOW + timedelta(seconds=300)


def rows(count: int, at: datetime = NOW, **columns: object) -> pa.Table:
    made: dict[str, object] = {
        "timestamp": pa.array([at] * count, TIMESTAMP),
        "service": [f"s{number % 7}" for number in range(count)],
        "metric": [f"m{number}" for number in range(count)],
        "value": [float(number) for number in range(count)],
    }
    return pa.table(made | columns)


def routed(table: pa.Table, partitions: int = PARTITIONS, tenant: str = "acme") -> dict[int, list[tuple[bytes, bytes]]]:
    given: dict[int, list[tuple[bytes, bytes]]] = {}
    for partition, entry in RowRouting(partitions, 10).entries(tenant, table, LATEST):
        assert entry.tenant == tenant
        given.setdefault(partition, []).append((entry.kind, entry.payload))
    return given


def test_every_row_goes_to_the_partition_of_the_id_that_the_contract_gives_it() -> None:
    count = 0
    for partition, entries in routed(rows(100)).items():
        for kind, payload in entries:
            assert kind == streams.KIND_TELEMETRY
            valid = validate(decode(payload), NOW, tenant="acme")
            ids = valid.accepted.column("series_id").to_numpy()
            assert set(partitions_of(ids, PARTITIONS).tolist()) == {partition}
            count += len(ids)
            assert len(ids) <= 10
    assert count == 100


def test_labels_in_any_order_name_the_same_series() -> None:
    sets = pa.array([[("b", "2"), ("a", "1")], [("a", "1"), ("b", "2")]], pa.map_(pa.string(), pa.string()))
    table = rows(2).set_column(1, "service", pa.array(["s", "s"])).set_column(2, "metric", pa.array(["m", "m"]))
    later = table.set_column(0, "timestamp", pa.array([NOW, NOW - timedelta(seconds=1)], TIMESTAMP))
    given = routed(later.append_column("labels", sets))
    kinds = [kind for entries in given.values() for kind, _ in entries]
    assert kinds.count(streams.KIND_TELEMETRY) == 1
    assert kinds.count(streams.KIND_WATERMARK) == PARTITIONS - 1


def test_what_names_no_series_goes_to_the_home_of_the_tenant_where_it_is_refused() -> None:
    home = home_of("acme", PARTITIONS)
    nameless = rows(3, service=pa.array(["ok", None, "ok"]), metric=pa.array(["a|b{", "m", None]))
    nothing = rows(2, service=pa.array([None, None], pa.string()))
    for table in (nameless, nothing):
        given = {number: [kind for kind, _ in entries] for number, entries in routed(table).items()}
        assert streams.KIND_TELEMETRY in given.pop(home)
        assert {kind for kinds in given.values() for kind in kinds} == {streams.KIND_WATERMARK}


def test_a_table_that_is_no_telemetry_is_refused_whatever_the_partitions() -> None:
    for partitions in (1, PARTITIONS):
        with pytest.raises(SchemaError, match="service"):
            routed(pa.table({"timestamp": pa.array([NOW], TIMESTAMP), "value": [1.0]}), partitions)


def test_partitions_that_stay_behind_learn_how_far_the_batch_has_come() -> None:
    early, late = rows(40, NOW - timedelta(minutes=5)), rows(1, NOW)
    given = routed(pa.concat_tables([early, late]))
    assert set(given) == set(range(PARTITIONS))
    watermarks = {number: entries[-1] for number, entries in given.items() if entries[-1][0] == streams.KIND_WATERMARK}
    assert len(watermarks) == PARTITIONS - 1
    assert {json.loads(payload)["event_us"] for _, payload in watermarks.values()} == {int(NOW.timestamp() * 1e6)}


def test_rows_that_will_be_refused_as_too_far_ahead_are_no_news() -> None:
    given = routed(pa.concat_tables([rows(40), rows(1, NOW + timedelta(days=400))]))
    events = [json.loads(payload)["event_us"] for entries in given.values() for kind, payload in entries if kind == b"m"]
    assert all(event_us <= LATEST.timestamp() * 1e6 for event_us in events)


def test_the_same_rows_give_the_same_entries_and_one_partition_gets_no_watermark() -> None:
    table = rows(50)
    assert routed(table) == routed(table)
    assert [kind for kind, _ in routed(table, 1)[0]] == [streams.KIND_TELEMETRY] * 5
    assert routed(table.slice(0, 0)) == {}


def test_a_receiver_says_to_a_partition_only_what_it_does_not_know() -> None:
    watermarks, second = Watermarks(3), 1_000_000

    def said(newest: dict[int, int]) -> list[tuple[int, int]]:
        of_tenant = {"acme": newest}
        made = [(number, json.loads(entry.payload)["event_us"]) for number, entry in watermarks.entries(of_tenant)]
        watermarks.appended(of_tenant)
        return made

    assert said({0: 10 * second}) == [(1, 10 * second), (2, 10 * second)]
    assert said({1: 10 * second}) == []
    assert said({1: 10 * second + 5}) == [], "less than a second is no news"
    assert said({2: 12 * second}) == [(0, 12 * second), (1, 12 * second)]
    assert said({0: 9 * second}) == []
    assert list(watermarks.entries({"other": {0: second}})) != []


def test_what_was_not_appended_is_said_again() -> None:
    watermarks, newest = Watermarks(2), {"acme": {0: 5_000_000}}
    first = [number for number, _ in watermarks.entries(newest)]
    assert [number for number, _ in watermarks.entries(newest)] == first == [1]
    watermarks.appended(newest)
    assert list(watermarks.entries(newest)) == []


def test_ids_of_any_sign_have_a_partition() -> None:
    ids = np.array([-(2**63), -1, 0, 2**63 - 1])
    assert ((partitions_of(ids, 3) >= 0) & (partitions_of(ids, 3) < 3)).all()
