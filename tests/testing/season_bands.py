"""Seasonal bands for tests."""

from datetime import datetime

import numpy as np

from aiops.features.bands import ESTABLISHED, SeriesBands


def flat_bands(series: str, starts_at: datetime, slots: int = 289, status: str = ESTABLISHED) -> SeriesBands:
    """Return bands of ten-minute slots that expect 100 between 80 and 140 for two days."""
    lines = [np.full(slots, level) for level in (100.0, 80.0, 140.0)]
    starts_us = round(starts_at.timestamp() * 1e6)
    return SeriesBands(series, starts_us, 600.0, *lines, np.array([0.5, 0.9, 1.5]), 0.8, "seasonal-profile", status)
