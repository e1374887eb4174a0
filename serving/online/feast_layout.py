"""Feast's online layout in Redis, in bytes: keys, hash fields, values, and whole HSET commands built with numpy.

One hash an entity. Key: entity key (serialization version 3), then the project. Field of a feature: murmur3 (x86, 32 bit) of
`view:feature`, 4 bytes, little-endian; its value: a serialized `feast.types.Value`, empty = unknown. Field `_ts:view`: a
serialized `google.protobuf.Timestamp`. Source: Feast 0.67, `online_stores/redis.py`, `key_encoding_utils.py`; guarded by
`tests/contract/test_feast_redis_layout.py`, which compares every byte with what Feast writes.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import ContractError
from aiops.types import FloatArray, IntArray

Bytes2D = npt.NDArray[np.uint8]
DOUBLES: Final = pa.list_(pa.float64())
"""The one list type: numbers a slot, such as the bands of a season."""

_MASK: Final = 0xFFFFFFFF
_STRING: Final = struct.pack("<I", 2)
_US: Final = 1_000_000
_INT64_TAG: Final = 0x20
_DOUBLE_TAG: Final = 0x29
_STRING_TAG: Final = 0x12
_DOUBLES_TAG: Final = 0x7A
_PACKED_TAG: Final = 0x0A
_DOUBLE_BYTES: Final = 9
_UNKNOWN_DOUBLE: Final = bytes([_DOUBLE_TAG]) + struct.pack("<d", float("nan"))


def murmur3_32(data: bytes, seed: int = 0) -> int:
    """Return the unsigned 32-bit murmur3 hash of `data`. Source: A. Appleby, MurmurHash3_x86_32 (public domain).

    >>> hex(murmur3_32(b"hello"))
    '0x248bfa47'
    """
    value = seed
    whole = len(data) // 4 * 4
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        value ^= _scramble(word)
        value = ((value << 13 | value >> 19) & _MASK) * 5 + 0xE6546B64 & _MASK
    value ^= _scramble(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16


def _scramble(word: int) -> int:
    word = word * 0xCC9E2D51 & _MASK
    return (word << 15 | word >> 17) * 0x1B873593 & _MASK


@lru_cache(maxsize=4096)
def feature_field(view: str, feature: str) -> bytes:
    """Return the hash field (4 bytes) of `feature` in `view`."""
    return struct.pack("<I", murmur3_32(f"{view}:{feature}".encode()))


def time_field(view: str) -> bytes:
    """Return the hash field that holds the time of the row of `view`."""
    return f"_ts:{view}".encode()


def entity_keys(join_key: str, names: Sequence[str], project: str) -> list[bytes]:
    """Return the Redis key of each entity in `names` (one string join key)."""
    key = join_key.encode()
    head = struct.pack("<I", 1) + _STRING + struct.pack("<I", len(key)) + key + _STRING
    tail = project.encode()
    return [head + struct.pack("<I", len(value)) + value + tail for value in map(str.encode, names)]


def encode_time(time_us: int) -> bytes:
    """Return `time_us` (microseconds since 1970, not before) as a serialized protobuf Timestamp."""
    seconds, rest_us = divmod(time_us, _US)
    out = b"" if seconds == 0 else b"\x08" + _varint(seconds)
    return out if rest_us == 0 else out + b"\x10" + _varint(rest_us * 1000)


def decode_time(data: bytes) -> int:
    """Return microseconds since 1970 of a serialized protobuf Timestamp.

    Raises:
        ContractError: the bytes are no Timestamp.
    """
    seconds = nanos = at = 0
    while at < len(data):
        tag, (value, at) = data[at], _read_varint(data, at + 1)
        if tag == 0x08:
            seconds = value
        elif tag == 0x10:
            nanos = value
        else:
            raise ContractError(f"online features: time {data.hex()} is no protobuf Timestamp; was it written by another Feast?")
    return seconds * _US + nanos // 1000


def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ContractError(f"online features: {data.hex()} ends inside a number; was it written by another Feast?")


def encode_values(column: "pa.Array[Any]") -> list[bytes]:
    """Return each value of an int64, string or list<double> column as a serialized Feast Value; null = empty.

    Raises:
        ContractError: another type.
    """
    if column.type == DOUBLES:
        return [b"" if cell is None else _doubles_value(cell) for cell in _double_lists(column)]
    values = column.to_pylist()
    if pa.types.is_int64(column.type):
        return [b"" if value is None else bytes([_INT64_TAG]) + _varint(value) for value in values]
    if pa.types.is_string(column.type):
        return [b"" if value is None else _string_value(value.encode()) for value in values]
    raise ContractError(f"online features: type {column.type} has no encoding; use float64, int64, string or list<double>")


def _string_value(value: bytes) -> bytes:
    return bytes([_STRING_TAG]) + _varint(len(value)) + value


def _double_lists(column: "pa.Array[Any]") -> list[FloatArray | None]:
    """Return each list as (k,) float64, a view of the column's own memory; null inside a list = NaN."""
    cells = [cell.values if cell.is_valid else None for cell in column]
    return [None if cell is None else np.asarray(cell.to_numpy(zero_copy_only=False), np.float64) for cell in cells]


