"""Loosely typed columns to arrays: times of any unit or ISO text, numbers of any type or decimal text, names of any text type.

A cell that cannot be read is a flag, never an exception; a column of an impossible type raises `SchemaError`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.values.kernels import Float64s, Int32s, Int64s, Uint8s
from data_contracts.values.time_forms import read_us

AnyArray: TypeAlias = "pa.Array[Any]"
Column: TypeAlias = "pa.Array[Any] | pa.ChunkedArray[Any]"

_DECIMAL: Final = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_LONGEST_CELL: Final = 512
"""Bytes of a text that may still be a time or a number where it has to be read by itself."""
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


class SchemaError(ValueError):
    """A required column is absent, or a column has a type that cannot hold its contract."""


@dataclass(frozen=True, slots=True)
class Times:
    """`us` (n,) int64 since 1970 UTC, saturated at the ends; `unknown` (n,) 1 = null or not a time."""

    us: Int64s
    unknown: Uint8s


@dataclass(frozen=True, slots=True)
class Numbers:
    """`value` (n,) float64; `missing` (n,) 1 = null or not a number."""

    value: Float64s
    missing: Uint8s


@dataclass(frozen=True, slots=True)
class Codes:
    """`codes` (n,) int32 indexes into `values`, -1 = null; `values` are distinct byte strings."""

    codes: Int32s
    values: AnyArray


def whole(column: Column) -> AnyArray:
    """Return the column as one array; text is dictionary-encoded on the way where it is in several chunks."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return cast(AnyArray, column.chunk(0))
    if column.num_chunks == 0:
        return cast(AnyArray, pa.array([], column.type))
    chunks: Any = column
    if is_text(chunks.type):
        chunks = chunks.cast(pa.large_string()) if pa.types.is_string_view(chunks.type) else chunks
        chunks = chunks.dictionary_encode()
    try:
        return cast(AnyArray, pa.concat_arrays(chunks.chunks))
    except pa.ArrowInvalid:
        if not pa.types.is_dictionary(chunks.type):
            raise
        return whole(chunks.cast(chunks.type.value_type))  # dictionaries that hold nulls cannot be unified


def is_text(kind: pa.DataType) -> bool:
    """Return whether `kind` holds text or bytes of any layout."""
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def frozen(array: "np.ndarray[Any, np.dtype[Any]]") -> Any:
    """Return a read-only, aligned, contiguous view (a copy only where it must): kernels then compile for one layout."""
    flags = array.flags
    view = (array if flags.c_contiguous and flags.aligned else np.require(array, requirements=["C", "A"])).view()
    view.flags.writeable = False
    return view


def nulls(column: AnyArray) -> Uint8s:
    """Return (n,) 1 where the column is null."""
    if column.null_count == 0:
        return np.zeros(len(column), np.uint8)
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False)).view(np.uint8)


def filled(column: AnyArray, value: float) -> Any:
    """Return the cells as numpy, nulls replaced by `value`."""
    full: Any = column if column.null_count == 0 else pc.call_function("coalesce", [column, pa.scalar(value, column.type)])
    return full.to_numpy(zero_copy_only=False)


def read_codes(column: AnyArray, name: str, repeats: bool = False) -> Codes:
    """Dictionary-encode a text column of any layout; bytes are kept as they are, valid UTF-8 or not.

    `repeats`: the column often has the same distinct cells as in the batch before: they are then the same array.

    Raises:
        SchemaError: the column does not hold text.
    """
    if pa.types.is_null(column.type):
        return Codes(np.full(len(column), -1, np.int32), pa.array([], pa.binary()))
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not is_text(kind):
        raise SchemaError(
            f"column {name!r} has type {column.type}; it must hold text (string, dictionary of string or binary): cast it"
        )
    if isinstance(column, pa.DictionaryArray):
        indices, values = column.indices, column.dictionary
    else:
        plain = column.cast(pa.large_string()) if pa.types.is_string_view(kind) else column
        encoded = plain.dictionary_encode()
        return Codes(_int32(encoded.indices), _as_bytes(encoded.dictionary))
    codes = _int32(indices)
    if len(values) > max(len(codes), 1024):
        used, inverse = np.unique(codes, return_inverse=True)
        first = int(np.searchsorted(used, 0))
        codes = (inverse - first).astype(np.int32)
        codes[codes < 0] = -1
        values = values.take(pa.array(used[first:], pa.int64()))
    return _canonical(codes, _as_bytes(values), name if repeats else "")


_DISTINCT: Final[dict[str, AnyArray]] = {}
"""The cells of each column that were found distinct last."""


