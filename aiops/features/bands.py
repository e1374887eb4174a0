"""Seasonal bands: what a series is expected to do in the hours to come, and how far from it a value lies. Pure numpy.

A band is a line of expected values with a bound on either side, a slot each, made before the values it judges. A value at
its bound scores 0.5; every further distance as long as that of the bound halves what is left to 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from aiops.types import FloatArray, IntArray
from data_contracts.values.moments import moment_of_us

ESTABLISHED: Final = "established"
NO_BAND: Final = "no band for this series"
UNSEEN: Final = "no band for this time: the history holds no such hour of such a day"
TAIL_SHARES: Final = (0.1, 0.01, 0.001)
"""Shares of a series' history for which `SeriesBands.tail` says how far it went."""
_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class SeriesBands:
    """Bands of one series from `starts_us` on, made from earlier points only.

    `expected`, `lower`, `upper` (slots,) in the unit of the metric, all empty where no season is established; `status` says
    why. `tail` (len(TAIL_SHARES),): distance from the expected value, in distances of the bound, that each share of the
    history went beyond. `strength`: how much smaller the season's error is than the flat median's on held-out days.
    """

    series: str
    starts_us: int
    slot_s: float
    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    tail: FloatArray
    strength: float
    model: str
    status: str

    @property
    def ends_us(self) -> int:
        """Return the time of the last slot; the start where there is none."""
        return self.starts_us + round(self.slot_s * _US) * max(0, self.expected.size - 1)

    @property
    def version(self) -> str:
        """Return what made the bands, and when they start."""
        return f"{self.model} {moment_text(self.starts_us)}"

    def without_band(self, status: str) -> "SeriesBands":
        """Return the same series as one of which nothing is known, because of `status`."""
        none = np.empty(0)
        return replace(self, expected=none, lower=none, upper=none, tail=none, status=status)


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdicts on n points: `expected`, `lower`, `upper`, `score` (0..1, 0.5 = at the bound), `rarity` (n,); NaN = unknown.

    `rarity`: share of the series' history that lay as far out. `status`: "established", or why the row is unknown.
    """

    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    score: FloatArray
    rarity: FloatArray
    status: tuple[str, ...]


def judge(bands: Sequence[SeriesBands | None], code: IntArray, time_us: IntArray, value: FloatArray) -> Judged:
    """Judge points (n,): `code` says which of `bands` (None = there is none) is a point's. O(n log n); no fit.

    A point is unknown before the first slot, after the last one, and where its value is not finite.
    """
    out = np.full((4, value.size), np.nan)
    status = [NO_BAND] * value.size
    order = np.argsort(code, kind="stable")
    bounds = np.searchsorted(code[order], np.arange(len(bands) + 1))
    for number, band in enumerate(bands):
        rows = order[bounds[number] : bounds[number + 1]]
        if band is None or not rows.size:
            continue
        out[:3, rows] = band_at(band, time_us[rows])
        for row in rows.tolist():
            said = status_at(band, int(time_us[row]))
            status[row] = UNSEEN if said == ESTABLISHED and np.isnan(out[0, row]) else said
        out[3, rows] = rarity(distance(value[rows], out[0, rows], out[1, rows], out[2, rows]), band.tail)
    expected, lower, upper, rare = out
    return Judged(expected, lower, upper, score_of(distance(value, expected, lower, upper)), rare, tuple(status))


def band_at(band: SeriesBands, time_us: IntArray) -> FloatArray:
    """Return (3, n) expected, lower and upper at times (n,), on the line between two slots; NaN outside of the band."""
    if band.expected.size == 0:
        return np.full((3, time_us.size), np.nan)
    place = (time_us - band.starts_us) / (band.slot_s * _US)
    slots = np.arange(band.expected.size, dtype=np.float64)
    lines = [np.interp(place, slots, line, left=np.nan, right=np.nan) for line in (band.expected, band.lower, band.upper)]
    return np.stack(lines)


def status_at(band: SeriesBands, time_us: int) -> str:
    """Return "established" where the band covers the time, else why not."""
    if band.status != ESTABLISHED or not band.expected.size:
        return band.status
    if time_us < band.starts_us:
        return f"no band for this time: they begin at {moment_text(band.starts_us)}"
    if time_us > band.ends_us:
        return stale_text(band.starts_us, (band.ends_us - band.starts_us) / _US)
    return ESTABLISHED


def stale_text(starts_us: int, valid_s: float) -> str:
    """Return why bands that were made for too long ago say nothing.

    >>> stale_text(0, 172800)
    'bands are stale: made for 1970-01-01T00:00Z and 48 h'
    """
    return f"bands are stale: made for {moment_text(starts_us)} and {valid_s / 3600:g} h"


def distance(value: FloatArray, expected: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return how far values lie from the expected ones, in distances of the bound on their side: 1 = at it; NaN = unknown.

    >>> distance(np.array([7.0, 1.0]), np.full(2, 5.0), np.full(2, 3.0), np.full(2, 6.0)).tolist()
    [2.0, 2.0]
    """
    above = value >= expected
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        away = np.where(above, value - expected, expected - value)
        reach = np.where(above, upper - expected, expected - lower)
        far = np.where(reach > 0, away / reach, np.where(away > 0, np.inf, 0.0))
    known = np.isfinite(value) & np.isfinite(expected) & np.isfinite(reach)
    return np.where(known & ~np.isnan(far), far, np.nan)


