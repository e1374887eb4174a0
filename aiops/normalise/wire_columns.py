"""Payloads of receivers as columns: definitions, raw values and whole histograms, without a copy where Arrow allows it."""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.normalise.normaliser import RawHistograms, RawPoints
from aiops.normalise.raw_series import NEVER_US
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.wire_schemas import SERIES_DEFINITIONS, WIRE_HISTOGRAMS, WIRE_POINTS
from data_contracts.telemetry.codec import UndecodableError
from data_contracts.values.coerce import whole

_UNREADABLE: Final = (pa.ArrowException, OSError, MemoryError, ValueError, KeyError, TypeError, OverflowError)


def definition_rows(payload: bytes) -> pa.Table:
    """Return a payload of schema SERIES_DEFINITIONS as a table.

    Raises:
        UndecodableError: it is none: corrupt, truncated, or of another schema.
    """
    return _table(payload, SERIES_DEFINITIONS)


def point_columns(payload: bytes) -> RawPoints:
    """Return a payload of schema WIRE_POINTS as columns, ascending in time: what came at once is taken as it happened.

    Raises:
        UndecodableError: it is none: corrupt, truncated, or of another schema.
    """
    table = _ascending(_table(payload, WIRE_POINTS))
    value: Any = whole(table.column("value")).to_numpy(zero_copy_only=False)
    return RawPoints(_times(table, "timestamp"), _ids(table), value, _starts(table))


def histogram_columns(payload: bytes) -> RawHistograms:
    """Return a payload of schema WIRE_HISTOGRAMS as columns, ascending in time.

    Raises:
        UndecodableError: it is none: corrupt, truncated, of another schema, or a row has not a count for every bound.
    """
    table = _ascending(_table(payload, WIRE_HISTOGRAMS))
    upper, counts = (whole(table.column(name)) for name in ("upper", "counts"))
    ends, bounds = _lists(upper)
    other_ends, amounts = _lists(counts)
    if not np.array_equal(ends, other_ends):
        raise UndecodableError("a histogram has not a count for every bound: columns upper and counts go together")
    total: Any = whole(table.column("sum")).fill_null(np.nan).to_numpy(zero_copy_only=False)
    observed: Any = whole(table.column("count")).to_numpy(zero_copy_only=False)
    columns = (_times(table, "timestamp"), _ids(table), _starts(table), observed, total)
    return RawHistograms(*columns, ends, bounds, amounts)


def _ascending(table: pa.Table) -> pa.Table:
    """Return the rows ascending in time, those of one time as they are."""
    times = _times(table, "timestamp")
    if (times[1:] >= times[:-1]).all():
        return table
    return table.take(pa.array(np.argsort(times, kind="stable"), pa.int64()))


def _table(payload: bytes, schema: pa.Schema) -> pa.Table:
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            _check(reader.schema, schema)
            table = reader.read_all()
        table.validate(full=True)
    except UndecodableError:
        raise
    except _UNREADABLE as error:
        text = str(error).partition("\n")[0][:200] or type(error).__name__
        raise UndecodableError(f"{len(payload)} bytes are no readable Arrow IPC stream ({text})") from error
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise UndecodableError(f"column {field.name} has nulls; every row needs one")
    return table


def _check(given: pa.Schema, schema: pa.Schema) -> None:
    name, version = ((schema.metadata or {})[key] for key in (b"name", b"version"))
    metadata = given.metadata or {}
    if metadata.get(b"name") != name or metadata.get(b"version") != version or given.types != schema.types:
        other = f"{metadata.get(b'name', b'(no name)')!r} v{metadata.get(b'version', b'(none)')!r}"
        raise UndecodableError(f"schema is {other[:100]}; this program reads {name.decode()} v{version.decode()}")
    if given.names != schema.names:
        raise UndecodableError(f"columns are {', '.join(given.names)[:200]}; {name.decode()} has {', '.join(schema.names)}")


def _times(table: pa.Table, name: str) -> IntArray:
    times: Any = whole(table.column(name)).cast(pa.int64()).to_numpy(zero_copy_only=False)
    result: IntArray = times
    return result


def _ids(table: pa.Table) -> IntArray:
    ids: Any = whole(table.column("series_id")).to_numpy(zero_copy_only=False)
    result: IntArray = ids
    return result


def _starts(table: pa.Table) -> IntArray:
    """Return the starts (n,), NEVER_US where none is said; no rows where none is said at all."""
    column: Any = whole(table.column("started_at"))
    if column.null_count == len(column):
        return np.zeros(0, np.int64)
    starts: IntArray = column.cast(pa.int64()).fill_null(NEVER_US).to_numpy(zero_copy_only=False)
    return starts


def _lists(column: Any) -> tuple[IntArray, FloatArray]:
    """Return the (n + 1,) ends of lists and the numbers that they bound."""
    if column.null_count or column.flatten().null_count:
        raise UndecodableError("a histogram has nulls among its bounds or counts")
    offsets = column.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    return offsets - offsets[0], column.flatten().to_numpy(zero_copy_only=False)
