"""The hash that a series is known by while this process runs: seeded, so that no sender can choose two series of one hash.

Strings are hashed as wyhash does (Wang Yi, wyhash final version 4, public domain): 16 bytes a multiplication of 128 bits. A
series is the sum of the hashes of its pairs (name, value), so that their order changes nothing. It never leaves the process:
series ids come from `data_contracts.series`.
"""

from typing import Final

import numpy as np

from aiops.jit import kernel
from serving.ingest.receive.wire.machine_words import byte_at, folded_product, half_word_at, word_at

_P0: Final = np.uint64(0x2D358DCCAA6C78A5)
_P1: Final = np.uint64(0x8BB84B93962EACC9)
_P2: Final = np.uint64(0x4B33A62ED433D4A3)
_P3: Final = np.uint64(0x4D5A2DA51DE1AA47)
_8: Final = np.uint64(8)
_16: Final = np.uint64(16)
_32: Final = np.uint64(32)


@kernel
def pair_hash(name: np.uint64, value: np.uint64) -> np.uint64:
    """Return the hash of a pair out of those of its parts."""
    return folded_product(name ^ _P2, value ^ _P3)


@kernel
def declared_hash(kind: int, unit: np.uint64) -> np.uint64:
    """Return what a declared kind, and the hash of a unit or 0, add to a series' hash; UNKNOWN without a unit adds nothing."""
    kind_hash = folded_product(np.uint64(kind) ^ _P0, _P3) if kind != 0 else np.uint64(0)
    return kind_hash + folded_product(unit ^ _P1, _P0) if unit != np.uint64(0) else kind_hash


@kernel
def text_hash(begin: int, end: int, seed: np.uint64) -> np.uint64:
    """Return the hash of the bytes from address `begin` to `end`."""
    size = end - begin
    low = high = np.uint64(0)
    if size > 16:
        at = begin
        while end - at > 16:
            seed = folded_product(word_at(at) ^ _P1, word_at(at + 8) ^ seed)
            at += 16
        low, high = word_at(end - 16), word_at(end - 8)
    elif size >= 4:
        step = (size >> 3) << 2
        low = half_word_at(begin) << _32 | half_word_at(begin + step)
        high = half_word_at(end - 4) << _32 | half_word_at(end - 4 - step)
    elif size > 0:
        low = byte_at(begin) << _16 | byte_at(begin + (size >> 1)) << _8 | byte_at(end - 1)
    return folded_product(_P0 ^ np.uint64(size), folded_product(low ^ _P1, high ^ seed))
