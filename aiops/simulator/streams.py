"""Independent random streams by name and number: any part of a simulation can be drawn without drawing what is before it."""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a stream is for; each has its own numbers, so that one feature on or off changes nothing else."""

    GRAPH = 1
    PROFILES = 2
    INCIDENTS = 3
    IMPACT = 4
    DECOYS = 5
    DEPLOYMENTS = 6
    DRIFT = 7
    NOISE = 8
    WANDER = 9
    GAPS = 10
    DIRTY = 11
    GRAY = 12
    OPERATIONS = 13
    REQUESTS = 14
    REACTIONS = 15


def generator(seed: int, stream: Stream, number: int = 0) -> np.random.Generator:
    """Return a generator that depends on (seed, stream, number) only; `number` is -1 or more.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): counter-based Philox.
    """
    key = np.array([seed, (int(stream) << 48) + number + 1], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
