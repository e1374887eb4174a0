"""Hashes of OTLP's attributes (message KeyValue): of name and value, whatever their order in a message."""

from typing import Final

import numpy as np

from aiops.jit import kernel
from serving.ingest.receive.wire.label_hash import pair_hash, text_hash
from serving.ingest.receive.wire.machine_words import byte_at, int64
from serving.ingest.receive.wire.wire_fields import next_field

_KEY: Final = 1 << 3 | 2
_VALUE: Final = 2 << 3 | 2
_STRING: Final = 1 << 3 | 2
_NOT_TEXT: Final = np.uint64(0xA0761D6478BD642F)
"""Sets values that are no strings apart from strings of the same bytes."""
_SHORT: Final = 0x80


@kernel
def attribute_hash(begin: int, end: int, seed: np.uint64) -> tuple[np.uint64, int]:
    """Return the hash of a KeyValue, and a negative fault or 0. Name and string, each below 128 bytes, are the usual form."""
    if end - begin >= 6 and int64(byte_at(begin)) == _KEY and int64(byte_at(begin + 1)) <= end - begin - 6:
        middle = begin + 2 + int64(byte_at(begin + 1))
        if int64(byte_at(middle)) == _VALUE and middle + 2 + int64(byte_at(middle + 1)) == end and end - middle < _SHORT:
            text = middle + 4
            if int64(byte_at(middle + 2)) == _STRING and text + int64(byte_at(middle + 3)) == end:
                return pair_hash(text_hash(begin + 2, middle, seed), text_hash(text, end, seed)), 0
    name = value = text_hash(begin, begin, seed)
    at = begin
    while at < end:
        tag, inner, at, _ = next_field(at, end)
        if at < 0:
            return name, at
        if tag == _KEY:
            name = text_hash(inner, at, seed)
        elif tag == _VALUE:
            value, status = _value_hash(inner, at, seed)
            if status < 0:
                return name, status
    return pair_hash(name, value), 0


@kernel
def _value_hash(begin: int, end: int, seed: np.uint64) -> tuple[np.uint64, int]:
    """Return the hash of an AnyValue: of its string, or of its bytes as they are; and a negative fault or 0."""
    tag, inner, stop, at = 0, begin, begin, begin
    while at < end:
        tag, inner, at, _ = next_field(at, end)
        if at < 0:
            return seed, at
        stop = begin if stop > begin else at
    if tag == _STRING and stop == end:
        return text_hash(inner, end, seed), 0
    return text_hash(begin, end, seed ^ _NOT_TEXT), 0


@kernel
def attributes_hash(at: int, end: int, number: int, seed: np.uint64) -> tuple[np.uint64, int]:
    """Return the sum of the hashes of a message's repeated KeyValue, and a negative fault or 0; `number` is its tag."""
    total = np.uint64(0)
    while at < end:
        tag, begin, at, _ = next_field(at, end)
        if at < 0:
            return total, at
        if tag == number:
            pair, status = attribute_hash(begin, at, seed)
            if status < 0:
                return total, status
            total += pair
    return total, 0
