"""Rows of version 0.1 become rows with ids: the labels leave the metric by the old rules, nothing else changes."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_contracts.schemas.telemetry_schemas import DETECTIONS, LAKE_TELEMETRY, SERIES_FEATURES_TABLE, TIMESTAMP
from data_contracts.series.key import Labels, SeriesKey
from data_contracts.telemetry.v1 import folded_metric, rows_v2_of_v1, telemetry_v2_of_v1

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6)
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='{}=",'), min_size=1, max_size=4)


def folded(metric: str, labels: Labels) -> str:
    """Return metric and labels as version 0.1 wrote them."""
    cells = [f'{key}="' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for key, value in sorted(labels)]
    return f"{metric}{{{','.join(cells)}}}" if cells else metric


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6), st.dictionaries(KEYS, VALUES, max_size=3))
def test_what_was_folded_is_taken_apart_again(metric: str, labels: dict[str, str]) -> None:
    held = tuple(sorted(labels.items()))
    if folded_metric(metric) != (metric, ()):
        return  # a name that looks like a name with labels: nobody can tell
    assert folded_metric(folded(metric, held)) == (metric, held)


def telemetry_v1() -> pa.Table:
    """Return lake telemetry as version 0.1 wrote it."""
    metrics = ["up", 'http_requests{code="500",zone="a\\"b"}', "up", "odd{name"]
    return pa.table(
        {
            "timestamp": pa.array([NOON + timedelta(minutes=number) for number in range(4)], TIMESTAMP),
            "service": ["cart", "cart", "acme/cart", "cart"],
            "metric": metrics,
            "value": [1.0, 2.0, 3.0, 4.0],
            "available_at": pa.array([NOON] * 4, TIMESTAMP),
        }
    )


def test_telemetry_of_the_old_lake_is_identified() -> None:
    rows = telemetry_v2_of_v1(telemetry_v1(), "acme")
    assert rows.schema.equals(LAKE_TELEMETRY, check_metadata=True)
    keys = [
        SeriesKey.of("acme", "cart", "up"),
        SeriesKey.of("acme", "cart", "http_requests", {"code": "500", "zone": 'a"b'}),
        SeriesKey.of("acme", "acme/cart", "up"),
        SeriesKey.of("acme", "cart", "odd{name"),
    ]
    assert rows["series_id"].to_pylist() == [key.series_id for key in keys]
    assert rows["labels"].to_pylist() == ["", '{"code":"500","zone":"a\\"b"}', "", ""]
    assert rows.drop_columns(["series_id", "metric", "labels"]).equals(
        telemetry_v1()
        .drop_columns(["metric"])
        .cast(pa.schema([field for field in LAKE_TELEMETRY if field.name not in {"series_id", "metric", "labels"}]))
    )
    assert telemetry_v2_of_v1(telemetry_v1().slice(0, 0), "acme").num_rows == 0


def test_rows_without_a_metric_have_no_id_and_texts_are_written_anew() -> None:
    old = {"timestamp": pa.array([NOON] * 2, TIMESTAMP), "service": ["cart"] * 2, "metric": pa.array(['up{a="b"}', None])}
    rows = rows_v2_of_v1(pa.schema([DETECTIONS.field(name) for name in ("service", "series_id")]), pa.table(old), "default")
    assert rows["series_id"].to_pylist() == [SeriesKey.of("default", "cart", "up", {"a": "b"}).series_id, None]
    series = pa.schema([SERIES_FEATURES_TABLE.field(name) for name in ("series", "labels")])
    text = rows_v2_of_v1(series, pa.table({**old, "series": ["x", "y"]}).slice(0, 1), "default")
    assert text.to_pylist() == [{"series": 'cart|up{a="b"}', "labels": '{"a":"b"}'}]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="'available_at'"):
        telemetry_v2_of_v1(telemetry_v1().drop_columns(["available_at"]), "default")
