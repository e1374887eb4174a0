"""Arrow IPC stream bodies to rows. Nothing is allocated before its size is known.

Every message's header is read first: dictionary and compressed batches (which can expand a small body without bound)
are refused, row counts are limited, and buffers are fully validated before a value is touched.
Source: Arrow columnar format, Message.fbs; FlatBuffers binary format.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import CANDIDATES, SEQUENCE, SEQUENCE_FEATURES, SERVICE_FEATURES, TIMESTAMP
from serving.http.problem import ProblemError, refused
from serving.scoring.requests.vector_rows import (
    FEATURE_INDEX,
    MAX_NAME_BYTES,
    RequestRows,
    check_row_count,
    check_sequences,
    check_service,
    check_times,
)

ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
_MESSAGE_HEADER: Final = 2
_BATCH_LENGTH, _BATCH_COMPRESSION = 0, 3
_TYPES: Final = {"service": pa.string(), "event_timestamp": TIMESTAMP, SEQUENCE: CANDIDATES.field(SEQUENCE).type}
_IGNORED: Final = frozenset({"available_at"})


def parse_arrow(body: bytes, max_rows: int) -> RequestRows:
    """Decode one Arrow IPC stream: service string, optionally event_timestamp timestamp[us, UTC], features float64.

    Null and NaN features are unknown, and so is every feature whose column is absent. Without any feature column all rows
    are marked `looked_up`.

    Raises:
        ProblemError: 400 naming the column or the part of the stream.
    """
    schema, batches = read_batches(body, max_rows)
    _check_schema(schema)
    count = sum(batch.num_rows for batch in batches)
    check_row_count(count, max_rows)
    services = _services(batches)
    features = _features(schema, batches, count)
    given = any(name in FEATURE_INDEX for name in schema.names)
    looked_up = np.full(count, not given, dtype=np.bool_)
    return RequestRows(services, _event_times(schema, batches, count), features, looked_up, _sequences(schema, batches, count))


def read_batches(body: bytes, max_rows: int) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """Return the schema (names are UTF-8) and the validated batches of one Arrow IPC stream, at most `max_rows` rows.

    Raises:
        ProblemError: 400, no whole stream, or too many rows.
    """
    try:
        schema, batches = _read(body, max_rows)
        assert schema.names is not None  # raises where a corrupt name is not UTF-8
    except (pa.ArrowException, OSError, ValueError, struct.error, StopIteration) as error:
        message = str(error)[:120] or "it ends before its schema"
        raise refused("body", "", f"the body is a whole Arrow IPC stream ({message})", "send it anew", "not-arrow") from error
    return schema, batches


def _read(body: bytes, max_rows: int) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    reader = pa.MessageReader.open_stream(pa.py_buffer(body))
    first = reader.read_next_message()
    if first.type != "schema":
        raise ValueError("it does not begin with a schema")
    schema = pa.ipc.read_schema(first)
    batches: list[pa.RecordBatch] = []
    rows = 0
    for message in _messages(reader):
        rows += _batch_rows(message)
        if rows > max_rows:
            check_row_count(rows, max_rows)
        batch = pa.ipc.read_record_batch(message, schema)
        batch.validate(full=True)
        batches.append(batch)
    return schema, batches


def _messages(reader: pa.MessageReader) -> Iterator[pa.Message]:
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        if message.type != "record batch":
            raise ValueError(f"a {message.type} message is not taken: send plain columns")
        yield message


def _batch_rows(message: pa.Message) -> int:
    """Return the rows that a record batch claims to hold, read from its header alone."""
    metadata = memoryview(message.metadata)
    table = struct.unpack_from("<I", metadata, 0)[0]
    slot = _field(metadata, table, _MESSAGE_HEADER)
    if slot is None:
        raise ValueError("a message has no header")
    batch = slot + struct.unpack_from("<I", metadata, slot)[0]
    if _field(metadata, batch, _BATCH_COMPRESSION) is not None:
        raise ValueError("compressed batches are not taken: send them uncompressed")
    length = _field(metadata, batch, _BATCH_LENGTH)
    rows = 0 if length is None else int(struct.unpack_from("<q", metadata, length)[0])
    if rows < 0:
        raise ValueError("a batch has a negative length")
    return rows


def _field(buffer: memoryview, table: int, index: int) -> int | None:
    """Return where field `index` of the FlatBuffers table at `table` lies; None = absent."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    size = struct.unpack_from("<H", buffer, vtable)[0]
    entry = 4 + 2 * index
    if vtable < 0 or entry + 2 > size:
        return None
    offset = struct.unpack_from("<H", buffer, vtable + entry)[0]
    return table + offset if offset else None


