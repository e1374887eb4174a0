"""The validator on names: text of any layout, dictionaries of any shape, labels in any order, tenants apart."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from data_contracts.series.key import SeriesKey, labels_text
from data_contracts.telemetry.owners import by_tenant
from data_contracts.telemetry.validate import validate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
THEN = NOW - timedelta(hours=1)


def table(**columns: Any) -> pa.Table:
    """Return one valid row, with the given columns replaced; scalars are repeated."""
    cells: dict[str, Any] = {"timestamp": [THEN], "service": ["cart"], "metric": ["cpu_utilization"], "value": [0.5]}
    cells.update(columns)
    length = max(len(column) for column in cells.values())
    return pa.table({name: column if len(column) == length else list(column) * length for name, column in cells.items()})


def dictionary(rows: pa.RecordBatch, column: str) -> list[Any]:
    encoded: Any = rows.column(column)
    return list(encoded.dictionary.to_pylist())


def reasons(raw: pa.Table | pa.RecordBatch, **arguments: Any) -> list[str]:
    return [str(reason) for reason in validate(raw, NOW, **arguments).rejected.column("reason").to_pylist()]


def labels_of(raw: pa.Table) -> list[str]:
    return [str(labels) for labels in validate(raw, NOW).accepted.column("labels").to_pylist()]


@pytest.mark.parametrize(
    "service",
    [
        pa.array(["cart"], pa.large_string()),
        pa.array(["cart"], pa.string_view()),
        pa.array([b"cart"], pa.large_binary()),
        pa.DictionaryArray.from_arrays(pa.array([1], pa.uint8()), pa.array(["other", "cart"])),
        pa.DictionaryArray.from_arrays(pa.array([2], pa.int64()), pa.array(["x", None, "cart"])),
        pa.chunked_array([pa.array(["cart"], pa.string_view()), pa.array([], pa.string_view())]),
    ],
)
def test_names_of_many_types(service: Any) -> None:
    assert validate(table(service=service), NOW).accepted.column("service").to_pylist() == ["cart"]


def test_null_in_a_dictionary_is_a_missing_name() -> None:
    names = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["cart", None]))
    assert reasons(table(service=names, timestamp=[THEN, THEN, THEN])) == ["name", "name"]


def test_equal_dictionary_entries_are_one_series() -> None:
    names = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["cart", "cart"]))
    assert reasons(table(service=names)) == ["duplicate"]


def test_a_dictionary_much_larger_than_the_batch_is_cut_to_the_names_in_use() -> None:
    names = pa.DictionaryArray.from_arrays(pa.array([4_999, None, 7]), pa.array([f"service-{n}" for n in range(5_000)]))
    outcome = validate(table(service=names), NOW)
    assert outcome.accepted.column("service").to_pylist() == ["service-4999", "service-7"]
    assert dictionary(outcome.accepted, "service") == ["service-7", "service-4999"]


def test_chunks_with_different_dictionaries_are_one_batch() -> None:
    first = table(service=pa.array(["a", "b"]).dictionary_encode())
    second = table(service=pa.array(["b", "c"]).dictionary_encode())
    with_null = table(service=pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["d", None])))
    assert reasons(pa.concat_tables([first, second])) == ["duplicate"]
    assert reasons(pa.concat_tables([first, second, with_null])) == ["duplicate", "name"]


def test_refused_names_leave_no_trace_in_the_accepted_dictionaries() -> None:
    outcome = validate(table(service=["bad|name", "cart", "worse\n"]), NOW)
    assert dictionary(outcome.accepted, "service") == ["cart"]
    outcome.accepted.validate(full=True)


def test_labels_are_a_column_sorted_and_escaped() -> None:
    kind = pa.map_(pa.string(), pa.string())
    cells = [
        [("zone", "a"), ("code", "500")],
        None,
        [],
        [("q", 'say "hi"\\')],
        [("none", None), ("empty", "")],
        [("code", "500"), ("zone", "a")],
    ]
    raw = table(metric=["m"], timestamp=[THEN + timedelta(seconds=n) for n in range(6)], labels=pa.array(cells, kind))
    both, quoted = '{"code":"500","zone":"a"}', '{"q":"say \\"hi\\"\\\\"}'
    assert labels_of(raw) == [both, "", "", quoted, "", both]
    assert labels_of(raw.slice(3, 2)) == [quoted, ""]
    assert set(validate(raw, NOW).accepted.column("metric").to_pylist()) == {"m"}


def test_label_order_does_not_make_another_series() -> None:
    cells = pa.array([[("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")]], pa.map_(pa.string(), pa.string()))
    assert reasons(table(labels=cells)) == ["duplicate"]


@pytest.mark.parametrize(
    "labels",
    [
        [("", "x")],
        [("a=b", "x")],
        [("a", "1"), ("a", "2")],
        [("x|y", "a")],
        [("a", "x" * 4100)],
        [("a", "\n" * 2050)],
        [("tab\t", "a")],
        [(f"k{number}", "v") for number in range(65)],
    ],
)
def test_bad_labels_refuse_the_row(labels: list[tuple[str, str]]) -> None:
    raw = table(labels=pa.array([labels], pa.map_(pa.string(), pa.string())))
    assert reasons(raw) == ["name"]
    assert validate(raw, NOW).rejected.column("field").to_pylist() == ["labels"]


@pytest.mark.parametrize("text", ["x|y", "two\nlines", "tab\t", "\x00", "x" * 600])
def test_a_value_of_a_label_is_any_text(text: str) -> None:
    raw = table(labels=pa.array([[("a", text)]], pa.map_(pa.string(), pa.string())))
    assert reasons(raw) == []
    assert labels_of(raw) == [labels_text([("a", text)])]


def test_labels_that_are_not_utf8_refuse_the_row() -> None:
    raw = table(labels=pa.array([[(b"a", b"\xff")]], pa.map_(pa.binary(), pa.binary())))
    assert reasons(raw) == ["name"]


def test_a_batch_is_of_one_tenant_who_is_part_of_the_id_and_of_no_name() -> None:
    raw = table(service=["cart"], tenant=["acme", "", None, "globex"])
    assert reasons(raw) == ["foreign_tenant", "duplicate", "foreign_tenant"]
    assert reasons(raw, tenant="acme") == ["duplicate", "duplicate", "foreign_tenant"]
    ids = {tenant: validate(table(), NOW, tenant=tenant).accepted for tenant in ("acme", "default")}
    assert {tenant: rows.column("service").to_pylist() for tenant, rows in ids.items()} == {"acme": ["cart"], "default": ["cart"]}
    expected = {tenant: [SeriesKey(tenant, "cart", "cpu_utilization").series_id] for tenant in ids}
    assert {tenant: rows.column("series_id").to_pylist() for tenant, rows in ids.items()} == expected
    assert validate(table(tenant=pa.nulls(1)), NOW).accepted.column("service").to_pylist() == ["cart"]


def test_a_service_with_a_slash_is_no_tenants() -> None:
    rows = validate(table(service=["acme/cart"]), NOW).accepted
    assert rows.column("service").to_pylist() == ["acme/cart"]
    assert rows.column("series_id").to_pylist() == [SeriesKey("default", "acme/cart", "cpu_utilization").series_id]


def test_tables_are_split_by_tenant_and_keep_their_order() -> None:
    raw = table(value=[0.1, 0.2, 0.3, 0.4, 0.5], tenant=pa.array(["b", None, "a/b", "default", "b"]))
    parts = by_tenant(raw, "default")
    assert [(tenant, part["value"].to_pylist()) for tenant, part in parts] == [("b", [0.1, 0.5]), ("default", [0.2, 0.3, 0.4])]
    assert by_tenant(table(), "acme")[0][0] == "acme"
    assert by_tenant(table(tenant=pa.nulls(1)), "acme")[0][1].num_rows == 1
    assert by_tenant(table().slice(0, 0), "acme") == by_tenant(table(tenant=["x"]).slice(0, 0), "acme") == []
    assert sum(validate(part, NOW, tenant=tenant).accepted.num_rows for tenant, part in parts) == 2  # 2 repeated, a/b is none


def test_buffers_of_odd_sizes_are_read() -> None:
    offsets = pa.py_buffer(b"\x00\x00\x00\x00\x04\x00\x00\x00\xff")
    assert reasons(table(service=pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"cart")))) == []
