"""The validator against a plain, slow reading of the contract: nothing is lost, order is kept, reasons agree, on any input."""

import math
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.schemas.metrics import spec_of
from data_contracts.schemas.telemetry_schemas import REJECTED, SERIES
from data_contracts.series.key import SeriesKey, labels_text
from data_contracts.series.tenant import tenant_fault
from data_contracts.series.text import MAX_BYTES, metric_text
from data_contracts.telemetry.rejects import rows_from_json
from data_contracts.telemetry.validate import Validated, validate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.one_of(
    st.sampled_from([b"cart", b"pay", b"cpu_utilization", b"error_rate", b"odd{name"]),
    st.sampled_from([b"", b"a|b", b"tab\t", b"\xff", b"n" * 501, "é".encode() * 101, "\x85".encode(), b"a/b"]),
    st.text(max_size=5).map(str.encode),
)
TIMES = st.one_of(
    st.integers(0, 5).map(lambda minute: NOW - timedelta(minutes=minute)),
    st.datetimes(timezones=st.just(UTC)),
)
VALUES = st.one_of(st.floats(), st.floats(0, 1))
LABEL_KEYS = st.sampled_from(["a", "b", "c", "", 'q"', "x|"])
LABELS = st.lists(st.tuples(LABEL_KEYS, st.sampled_from(["1", "2", '"', "\\", "\n"])), max_size=4)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp": st.none() | TIMES,
            "service": st.none() | NAMES,
            "metric": st.none() | NAMES,
            "value": st.none() | VALUES,
            "labels": st.none() | LABELS,
            "tenant": st.none() | st.just(b"default") | NAMES,
        }
    ),
    max_size=30,
)
NUMBER_TEXTS = st.one_of(st.text(max_size=12), st.sampled_from(["1", "1.5", "nan", "-inf", "1e5", " 2 "]))
RAW_FIELDS: list[Any] = [
    pa.field("timestamp", pa.timestamp("us", tz="UTC")),
    pa.field("service", pa.binary()),
    pa.field("metric", pa.binary()),
    pa.field("value", pa.float64()),
    pa.field("labels", pa.map_(pa.string(), pa.string())),
    pa.field("tenant", pa.binary()),
]
RAW = pa.schema(RAW_FIELDS)


COLUMNS = ("series_id", "service", "metric", "labels", "timestamp", "value")


def expected_name(raw: bytes | None, limit: int, reserved: str = "|") -> str | None:
    """Return the name, or None where the contract refuses it."""
    try:
        name = (raw or b"").decode()
    except UnicodeDecodeError:
        return None
    refused = len(name.encode()) > limit or any(char in reserved or unicodedata.category(char) == "Cc" for char in name)
    return None if refused or not name else name


def expected_series(row: dict[str, Any]) -> SeriesKey | None:
    """Return the key, or None where a name is refused."""
    service, metric = expected_name(row["service"], 200), expected_name(row["metric"], 500)
    if service is None or metric is None:
        return None
    labels = dict(row["labels"] or [])
    if len(labels) != len(row["labels"] or []) or any(not key or set(key) & set('"|') for key in labels):
        return None
    key = SeriesKey.of("default", service, metric, labels)
    return key if not labels or len(metric_text(metric, key.labels).encode()) <= MAX_BYTES else None


def is_tenant(raw: bytes) -> bool:
    try:
        return tenant_fault(raw.decode()) is None
    except UnicodeDecodeError:
        return False


def expected_reason(row: dict[str, Any], seen: set[Any]) -> str:
    value, time = row["value"], row["timestamp"]
    series = expected_series(row)
    if value is None or not math.isfinite(value):
        return "missing_value" if value is None else "non_finite"
    if time is None or time < datetime(2000, 1, 1, tzinfo=UTC):
        return "bad_timestamp"
    if time > NOW + timedelta(seconds=300):
        return "future_timestamp"
    metric = expected_name(row["metric"], 500)
    labels_fine = metric is None or expected_series({**row, "service": b"s"}) is not None
    spec = spec_of(metric or "free")
    if labels_fine and not spec.low <= value <= spec.high:
        return "out_of_range"
    if series is None or (row["tenant"] and not is_tenant(row["tenant"])):
        return "name"
    if row["tenant"] and row["tenant"] != b"default":
        return "foreign_tenant"
    key = (series, time)
    reason = "duplicate" if key in seen else ""
    seen.add(key)
    return reason


def reasons_of(outcome: Validated, rows: int) -> list[str]:
    """Return the reason of each input row, '' = accepted."""
    accepted = set(outcome.accepted_rows.tolist())
    rejected = iter(outcome.rejected.column("reason").to_pylist())
    return ["" if row in accepted else str(next(rejected)) for row in range(rows)]


