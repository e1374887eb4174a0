"""Ids of traces and spans → one 64-bit key, compiled. Source: FNV-1a (Fowler, Noll, Vo), then the finaliser of MurmurHash3.

Two of a million spans share a key by chance in one of 37 million such sets; keys live as long as a span waits for its partner.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.jit import inlined, kernel
from aiops.types import IntArray

_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)
_M1: Final = np.uint64(0xFF51AFD7ED558CCD)
_M2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_S: Final = np.uint64(33)
Bytes = npt.NDArray[np.uint8]


@inlined
def mixed(value: np.uint64) -> np.uint64:
    """Return a value whose bits all depend on all bits of the given one."""
    value = (value ^ (value >> _S)) * _M1
    value = (value ^ (value >> _S)) * _M2
    return value ^ (value >> _S)


@inlined
def _absorbed(state: np.uint64, data: Bytes, start: int, end: int) -> np.uint64:
    for at in range(start, end):
        state = (state ^ np.uint64(data[at])) * _PRIME
    return state


@kernel
def _pairs(first: Bytes, first_at: IntArray, second: Bytes, second_at: IntArray, out: npt.NDArray[np.uint64]) -> None:
    for row in range(out.size):
        state = _absorbed(_OFFSET, first, first_at[row], first_at[row + 1])
        state = (state ^ np.uint64(0x2F)) * _PRIME
        out[row] = mixed(_absorbed(state, second, second_at[row], second_at[row + 1])) | np.uint64(1)


def key_pairs(first: "pa.ChunkedArray[Any]", second: "pa.ChunkedArray[Any]") -> IntArray:
    """Return a key (n,) of each two texts, never 0; null counts as empty."""
    out = np.empty(len(first), np.uint64)
    _pairs(*_bytes_of(first), *_bytes_of(second), out)
    return out.view(np.int64)


def _bytes_of(column: "pa.ChunkedArray[Any]") -> tuple[Bytes, IntArray]:
    """Return the bytes of texts and where each begins and ends (n + 1,)."""
    texts: Any = column.cast(pa.large_string()).combine_chunks()
    _, offsets, data = texts.buffers()
    count = len(texts)
    if offsets is None or not count:
        return np.zeros(0, np.uint8), np.zeros(count + 1, np.int64)
    places = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + count + 1]
    return (np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)), places
