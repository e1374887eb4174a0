"""Raw telemetry on the wire: one Arrow IPC stream a payload, names dictionary-encoded, schema name and version in the metadata.

Bad rows travel too: a row is refused by `validate`, not here. Only a payload that is no telemetry at all is undecodable.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.schemas.telemetry_schemas import TELEMETRY
from data_contracts.telemetry.validate import validate
from data_contracts.values.coerce import AnyArray, SchemaError, is_text, whole

_NAME: Final[bytes] = (TELEMETRY.metadata or {})[b"name"]
_VERSION: Final[bytes] = (TELEMETRY.metadata or {})[b"version"]
_READ: Final = (b"1", _VERSION)
"""Versions that are read: 1 is 2 without kind, unit and temporality."""
_ROWS: Final = b"rows"
_COLUMNS: Final = TELEMETRY.names
_NAMES: Final = frozenset({"service", "metric", "tenant", "kind", "unit", "temporality"})
_UNREADABLE: Final = (pa.ArrowException, OSError, MemoryError, ValueError, KeyError, TypeError, OverflowError)
"""All that Arrow and its Python binding raise on corrupt bytes."""


class UndecodableError(ValueError):
    """A payload is no telemetry of a version this program knows: corrupt, truncated or foreign."""


def encode(table: pa.Table | pa.RecordBatch, compressed: bool = False) -> bytes:
    """Return the contract's columns of `table` as Arrow IPC bytes, lz4 where `compressed`. Loose types and bad rows pass through.

    Raises:
        SchemaError: a required column is absent, comes twice, or has a type that cannot hold its contract.
    """
    _check(table.schema.remove_metadata())
    columns = {field.name: _packed(field.name, table) for field in TELEMETRY if field.name in table.schema.names}
    metadata: dict[bytes | str, bytes | str] = {b"name": _NAME, b"version": _VERSION, _ROWS: str(table.num_rows).encode()}
    fields: list[Any] = [pa.field(name, column.type) for name, column in columns.items()]
    batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=pa.schema(fields, metadata=metadata))
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4" if compressed else None)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def decode(payload: bytes) -> pa.Table:
    """Return the raw table that `encode` was given (its contract's columns), every cell safe to read.

    Raises:
        UndecodableError: the bytes are corrupt, truncated, of another schema or version, or hold columns `validate` cannot read.
    """
    try:
        with pa.ipc.open_stream(payload) as reader:
            metadata = reader.schema.metadata or {}
            _check_version(metadata)
            _check(reader.schema.remove_metadata())
            table = reader.read_all()
        _check_cells(table)
    except UndecodableError:
        raise
    except SchemaError as error:
        raise UndecodableError(str(error)) from error
    except _UNREADABLE as error:
        text = str(error).partition("\n")[0][:200] or type(error).__name__
        raise UndecodableError(
            f"{len(payload)} bytes are no readable Arrow IPC stream ({text}); send what encode returns"
        ) from error
    _check_rows(metadata, table.num_rows)
    present = table.schema.names
    names = [name for name in _COLUMNS if name in present]
    return table if names == present else table.select(names)


def _check_cells(table: pa.Table) -> None:
    """Raise ArrowInvalid where a cell is not safe to read: as a full validation, that costs more for codes of a dictionary."""
    table.validate()
    for column in table.columns:
        for chunk in column.chunks:
            if not isinstance(chunk, pa.DictionaryArray) or chunk.null_count or not len(chunk):
                chunk.validate(full=True)
                continue
            chunk.dictionary.validate(full=True)
            codes, size = chunk.indices.to_numpy(), len(chunk.dictionary)
            if codes.min() < 0 or codes.max() >= size:
                raise pa.ArrowInvalid(f"a dictionary of {size} names has codes {codes.min()} to {codes.max()}")


def _packed(name: str, table: pa.Table | pa.RecordBatch) -> AnyArray:
    column: Any = whole(table.column(name))
    if name in _NAMES and is_text(column.type):
        column = (column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column).dictionary_encode()
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return _as_bytes(column)
    packed: AnyArray = column
    return packed


def _as_bytes(column: Any) -> AnyArray:
    """Return text that is not UTF-8 as bytes, which travel; `validate` then refuses just the rows concerned."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(column.indices, _as_bytes(column.dictionary))
    if pa.types.is_map(kind):
        offsets = column.offsets
        mask = column.is_null() if column.null_count else None
        start, count = offsets[0].as_py(), offsets[-1].as_py() - offsets[0].as_py()
        moved = pc.subtract(offsets, offsets[0])
        children = [_as_bytes(child.slice(start, count)) for child in (column.keys, column.items)]
        packed: AnyArray = pa.MapArray.from_arrays(moved, *children, mask=mask)
        return packed
    if is_text(kind):
        wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
        return column.cast(pa.large_binary() if wide else pa.binary())  # type: ignore[no-any-return]
    raise SchemaError(f"a column of type {kind} is damaged; build it with pyarrow's own constructors")


def _check_version(metadata: "dict[bytes, bytes]") -> None:
    name, version = metadata.get(b"name"), metadata.get(b"version")
    if name != _NAME or version not in _READ:
        given = f"{(name or b'(no name)').decode(errors='replace')} v{(version or b'(none)').decode(errors='replace')}"
        raise UndecodableError(f"schema is {given[:100]}; this program reads {_NAME.decode()} v1 and v2: encode it so")


def _check_rows(metadata: "dict[bytes, bytes]", rows: int) -> None:
    """Refuse a stream cut between two messages, which Arrow takes for its end."""
    announced = metadata.get(_ROWS, str(rows).encode())
    if announced != str(rows).encode():
        raise UndecodableError(f"payload announces {announced[:20]!r} rows and holds {rows}; it is truncated: send it again")


@lru_cache(maxsize=64)
def _check(schema: pa.Schema) -> None:
    """Raise SchemaError where `validate` could not read a table of this schema; remembered, as producers repeat themselves."""
    validate(schema.empty_table(), datetime(2000, 1, 1, tzinfo=UTC))
