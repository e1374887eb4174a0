"""The wire: what goes in comes out; what is not telemetry is undecodable, never a crash."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.schemas.telemetry_schemas import TELEMETRY
from data_contracts.telemetry.codec import UndecodableError, decode, encode
from data_contracts.telemetry.validate import SchemaError, validate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS = 40


def table() -> pa.Table:
    """Return valid rows with labels and tenants."""
    return pa.table(
        {
            "timestamp": pa.array([NOW - timedelta(minutes=n) for n in range(ROWS)], pa.timestamp("us", tz="UTC")),
            "service": [f"service-{n % 3}" for n in range(ROWS)],
            "metric": [f"metric-{n % 5}" for n in range(ROWS)],
            "value": [n / 7 for n in range(ROWS)],
            "labels": pa.array(
                [[("zone", "a"), ("pod", f"p{n % 4}")] if n % 2 else None for n in range(ROWS)], TELEMETRY.field(4).type
            ),
            "tenant": ["acme" if n % 3 else None for n in range(ROWS)],
        }
    )


@pytest.mark.parametrize("compressed", [False, True])
def test_what_goes_in_comes_out(compressed: bool) -> None:
    raw = table()
    back = decode(encode(raw, compressed))
    assert back.to_pylist() == raw.to_pylist()
    assert pa.types.is_dictionary(back.schema.field("service").type)
    assert validate(back, NOW).accepted.equals(validate(raw, NOW).accepted)
    assert (back.schema.metadata or {})[b"version"] == b"2"


def encoded_v1(raw: pa.Table) -> bytes:
    """Return rows as version 0.1 sent them: names dictionary-encoded, schema telemetry v1."""
    columns: dict[str, Any] = {name: raw.column(name).combine_chunks() for name in raw.column_names}
    columns |= {name: columns[name].dictionary_encode() for name in ("service", "metric", "tenant")}
    fields: list[Any] = [pa.field(name, column.type) for name, column in columns.items()]
    metadata: dict[bytes | str, bytes | str] = {"name": "telemetry", "version": "1", "rows": str(raw.num_rows)}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema(fields, metadata=metadata)) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(list(columns.values()), schema=pa.schema(fields, metadata=metadata)))
    return sink.getvalue().to_pybytes()


def test_payloads_of_version_1_are_read_as_the_same_series() -> None:
    raw = table()
    assert decode(encoded_v1(raw)).to_pylist() == raw.to_pylist()
    for tenant in ("acme", "default"):
        old, new = (validate(decode(payload), NOW, tenant=tenant) for payload in (encoded_v1(raw), encode(raw)))
        assert old.accepted.equals(new.accepted)
        assert old.rejected.equals(new.rejected)
        assert old.accepted.num_rows > 0


def test_kind_unit_and_temporality_travel() -> None:
    more = {"kind": ["counter"] * ROWS, "unit": ["s"] * ROWS, "temporality": [None, "delta"] * (ROWS // 2)}
    raw = pa.table({**{name: table().column(name) for name in table().column_names}, **more})
    assert decode(encode(raw)).to_pylist() == raw.to_pylist()
    assert set(validate(decode(encode(raw)), NOW).rejected.column("reason").to_pylist()) >= {"not_normalised"}


def test_record_batches_slices_chunks_and_extra_columns() -> None:
    raw = table()
    assert decode(encode(raw.to_batches()[0])).to_pylist() == raw.to_pylist()
    assert decode(encode(raw.slice(7, 9))).to_pylist() == raw.slice(7, 9).to_pylist()
    assert decode(encode(pa.concat_tables([raw.slice(0, 3), raw.slice(3)]))).to_pylist() == raw.to_pylist()
    assert decode(encode(raw.append_column("note", raw.column("service")))).to_pylist() == raw.to_pylist()
    assert decode(encode(raw.slice(0, 0))).num_rows == 0


def test_bad_rows_travel_and_are_refused_one_by_one() -> None:
    kind = pa.map_(pa.binary(), pa.binary())
    raw = pa.table(
        {
            "timestamp": ["2026-03-01T11:00:00Z", "never", "2026-03-01T11:00:00Z", "2026-03-01T11:01:00Z"],
            "service": pa.array([b"cart", b"cart", b"\xff", b"cart"], pa.binary()),
            "metric": ["m"] * 4,
            "value": ["1", "2", "3", "4"],
            "labels": pa.array([None, None, None, [(b"k", b"\xfe")]], kind),
        }
    )
    not_utf8 = broken_text(raw, "service")
    labels: Any = raw.column("labels").combine_chunks()
    text_labels = pa.MapArray.from_arrays(labels.offsets, view(labels.keys), view(labels.items))
    not_utf8 = not_utf8.set_column(4, "labels", text_labels)
    for case in (raw, not_utf8):
        outcome = validate(decode(encode(case)), NOW)
        assert outcome.rejected.column("reason").to_pylist() == ["bad_timestamp", "name", "name"]
    assert decode(encode(not_utf8.slice(2))).num_rows == 2


def view(column: Any) -> Any:
    """Return bytes as a string array without a check."""
    return pa.StringArray.from_buffers(len(column), *column.buffers()[1:])


def broken_text(raw: pa.Table, name: str) -> pa.Table:
    return raw.set_column(raw.schema.get_field_index(name), name, view(raw.column(name).combine_chunks()))


def test_a_table_without_the_contract_is_refused_when_encoding() -> None:
    with pytest.raises(SchemaError, match="'value' is absent"):
        encode(table().drop_columns(["value"]))


def foreign(metadata: dict[str, str] | None, raw: pa.Table) -> bytes:
    """Return a stream that another program wrote."""
    sink = pa.BufferOutputStream()
    tagged = raw.replace_schema_metadata(metadata)
    with pa.ipc.new_stream(sink, tagged.schema) as writer:
        writer.write_table(tagged)
    return bytes(sink.getvalue().to_pybytes())


def test_a_foreign_producer_needs_no_row_count() -> None:
    raw = table()
    assert decode(foreign({"name": "telemetry", "version": "1"}, raw)).to_pylist() == raw.to_pylist()


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "0 bytes"),
        (b"hello, world", "12 bytes"),
        (foreign(None, table()), r"\(no name\) v\(none\)"),
        (foreign({"name": "telemetry", "version": "3"}, table()), "telemetry v3; this program reads telemetry v1 and v2"),
        (foreign({"name": "series", "version": "1"}, table()), "series v1"),
        (foreign({"name": "telemetry", "version": "1"}, table().drop_columns(["metric"])), "'metric' is absent"),
        (foreign({"name": "telemetry", "version": "1"}, table().set_column(3, "value", pa.array([True] * ROWS))), "bool"),
        (foreign({"name": "telemetry", "version": "1", "rows": "41"}, table()), "announces b'41' rows and holds 40"),
        (encode(table())[:-60], "readable|truncated"),
    ],
)
def test_foreign_payloads_are_undecodable_with_a_clear_text(payload: bytes, words: str) -> None:
    with pytest.raises(UndecodableError, match=words):
        decode(payload)


def test_labels_of_other_types_are_undecodable_not_a_crash_later() -> None:
    labels = pa.array([[(1, 2)]] * ROWS, pa.map_(pa.int32(), pa.int32()))
    with pytest.raises(UndecodableError, match="'labels'"):
        decode(foreign({"name": "telemetry", "version": "1"}, table().set_column(4, "labels", labels)))


PAYLOADS = (encode(table()), encode(table(), compressed=True))


def survives(payload: bytes) -> None:
    """Decode; where it decodes, every cell can be read and validated."""
    try:
        raw = decode(payload)
    except UndecodableError:
        return
    outcome = validate(raw, NOW)
    assert outcome.accepted.num_rows + outcome.rejected.num_rows == raw.num_rows
    outcome.accepted.validate(full=True)


@given(st.sampled_from(PAYLOADS), st.data())
@settings(max_examples=150, deadline=None)
def test_truncated_payloads_are_undecodable(payload: bytes, data: st.DataObject) -> None:
    cut = payload[: data.draw(st.integers(0, len(payload) - 9))]
    with pytest.raises(UndecodableError):
        decode(cut)


@given(st.sampled_from(PAYLOADS), st.data())
@settings(max_examples=500, deadline=None)
def test_flipped_bits_decode_or_are_undecodable(payload: bytes, data: st.DataObject) -> None:
    damaged = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        bit = data.draw(st.integers(0, 8 * len(payload) - 1))
        damaged[bit // 8] ^= 1 << bit % 8
    survives(bytes(damaged))


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_noise_is_undecodable(noise: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode(noise)
