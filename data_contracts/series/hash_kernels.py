"""XXH64 with seed 0, compiled. Source: the xxHash fast digest algorithm, specification 0.1.1 (Collet, BSD-2-Clause).

A key's bytes are hashed where they lie, in two strings: tenant and service, metric and labels. Strings are held as words of
eight bytes, little endian, and nothing is copied: about 20 ns a key of 50 bytes.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from data_contracts.kernel_cache import kept

Kernel = TypeVar("Kernel", bound=Callable[..., object])
Int64s = npt.NDArray[np.int64]
Uint8s = npt.NDArray[np.uint8]
Uint64s = npt.NDArray[np.uint64]

_P1: Final = np.uint64(0x9E3779B185EBCA87)
_P2: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_P3: Final = np.uint64(0x165667B19E3779F9)
_P4: Final = np.uint64(0x85EBCA77C2B2AE63)
_P5: Final = np.uint64(0x27D4EB2F165667C5)
_ZERO: Final = np.uint64(0)
_HALF: Final = np.uint64(0xFFFFFFFF)
_BYTE: Final = np.uint64(0xFF)


class Strings(NamedTuple):
    """Byte strings by code: string i has `sizes[i]` bytes from `words[starts[i]]` on; a word of zeros ends them all."""

    words: Uint64s
    starts: Int64s
    sizes: Int64s


class KeyStrings(NamedTuple):
    """Canonical bytes of keys in two parts, by code: tenant and service, then metric and labels."""

    owner: Strings
    stream: Strings


class StringPair(NamedTuple):
    """Two strings, one behind the other: their words, where they begin, and the first's length in whole words and bits beyond."""

    owner: Uint64s
    stream: Uint64s
    owner_start: int
    stream_start: int
    whole: int
    bits: int


def _compiled(function: Kernel) -> Kernel:
    return cast(Kernel, kept(numba.njit(nogil=True)(function)))


def _inlined(function: Kernel) -> Kernel:
    """Compile into each caller: counting references to the arrays of a call would cost more than the call does."""
    return cast(Kernel, kept(numba.njit(nogil=True, inline="always")(function)))


@_inlined
def _rotated(value: np.uint64, bits: int) -> np.uint64:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@_inlined
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotated(lane + word * _P2, 31) * _P1


@_inlined
def _word(pair: StringPair, number: int) -> np.uint64:
    """Return word `number` of two strings, one behind the other."""
    if number < pair.whole:
        return pair.owner[pair.owner_start + number]  # type: ignore[no-any-return]
    at = pair.stream_start + number - pair.whole
    if pair.bits == 0:
        return pair.stream[at]  # type: ignore[no-any-return]
    before = pair.owner[pair.owner_start + number] if number == pair.whole else pair.stream[at - 1] >> np.uint64(64 - pair.bits)
    return before | (pair.stream[at] << np.uint64(pair.bits))  # type: ignore[no-any-return]


@_inlined
def id_of(keys: KeyStrings, owner: int, stream: int) -> np.int64:
    """Return the XXH64 of owner string and stream string, one behind the other, signed."""
    length = keys.owner.sizes[owner]
    starts = keys.owner.starts[owner], keys.stream.starts[stream]
    pair = StringPair(keys.owner.words, keys.stream.words, starts[0], starts[1], length >> 3, 8 * (length & 7))
    size = length + keys.stream.sizes[stream]
    at = 0
    if size >= 32:
        a, b, c, d = _P1 + _P2, _P2, _ZERO, _ZERO - _P1
        while size - at >= 32:
            a = _round(a, _word(pair, at >> 3))
            b = _round(b, _word(pair, (at >> 3) + 1))
            c = _round(c, _word(pair, (at >> 3) + 2))
            d = _round(d, _word(pair, (at >> 3) + 3))
            at += 32
        result = _rotated(a, 1) + _rotated(b, 7) + _rotated(c, 12) + _rotated(d, 18)
        result = (result ^ _round(_ZERO, a)) * _P1 + _P4
        result = (result ^ _round(_ZERO, b)) * _P1 + _P4
        result = (result ^ _round(_ZERO, c)) * _P1 + _P4
        result = (result ^ _round(_ZERO, d)) * _P1 + _P4
    else:
        result = _P5
    result += np.uint64(size)
    while size - at >= 8:
        result = _rotated(result ^ _round(_ZERO, _word(pair, at >> 3)), 27) * _P1 + _P4
        at += 8
    if size > at:
        rest = _word(pair, at >> 3)
        if size - at >= 4:
            result = _rotated(result ^ ((rest & _HALF) * _P1), 23) * _P2 + _P3
            rest >>= np.uint64(32)
            at += 4
        while at < size:
            result = _rotated(result ^ ((rest & _BYTE) * _P5), 11) * _P1
            rest >>= np.uint64(8)
            at += 1
    result = (result ^ (result >> np.uint64(33))) * _P2
    result = (result ^ (result >> np.uint64(29))) * _P3
    return np.int64(result ^ (result >> np.uint64(32)))


@_compiled
def strings_of(data: Uint8s, ends: Int64s) -> Strings:
    """Return the strings data[ends[i]:ends[i + 1]] of k + 1 ascending bounds. O(bytes)."""
    count = len(ends) - 1
    sizes = ends[1:] - ends[:-1]
    starts = np.zeros(count + 1, np.int64)
    starts[1:] = np.cumsum((sizes + 7) >> 3)
    words = np.zeros(starts[count] + 1, np.uint64)
    for i in range(count):
        for k in range(sizes[i]):
            words[starts[i] + (k >> 3)] |= np.uint64(data[ends[i] + k]) << np.uint64(8 * (k & 7))
    return Strings(words, starts, sizes)


@_compiled
def framed(before: Uint8s, data: Uint8s, ends: Int64s) -> Strings:
    """Return the strings data[ends[i]:ends[i + 1]], each behind `before` and its length (4 bytes, little endian). O(bytes)."""
    count, begin = len(ends) - 1, len(before) + 4
    bounds = ends - ends[0] + begin * np.arange(count + 1)
    whole = np.empty(bounds[count], np.uint8)
    for i in range(count):
        at, size = bounds[i], ends[i + 1] - ends[i]
        whole[at : at + len(before)] = before
        for k in range(4):
            whole[at + len(before) + k] = (size >> (8 * k)) & 0xFF
        whole[at + begin : at + begin + size] = data[ends[i] : ends[i + 1]]
    return strings_of(whole, bounds)


@_compiled
def hash_spans(data: Uint8s, ends: Int64s) -> Uint64s:
    """Return (k,) XXH64 of data[ends[i]:ends[i + 1]] for k + 1 ascending bounds. O(bytes)."""
    nothing = Strings(np.zeros(1, np.uint64), np.zeros(1, np.int64), np.zeros(1, np.int64))
    keys = KeyStrings(nothing, strings_of(data, ends))
    result = np.empty(len(ends) - 1, np.uint64)
    for i in range(len(result)):
        result[i] = np.uint64(id_of(keys, 0, i))
    return result


@_compiled
def ids_of(keys: KeyStrings, owner: Int64s, stream: Int64s) -> Int64s:
    """Return (n,) series ids of keys given as codes of their two parts. O(bytes)."""
    result = np.empty(len(owner), np.int64)
    for i in range(len(result)):
        result[i] = id_of(keys, owner[i], stream[i])
    return result
