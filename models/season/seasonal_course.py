"""The course of a day as an array of slots around the clock, NaN = unknown: centred, filled, smoothed."""

import numpy as np

from aiops.types import FloatArray


def centred(shape: FloatArray) -> FloatArray:
    """Return the course around its median, where anything of it is known."""
    return shape - np.nanmedian(shape) if np.isfinite(shape).any() else shape


def around_days(level: FloatArray) -> FloatArray:
    """Return the running median of seven days around each day: every weekday once, so that weekends keep their own depth."""
    if not np.isfinite(level).any():
        return level
    spans = [level[max(0, min(day - 3, level.size - 7)) : max(day + 4, 7)] for day in range(level.size)]
    return np.array([np.nanmedian(span) if np.isfinite(span).any() else np.nan for span in spans])


def filled(shape: FloatArray) -> FloatArray:
    """Return the course with slots that lie within half an hour of a known one on the line between their neighbours."""
    known = np.flatnonzero(np.isfinite(shape))
    if known.size in (0, shape.size):
        return shape
    slots = np.arange(shape.size)
    apart = np.abs(slots[:, np.newaxis] - known)
    near = np.minimum(apart, shape.size - apart).min(axis=1) <= max(1, shape.size // 48)
    return np.where(near, np.interp(slots, known, shape[known], period=shape.size), np.nan)


def smoothed(shape: FloatArray, width: int) -> FloatArray:
    """Return the running mean over `width` slots around the clock; unknown neighbours are left out."""
    turned = np.stack([np.roll(shape, shift) for shift in range(-(width // 2), width // 2 + 1)])
    known = np.isfinite(turned)
    total = np.where(known, turned, 0.0).sum(axis=0)
    return np.where(np.isfinite(shape), total / np.maximum(known.sum(axis=0), 1), np.nan)
