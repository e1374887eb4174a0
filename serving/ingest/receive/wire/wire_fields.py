"""Protobuf's wire format for kernels: fields by tag and address, never beyond the end of the message that they are in.

A tag is field number << 3 | wire type, as it stands in the body: a known field of another wire type is an unknown field, and
skipped, as protobuf's own parsers do. Source: "Encoding", protobuf.dev.
"""

from typing import Final

import numpy as np

from aiops.jit import kernel
from serving.ingest.receive.wire.machine_words import byte_at, half_word_at, int64, word_at

TRUNCATED: Final = -1
VARINT_TOO_LONG: Final = -2
GROUP: Final = -3
NO_WIRE_TYPE: Final = -4
NO_FIELD_NUMBER: Final = -5
NO_ROOM: Final = -100
"""The buffers are too small: not the body's fault."""

FAULTS: Final = {
    TRUNCATED: "a field ends within the message that it is in",
    VARINT_TOO_LONG: "an integer has at most 64 bits, in at most 10 bytes",
    GROUP: "no groups (wire types 3 and 4)",
    NO_WIRE_TYPE: "a wire type is 0, 1, 2 or 5",
    NO_FIELD_NUMBER: "a field's number is 1 to 536870911",
}
"""What a body breaks, by the negative address that reading it gives."""

_PAYLOAD: Final = np.uint64(0x7F)
_MORE: Final = np.uint64(0x80)
_SEVEN: Final = np.uint64(7)
_LAST_SHIFT: Final = np.uint64(63)
_MOST_TAG: Final = np.uint64(0xFFFFFFFF)
_MOST_SECONDS: Final = 9_223_372_036_854_775


@kernel
def varint(at: int, end: int) -> tuple[np.uint64, int]:
    """Return the integer at an address and where it ends; a negative end is one of FAULTS."""
    value, shift = np.uint64(0), np.uint64(0)
    while at < end:
        byte = byte_at(at)
        at += 1
        value |= (byte & _PAYLOAD) << shift
        if byte < _MORE:
            return value, at
        shift += _SEVEN
        if shift > _LAST_SHIFT:
            return value, VARINT_TOO_LONG
    return value, TRUNCATED


@kernel
def short_varint(at: int, end: int) -> tuple[np.uint64, int]:
    """Return what `varint` does, sooner for integers of one or two bytes."""
    if at < end and byte_at(at) < _MORE:
        return byte_at(at), at + 1
    if at + 1 < end and byte_at(at + 1) < _MORE:
        return byte_at(at) & _PAYLOAD | byte_at(at + 1) << _SEVEN, at + 2
    return varint(at, end)


@kernel
def next_field(at: int, end: int) -> tuple[int, int, int, np.uint64]:
    """Return (tag, begin, end, value) of the field at an address, of a message that ends at `end`; at < end.

    `value` is the integer or the bits of wire types 0, 1 and 5; text and messages (wire type 2) lie from begin to end. A negative
    end is one of FAULTS.
    """
    tag, begin = byte_at(at), at + 1
    if tag >= _MORE:
        tag, begin = varint(at, end)
        if begin < 0:
            return 0, begin, begin, tag
    if tag < np.uint64(8) or tag > _MOST_TAG:
        return 0, begin, NO_FIELD_NUMBER, tag
    kind, value, stop = int64(tag) & 7, np.uint64(0), TRUNCATED
    if kind == 2:
        value, begin = _size(begin, end)
        if begin < 0:
            stop = begin
        elif value <= np.uint64(end - begin):
            stop = begin + int64(value)
    elif kind == 0:
        value, stop = varint(begin, end)
    elif kind == 1:
        if begin + 8 <= end:
            value, stop = word_at(begin), begin + 8
    elif kind == 5:
        if begin + 4 <= end:
            value, stop = half_word_at(begin), begin + 4
    else:
        stop = GROUP if kind < 5 else NO_WIRE_TYPE
    return int64(tag), begin, stop, value


@kernel
def _size(at: int, end: int) -> tuple[np.uint64, int]:
    """Return the size at an address, nearly always one byte, and where it ends."""
    if at < end and byte_at(at) < _MORE:
        return byte_at(at), at + 1
    return varint(at, end)


@kernel
def signed(zigzag: np.uint64) -> int:
    """Return the integer of a sint32 or sint64."""
    return int64(zigzag >> np.uint64(1)) ^ -int64(zigzag & np.uint64(1))


@kernel
def microseconds(milliseconds: int) -> int:
    """Return a time in microseconds, cut to the ends of int64."""
    if milliseconds > _MOST_SECONDS:
        return int64(9_223_372_036_854_775_807)
    if milliseconds < -_MOST_SECONDS:
        return int64(-9_223_372_036_854_775_807)
    return int64(milliseconds * 1000)
