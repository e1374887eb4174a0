"""Ids of records that depend on what came and nothing else: a request that is repeated has the same ones."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from aiops.types import IntArray


def record_ids(body: bytes, count: int) -> IntArray:
    """Return (count,) ids that depend on the whole body and the place in it. O(bytes)."""
    seed = int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "little")
    mixed = np.uint64(seed) + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed ^ (mixed >> np.uint64(31))).view(np.int64)


def content_ids(contents: Sequence[bytes]) -> IntArray:
    """Return (n,) ids that depend on each record alone: one pulled again, beside whatever others, has the same id.

    The second, third, … of equal records get ids of their own. O(bytes).
    """
    repeated: Counter[bytes] = Counter()
    ids = np.empty(len(contents), np.int64)
    for place, content in enumerate(contents):
        digest = hashlib.blake2b(content + b"\0%d" % repeated[content], digest_size=8).digest()
        ids[place] = int.from_bytes(digest, "little", signed=True)
        repeated[content] += 1
    return ids
