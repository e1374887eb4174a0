"""Kernels of the unit surprise: how far each metric of a unit lies from its own past, and how rare that is.

Every row reads a window of rows up to its own, made anew each time: a row's result does not depend on how a stream was cut.
"""

from typing import Final, NamedTuple

import numpy as np

from aiops.jit import inlined, kernel
from aiops.types import FloatArray, IntArray

NO_STEP: Final = -(2**63)
LEVEL, CHANGE, DAY, OUTSIDE, ROUGH, ROUGH_LONG = range(6)
KINDS: Final = 6
"""Kinds of deviation: from the level of the training part, from the last hour, from the same time of past days, outside
all that was measured then, and how much values scatter within a short and a long window."""
SMOOTHED: Final = 3
"""Rows whose mean stands for a time of a past day."""
_LEAST_SCATTER: Final = 0.01
_MEDIUM_SCATTER: Final = np.log(0.02)
_LEAST_ROWS: Final = 3
_MOST_NATS: Final = 25.0


class UnitWindows(NamedTuple):
    """Windows in rows; `days` past days are compared, of which `least_days` must be known."""

    hour: int
    day: int
    short: int
    long: int
    days: int
    least_days: int

    @property
    def kept(self) -> int:
        """Return the rows before a row that its deviations read."""
        return self.days * self.day + SMOOTHED

    @property
    def ahead(self) -> int:
        """Return the rows that a time may lie beyond the newest one without a second time to back it: an hour."""
        return self.hour


@kernel
def deviations(z: FloatArray, first: int, windows: UnitWindows) -> FloatArray:
    """Return (metrics, KINDS, rows - first) deviations >= 0 of rows from `first` on; NaN = unknown.

    `z` (metrics, rows): standardised values, NaN = not measured. O(metrics rows (long + hour)).
    """
    metrics, rows = z.shape
    result = np.full((metrics, KINDS, rows - first), np.nan)
    ordered = np.empty(windows.hour)
    past = np.empty(windows.days)
    for metric in range(metrics):
        own = z[metric]
        filled = 0
        for row in range(max(0, first - windows.hour), first):
            filled = _inserted(ordered, filled, own[row])
        for row in range(first, rows):
            value = own[row]
            if not np.isnan(value):
                measured = result[metric, :, row - first]
                measured[LEVEL] = abs(value)
                if 2 * filled >= windows.hour:
                    measured[CHANGE] = abs(value - _middle(ordered, filled))
                _past_days(own, row, windows, past, measured)
                measured[ROUGH] = _scatter(own, row, windows.short)
                measured[ROUGH_LONG] = _scatter(own, row, windows.long)
            if row >= windows.hour:
                filled = _removed(ordered, filled, own[row - windows.hour])
            filled = _inserted(ordered, filled, value)
    return result


@inlined
def _past_days(own: FloatArray, row: int, windows: UnitWindows, past: FloatArray, measured: FloatArray) -> None:
    known = 0
    for day in range(1, windows.days + 1):
        end = row - day * windows.day
        total, count = 0.0, 0
        for place in range(max(0, end - SMOOTHED + 1), end + 1):
            if not np.isnan(own[place]):
                total += own[place]
                count += 1
        if count:
            known = _inserted(past, known, total / count)
    if known >= windows.least_days:
        measured[DAY] = abs(own[row] - _middle(past, known))
        measured[OUTSIDE] = max(own[row] - past[known - 1], past[0] - own[row], 0.0)


@inlined
def _scatter(own: FloatArray, row: int, window: int) -> float:
    total, count = 0.0, 0
    begin = max(0, row - window + 1)
    for place in range(begin, row + 1):
        if not np.isnan(own[place]):
            total += own[place]
            count += 1
    if count < _LEAST_ROWS:
        return np.nan
    mean, squares = total / count, 0.0
    for place in range(begin, row + 1):
        if not np.isnan(own[place]):
            squares += (own[place] - mean) ** 2
    return float(abs(np.log(np.sqrt(squares / (count - 1)) + _LEAST_SCATTER) - _MEDIUM_SCATTER))


