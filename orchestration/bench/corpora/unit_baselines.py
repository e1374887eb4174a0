"""Trivial rules that the detector of units is measured against; both fitted on the training part of each unit alone."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.types import FloatArray

_LARGEST: Final = 3
_KEPT_VARIANCE: Final = 0.9
_CLIP: Final = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class RobustScale:
    """Median and width between the 1 % and 99 % quantiles of each metric (metrics,), as values (rows, metrics) are measured."""

    centre: FloatArray
    span: FloatArray

    @classmethod
    def fit(cls, train: FloatArray) -> "RobustScale":
        """Return the scale of a training part; a metric that never moved has its smallest step for a width."""
        low, centre, high = np.quantile(train, (0.01, 0.5, 0.99), axis=0)
        span = np.maximum(high - low, 0.5 * train.std(axis=0))
        return cls(centre, np.where(span < 1e-9, np.maximum(1e-3 * np.abs(centre), 1e-6), span))

    def __call__(self, values: FloatArray) -> FloatArray:
        """Return standardised values."""
        return np.asarray((values - self.centre) / self.span)


def largest_deviations(train: FloatArray, test: FloatArray) -> FloatArray:
    """Return (rows,) the mean of the three largest robust |z| of a row."""
    away = np.abs(RobustScale.fit(train)(test))
    return np.asarray(np.sort(away, axis=1)[:, -_LARGEST:].mean(axis=1))


def reconstruction_error(train: FloatArray, test: FloatArray) -> FloatArray:
    """Return (rows,) the distance from the principal components that hold 90 % of the training part's variance."""
    scale = RobustScale.fit(train)
    clipped = np.clip(scale(train), -_CLIP, _CLIP)
    mean, deviation = clipped.mean(axis=0), clipped.std(axis=0) + 0.02
    _, sizes, directions = np.linalg.svd((clipped - mean) / deviation, full_matrices=False)
    share = np.cumsum(sizes**2) / max(float(np.sum(sizes**2)), 1e-12)
    kept = directions[: int(np.searchsorted(share, _KEPT_VARIANCE)) + 1]
    rows = (scale(test) - mean) / deviation
    return np.asarray(np.sqrt(((rows - rows @ kept.T @ kept) ** 2).mean(axis=1)))
