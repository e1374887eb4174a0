"""What a series is like, measured from its history: how seasonal, how intermittent, how noisy, and how far it has ranged. Pure.

Only the points that are given count, so a character measured at a time from the points before it never looks ahead.
Seasonality is the strength of Wang, Smith and Hyndman (2006, "Characteristic-based clustering for time series data"), made
honest for short histories: each day is explained by the profile of the *other* days, so that noise has strength 0 and not
one over the number of days.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.types import FloatArray, IntArray
from data_contracts.schemas.character_schema import SERIES_CHARACTER
from data_contracts.series.series_name import SeriesName

DAY_US: Final = 86_400_000_000
SLOT_US: Final = 3_600_000_000
LEAST_DAYS: Final = 2
LEAST_COVERED: Final = 0.5
"""Share of a day's slots that must have points for the day to count."""
CLIP: Final = 5.0
"""Deviations beyond this many robust spreads count as this many: an incident is no season, and hides none."""
_NORMAL: Final = 1.4826
"""Robust spread of normal noise per median absolute deviation."""


@dataclass(frozen=True, slots=True)
class SeriesCharacter:
    """Measured over `points` points; NaN = unknown. A row of `character_schema.SERIES_CHARACTER`."""

    points: int
    step_s: float
    seasonality: float
    """0..1: share of the variation within days that the other days' profile explains."""
    intermittence: float
    """0..1: share of the time at 0 or without a point."""
    noise: float
    """Robust spread from point to point over the level."""
    lowest: float
    low_0_1pct: float
    low_1pct: float
    high_1pct: float
    high_0_1pct: float
    highest: float


_NUMBERS: Final = tuple(field.name for field in fields(SeriesCharacter) if field.name != "points")


def measure(time_us: IntArray, value: FloatArray) -> SeriesCharacter:
    """Return the character of one series: (n,) times in us, ascending, and (n,) finite values. O(n log n).

    >>> hours = np.arange(96, dtype=np.int64) * SLOT_US
    >>> day = np.tile(np.arange(24.0), 4)
    >>> measure(hours, day).seasonality, measure(hours[:24], day[:24]).seasonality
    (1.0, nan)
    """
    if time_us.size == 0:
        return SeriesCharacter(0, *[np.nan] * 10)
    gaps = np.diff(time_us)
    step_us = float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else np.nan
    shares = np.quantile(value, [0.0, 0.001, 0.01, 0.99, 0.999, 1.0])
    return SeriesCharacter(
        int(time_us.size),
        step_us / 1e6,
        _seasonality(time_us, value, step_us),
        _intermittence(time_us, value, step_us),
        _noise(value),
        *shares.tolist(),
    )


def _seasonality(time_us: IntArray, value: FloatArray, step_us: float) -> float:
    """Return 1 - (variation left by the other days' profile) / (variation within days), at least 0; 0 for a constant."""
    if not step_us <= SLOT_US:
        return float("nan")
    day = (time_us[-1] - time_us) // DAY_US
    slot = time_us // SLOT_US % 24
    days = int(day[0]) + 1
    held = np.bincount(day * 24 + slot, minlength=days * 24).reshape(days, 24)
    whole = (held > 0).mean(axis=1) >= LEAST_COVERED
    whole[-1] &= time_us[-1] - time_us[0] >= days * DAY_US - SLOT_US
    if np.count_nonzero(whole) < LEAST_DAYS:
        return float("nan")
    kept = whole[day]
    day, slot, value = day[kept], slot[kept], value[kept]
    deviation = _deviation(day, value)
    variation = float(np.sum(deviation**2))
    if variation <= 0.0:
        return 0.0
    place = day * 24 + slot
    sums = np.bincount(place, deviation, days * 24).reshape(days, 24)
    counts = np.bincount(place, minlength=days * 24).reshape(days, 24)
    others = counts.sum(axis=0) - counts
    profile = np.where(others > 0, (sums.sum(axis=0) - sums) / np.maximum(others, 1), 0.0)
    left = float(np.sum((deviation - profile.reshape(-1)[place]) ** 2))
    return max(0.0, 1.0 - left / variation)


