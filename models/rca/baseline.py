"""The baseline of a series: its median and a spread that a heavy tail makes wide, not loud."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

from aiops.types import FloatArray

Named = TypeVar("Named", bound=Hashable)


def medians_of(values: FloatArray) -> FloatArray:
    """Return (n,) medians of the known values of columns (steps, n); NaN where none is."""
    known = np.isfinite(values)
    ordered, count = np.sort(np.where(known, values, np.nan), axis=0), known.sum(axis=0)  # NaN last
    if not len(values):
        return np.full(values.shape[1], np.nan)
    columns = np.arange(values.shape[1])
    low, high = ordered[np.maximum(count - 1, 0) // 2, columns], ordered[np.minimum(count // 2, len(values) - 1), columns]
    return np.where(count > 0, np.where(count % 2 == 1, low, 0.5 * (low + high)), np.nan)


def fitted(series: Sequence[Named], values: FloatArray, least: int) -> tuple[dict[Named, float], dict[Named, float]]:
    """Return median and spread of each column with at least so many known values.

    Spread: the wider of the MAD and the 95th percentile (in units of a normal's deviation), and at least 2 % of the level.
    """
    known = np.isfinite(values)
    enough = np.flatnonzero(known.sum(axis=0) >= least)
    centre = medians_of(values[:, enough])
    away = np.abs(np.where(known[:, enough], values[:, enough], np.nan) - centre)
    far = np.empty(enough.size)
    whole = known[:, enough].all(axis=0)
    if whole.any():
        far[whole] = np.percentile(away[:, whole], 95, axis=0)
    for column in np.flatnonzero(~whole).tolist():
        far[column] = np.percentile(away[known[:, enough[column]], column], 95)
    spread = np.maximum(np.maximum(1.4826 * medians_of(away), far / 1.96), np.maximum(0.02 * np.abs(centre), 1e-9))
    names = [series[column] for column in enough.tolist()]
    return dict(zip(names, centre.tolist(), strict=True)), dict(zip(names, spread.tolist(), strict=True))