def score_of(far: FloatArray) -> FloatArray:
    """Return scores 1 - 2**-far in 0..1; 0.5 exactly at the bound.

    >>> score_of(np.array([0.0, 1.0, 2.0])).tolist()
    [0.0, 0.5, 0.75]
    """
    scores: FloatArray = 1.0 - np.exp2(-far)
    return scores


def tail_of(far: FloatArray) -> FloatArray:
    """Return (len(TAIL_SHARES),) what each share of known distances `far` (n >= 1,) went beyond."""
    return np.quantile(far, [1.0 - share for share in TAIL_SHARES])


def rarity(far: FloatArray, tail: FloatArray) -> FloatArray:
    """Return which share of the history lay at least that far out, on lines between the shares known; 0 beyond the last.

    >>> rarity(np.array([0.0, 1.0, 9.0]), np.array([1.0, 2.0, 4.0])).tolist()
    [1.0, 0.1, 0.0]
    """
    if tail.size != len(TAIL_SHARES):
        return np.full(far.shape, np.nan)
    steps = np.maximum.accumulate(np.concatenate(([0.0], tail)))
    shares = np.interp(far, steps, (1.0, *TAIL_SHARES))
    return np.where(np.isnan(far), np.nan, np.where(far > steps[-1], 0.0, shares))


def words(value: float, judged: Judged, row: int) -> str:
    """Return the verdict on one row as a sentence: seen, expected, bounds, how rare; or why nothing is known."""
    if math.isnan(judged.score[row]):
        return judged.status[row] if judged.status[row] != ESTABLISHED else "the value is not a finite number"
    expected, lower, upper = float(judged.expected[row]), float(judged.lower[row]), float(judged.upper[row])
    place = "above" if value > upper else "below" if value < lower else "within"
    text = f"{value:.4g} is {place} the seasonal band {lower:.4g} to {upper:.4g}, expected {expected:.4g}"
    rare = float(judged.rarity[row])
    if math.isnan(rare):
        return text + "."
    seen = f"{100 * rare:.2g} %" if rare > 0 else f"under {100 * TAIL_SHARES[-1]:.2g} %"
    return f"{text}; {seen} of this series' held-out history lay as far out."


def moment_text(time_us: int) -> str:
    """Return a time in UTC to the minute.

    >>> moment_text(90_000_000)
    '1970-01-01T00:01Z'
    """
    return f"{moment_of_us(time_us):%Y-%m-%dT%H:%MZ}"
