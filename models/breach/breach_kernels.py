"""Kernels of breach forecasting: when a series breaches its limit, how often it did, and rolling figures, row by row.

Every kernel reads rows up to t only for its answer at t: `labels_of` alone looks ahead, it is what a forecast is judged by.
All are O(n), but for `fit_slope` (O(n window)) and `renewal` (O(n REMEMBERED)).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import kernel
from aiops.types import FloatArray

BoolArray = npt.NDArray[np.bool_]

PHASES: Final = 48
REMEMBERED: Final = 200
PRIOR_ROWS: Final = 12.0


@kernel
def breaches_of(above: BoolArray, horizon: int) -> tuple[BoolArray, BoolArray]:
    """Return (calm, start), (n,) each: no row above the limit in the last `horizon`; the first one above after that many."""
    rows = len(above)
    calm, start = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
    last = -horizon - 1
    for t in range(rows):
        if above[t]:
            start[t] = t > 0 and t - last > horizon
            last = t
        calm[t] = t - last >= horizon
    return calm, start


@kernel
def labels_of(start: BoolArray, horizon: int) -> FloatArray:
    """Return (n,) 1 where a breach starts in rows t+1 .. t+horizon, else 0. It looks ahead."""
    rows = len(start)
    label = np.zeros(rows)
    upcoming = rows + 2 * horizon
    for t in range(rows - 1, -1, -1):
        label[t] = 1.0 if upcoming <= t + horizon else 0.0
        if start[t]:
            upcoming = t
    return label


@kernel
def rolling_mean(value: FloatArray, window: int) -> FloatArray:
    """Return (n,) means of the last `window` rows; of those that are there where it is cut off by the beginning."""
    rows = len(value)
    out, total = np.empty(rows), np.zeros(rows + 1)
    for t in range(rows):
        total[t + 1] = total[t] + value[t]
        first = max(0, t + 1 - window)
        out[t] = (total[t + 1] - total[first]) / (t + 1 - first)
    return out


@kernel
def rolling_max(value: FloatArray, window: int) -> FloatArray:
    """Return (n,) maxima of the last `window` rows (a queue of falling values)."""
    rows = len(value)
    out, queue = np.empty(rows), np.empty(rows, np.int64)
    head = tail = 0
    for t in range(rows):
        while tail > head and value[queue[tail - 1]] <= value[t]:
            tail -= 1
        queue[tail] = t
        tail += 1
        while queue[head] <= t - window:
            head += 1
        out[t] = value[queue[head]]
    return out


@kernel
def fit_slope(value: FloatArray, window: int) -> FloatArray:
    """Return (n,) least squares slopes a row over the last `window` rows; NaN before there are as many."""
    rows = len(value)
    out = np.full(rows, np.nan)
    middle = (window - 1) / 2.0
    spread = window * (window * window - 1.0) / 12.0
    for t in range(window - 1, rows):
        total = 0.0
        for j in range(window):
            total += (j - middle) * value[t - window + 1 + j]
        out[t] = total / spread
    return out


@kernel
def rows_since(event: BoolArray) -> FloatArray:
    """Return (n,) rows since the last event, 0 at the event; NaN before the first."""
    out = np.full(len(event), np.nan)
    last = -1
    for t in range(len(event)):
        if event[t]:
            last = t
        if last >= 0:
            out[t] = t - last
    return out


@kernel
def renewal(start: BoolArray, horizon: int) -> tuple[FloatArray, FloatArray]:
    """Return (hazard, survivors), (n,) each, from the intervals between earlier breaches; NaN before two are known.

    Hazard: of the intervals longer than the time since the last breach, the share that ended within the next `horizon` rows,
    shrunk to a constant rate's. Survivors: the share of intervals that were longer. Only the last REMEMBERED intervals count.
    """
    rows = len(start)
    hazard, survivors, interval = np.full(rows, np.nan), np.full(rows, np.nan), np.empty(rows)
    known, last = 0, -1
    for t in range(rows):
        if start[t]:
            if last >= 0:
                interval[known] = t - last
                known += 1
            last = t
        if known < 2:
            continue
        age, longer, ended = t - last, 0.0, 0.0
        first = max(0, known - REMEMBERED)
        for j in range(first, known):
            if interval[j] > age:
                longer += 1.0
                if interval[j] <= age + horizon:
                    ended += 1.0
        constant = 1.0 - np.exp(-(known + 1.0) * horizon / (t + 1.0))
        hazard[t] = (ended + 2.0 * constant) / (longer + 2.0)
        survivors[t] = longer / (known - first)
    return hazard, survivors


@kernel
def recent_rate(label: FloatArray, calm: BoolArray, horizon: int, memory: float, prior: float) -> FloatArray:
    """Return (n,) the share of calm rows that a breach followed, older rows discounted by exp(-1 / memory), shrunk to `prior`.

    The label of a row counts from `horizon` rows later on, when it is known. The prior weighs 100 rows.
    """
    out = np.empty(len(label))
    kept = np.exp(-1.0 / memory)
    followed = seen = 0.0
    for t in range(len(label)):
        followed *= kept
        seen *= kept
        if t >= horizon and calm[t - horizon]:
            followed += label[t - horizon]
            seen += 1.0
        out[t] = (followed + 100.0 * prior) / (seen + 100.0)
    return out


@kernel
def coming_max(value: FloatArray, horizon: int) -> FloatArray:
    """Return (n,) the maximum of rows t+1 .. t+horizon, NaN near the end. It looks ahead: read it `horizon` rows later."""
    rows = len(value)
    out = np.full(rows, np.nan)
    if rows > horizon:
        ahead = rolling_max(value, horizon)
        out[: rows - horizon] = ahead[horizon:]
    return out


@kernel
def phase_of(time_s: float, period_s: float) -> int:
    """Return the phase 0 .. PHASES - 1 of a time within its period."""
    return min(int((time_s % period_s) / period_s * PHASES), PHASES - 1)


class Season(NamedTuple):
    """Rows after which it is known what followed a row, and the length of a season in seconds."""

    horizon: int
    period_s: float


@kernel
def seasonal(
    label: FloatArray, calm: BoolArray, ahead: FloatArray, time_s: FloatArray, season: Season
) -> tuple[FloatArray, FloatArray]:
    """Return (rate, level), (n,) each, of earlier rows at about the same phase of a season.

    Rate: log of how much oftener a breach followed at this phase than at any, shrunk to 0. Level: the mean of the maxima that
    followed; NaN before there is one. Rows count from `horizon` rows later on, when what followed is known.
    """
    horizon, period_s = season.horizon, season.period_s
    rows = len(label)
    rate, level = np.empty(rows), np.full(rows, np.nan)
    followed, seen, total, counted = np.zeros(PHASES), np.zeros(PHASES), np.zeros(PHASES), np.zeros(PHASES)
    all_followed = all_seen = 0.0
    for t in range(rows):
        known = t - horizon
        if known >= 0:
            phase = phase_of(time_s[known], period_s)
            total[phase] += ahead[known]
            counted[phase] += 1.0
            if calm[known]:
                followed[phase] += label[known]
                seen[phase] += 1.0
                all_followed += label[known]
                all_seen += 1.0
        phase = phase_of(time_s[t], period_s)
        before, after = (phase - 1) % PHASES, (phase + 1) % PHASES
        base = (all_followed + 1.0) / (all_seen + 10.0)
        hits = followed[phase] + 0.5 * (followed[before] + followed[after])
        tries = seen[phase] + 0.5 * (seen[before] + seen[after])
        rate[t] = np.log((hits + PRIOR_ROWS * base) / (tries + PRIOR_ROWS)) - np.log(base)
        weight = counted[phase] + 0.5 * (counted[before] + counted[after])
        if weight > 0.0:
            level[t] = (total[phase] + 0.5 * (total[before] + total[after])) / weight
    return rate, level


@kernel
def previous_period(ahead: FloatArray, time_s: FloatArray, horizon: int, period_s: float) -> FloatArray:
    """Return (n,) what followed the newest row at least `period_s` old, where that is known at t; else NaN."""
    rows = len(ahead)
    out = np.full(rows, np.nan)
    row = 0
    for t in range(rows):
        while row < t and time_s[row + 1] <= time_s[t] - period_s:
            row += 1
        if time_s[row] <= time_s[t] - period_s and row + horizon <= t:
            out[t] = ahead[row]
    return out
