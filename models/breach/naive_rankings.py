"""The trivial rankings that the breach forecast is measured against: base rate, distance and trend to the limit."""

from typing import Final

import numpy as np

from aiops.types import FloatArray
from models.breach.breach_features import NAMES, Reference

_GAP: Final = NAMES.index("gap")
_SLOPE: Final = NAMES.index("slope_12")


def naive_rankings(features: FloatArray, reference: Reference) -> dict[str, FloatArray]:
    """Return by name (n,) numbers that rank rows (n, features) of a series, higher = a breach is likelier.

    `own_base_rate`: share of calm rows that a breach followed while fitting; `distance_to_limit`; `trend_to_limit`: by the
    time at which a line through the newest 12 rows meets the limit.
    """
    gap, slope = features[:, _GAP], features[:, _SLOPE]
    return {
        "own_base_rate": np.full(len(features), reference.own_rate),
        "distance_to_limit": gap,
        "trend_to_limit": np.where(slope > 0, -1.0 / np.maximum(slope / np.maximum(-gap, 1e-9), 1e-6), -np.inf),
    }
