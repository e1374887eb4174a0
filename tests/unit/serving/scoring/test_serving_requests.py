"""Bodies to rows: JSON, Arrow and gRPC messages give the same matrix, and every bad one is a 400 that names its place."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES, SERVICE_FEATURES_TABLE, TIMESTAMP
from serving.http.problem import ProblemError
from serving.scoring.grpc_api.grpc_score import parse_rows
from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.requests.arrow_rows import parse_arrow
from serving.scoring.requests.json_rows import parse_json

NAME = SERVICE_FEATURES[0]
TICK = datetime(2025, 1, 31, 12, tzinfo=UTC)
LIMIT = 100


def stream(table: pa.Table | pa.RecordBatch, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write(table)
    return sink.getvalue().to_pybytes()


def vectors(values: np.ndarray) -> pa.RecordBatch:
    """Return a batch of the whole table; NaN becomes null in every second row."""
    count = len(values)
    mask = np.isnan(values) & (np.arange(count) % 2 == 0)[:, None]
    columns: list[Any] = [pa.array([TICK] * count, TIMESTAMP)] * 2
    columns += [pa.array([f"service-{n}" for n in range(count)])]
    columns += [pa.array(values[:, index], mask=mask[:, index]) for index in range(values.shape[1])]
    return pa.RecordBatch.from_arrays(columns, schema=SERVICE_FEATURES_TABLE)


numbers = st.floats(allow_nan=True, allow_infinity=False)
matrices = st.lists(
    st.lists(numbers, min_size=len(SERVICE_FEATURES), max_size=len(SERVICE_FEATURES)), min_size=1, max_size=5
).map(lambda rows: np.array(rows, dtype=np.float64))


@given(matrices)
@settings(max_examples=40, deadline=None)
def test_the_three_ways_in_give_the_same_bits(values: np.ndarray) -> None:
    batch = vectors(values)
    records = [
        {"service": f"service-{n}", "event_timestamp": TICK, **dict(zip(SERVICE_FEATURES, row, strict=True))}
        for n, row in enumerate(values.tolist())
    ]
    message = pb.Rows(feature_names=SERVICE_FEATURES)
    for record, row in zip(records, values, strict=True):
        message.rows.add(service=record["service"], event_time_us=int(TICK.timestamp() * 1e6), features=row)
    by_json = parse_json(orjson.dumps({"rows": records}), LIMIT).rows
    by_arrow = parse_arrow(stream(batch), LIMIT)
    by_grpc = parse_rows(message, LIMIT)
    for rows in (by_json, by_arrow, by_grpc):
        assert np.array_equal(rows.features, values, equal_nan=True)
        assert rows.features.flags.c_contiguous
        assert rows.services.equals(batch.column("service"))
        assert rows.event_times.equals(batch.column("event_timestamp"))
    assert np.array_equal(by_json.looked_up, by_grpc.looked_up)


def row(**members: Any) -> bytes:
    return orjson.dumps({"rows": [{"service": "a", NAME: 1.0} | members]})


def raw(cell: bytes) -> bytes:
    return b'{"rows":[{"service":"a","' + NAME.encode() + b'":' + cell + b"}]}"


BAD_JSON: list[tuple[bytes, str, str]] = [
    (raw(b"NaN"), f"rows[0].{NAME}", "nan"),
    (raw(b"Infinity"), f"rows[0].{NAME}", "inf"),
    (raw(b"-Infinity"), f"rows[0].{NAME}", "-inf"),
    (raw(b"1e999"), f"rows[0].{NAME}", "inf"),
    (raw(b"1" + b"0" * 5000), f"rows[0].{NAME}", ""),
    (raw(b"true"), f"rows[0].{NAME}", "True"),
    (raw(b'"1.0"'), f"rows[0].{NAME}", "1.0"),
    (raw(b"[1.0, 2.0]"), f"rows[0].{NAME}", "[1.0, 2.0]"),
    (raw(b"{}"), f"rows[0].{NAME}", "{}"),
    (row(unheard_of=3), "rows[0].unheard_of", "3"),
    (row(service=""), "rows[0].service", ""),
    (row(service="x" * 201), "rows[0].service", "x" * 100 + "…"),
    (row(service="ü" * 101), "rows[0].service", "ü" * 100 + "…"),
    (row(service="a\nb"), "rows[0].service", "a�b"),
    (row(service=7), "rows[0].service", "7"),
    (row(service=None), "rows[0].service", ""),
    (row(event_timestamp="2025-01-31T12:00:00"), "rows[0].event_timestamp", "2025-01-31T12:00:00"),
    (row(event_timestamp="yesterday"), "rows[0].event_timestamp", "yesterday"),
    (row(event_timestamp=1738324800), "rows[0].event_timestamp", "1738324800"),
    (row(event_timestamp="0001-01-01T00:00:00+10:00"), "rows[0].event_timestamp", ""),
    (row(event_timestamp="9999-12-31T00:00:00Z"), "rows[0].event_timestamp", ""),
    (b'{"rows":[{"' + NAME.encode() + b'":1}]}', "rows[0]", ""),
    (b'{"rows":[]}', "rows", "0 rows"),
    (orjson.dumps({"rows": [{"service": "a"}] * (LIMIT + 1)}), "rows", "101 rows"),
    (b'{"rows":{}}', "rows", "{}"),
    (b'{"rows":[1]}', "rows[0]", "1"),
    (b'{"rows":[{"service":"a"}],"extra":1}', "extra", "1"),
    (b'{"rows":[{"service":"a"}],"model":"x"}', "model", "x"),
    (b"{}", "body", "{}"),
    (b"[]", "body", "[]"),
    (b"null", "body", ""),
    (b"", "body", ""),
    (b"{", "body", ""),
    (b'{"rows":[{"service":"a"}]} trailing', "body", ""),
    (b"\xff\xfe", "body", ""),
    (b'{"rows":[{"service":"\\ud800"}]}', "body", ""),
    (b"[" * 100_000, "body", ""),
    (b'{"rows":' + b"[" * 100_000, "rows[0]", ""),
]


@pytest.mark.parametrize(("body", "field", "value"), BAD_JSON, ids=range(len(BAD_JSON)))
def test_bad_json_names_its_place(body: bytes, field: str, value: str) -> None:
    with pytest.raises(ProblemError) as refusal:
        parse_json(body, LIMIT)
    problem = refusal.value.problem
    assert problem.status == 400
    assert problem.field == field
    assert problem.value == value or (not value and field.endswith(("event_timestamp", "rows[0]")))
    assert problem.rule
    assert problem.fix
    assert len(problem.to_json("id")) < 2000


SERVICE = pa.array(["a"])
COLUMN = pa.array([1.0])
BAD_ARROW: list[tuple[Callable[[], bytes], str]] = [
    (lambda: b"", "body"),
    (lambda: b"PK" * 500, "body"),
    (lambda: stream(pa.table({"service": SERVICE, NAME: COLUMN}))[:200], "body"),
    (lambda: stream(vectors(np.ones((40, len(SERVICE_FEATURES)))))[:-600], "body"),
    (lambda: stream(pa.table({"service": SERVICE, NAME: COLUMN}), compression="lz4"), "body"),
    (lambda: stream(pa.table({"service": SERVICE, NAME: COLUMN}), compression="zstd"), "body"),
    (lambda: stream(pa.table({"service": SERVICE.dictionary_encode(), NAME: COLUMN})), "body"),
    (lambda: stream(pa.table({NAME: COLUMN})), "service"),
    (lambda: stream(pa.table({"service": SERVICE, NAME: pa.array([1])})), NAME),
    (lambda: stream(pa.table({"service": SERVICE, NAME: pa.array(["1"])})), NAME),
    (lambda: stream(pa.table({"service": pa.array([1]), NAME: COLUMN})), "service"),
    (lambda: stream(pa.table({"service": SERVICE, "event_timestamp": pa.array([1])})), "event_timestamp"),
    (lambda: stream(pa.table({"service": SERVICE, "unheard_of": COLUMN})), "unheard_of"),
    (lambda: stream(pa.table({"service": SERVICE, NAME: pa.array([np.inf])})), f"rows[0].{NAME}"),
    (lambda: stream(pa.table({"service": pa.array(["a", None]), NAME: pa.array([1.0, 2.0])})), "rows[1].service"),
    (lambda: stream(pa.table({"service": pa.array(["x" * 201]), NAME: COLUMN})), "service"),
    (lambda: stream(pa.table({"service": pa.array(["a"] * 101)})), "rows"),
    (lambda: stream(pa.table({"service": pa.array([], pa.string())})), "rows"),
    (lambda: stream(pa.table([SERVICE, COLUMN, COLUMN], names=["service", NAME, NAME])), "schema"),
    (
        lambda: stream(pa.table({"service": SERVICE, "event_timestamp": pa.array([1 << 62]).cast(TIMESTAMP)})),
        "rows[0].event_timestamp",
    ),
]


@pytest.mark.parametrize(("body", "field"), BAD_ARROW, ids=range(len(BAD_ARROW)))
def test_bad_arrow_names_its_place(body: Callable[[], bytes], field: str) -> None:
    with pytest.raises(ProblemError) as refusal:
        parse_arrow(body(), LIMIT)
    assert refusal.value.problem.status == 400
    assert refusal.value.problem.field == field
    assert refusal.value.problem.rule


SMALL = stream(vectors(np.linspace(0, 1, 3 * len(SERVICE_FEATURES)).reshape(3, -1)))


@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8), st.integers(0, 64))
@settings(max_examples=300, deadline=None)
def test_corrupt_arrow_is_refused_or_read_within_limits_and_never_crashes(changes: list[tuple[int, int]], cut: int) -> None:
    body = bytearray(SMALL)
    for place, byte in changes:
        body[place] = byte
    try:
        rows = parse_arrow(bytes(body[: len(body) - cut]), LIMIT)
    except ProblemError:
        return  # refused: every refusal of the parser is a 400, as the tables above show
    assert 1 <= len(rows) <= LIMIT
    assert not np.isinf(rows.features).any()


BAD_MESSAGES: list[tuple[pb.Rows, str]] = [
    (pb.Rows(), "rows"),
    (pb.Rows(feature_names=["unheard_of"], rows=[pb.Row(service="a", features=[1.0])]), "rows.feature_names"),
    (pb.Rows(feature_names=[NAME, NAME], rows=[pb.Row(service="a", features=[1.0, 2.0])]), "rows.feature_names"),
    (pb.Rows(feature_names=[NAME], rows=[pb.Row(service="a", features=[1.0, 2.0])]), "rows[0].features"),
    (pb.Rows(feature_names=[NAME], rows=[pb.Row(service="a", features=[float("inf")])]), f"rows[0].{NAME}"),
    (pb.Rows(feature_names=[NAME], rows=[pb.Row(service="", features=[1.0])]), "rows[0].service"),
    (pb.Rows(feature_names=[NAME], rows=[pb.Row(service="a", event_time_us=-1, features=[1.0])]), "rows[0].event_timestamp"),
]


@pytest.mark.parametrize(("message", "field"), BAD_MESSAGES, ids=range(len(BAD_MESSAGES)))
def test_bad_messages_name_their_place(message: pb.Rows, field: str) -> None:
    with pytest.raises(ProblemError) as refusal:
        parse_rows(message, LIMIT)
    assert refusal.value.problem.field == field


def test_rows_without_features_are_to_be_looked_up() -> None:
    mixed = parse_json(
        orjson.dumps({"rows": [{"service": "a"}, {"service": "b", NAME: 0.0}, {"service": "c", NAME: None}]}), LIMIT
    )
    assert mixed.rows.looked_up.tolist() == [True, False, True]
    keys_only = parse_arrow(stream(pa.table({"service": ["a", "b"]})), LIMIT)
    assert keys_only.looked_up.tolist() == [True, True]
    all_null = parse_arrow(stream(pa.table({"service": ["a"], NAME: pa.array([None], pa.float64())})), LIMIT)
    assert all_null.looked_up.tolist() == [False]