def _check_schema(schema: pa.Schema) -> None:
    if len(set(schema.names)) != len(schema.names):
        raise refused("schema", "", "column names are unique", "send every column once")
    if "service" not in schema.names:
        raise refused("service", "", "the column is required", "send service as string")
    for field in schema:
        if field.name in _IGNORED:
            continue
        expected = _TYPES.get(field.name)
        if expected is None and field.name in FEATURE_INDEX:
            expected = pa.float64()
        if expected is None:
            raise refused(field.name, str(field.type), "no such column", f"send service, event_timestamp and features "
                          f"({SERVICE_FEATURES[0]}, …)", "unknown-field")  # fmt: skip
        if field.type != expected:
            raise refused(field.name, str(field.type), f"the column's type is {expected}", f"cast it to {expected}")


def _services(batches: list[pa.RecordBatch]) -> pa.StringArray:
    services = cast(pa.StringArray, pa.concat_arrays([batch.column("service") for batch in batches]))
    if services.null_count:
        row = int(np.flatnonzero(services.is_null().to_numpy(zero_copy_only=False))[0])
        raise refused(f"rows[{row}].service", "null", f"a name has 1 to {MAX_NAME_BYTES} bytes", "send the service's name")
    for service in pc.unique(services).to_pylist():
        check_service(str(service), "service")
    return services


def _event_times(schema: pa.Schema, batches: list[pa.RecordBatch], count: int) -> pa.TimestampArray:
    if "event_timestamp" not in schema.names:
        return cast(pa.TimestampArray, pa.nulls(count, TIMESTAMP))
    times = cast(pa.TimestampArray, pa.concat_arrays([batch.column("event_timestamp") for batch in batches]))
    check_times(times)
    return times


def _features(schema: pa.Schema, batches: list[pa.RecordBatch], count: int) -> FloatArray:
    """Return the (n, features) matrix, C order."""
    names = [name for name in schema.names if name in FEATURE_INDEX]
    if not names:
        return np.full((count, len(SERVICE_FEATURES)), np.nan)
    parts = [batch.select(names).to_tensor(null_to_nan=True, row_major=True).to_numpy() for batch in batches]
    sent: FloatArray = parts[0] if len(parts) == 1 else np.concatenate(parts)
    flat = sent.reshape(-1)
    if np.isinf(np.fmin.reduce(flat)) or np.isinf(np.fmax.reduce(flat)):  # fmin and fmax pass over what is unknown
        raise _infinite(sent, names)
    if tuple(names) == SERVICE_FEATURES:
        return sent
    features = np.full((count, len(SERVICE_FEATURES)), np.nan)
    features[:, [FEATURE_INDEX[name] for name in names]] = sent
    return features


def _sequences(schema: pa.Schema, batches: list[pa.RecordBatch], count: int) -> npt.NDArray[np.float32] | None:
    """Return the (n, len(SEQUENCE_FEATURES)) sequences, unknown = NaN; None without the column."""
    if SEQUENCE not in schema.names:
        return None
    entries = np.empty((count, len(SEQUENCE_FEATURES)), np.float32)
    start = 0
    for batch in batches:
        column = cast("pa.FixedSizeListArray[Any, Any]", batch.column(SEQUENCE))
        part = entries[start : start + batch.num_rows]
        held = column.values.slice(column.offset * part.shape[1], part.size)  # the stream may hold more than its rows need
        part[:] = held.to_numpy(zero_copy_only=False).reshape(part.shape)
        part[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
        start += batch.num_rows
    check_sequences(entries)
    return entries


def _infinite(sent: FloatArray, names: Sequence[str]) -> ProblemError:
    row, index = (int(place[0]) for place in np.nonzero(np.isinf(sent)))
    value = str(sent[row, index])
    return refused(f"rows[{row}].{names[index]}", value, "numbers are finite", "send null where a value is unknown", "not-finite")
