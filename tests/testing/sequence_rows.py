"""Synthetic sequences: common ones, and ones in which no entry is rare but their course is."""

import numpy as np

from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import SEQUENCE_SIGNALS, SEQUENCE_STEPS


def sequences(rows: int, seed: int = 0, stuck: bool = False) -> FloatArray:
    """Return (rows, len(SEQUENCE_FEATURES)): all signals swing about 0.2 once an hour, each time from another point.

    `stuck`: from the sixth span on everything stays where it was, within the noise.
    """
    rng = np.random.default_rng(seed)
    swing = 2 * np.pi * np.arange(SEQUENCE_STEPS) / SEQUENCE_STEPS + rng.uniform(0, 2 * np.pi, (rows, 1))
    course = 0.2 + 0.05 * np.sin(swing)
    if stuck:
        course[:, 6:] = course[:, 5:6]
    noise = 0.005 * rng.standard_normal((rows, SEQUENCE_STEPS, len(SEQUENCE_SIGNALS)))
    return np.asarray((course[:, :, None] + noise).reshape(rows, -1))