@given(ROWS)
@settings(max_examples=300, deadline=None)
def test_reasons_and_points_agree_with_the_contract_read_slowly(rows: list[dict[str, Any]]) -> None:
    outcome = validate(pa.Table.from_pylist(rows, schema=RAW), NOW)
    seen: set[Any] = set()
    expected = [expected_reason(row, seen) for row in rows]
    assert reasons_of(outcome, len(rows)) == expected
    kept = [row for row, reason in zip(rows, expected, strict=True) if not reason]
    keys = [key for row in kept if (key := expected_series(row)) is not None]
    names = [(key.series_id, key.service, key.metric, labels_text(key.labels)) for key in keys]
    points = [(*name, row["timestamp"], row["value"]) for name, row in zip(names, kept, strict=True)]
    columns = [outcome.accepted.column(name).to_pylist() for name in COLUMNS]
    assert list(zip(*columns, strict=True)) == points
    outcome.accepted.validate(full=True)
    assert outcome.accepted.schema.equals(SERIES, check_metadata=True)
    assert outcome.rejected.schema.equals(REJECTED, check_metadata=True)


@given(ROWS, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_layout_of_the_columns_does_not_matter(rows: list[dict[str, Any]], random: Any) -> None:
    plain = pa.Table.from_pylist(rows, schema=RAW)
    expected = validate(plain, NOW)
    encoded = plain
    for name in ("service", "metric", "tenant"):
        column = plain.column(name).combine_chunks().dictionary_encode()
        encoded = encoded.set_column(encoded.schema.get_field_index(name), name, column)
    cut = random.randint(0, len(rows))
    chunked = pa.concat_tables([encoded.slice(0, cut), encoded.slice(cut)])
    padded = pa.concat_tables([plain, plain]).combine_chunks().slice(len(rows), len(rows))
    for layout in (encoded, chunked, padded):
        outcome = validate(layout, NOW)
        assert outcome.accepted.to_pylist() == expected.accepted.to_pylist()
        assert outcome.rejected.equals(expected.rejected)


@given(ROWS)
@settings(max_examples=100, deadline=None)
def test_rejected_rows_read_back_are_refused_for_the_same_reason(rows: list[dict[str, Any]]) -> None:
    rejected = validate(pa.Table.from_pylist(rows, schema=RAW), NOW).rejected
    stored = {str(row): reason for row, reason in zip(*(rejected.column(c).to_pylist() for c in ("row", "reason")), strict=True)}
    for text, reason in stored.items():
        again = validate(rows_from_json([text]), NOW)
        assert reasons_of(again, 1) == ([""] if reason == "duplicate" else [reason])


@given(
    st.lists(st.one_of(st.text(max_size=12), st.sampled_from(["1", "1.5", "nan", "-inf", "1e5", " 2 "])), max_size=10), st.data()
)
@settings(max_examples=100, deadline=None)
def test_text_cells_never_raise_and_do_not_depend_on_their_neighbours(cells: list[str], data: st.DataObject) -> None:
    times = data.draw(
        st.lists(
            st.text(max_size=8) | st.datetimes(timezones=st.none() | st.just(UTC)).map(datetime.isoformat),
            min_size=len(cells),
            max_size=len(cells),
        )
    )
    raw = pa.table(
        {
            "timestamp": pa.array(times, pa.string()),
            "service": pa.array([f"s{n}" for n in range(len(cells))], pa.string()),
            "metric": pa.array(["m"] * len(cells), pa.string()),
            "value": pa.array(cells, pa.string()),
        }
    )
    together = reasons_of(validate(raw, NOW), len(cells))
    assert together == [reason for row in range(len(cells)) for reason in reasons_of(validate(raw.slice(row, 1), NOW), 1)]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 1000]))
@settings(max_examples=30, deadline=None)
def test_duplicates_are_those_of_a_set(seed: int, services: int) -> None:
    generator = np.random.default_rng(seed)
    rows = 3_000
    minute, service, metric = (generator.integers(0, bound, rows) for bound in (40, services, 200))
    raw = pa.table(
        {
            "timestamp": pa.array([NOW - timedelta(minutes=int(n)) for n in minute]),
            "service": pa.array([f"s{n}" for n in service]),
            "metric": pa.array([f"m{n}" for n in metric]),
            "value": pa.array(np.ones(rows)),
        }
    )
    _, first = np.unique(np.column_stack([minute, service, metric]), axis=0, return_index=True)
    assert validate(raw, NOW).accepted_rows.tolist() == np.sort(first).tolist()


@given(ROWS, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_ids_depend_on_the_key_alone(rows: list[dict[str, Any]], random: Any) -> None:
    expected = validate(pa.Table.from_pylist(rows, schema=RAW), NOW)
    turned = [{**row, "labels": row["labels"] and random.sample(row["labels"], len(row["labels"]))} for row in rows]
    plain = pa.Table.from_pylist(turned, schema=RAW)
    cut = random.randint(0, len(rows))
    parts = [validate(part, NOW) for part in (plain.slice(0, cut), plain.slice(cut))]
    ids = {row: number for part, first in zip(parts, (0, cut), strict=True) for row, number in accepted_ids(part, first)}
    assert all(ids[row] == number for row, number in accepted_ids(expected, 0))


def accepted_ids(outcome: Validated, first: int) -> list[tuple[int, Any]]:
    """Return (row, series id) of the accepted rows of a table that began at row `first`."""
    return list(zip((outcome.accepted_rows + first).tolist(), outcome.accepted.column("series_id").to_pylist(), strict=True))
