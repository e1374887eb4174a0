"""Ids of records that depend on what came and nothing else: a request that is repeated has the same ones."""

import hashlib

import numpy as np

from aiops.types import IntArray


def record_ids(body: bytes, count: int) -> IntArray:
    """Return (count,) ids that depend on the whole body and the place in it. O(bytes)."""
    seed = int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "little")
    mixed = np.uint64(seed) + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed ^ (mixed >> np.uint64(31))).view(np.int64)