def _canonical(codes: Int32s, values: AnyArray, remembered_as: str) -> Codes:
    """Return codes of distinct values; "" = they are not remembered."""
    held = _DISTINCT.get(remembered_as)
    if held is not None and held.equals(values):
        return Codes(codes, held)
    distinct = values.dictionary_encode()
    if len(distinct.dictionary) == len(values):
        if remembered_as:
            values = _DISTINCT[remembered_as] = values.take(np.arange(len(values)))  # a copy: the payload is let go
        return Codes(codes, values)
    remap = np.append(_int32(distinct.indices), np.int32(-1))  # code -1 (null) reads the last element
    return Codes(np.ascontiguousarray(remap[codes]), distinct.dictionary)


def _int32(indices: AnyArray) -> Int32s:
    return np.asarray(filled(indices if pa.types.is_int32(indices.type) else indices.cast(pa.int32()), -1), np.int32)


def _as_bytes(values: AnyArray) -> AnyArray:
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.large_string())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = values.view(pa.binary() if pa.types.is_string(values.type) else pa.large_binary())
    return values.cast(pa.binary()) if pa.types.is_large_binary(values.type) else values


def read_times(column: AnyArray, name: str) -> Times:
    """Read event times: timestamps of any unit and zone (none = UTC; finer than 1 us is cut), or ISO 8601 text.

    Raises:
        SchemaError: the column holds neither times nor text.
    """
    kind = column.type
    if pa.types.is_dictionary(kind) and pa.types.is_timestamp(kind.value_type):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_timestamp(kind):
        ticks = np.asarray(filled(column.view(pa.int64()), 0), np.int64)
        return Times(_microseconds(ticks, kind.unit), nulls(column))
    if not pa.types.is_null(kind) and not is_text(kind.value_type if pa.types.is_dictionary(kind) else kind):
        raise SchemaError(f"column {name!r} has type {kind}; it must be a timestamp of any unit or ISO 8601 text: cast it")
    for target in (pa.timestamp("us", tz="UTC"), pa.timestamp("us")):
        try:
            parsed = column.cast(target)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        return read_times(parsed, name)
    cells, known = _by_value(read_codes(column, name), _parse_time, np.int64(0))
    return Times(cells.astype(np.int64), (~known).view(np.uint8))


def _microseconds(ticks: Int64s, unit: str) -> Int64s:
    per_second = _PER_SECOND[unit]
    if per_second > 1_000_000:
        return ticks // (per_second // 1_000_000)
    if per_second == 1_000_000:
        return ticks
    factor = 1_000_000 // per_second
    bound = np.iinfo(np.int64).max // factor
    return np.clip(ticks, -bound, bound) * factor


def _parse_time(text: bytes) -> int | None:
    if len(text) > _LONGEST_CELL:
        return None
    try:
        return read_us(text.decode())
    except UnicodeDecodeError:
        return None


def read_numbers(column: AnyArray, name: str) -> Numbers:
    """Read values: integers, floats and decimals of any width, or decimal text ("1.5", "-2e3", "nan").

    Raises:
        SchemaError: the column holds neither numbers nor text.
    """
    kind = column.type
    if pa.types.is_dictionary(kind) and not is_text(kind.value_type):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_null(kind):
        return Numbers(np.full(len(column), np.nan), np.ones(len(column), np.uint8))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        floats = column if pa.types.is_float64(kind) else column.cast(pa.float64(), safe=False)
        return Numbers(np.asarray(filled(floats, np.nan), np.float64), nulls(floats))
    if not is_text(kind.value_type if pa.types.is_dictionary(kind) else kind):
        raise SchemaError(f"column {name!r} has type {kind}; it must hold numbers or decimal text: cast it to float64")
    try:
        return read_numbers(column.cast(pa.float64()), name)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        cells, known = _by_value(read_codes(column, name), _parse_number, np.float64(np.nan))
        return Numbers(cells.astype(np.float64), (~known).view(np.uint8))


def _parse_number(text: bytes) -> float | None:
    stripped = text.strip()
    return float(stripped) if len(text) <= _LONGEST_CELL and _DECIMAL.fullmatch(stripped) else None


def _by_value(
    cells: Codes, parse: Callable[[bytes], Any], unknown: "np.generic[Any]"
) -> "tuple[np.ndarray[Any, np.dtype[Any]], np.ndarray[Any, np.dtype[np.bool_]]]":
    """Parse each distinct value once; return the parsed cell and whether it was readable, for each row."""
    parsed = [None if text is None else parse(text) for text in cells.values.to_pylist()]
    table = np.array([unknown if cell is None else cell for cell in [*parsed, None]], dtype=unknown.dtype)
    known = np.array([cell is not None for cell in [*parsed, None]])
    return table[cells.codes], known[cells.codes]
