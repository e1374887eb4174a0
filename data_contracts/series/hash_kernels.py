"""XXH64 with seed 0, compiled. Source: the xxHash fast digest algorithm, specification 0.1.1 (Collet, BSD-2-Clause)."""

from collections.abc import Callable
from typing import Final, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

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


def _compiled(function: Kernel) -> Kernel:
    return cast(Kernel, numba.njit(cache=True, nogil=True)(function))


@_compiled
def _rotated(value: np.uint64, bits: int) -> np.uint64:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@_compiled
def _word(data: Uint8s, at: int, size: int) -> np.uint64:
    value = _ZERO
    for i in range(size):
        value |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return value


@_compiled
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotated(lane + word * _P2, 31) * _P1


@_compiled
def _hash(data: Uint8s, begin: int, end: int) -> np.uint64:
    at = begin
    if end - begin >= 32:
        a, b, c, d = _P1 + _P2, _P2, _ZERO, _ZERO - _P1
        while end - at >= 32:
            a = _round(a, _word(data, at, 8))
            b = _round(b, _word(data, at + 8, 8))
            c = _round(c, _word(data, at + 16, 8))
            d = _round(d, _word(data, at + 24, 8))
            at += 32
        result = _rotated(a, 1) + _rotated(b, 7) + _rotated(c, 12) + _rotated(d, 18)
        for lane in (a, b, c, d):
            result = (result ^ _round(_ZERO, lane)) * _P1 + _P4
    else:
        result = _P5
    result += np.uint64(end - begin)
    while end - at >= 8:
        result = _rotated(result ^ _round(_ZERO, _word(data, at, 8)), 27) * _P1 + _P4
        at += 8
    if end - at >= 4:
        result = _rotated(result ^ (_word(data, at, 4) * _P1), 23) * _P2 + _P3
        at += 4
    while at < end:
        result = _rotated(result ^ (np.uint64(data[at]) * _P5), 11) * _P1
        at += 1
    result = (result ^ (result >> np.uint64(33))) * _P2
    result = (result ^ (result >> np.uint64(29))) * _P3
    return result ^ (result >> np.uint64(32))


@_compiled
def hash_spans(data: Uint8s, ends: Int64s) -> Uint64s:
    """Return (k,) XXH64 of data[ends[i]:ends[i + 1]] for k + 1 ascending bounds. O(bytes)."""
    result = np.empty(len(ends) - 1, np.uint64)
    for i in range(len(result)):
        result[i] = _hash(data, ends[i], ends[i + 1])
    return result