@inlined
def _middle(ordered: FloatArray, filled: int) -> float:
    return float(0.5 * ordered[(filled - 1) // 2] + 0.5 * ordered[filled // 2])


@inlined
def _inserted(ordered: FloatArray, filled: int, value: float) -> int:
    """Put a value into the first `filled` ascending ones; NaN is left out; return how many there are."""
    if np.isnan(value):
        return filled
    place = filled
    while place > 0 and ordered[place - 1] > value:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = value
    return filled + 1


@inlined
def _removed(ordered: FloatArray, filled: int, value: float) -> int:
    if np.isnan(value):
        return filled
    place = np.searchsorted(ordered[:filled], value)
    for later in range(place, filled - 1):
        ordered[later] = ordered[later + 1]
    return filled - 1


@kernel
def surprises(deviation: FloatArray, knots: FloatArray, joins: FloatArray) -> FloatArray:
    """Return (2, KINDS, rows, metrics) surprises in nats of deviations (metrics, KINDS, rows): by far tails, by near tails.

    `knots` (metrics, KINDS, 2, K): ascending deviations and their surprise, NaN behind the last; `joins` (metrics, KINDS, 2, 3):
    deviation from which a far or near tail goes on, surprise there, and nats for each factor e beyond. No knots: unknown.
    """
    metrics, kinds, rows = deviation.shape
    result = np.full((2, kinds, rows, metrics), np.nan)
    for metric in range(metrics):
        for kind in range(kinds):
            values, nats = knots[metric, kind]
            count = 0
            while count < values.size and not np.isnan(values[count]):
                count += 1
            if not count:
                continue
            for row in range(rows):
                away = deviation[metric, kind, row]
                if np.isnan(away):
                    continue
                inside = _between(values[:count], nats[:count], away)
                for tail in range(2):
                    begin, base, slope = joins[metric, kind, tail]
                    if away <= begin:
                        result[tail, kind, row, metric] = inside
                    else:
                        beyond = slope * np.log(away / begin) if slope > 0.0 else 0.0
                        result[tail, kind, row, metric] = min(max(base + beyond, 0.0), _MOST_NATS)
    return result


@inlined
def _between(values: FloatArray, nats: FloatArray, away: float) -> float:
    place = np.searchsorted(values, away)
    if place == values.size:
        return float(nats[-1])
    if place == 0 or values[place] == away:
        return float(nats[place])
    share = (away - values[place - 1]) / (values[place] - values[place - 1])
    return float(nats[place - 1] + share * (nats[place] - nats[place - 1]))


@kernel
def sparse_and_dense(surprise: FloatArray, top: int) -> FloatArray:
    """Return (2, KINDS, rows): mean of the `top` largest far-tail surprises of a row, root mean square of the near-tail ones.

    `surprise` (2, KINDS, rows, metrics), NaN = unknown: left out; NaN where no metric is known.
    """
    _, kinds, rows, metrics = surprise.shape
    result = np.full((2, kinds, rows), np.nan)
    largest = np.empty(metrics)
    for kind in range(kinds):
        for row in range(rows):
            count, squares = 0, 0.0
            for metric in range(metrics):
                count = _inserted(largest, count, surprise[0, kind, row, metric])
                near = surprise[1, kind, row, metric]
                if not np.isnan(near):
                    squares += near * near
            if count:
                taken = min(top, count)
                result[0, kind, row] = largest[count - taken : count].mean()
                result[1, kind, row] = np.sqrt(squares / count)
    return result


@kernel
def lasting(evidence: FloatArray, before: float, share: float) -> FloatArray:
    """Return (n,) exponential mean of what is known of `evidence` (n,), from `before` on; unknown rows repeat it."""
    result = np.empty(evidence.size)
    mean = before
    for row in range(evidence.size):
        if not np.isnan(evidence[row]):
            mean += share * (evidence[row] - mean)
        result[row] = mean
    return result


@kernel
def in_order(step: IntArray, next_step: int, waiting: IntArray, ahead: int) -> "np.typing.NDArray[np.bool_]":
    """Return (n,) which points move a unit's clock or keep it, in their order; `next_step` follows the newest step before them.

    A point behind a later one is left out. One more than `ahead` steps beyond the newest waits, and is left out too: a later
    step within `ahead` of it, with no point in order between both, backs it. `waiting` (1,): its step, or NO_STEP; changed.
    """
    kept = np.zeros(step.size, np.bool_)
    newest, earliest = next_step - 1, next_step
    for row in range(step.size):
        now = step[row]
        if now < earliest:
            continue
        if now > newest + ahead and not (waiting[0] != NO_STEP and waiting[0] < now <= waiting[0] + ahead):
            waiting[0] = now
            continue
        kept[row] = True
        newest, earliest, waiting[0] = now, now, NO_STEP
    return kept
