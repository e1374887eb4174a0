"""What is known at a row about the next breach of a limit: figures in units of the series' own distance to it.

Rows count, not minutes: `horizon` rows ahead are forecast, and the windows are multiples of 12 of them. Values are scaled by the
distance from the reference's median to the limit, so 0 is at the limit and -1 usual, whatever the unit of the series.

Source of the passage probability: the first passage of a Brownian motion with drift (Cox, Miller, "The Theory of Stochastic
Processes", 1965, chapter 5.7).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.special

from aiops.errors import ModelError
from aiops.types import FloatArray
from models.breach.breach_kernels import (
    BoolArray,
    Season,
    breaches_of,
    coming_max,
    fit_slope,
    labels_of,
    previous_period,
    recent_rate,
    renewal,
    rolling_max,
    rolling_mean,
    rows_since,
    seasonal,
)

DAY_S: Final = 86_400.0
SEASONS: Final = (("day", DAY_S), ("week", 7.0 * DAY_S))
WARM_UP: Final = 100
"""Rows of a series before its figures say anything; earlier ones are unknown."""
FAR: Final = 5.0
TABLE: Final = 2_049
MEANS: Final = (3, 6, 12, 36, 144, 288, 1_000)
HIGHS: Final = (3, 6, 12, 36, 144, 288)
SHARES: Final = (12, 48, 288)
MEMORIES: Final = (150.0, 600.0, 2_000.0)
NAMES: Final = (
    *("gap", "rank"),
    *(f"gap_mean_{window}" for window in MEANS),
    *(f"gap_max_{window}" for window in HIGHS),
    *("gap_min_12", "gap_min_48", "slope_12", "slope_48", "passage"),
    *(f"{name}_{window}" for window in SHARES for name in ("rank_mean", "spread", "near", "high")),
    *("change_6", "change_48", "change_288", "breach_share_48", "breach_share_288", "breach_share_1000"),
    *("rows_since_start", "rows_since_breach", "rows_since_near", "hazard", "survivors"),
    *("own_rate", *(f"recent_rate_{memory:.0f}" for memory in MEMORIES)),
    *(f"{season}_{name}" for season, _ in SEASONS for name in ("rate", "level", "before")),
    *("tail", "middle", "upper_90", "upper_95"),
)
"""Columns of `breach_features`, in order."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the history of one series says: limit, scale (> 0, unit of the series), ordered sample, share of calm rows that a
    breach followed (shrunk), and whether the limit was ever exceeded."""

    limit: float
    scale: float
    table: FloatArray
    own_rate: float
    reached: bool


def reference_of(value: FloatArray, limit: float, horizon: int) -> Reference:
    """Return the reference of a history (n,); the sample keeps at most TABLE order statistics.

    Raises:
        ModelError: fewer than WARM_UP rows, or a value or the limit is not finite.
    """
    if len(value) < WARM_UP or not np.isfinite(value).all() or not np.isfinite(limit):
        raise ModelError(f"a reference needs a finite limit (it is {limit}) and at least {WARM_UP} finite rows, not {len(value)}")
    ordered = np.sort(value)
    low, middle, high = np.quantile(ordered, (0.25, 0.5, 0.75))
    spread = max(limit - middle, 0.0) or max(high - low, ordered[-1] - ordered[0])
    scale = max(spread, 1e-9 * abs(limit), 1e-300)
    above = value > limit
    calm, start = breaches_of(above, horizon)
    label = labels_of(start, horizon)
    kept = calm[: len(value) - horizon]
    rate = (label[: len(value) - horizon][kept].sum() + 1.0) / (kept.sum() + 12.0)
    if len(ordered) > TABLE:
        ordered = ordered[np.linspace(0, len(ordered) - 1, TABLE).round().astype(np.int64)]
    return Reference(float(limit), float(scale), ordered, float(rate), bool(above.any()))


def breach_features(value: FloatArray, time_s: FloatArray, reference: Reference, horizon: int) -> FloatArray:
    """Return (n, len(NAMES)) at each row, from rows up to it only; NaN = unknown. `time_s`: seconds since 1970, UTC.

    Raises:
        ModelError: a value is not finite or the lengths differ.
    """
    if value.shape != time_s.shape or not np.isfinite(value).all():
        raise ModelError(f"values {value.shape} must be finite, with a time each {time_s.shape}; forecast accepted rows only")
    if not len(value):
        return np.empty((0, len(NAMES)))
    gap = np.clip((value - reference.limit) / reference.scale, -FAR, FAR)
    rank = _rank(value, reference.table)
    above = value > reference.limit
    near = rank > 0.95
    columns = {"gap": gap, "rank": rank}
    columns |= _levels(gap, horizon) | _shares(gap, rank, near) | _changes(gap)
    columns |= _breaches(above, near, horizon, reference) | _seasons(gap, above, time_s, horizon) | _shape(reference, len(value))
    return np.column_stack([columns[name] for name in NAMES])


def _rank(value: FloatArray, table: FloatArray) -> FloatArray:
    """Return (n,) the share of the reference below each value, ties counted half."""
    below, upto = np.searchsorted(table, value, "left"), np.searchsorted(table, value, "right")
    return np.asarray((below + upto) / (2.0 * len(table)), dtype=np.float64)


def _levels(gap: FloatArray, horizon: int) -> dict[str, FloatArray]:
    means = {f"gap_mean_{window}": rolling_mean(gap, window) for window in MEANS}
    highs = {f"gap_max_{window}": rolling_max(gap, window) for window in HIGHS}
    lows = {f"gap_min_{window}": -rolling_max(-gap, window) for window in (12, 48)}
    slopes = {f"slope_{window}": fit_slope(gap, window) for window in (12, 48)}
    passage = passage_log_odds(gap, slopes["slope_48"], horizon)
    return means | highs | lows | slopes | {"passage": passage}


def passage_log_odds(gap: FloatArray, slope: FloatArray, horizon: int) -> FloatArray:
    """Return (n,) log odds that a walk from `gap` with this drift a row is above 0 within `horizon` rows, in -8..8.

    Its spread over the horizon is that of the last 288 differences over `horizon` rows; the drift is known only as well as that.
    """
    moved = np.zeros(len(gap))
    moved[horizon:] = gap[horizon:] - gap[:-horizon]
    sigma = np.sqrt(rolling_mean(moved**2, 288)) + 1e-6
    drift = np.nan_to_num(slope) * horizon
    below = np.maximum(-gap, 0.0)
    straight = scipy.special.ndtr((drift - below) / sigma)
    exponent = np.clip(2.0 * drift * below / sigma**2, -700.0, 700.0)
    mirrored = np.exp(exponent + scipy.special.log_ndtr(-(drift + below) / sigma))
    share = np.clip(straight + mirrored, 1e-12, 1.0 - 1e-12)
    return np.asarray(np.clip(np.log(share) - np.log1p(-share), -8.0, 8.0))


def _shares(gap: FloatArray, rank: FloatArray, near: BoolArray) -> dict[str, FloatArray]:
    close, high = near.astype(np.float64), (rank > 0.85).astype(np.float64)
    columns: dict[str, FloatArray] = {}
    for window in SHARES:
        columns[f"rank_mean_{window}"] = rolling_mean(rank, window)
        variance = rolling_mean(gap**2, window) - rolling_mean(gap, window) ** 2
        columns[f"spread_{window}"] = np.sqrt(np.maximum(variance, 0.0))
        columns[f"near_{window}"] = rolling_mean(close, window)
        columns[f"high_{window}"] = rolling_mean(high, window)
    return columns


def _changes(gap: FloatArray) -> dict[str, FloatArray]:
    step = np.diff(gap, prepend=gap[0])
    return {f"change_{window}": np.sqrt(rolling_mean(step**2, window)) for window in (6, 48, 288)}


def _breaches(above: BoolArray, near: BoolArray, horizon: int, reference: Reference) -> dict[str, FloatArray]:
    calm, start = breaches_of(above, horizon)
    label = labels_of(start, horizon)
    hazard, survivors = renewal(start, horizon)
    events = {"start": start, "breach": above, "near": near}
    shares = {f"breach_share_{window}": rolling_mean(above.astype(np.float64), window) for window in (48, 288, 1_000)}
    ages = {f"rows_since_{name}": np.log1p(rows_since(event)) for name, event in events.items()}
    rates = {
        f"recent_rate_{memory:.0f}": log_odds(recent_rate(label, calm, horizon, memory, reference.own_rate))
        for memory in MEMORIES
    }
    own = np.full(len(above), log_odds(np.array([reference.own_rate]))[0])
    return shares | ages | rates | {"hazard": hazard, "survivors": survivors, "own_rate": own}


def _seasons(gap: FloatArray, above: BoolArray, time_s: FloatArray, horizon: int) -> dict[str, FloatArray]:
    calm, start = breaches_of(above, horizon)
    label, ahead = labels_of(start, horizon), coming_max(gap, horizon)
    columns: dict[str, FloatArray] = {}
    for name, period_s in SEASONS:
        columns[f"{name}_rate"], columns[f"{name}_level"] = seasonal(label, calm, ahead, time_s, Season(horizon, period_s))
        columns[f"{name}_before"] = previous_period(ahead, time_s, horizon, period_s)
    return columns


def _shape(reference: Reference, rows: int) -> dict[str, FloatArray]:
    low, upper, high, top, last = np.quantile(reference.table, (0.25, 0.75, 0.9, 0.95, 1.0))
    figures = {
        "tail": (last - reference.limit) / reference.scale,
        "middle": (upper - low) / reference.scale,
        "upper_90": (high - reference.limit) / reference.scale,
        "upper_95": (top - reference.limit) / reference.scale,
    }
    return {name: np.full(rows, np.clip(figure, -FAR, FAR)) for name, figure in figures.items()}


def log_odds(share: FloatArray) -> FloatArray:
    """Return log(p / (1 - p)), with p kept within 1e-4 of 0 and 1."""
    kept = np.clip(share, 1e-4, 1.0 - 1e-4)
    return np.asarray(np.log(kept) - np.log1p(-kept))