def _deviation(day: IntArray, value: FloatArray) -> FloatArray:
    """Return (n,) distances from the day's median, clipped at CLIP robust spreads, in units of the largest."""
    deviation = value.copy()
    for part in np.unique(day):
        deviation[day == part] -= np.median(value[day == part])
    spread = _NORMAL * float(np.median(np.abs(deviation)))
    if spread > 0.0:
        deviation = np.clip(deviation, -CLIP * spread, CLIP * spread)
    largest = float(np.max(np.abs(deviation)))
    return deviation / largest if largest > 0.0 else deviation


def _intermittence(time_us: IntArray, value: FloatArray, step_us: float) -> float:
    """Return the share of steps between the first and the last point that have no point or the value 0."""
    if not step_us > 0.0:
        return float("nan")
    slots = np.unique(np.rint((time_us[value != 0.0] - time_us[0]) / step_us))
    steps = int(np.rint((time_us[-1] - time_us[0]) / step_us)) + 1
    return float(max(0.0, 1.0 - slots.size / steps))


def _noise(value: FloatArray) -> float:
    level = abs(float(np.median(value)))
    if value.size < 2 or level == 0.0:
        return float("nan")
    with np.errstate(over="ignore"):  # beside a level of nearly 0 every noise is infinite
        return float(_NORMAL * np.median(np.abs(np.diff(value))) / (np.sqrt(2.0) * level))


def rarity(value: float, character: SeriesCharacter) -> str:
    """Return in words how rare a value is among the points that the character was measured from; "" = nothing can be said.

    >>> rarity(9.0, measure(np.arange(2000) * SLOT_US, np.linspace(0.0, 8.0, 2000)))
    'higher than all of its last 2,000 points'
    """
    if not np.isfinite(value) or character.points == 0 or np.isnan(character.lowest):
        return ""
    last = f"its last {character.points:,} points"
    sides = (
        (value > character.highest, f"higher than all of {last}"),
        (value < character.lowest, f"lower than all of {last}"),
        (character.points >= 1000 and value > character.high_0_1pct, f"higher than all but 0.1 % of {last}"),
        (character.points >= 1000 and value < character.low_0_1pct, f"lower than all but 0.1 % of {last}"),
        (character.points >= 100 and value > character.high_1pct, f"higher than all but 1 % of {last}"),
        (character.points >= 100 and value < character.low_1pct, f"lower than all but 1 % of {last}"),
    )
    return next((words for holds, words in sides if holds), f"within the usual range of {last}")


def characters_of(rows: pa.Table) -> dict[SeriesName, SeriesCharacter]:
    """Return the characters by series of rows of `character_schema.SERIES_CHARACTER`; null = NaN."""
    columns: list[list[Any]] = [rows.column(name).to_pylist() for name in SeriesName._fields]
    names = [SeriesName(*row) for row in zip(*columns, strict=True)]
    points: list[int] = rows.column("points").to_pylist()  # type: ignore[assignment]
    numbers = [rows.column(name).to_numpy().astype(np.float64).tolist() for name in _NUMBERS]
    return {
        name: SeriesCharacter(count, *row) for name, count, row in zip(names, points, zip(*numbers, strict=True), strict=True)
    }


def character_rows(measured_at: datetime, characters: Mapping[SeriesName, SeriesCharacter]) -> pa.Table:
    """Return rows of `character_schema.SERIES_CHARACTER`, ascending by service, metric and labels; NaN becomes null."""
    keys = sorted(characters, key=lambda name: name[1:])
    columns: dict[str, Any] = {
        "measured_at": [measured_at] * len(keys),
        **{part: [getattr(key, part) for key in keys] for part in SeriesName._fields},
        **{name: [getattr(characters[key], name) for key in keys] for name in ("points", *_NUMBERS)},
    }
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in SERIES_CHARACTER]
    return pa.Table.from_arrays(arrays, schema=SERIES_CHARACTER)
