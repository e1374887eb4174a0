"""Damaged bodies for one decoder, in a process of its own: each ends where memory ends, so that reading on kills the process.

`python -m tests.testing.wire_fuzz FORMAT COUNT SEED` prints JSON: bodies, how many were refused or had faults, CPU seconds.
"""

import ctypes
import json
import mmap
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from serving.ingest.receive.wire.decoded import DecodedBody, MalformedBody
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from tests.testing.wire_bodies import REQUESTS, damaged, damaged_json, json_of, metrics_request, shuffled
from tests.testing.wire_reference import DECODERS

_PROT_NONE: Final = 0
_DESCRIBED_EVERY: Final = 10


JSON: Final = "otlp_json"
Decode = Callable[[memoryview], DecodedBody]
Damage = Callable[[bytes, random.Random], bytes]


@dataclass
class FuzzCounts:
    """What became of damaged bodies."""

    bodies: int = 0
    refused: int = 0
    with_faults: int = 0
    points: int = 0
    described: int = 0
    cpu_s: float = 0.0


class GuardedMemory:
    """A page with a page behind it that nobody may read."""

    def __init__(self, size: int) -> None:
        self._size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(-1, self._size + mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(start + self._size), ctypes.c_size_t(mmap.PAGESIZE), _PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")

    def placed(self, body: bytes) -> memoryview:
        """Return a copy of a body whose last byte is the last one that can be read."""
        self._memory[self._size - len(body) : self._size] = body
        return memoryview(self._memory)[self._size - len(body) : self._size]


def consistent(decoded: DecodedBody) -> bool:
    """Return whether all rows that columns name exist."""
    count, points = len(decoded.series), len(decoded.points)
    owners = (decoded.points.series, decoded.histograms.series, decoded.exemplars.series, decoded.faults.series)
    whole = decoded.histograms
    return (
        all(((owner >= 0) & (owner < count)).all() for owner in owners)
        and int(decoded.series.count.sum()) == points
        and bool((np.diff(whole.bounds) >= 0).all())
        and int(whole.bounds[-1]) == len(whole.upper) == len(whole.counts)
    )


def fuzz(form: str, count: int, seed: int) -> FuzzCounts:
    """Decode so many damaged bodies; one in ten is described as well."""
    rng, memory, counts = random.Random(seed), GuardedMemory(1 << 16), FuzzCounts()
    decode, whole, damage = _parts(form, rng, seed)
    begun = time.process_time()
    for number in range(count):
        body = damage(whole[number % len(whole)], rng)
        counts.bodies += 1
        try:
            decoded = decode(memory.placed(body))
        except MalformedBody:
            counts.refused += 1
            continue
        if not consistent(decoded):
            raise AssertionError(f"rows that do not exist: {body.hex()}")
        counts.with_faults += len(decoded.faults) > 0
        counts.points += len(decoded.points)
        if number % _DESCRIBED_EVERY == 0:
            counts.described += len(decoded.describe(np.arange(len(decoded.series))))
    counts.cpu_s = time.process_time() - begun
    return counts


def _parts(form: str, rng: random.Random, seed: int) -> tuple[Decode, list[bytes], Damage]:
    """Return what decodes, 200 whole bodies, and what damages them."""
    if form != JSON:
        return DECODERS[form](seed).decode, [shuffled(REQUESTS[form](rng), rng) for _ in range(200)], damaged
    decoder = OtlpMetricsDecoder(seed)
    bodies = [json.dumps(json_of(metrics_request(rng))).encode() for _ in range(200)]
    return lambda body: decoder.decode_json(bytes(body)), bodies, damaged_json


if __name__ == "__main__":
    print(json.dumps(asdict(fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
