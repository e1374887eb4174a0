"""The outlook of a service: where its last hour is heading, from the sequence of its golden signals (12 spans of 5 ticks).

A span is 5 minutes where a tick is a minute; minutes below are meant so, and a model learns what they mean where it is not.
The forecast of a signal is the line through its newest spans. Its band is what was usual before: the mean of the older spans and
3 standard deviations of theirs to either side. Saturation has a bound of its own, 1: the limit.

Plain numpy over rows, each alone and in the same order of sums, so a row's outlook is the same whatever rows lie beside it; it
sees nothing after its tick. Unknown (NaN) is what lacks one of the spans that it is made of.
"""

from collections.abc import Mapping
from functools import reduce
from typing import Final

import numpy as np

from aiops.types import FloatArray
from data_contracts.schemas.metrics import SIGNALS
from data_contracts.schemas.telemetry_schemas import SEQUENCE_STEPS
from models.vectors.service_rows import bounded

SPAN_MIN: Final = 5.0
FAR_MIN: Final = 1_440.0
"""No breach in sight; as far as a limit is looked for."""
BAND_SPREADS: Final = 3.0
BAND_SPANS: Final = 8
"""The oldest spans, which say what is usual; the others are forecast from."""
LEAST_SPREAD: Final = 1e-3
"""Of a band, as a share of the level: a signal that never moved has a narrow band, not none."""
ABNORMAL: Final = 0.5
STEADY: Final = 1e-6
"""Slopes a minute up to this are level."""


def spans_of(name: str) -> tuple[str, ...]:
    """Return the columns of `SEQUENCE_FEATURES` that hold `name`, oldest first."""
    return tuple(f"{name}_{ago}_spans_ago" for ago in range(SEQUENCE_STEPS - 1, -1, -1))


LEVELS: Final = tuple(f"{signal}_level" for signal in SIGNALS)
STRANGENESS: Final = "saturation_worst"
PAST: Final = tuple(column for name in (*LEVELS, STRANGENESS) for column in spans_of(name))
"""The columns that an outlook is made of."""
BREACHES: Final[Mapping[str, str]] = {f"{signal}_leaves_band_in_min": f"{signal}_level" for signal in SIGNALS}
SPEECH: Final[Mapping[str, str]] = {
    **{name: f"{name.partition('_')[0]} leaves its band in {{:.0f}} min" for name in BREACHES},
    "minutes_to_limit": "a resource is exhausted in {:.0f} min by its last hour",
    "minutes_to_limit_15min": "saturation reaches its limit in {:.0f} min by its last 15 min",
    "minutes_to_limit_30min": "saturation reaches its limit in {:.0f} min by its last 30 min",
    "saturation_5min": "saturation {:.2f} over 5 min",
    "saturation_by_trend": "saturation {:.2f} by its last 15 min",
    "saturation_rise_15min": "saturation {:+.3f} in 15 min",
    "saturation_rise_30min": "saturation {:+.3f} in 30 min",
    "saturation_rise_1h": "saturation {:+.3f} in an hour",
    "saturation_climbs_for_min": "saturation was lowest {:.0f} min ago",
    "saturation_strange_15min": "saturation's abnormality {:.2f} over 15 min",
    "saturation_strange_1h": "saturation's abnormality {:.2f} over an hour",
    "saturation_strange_for_min": "saturation abnormal for {:.0f} min of the last hour",
}
"""What a number of an outlook says."""
FAR_SPEECH: Final[Mapping[str, str]] = {
    **{name: f"{name.partition('_')[0]} stays in its band" for name in BREACHES},
    "minutes_to_limit": "no limit in sight by the last hour",
    "minutes_to_limit_15min": "no limit in sight by the last 15 min",
    "minutes_to_limit_30min": "no limit in sight by the last 30 min",
}
OUTLOOK: Final = tuple(name for name in SPEECH if name != "minutes_to_limit")
OUTLOOK_MONOTONE: Final[Mapping[str, int]] = {
    "minutes_to_limit_15min": -1,
    "minutes_to_limit_30min": -1,
    "saturation_5min": 1,
    "saturation_by_trend": 1,
}
"""What more of a column may do to the risk: a limit that is met sooner never lowers it."""


