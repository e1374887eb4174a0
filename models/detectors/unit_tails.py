"""How rare a deviation is by the training part: its surprise -ln p, with two tails for what was hardly seen there.

The far tail begins where one row in 200 lies and goes on by Hill's estimate, at half its pace: it wants much before it says more.
The near tail begins at one row in 50 and goes on as the rows before it do, so that anomalies in the training part do not hide
others like them. Source: Hill, "A simple general approach to inference about the tail of a distribution", 1975.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.types import FloatArray
from models.detectors.unit_kernels import KINDS

KNOTS: Final = 48
LEAST_ROWS: Final = 100
"""Known rows of training below which nothing is known of a deviation."""
_FAR_PART: Final = 200
_FAR_ROWS: Final = 10
_HILL: Final = (0.05, 0.5)
_HALF_PACE: Final = 0.5
_NEAR: Final = (0.8, 0.98)
_NEAR_SHAPE: Final = (0.12, 0.6)
_NEAR_REACH: Final = 0.2
_NOTHING: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Tails:
    """`knots` (metrics, KINDS, 2, KNOTS) and `joins` (metrics, KINDS, 2, 3) as `unit_kernels.surprises` reads them."""

    knots: FloatArray
    joins: FloatArray

    @classmethod
    def fit(cls, deviation: FloatArray) -> "Tails":
        """Return the tails of deviations (metrics, KINDS, rows) of the training part; NaN is left out."""
        metrics = deviation.shape[0]
        knots, joins = np.full((metrics, KINDS, 2, KNOTS), np.nan), np.zeros((metrics, KINDS, 2, 3))
        for metric in range(metrics):
            for kind in range(KINDS):
                known = np.sort(deviation[metric, kind])
                known = known[: int(np.isfinite(known).sum())]
                if known.size >= LEAST_ROWS:
                    values, nats = _knots(known)
                    knots[metric, kind, 0, : values.size], knots[metric, kind, 1, : nats.size] = values, nats
                    joins[metric, kind, 0] = far = _far(known)
                    joins[metric, kind, 1] = _near(known, far)
        return cls(knots, joins)


def _knots(known: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return at most KNOTS distinct values of ascending ones, and the surprise of each: -ln of the share at least as large."""
    rows = known.size
    behind = np.exp(np.linspace(np.log(rows), 0.0, KNOTS)).astype(np.int64)
    values = np.unique(known[rows - behind])
    return values, -np.log((rows - np.searchsorted(known, values) + 1.0) / (rows + 1.0))


def _far(known: FloatArray) -> FloatArray:
    rows = known.size
    behind = max(_FAR_ROWS, rows // _FAR_PART)
    begin = float(known[rows - behind])
    if begin <= 0.0:
        return np.array([0.0, np.log(rows), 0.0])
    hill = float(np.clip(np.log(known[rows - behind :] / begin).mean(), *_HILL))
    return np.array([begin, np.log(rows / behind), _HALF_PACE / hill])


def _near(known: FloatArray, far: FloatArray) -> FloatArray:
    low, high = (float(known[int(share * known.size)]) for share in _NEAR)
    if high <= _NOTHING:
        return far
    low = max(low, _NEAR_REACH * high)
    decades = float(np.log((1.0 - _NEAR[0]) / (1.0 - _NEAR[1])))
    shape = float(np.clip(np.log(high / low) / decades, *_NEAR_SHAPE))
    return np.array([high, -np.log(1.0 - _NEAR[1]), 1.0 / shape])
