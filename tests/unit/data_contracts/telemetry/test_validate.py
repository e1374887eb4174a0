"""The validator: each reason, its order, loose types, folding, and the words people read."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.schemas.telemetry_schemas import REJECT_REASONS, REJECTED, SERIES
from data_contracts.series.key import SeriesKey
from data_contracts.telemetry.rejects import Refusal, rejected_payload, rejected_points, rows_from_json
from data_contracts.telemetry.validate import SchemaError, validate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
THEN = NOW - timedelta(hours=1)


def table(**columns: Any) -> pa.Table:
    """Return one valid row, with the given columns replaced; scalars are repeated."""
    cells: dict[str, Any] = {"timestamp": [THEN], "service": ["cart"], "metric": ["cpu_utilization"], "value": [0.5]}
    cells.update(columns)
    length = max(len(column) for column in cells.values())
    return pa.table({name: column if len(column) == length else list(column) * length for name, column in cells.items()})


def texts(rows: pa.RecordBatch, column: str) -> list[str]:
    return [str(text) for text in rows.column(column).to_pylist()]


def reasons(raw: pa.Table | pa.RecordBatch, **arguments: Any) -> list[str]:
    return [str(reason) for reason in validate(raw, NOW, **arguments).rejected.column("reason").to_pylist()]


CPU = {
    "series_id": SeriesKey("default", "cart", "cpu_utilization").series_id,
    "service": "cart",
    "metric": "cpu_utilization",
    "labels": "",
}


def labels(*rows: dict[str, str] | None) -> "pa.Array[Any]":
    """Return labels as sources deliver them."""
    return pa.array([None if row is None else list(row.items()) for row in rows], pa.map_(pa.string(), pa.string()))


def details(raw: pa.Table) -> list[str]:
    return [str(detail) for detail in validate(raw, NOW).rejected.column("detail").to_pylist()]


def test_a_clean_batch_is_accepted_as_it_is() -> None:
    outcome = validate(table(value=[0.1, 0.2], timestamp=[THEN, NOW]), NOW)
    assert outcome.accepted.schema.equals(SERIES, check_metadata=True)
    assert outcome.rejected.schema.equals(REJECTED, check_metadata=True)
    assert outcome.accepted.to_pylist() == [
        {"timestamp": THEN, **CPU, "value": 0.1},
        {"timestamp": NOW, **CPU, "value": 0.2},
    ]
    assert outcome.accepted_rows.tolist() == [0, 1]
    assert outcome.rejected.num_rows == 0


def test_an_empty_batch_is_fine() -> None:
    outcome = validate(table().slice(0, 0), NOW)
    assert (outcome.accepted.num_rows, outcome.rejected.num_rows) == (0, 0)
    assert outcome.accepted.schema.equals(SERIES)
    nothing = pa.schema([pa.field(name, pa.string()) for name in ("timestamp", "service", "metric", "value")]).empty_table()
    assert validate(nothing, NOW).accepted.num_rows == 0
    assert validate(pa.Table.from_batches([], nothing.schema), NOW).accepted.num_rows == 0


@pytest.mark.parametrize(
    ("reason", "columns"),
    [
        ("missing_value", {"value": pa.array([None], pa.float64())}),
        ("missing_value", {"value": ["twelve"]}),
        ("missing_value", {"value": [""]}),
        ("missing_value", {"value": pa.nulls(1)}),
        ("non_finite", {"value": [float("nan")]}),
        ("non_finite", {"value": [float("-inf")]}),
        ("non_finite", {"value": ["1e999"]}),
        ("bad_timestamp", {"timestamp": pa.array([None], pa.timestamp("us"))}),
        ("bad_timestamp", {"timestamp": ["yesterday"]}),
        ("bad_timestamp", {"timestamp": ["2026-02-30T00:00:00Z"]}),
        ("bad_timestamp", {"timestamp": [datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]}),
        ("future_timestamp", {"timestamp": [NOW + timedelta(seconds=301)]}),
        ("future_timestamp", {"timestamp": pa.array([2**62], pa.int64()).cast(pa.timestamp("s"))}),
        ("out_of_range", {"value": [1.0001]}),
        ("out_of_range", {"value": [-0.0001]}),
        ("out_of_range", {"metric": ["error_rate"], "value": [2], "labels": labels({"code": "500"})}),
        ("name", {"service": [""]}),
        ("name", {"service": pa.array([None], pa.string())}),
        ("name", {"metric": pa.array([None], pa.string())}),
        ("name", {"service": ["a|b"]}),
        ("name", {"service": ["a\nb"]}),
        ("name", {"metric": ["a\u0085b"]}),
        ("name", {"service": pa.array([b"\xff\xfe"], pa.binary())}),
        ("name", {"service": ["s" * 201]}),
        ("name", {"service": ["é" * 101]}),
        ("name", {"metric": ["m" * 501]}),
        ("name", {"tenant": ["a/b"]}),
        ("name", {"tenant": ["t" * 201]}),
        ("name", {"tenant": pa.array([b"\xff"], pa.binary())}),
        ("foreign_tenant", {"tenant": ["acme"]}),
        ("kind", {"kind": ["summary"]}),
        ("kind", {"temporality": ["monotonic"]}),
        ("kind", {"kind": pa.array([b"\xff"], pa.binary())}),
        ("not_normalised", {"kind": ["counter"]}),
        ("not_normalised", {"kind": ["counter"], "temporality": ["cumulative"]}),
        ("not_normalised", {"kind": ["histogram"], "temporality": ["delta"]}),
        ("not_normalised", {"temporality": ["cumulative"]}),
        ("non_finite", {"kind": ["counter"], "value": [float("inf")]}),
    ],
)
def test_each_reason(reason: str, columns: dict[str, Any]) -> None:
    assert reasons(table(**columns)) == [reason]


def test_what_can_be_scored_as_it_comes_is_accepted() -> None:
    kinds = pa.array(["gauge", None, "", "counter", "gauge"])
    temporalities = pa.array([None, None, "", "delta", "delta"])
    times = [THEN + timedelta(seconds=number) for number in range(5)]
    raw = table(timestamp=times, kind=kinds, temporality=temporalities, unit=pa.array(["s"] * 5))
    assert validate(raw, NOW).accepted.num_rows == 5


def test_a_row_that_is_not_normalised_says_what_to_send_instead() -> None:
    detail = details(table(kind=["counter"], labels=labels({"code": "500"})))[0]
    for words in ("cpu_utilization{code=", "'cart'", "kind counter", "cumulative", "rate", "deltas"):
        assert words in detail
    assert "'acme' is not 'default'" in details(table(tenant=["acme"]))[0]
    assert "none of gauge, counter, histogram" in details(table(kind=["summary"]))[0]


@pytest.mark.parametrize(
    "columns",
    [
        {"timestamp": [datetime(2000, 1, 1, tzinfo=UTC)]},
        {"timestamp": [NOW + timedelta(seconds=300)]},
        {"value": [0]},
        {"value": [1]},
        {"service": ["s" * 200]},
        {"metric": ["m" * 500], "value": [-1e300]},
        {"service": ["Zahlung-über-日本"]},
    ],
)
def test_limits_are_inclusive(columns: dict[str, Any]) -> None:
    assert reasons(table(**columns)) == []


def test_the_first_reason_in_the_documented_order_is_given() -> None:
    late = NOW + timedelta(days=1)
    early = datetime(1990, 1, 1, tzinfo=UTC)
    raw = table(
        value=[None, float("nan"), 9.0, 9.0, 9.0, 0.5, 0.5],
        timestamp=[early, early, early, late, THEN, THEN, THEN],
        service=["", "", "", "", "", "", "cart"],
    )
    assert reasons(raw) == [reason for reason in REJECT_REASONS if reason in reasons(raw)][:6]
    assert reasons(raw) == ["missing_value", "non_finite", "bad_timestamp", "future_timestamp", "out_of_range", "name"]


def test_duplicates_keep_the_first_accepted_row() -> None:
    raw = table(value=[7.0, 0.1, 0.2, 0.3], timestamp=[THEN, THEN, THEN, NOW])
    outcome = validate(raw, NOW)
    assert outcome.accepted.column("value").to_pylist() == [0.1, 0.3]
    assert outcome.accepted_rows.tolist() == [1, 3]
    assert reasons(raw) == ["out_of_range", "duplicate"]


def test_duplicates_are_detected_among_many_sparse_series() -> None:
    names = [f"service-{number}" for number in range(400)]
    metrics = [f"metric-{number}" for number in range(400)]
    raw = table(service=[*names, *names], metric=[*metrics, *metrics])
    assert reasons(raw) == ["duplicate"] * 400


def test_out_of_order_rows_are_no_duplicates() -> None:
    assert reasons(table(timestamp=[NOW, THEN, NOW - timedelta(minutes=1)])) == []


def test_times_within_one_microsecond_are_the_same_time() -> None:
    ticks = pa.array([1_700_000_000_000_000_001, 1_700_000_000_000_000_999], pa.int64()).cast(pa.timestamp("ns"))
    assert reasons(table(timestamp=ticks)) == ["duplicate"]


@pytest.mark.parametrize(
    "timestamp",
    [
        pa.array([THEN], pa.timestamp("s", tz="UTC")),
        pa.array([THEN], pa.timestamp("ms", tz="Europe/Berlin")),
        pa.array([THEN.replace(tzinfo=None)], pa.timestamp("ns")),
        pa.array(["2026-03-01T11:00:00Z"]),
        pa.array(["2026-03-01 11:00:00"]),
        pa.array(["2026-03-01T13:00:00.000000000+02:00"]),
        pa.array(["2026-03-01T11:00:00Z"]).dictionary_encode(),
        pa.array(["2026-03-01T11:00:00Z"], pa.large_string()),
        pa.array(["2026-03-01T11:00:00Z"], pa.string_view()),
        pa.array([b" 20260301T110000Z "], pa.binary()),
        pa.array([THEN], pa.timestamp("us", tz="UTC")).dictionary_encode(),
    ],
)
def test_times_of_many_types(timestamp: Any) -> None:
    assert validate(table(timestamp=timestamp), NOW).accepted.column("timestamp").to_pylist() == [THEN]


@pytest.mark.parametrize(
    "value",
    [
        pa.array([1], pa.int8()),
        pa.array([1], pa.uint64()),
        pa.array([1.0], pa.float32()),
        pa.array([np.float16(1.0)], pa.float16()),
        pa.array([Decimal("1.00")], pa.decimal128(10, 2)),
        pa.array(["1"]),
        pa.array([" +1.0e0 "]),
        pa.array(["1."], pa.large_string()),
        pa.array([b"10e-1"], pa.binary()),
        pa.array(["1"]).dictionary_encode(),
        pa.array([1.0]).dictionary_encode(),
    ],
)
def test_numbers_of_many_types(value: Any) -> None:
    assert validate(table(value=value), NOW).accepted.column("value").to_pylist() == [1.0]


@pytest.mark.parametrize("text", ["1_000", "0x10", "1,5", "٣", "1e", ".", "--1", "0" * 600 + "x"])
def test_text_that_python_or_people_may_read_as_a_number_but_the_contract_does_not(text: str) -> None:
    assert reasons(table(value=[text], metric=["free"])) == ["missing_value"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (table().drop_columns(["value"]), ["'value'", "absent", "timestamp, service, metric"]),
        (table(value=[True]), ["'value'", "bool", "float64"]),
        (table(timestamp=[12]), ["'timestamp'", "int64", "ISO 8601"]),
        (table(service=[1]), ["'service'", "int64", "text"]),
        (table(labels=["a=b"]), ["'labels'", "string", "map"]),
        (table(tenant=[1.5]), ["'tenant'", "double"]),
        (
            pa.Table.from_arrays([*table().columns, pa.array(["x"])], names=[*table().schema.names, "service"]),
            ["'service'", "2 times"],
        ),
    ],
)
def test_a_table_that_cannot_hold_the_contract_raises(raw: pa.Table, words: list[str]) -> None:
    with pytest.raises(SchemaError) as caught:
        validate(raw, NOW)
    assert all(word in str(caught.value) for word in words)


def test_now_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        validate(table(), NOW.replace(tzinfo=None))


def test_details_name_value_rule_and_fix() -> None:
    (text,) = details(table(value=[1.7]))
    assert text == (
        "value 1.7 of metric 'cpu_utilization' of service 'cart' lies outside 0.0 to 1.0 (ratio): "
        "check its unit at the source or the metric catalogue"
    )
    (text,) = details(table(service=["a|b"]))
    assert text == "service 'a|b' contains '|', which is reserved as a separator: replace it"


def test_rejected_rows_carry_source_time_and_a_deterministic_id() -> None:
    raw = table(value=[9.0, 8.0])
    first = validate(raw, NOW, source="csv").rejected
    again = validate(raw, NOW + timedelta(hours=1), source="csv").rejected
    other = validate(raw, NOW, source="nab").rejected
    assert first.column("rejected_at").to_pylist() == [NOW, NOW]
    assert first.column("reject_id").to_pylist() == again.column("reject_id").to_pylist()
    assert len({*first.column("reject_id").to_pylist(), *other.column("reject_id").to_pylist()}) == 4
    assert json.loads(first.column("row")[0].as_py()) == {
        "timestamp": "2026-03-01T11:00:00.000000Z",
        "service": "cart",
        "metric": "cpu_utilization",
        "value": 9.0,
    }


def test_rejected_rows_can_be_read_back_and_are_refused_for_the_same_reason() -> None:
    raw = pa.table(
        {
            "timestamp": ["never", "2026-03-01T11:00:00Z", "2026-03-01T11:00:00Z", "2026-03-01T11:00:00Z"],
            "service": pa.array([b"a", b"\xffbad", b"c" * 9_000, b"d"], pa.binary()),
            "metric": ["m", "m", "m", "m"],
            "value": ["1", "2", "3", "nan"],
            "labels": pa.array([[("k", "v")], None, [("k", "1"), ("k", "2")], [("z", None)]], pa.map_(pa.string(), pa.string())),
            "tenant": ["t", None, "", "t"],
        }
    )
    first = validate(raw, NOW).rejected
    assert first.num_rows == 4
    again = validate(rows_from_json(texts(first, "row")), NOW).rejected
    assert again.column("reason").to_pylist() == first.column("reason").to_pylist()
    assert max(len(row) for row in texts(first, "row")) < 6_000


def test_rows_that_are_no_telemetry_are_read_back_as_nothing() -> None:
    raw = rows_from_json(["not json", "[]", '{"service": {"base64": "a"}, "value": true, "labels": 3}'])
    assert reasons(raw) == ["missing_value"] * 3


def test_labels_of_points_that_a_later_stage_refused_come_back() -> None:
    labels = pa.array([[("code", "500")]], pa.map_(pa.string(), pa.string()))
    raw = pa.table({"timestamp": ["2026-03-01T11:00:00Z"], "service": ["a"], "metric": ["m"], "value": [1.0], "labels": labels})
    points = validate(raw, NOW).accepted
    rejected = rejected_points(points, Refusal("too_late", "timestamp", "late"), NOW)
    assert validate(rows_from_json(texts(rejected, "row")), NOW).accepted.equals(points)


def test_a_later_stage_can_refuse_accepted_points() -> None:
    points = validate(table(), NOW).accepted
    rejected = rejected_points(points, Refusal("too_late", "timestamp", "came 90 s after its tick was closed"), NOW, "stream")
    assert rejected.schema.equals(REJECTED)
    assert validate(rows_from_json(texts(rejected, "row")), NOW).accepted.equals(points)
    with pytest.raises(ValueError, match="too_lazy"):
        rejected_points(points, Refusal("too_lazy", "timestamp", ""), NOW)


def test_an_undecodable_payload_is_one_rejected_row() -> None:
    rejected = rejected_payload(b"\x00" * 100_000, "truncated", NOW, "stream", "7-0")
    assert rejected.column("reason").to_pylist() == ["undecodable"]
    assert json.loads(rejected.column("row")[0].as_py())["payload_bytes"] == 100_000
    assert len(rejected.column("row")[0].as_py()) < 90_000
    elsewhere = rejected_payload(b"\x00" * 100_000, "truncated", NOW, "stream", "8-0")
    assert elsewhere.column("reject_id") != rejected.column("reject_id")