def outlook(past: FloatArray) -> FloatArray:
    """Return (n, len(OUTLOOK)) of rows (n, len(PAST)); infinite = unknown. O(n)."""
    rows = bounded(past)
    spans = {
        name: [np.ascontiguousarray(rows[:, place + span]) for span in range(SEQUENCE_STEPS)]
        for place, name in zip(range(0, len(PAST), SEQUENCE_STEPS), (*LEVELS, STRANGENESS), strict=True)
    }
    saturation, strange = spans["saturation_level"], spans[STRANGENESS]
    newest = saturation[-1]
    columns = {
        **{name: _leaves_band(spans[level]) for name, level in BREACHES.items()},
        "minutes_to_limit_15min": _to_limit(*_line(saturation[-3:])),
        "minutes_to_limit_30min": _to_limit(*_line(saturation[-6:])),
        "saturation_5min": newest,
        "saturation_by_trend": _line(saturation[-3:])[0],
        "saturation_rise_15min": newest - saturation[-4],
        "saturation_rise_30min": newest - saturation[-7],
        "saturation_rise_1h": newest - saturation[0],
        "saturation_climbs_for_min": _since_lowest(saturation),
        "saturation_strange_15min": _mean(strange[-3:]),
        "saturation_strange_1h": _mean(strange),
        "saturation_strange_for_min": _time_above(strange, ABNORMAL),
    }
    return np.stack([columns[name] for name in OUTLOOK], axis=1)


def newest_of(name: str) -> str:
    """Return the column of `PAST` that holds the newest span of the signal that a name of `OUTLOOK` is about.

    >>> newest_of("latency_leaves_band_in_min"), newest_of("saturation_strange_1h"), newest_of("minutes_to_limit_15min")
    ('latency_level_0_spans_ago', 'saturation_worst_0_spans_ago', 'saturation_level_0_spans_ago')
    """
    if "_strange_" in name:
        return spans_of(STRANGENESS)[-1]
    return spans_of(BREACHES.get(name, "saturation_level"))[-1]


def spoken(name: str, value: float) -> str:
    """Return a feature and its value in words.

    >>> spoken("latency_leaves_band_in_min", 12.3)
    'latency leaves its band in 12 min'
    >>> spoken("latency_leaves_band_in_min", 1440.0)
    'latency stays in its band'
    >>> spoken("errors_worst", 0.9)
    'errors_worst = 0.9'
    """
    if np.isnan(value):
        return f"{name} unknown"
    if value >= FAR_MIN and name in FAR_SPEECH:
        return FAR_SPEECH[name]
    return SPEECH[name].format(value) if name in SPEECH else f"{name} = {value:.4g}"


def _sum(parts: list[FloatArray]) -> FloatArray:
    """Return the sum over spans, always from the oldest on."""
    return reduce(np.add, parts)


def _mean(parts: list[FloatArray]) -> FloatArray:
    return _sum(parts) / len(parts)


def _line(parts: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return (level at the tick, slope a minute) of the least squares line through the means of the newest spans."""
    centre = (len(parts) - 1) / 2
    weights = [(place - centre) for place in range(len(parts))]
    slope = _sum([weight * part for weight, part in zip(weights, parts, strict=True)]) / sum(w * w for w in weights) / SPAN_MIN
    return _mean(parts) + slope * SPAN_MIN * (centre + 0.5), slope


def _to_limit(level: FloatArray, slope: FloatArray) -> FloatArray:
    """Return minutes until a level that rises by `slope` a minute reaches 1."""
    return _until(1.0 - level, slope, STEADY)


def _until(left: FloatArray, speed: FloatArray, least: float) -> FloatArray:
    """Return minutes until what is left is covered: 0 where nothing is, FAR_MIN where it is far or moves away."""
    minutes = np.where(speed > least, left / np.maximum(speed, least), FAR_MIN)
    known = np.isfinite(left) & np.isfinite(speed)
    return np.where(known, np.clip(np.where(left <= 0.0, 0.0, minutes), 0.0, FAR_MIN), np.nan)


def _leaves_band(levels: list[FloatArray]) -> FloatArray:
    """Return minutes until the forecast of a signal leaves its usual band upwards; 0 where it is above it."""
    band_levels = levels[:BAND_SPANS]
    centre = _mean(band_levels)
    spread = np.sqrt(_sum([(part - centre) ** 2 for part in band_levels]) / (len(band_levels) - 1))
    spread = np.maximum(spread, LEAST_SPREAD * np.abs(centre) + 1e-9)
    level, slope = _line(levels[BAND_SPANS:])
    return _until(BAND_SPREADS - (level - centre) / spread, slope / spread, 1e-9)


def _since_lowest(levels: list[FloatArray]) -> FloatArray:
    """Return minutes since the lowest span, 0 = the newest; of equal ones the oldest."""
    stacked = np.stack(levels)
    known = np.isfinite(stacked).all(axis=0)
    place = np.argmin(np.where(known, stacked, 0.0), axis=0)
    return np.where(known, SPAN_MIN * (len(levels) - 1 - place), np.nan)


def _time_above(levels: list[FloatArray], bound: float) -> FloatArray:
    above = _sum([np.where(np.isfinite(part), np.asarray(part >= bound, dtype=np.float64), np.nan) for part in levels])
    return SPAN_MIN * above