def _doubles_value(values: FloatArray) -> bytes:
    data = np.ascontiguousarray(values, "<f8").tobytes()
    inner = bytes([_PACKED_TAG]) + _varint(len(data)) + data if data else b""
    return bytes([_DOUBLES_TAG]) + _varint(len(inner)) + inner


def decode_double_list(cell: bytes) -> FloatArray:
    """Return (k,) float64 of a serialized list of doubles.

    Raises:
        ContractError: it holds another type.
    """
    inner, at = _read_varint(cell, 1)
    if cell[0] == _DOUBLES_TAG and inner == len(cell) - at:
        if not inner:
            return np.empty(0)
        size, at = _read_varint(cell, at + 1)
        if size == len(cell) - at and size % 8 == 0:
            return np.frombuffer(cell, "<f8", offset=at)
    raise ContractError(f"online features: value {cell[:16].hex()} is no list of doubles; apply the feature definitions again")


def decode_values(cells: Sequence[bytes | None], kind: pa.DataType) -> "pa.Array[Any]":
    """Return the column of type `kind` (float64, int64, string, list<double>) of serialized Feast Values; absent or empty = null.

    Raises:
        ContractError: a cell holds another type.
    """
    if pa.types.is_float64(kind):
        values = decode_doubles(cells)
        return pa.array(values, mask=np.isnan(values))
    if kind == DOUBLES:
        return pa.array([decode_double_list(cell) if cell else None for cell in cells], kind)
    return pa.array([_decode_value(cell, kind) if cell else None for cell in cells], kind)


def _decode_value(cell: bytes, kind: pa.DataType) -> int | str:
    if pa.types.is_int64(kind) and cell[0] == _INT64_TAG:
        value, _ = _read_varint(cell, 1)
        return value - (1 << 64) if value >> 63 else value
    if pa.types.is_string(kind) and cell[0] == _STRING_TAG:
        length, at = _read_varint(cell, 1)
        return cell[at : at + length].decode()
    raise ContractError(f"online features: value {cell.hex()} is not of type {kind}; apply the feature definitions again")


def decode_doubles(cells: Sequence[bytes | None]) -> FloatArray:
    """Return (n,) float64 of serialized Feast Values; absent or empty = NaN.

    Raises:
        ContractError: a cell holds another type.
    """
    data = b"".join([cell or _UNKNOWN_DOUBLE for cell in cells])
    table = np.frombuffer(data, np.uint8)
    if len(data) != _DOUBLE_BYTES * len(cells) or (table[::_DOUBLE_BYTES] != _DOUBLE_TAG).any():
        raise ContractError("online features: a value is not of type double; apply the feature definitions again")
    return np.ascontiguousarray(table.reshape(-1, _DOUBLE_BYTES)[:, 1:]).view("<f8")[:, 0]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of every command: row i is the first `lengths[i]` bytes of `data[i]`; (n, width) uint8 and (n,) int64."""

    data: Bytes2D
    lengths: IntArray


def bulk_strings(values: Sequence[bytes]) -> Segment:
    """Return `values` as RESP bulk strings, one a row."""
    return _padded([b"$%d\r\n%b\r\n" % (len(value), value) for value in values])


def _padded(rows: Sequence[bytes]) -> Segment:
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    width = int(lengths.max(initial=1))
    return Segment(np.array(rows, dtype=f"S{width}").view(np.uint8).reshape(len(rows), width), lengths)


def constant(value: bytes, rows: int) -> Segment:
    """Return the same RESP bulk string in every row."""
    text = np.frombuffer(b"$%d\r\n%b\r\n" % (len(value), value), np.uint8)
    return Segment(np.broadcast_to(text, (rows, len(text))), np.full(rows, len(text)))


def double_fields(field: bytes, values: FloatArray) -> Segment:
    """Return field name and value (NaN = unknown = empty) as two RESP bulk strings a row; `values` (n,) float64."""
    known = np.frombuffer(b"$4\r\n%b\r\n$9\r\n)%b\r\n" % (field, bytes(8)), np.uint8)
    unknown = np.frombuffer(b"$4\r\n%b\r\n$0\r\n\r\n" % field, np.uint8)
    missing = np.isnan(values)
    data = np.tile(known, (len(values), 1))
    data[:, -10:-2] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)
    data[missing, : len(unknown)] = unknown
    return Segment(data, np.where(missing, len(unknown), len(known)))


def hset_commands(keys: Sequence[bytes], segments: Sequence[Segment], fields: int) -> bytes:
    """Return one HSET command a key, back to back: `segments` hold `fields` (name, value) pairs a row, in any cut."""
    start = b"*%d\r\n$4\r\nHSET\r\n" % (2 + 2 * fields)
    head = _padded([start + b"$%d\r\n%b\r\n" % (len(key), key) for key in keys])
    parts = [head, *segments]
    data = np.concatenate([part.data for part in parts], axis=1)
    used = [np.arange(part.data.shape[1]) < part.lengths[:, np.newaxis] for part in parts]
    return data[np.concatenate(used, axis=1)].tobytes()
