"""`aiops bench forecast`: the next day of series by rolling origin, beside a flat line and the day before.

Series of a checkout of NAB (`data/real*/*.csv`), of multivariate units (`SET/UNIT/{train,test}.parquet`), or, without a path, of
simulated seeds. Each series is cut at two times, and what follows each within 24 h is forecast from what comes before. Every rule
gives an expected value and bounds for 80 and 95 %; where a rule establishes no season, it stands with the flat line's.
Source of the errors: Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 5.8 and 5.9.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import SourceError
from aiops.features.bands import ESTABLISHED, SeriesBands, band_at
from aiops.settings.tree import Settings
from aiops.simulator.simulation_config import SimulationConfig
from aiops.types import FloatArray, IntArray
from models.season.rolling_origin import CourseModel
from models.season.seasonal_choice import FitBudget, choose_beside, fit_course_bands
from models.season.seasonal_profile import DAY_US, SeasonConfig, SeriesPoints, fit_bands, not_enough
from orchestration.bench.corpora.nab import batch_of
from orchestration.bench.corpora.units import read_unit
from orchestration.pipeline.band_choice import all_rivals
from orchestration.pipeline.forecast import from_chunks, series_points
from serving.ingest.pull.simulate import SimulatedSource

CUTS: Final = (0.55, 0.9)
"""Shares of a series' time at which it is cut."""
LEAST_DAYS: Final = 6.0
_TAILS: Final = (0.025, 0.1, 0.9, 0.975)
_RULES: Final = ("flat line", "day before", "profile", "choice")
Lines = FloatArray
"""(5, n): expected value, then the quantiles `_TAILS`."""


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """At most `series` of a set, of metrics that are spread evenly over it."""

    series: int = 24


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """One rule on one set; `mase` and `pinball` are geometric means over days.

    `mase`: mean absolute error over that of the day before within the history. `pinball`: mean loss at 2.5, 10, 50, 90 and
    97.5 %, over the same. `coverage_80`, `coverage_95`: shares of points within the bounds, of the `own` days for which the rule
    has bounds of its own.
    """

    rule: str
    mase: float
    pinball: float
    coverage_80: float | None
    coverage_95: float | None
    days: int
    own: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SetFigures:
    """One set: rules, and how often the choice took which model."""

    name: str
    rules: tuple[RuleFigures, ...]
    chosen: dict[str, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was forecast."""

    series: int
    days: int
    sets: tuple[SetFigures, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Day:
    """One forecast day: lines by rule (None = no season), seconds by rule, what came, the history's error of the day before."""

    lines: dict[str, Lines | None]
    seconds: dict[str, float]
    value: FloatArray
    scale: float
    model: str


def run(path: Path | None, config: BenchConfig, say: Callable[[str], None]) -> Figures:
    """Return the figures on the series under `path`, of simulated seeds without one.

    Raises:
        SourceError: `path` holds no series, or a file is damaged.
    """
    rivals = all_rivals(Settings())
    sets: dict[str, list[_Day]] = {}
    series = 0
    for name, members in (_simulated() if path is None else _stored(path)).items():
        for points in islice(members, config.series):
            days = list(_days(points, rivals))
            series += bool(days)
            sets.setdefault(name, []).extend(days)
        say(f"{name}: {len(sets.get(name, ()))} days forecast")
    return Figures(series, sum(map(len, sets.values())), tuple(_figures(name, days) for name, days in sets.items() if days))


def _stored(path: Path) -> dict[str, Iterator[SeriesPoints]]:
    files = sorted(path.glob("data/real*/*.csv"))
    if files:
        return {"nab": map(_of_file, files)}
    units = sorted(file.parent for file in path.glob("*/*/test.parquet"))
    if not units:
        raise SourceError(f"{path}: holds neither data/real*/*.csv nor SET/UNIT/test.parquet; give NAB or the folder of units")
    names = sorted({unit.parent.name for unit in units})
    return {name: _of_units([unit for unit in units if unit.parent.name == name]) for name in names}


def _of_file(file: Path) -> SeriesPoints:
    rows = batch_of(file).table
    times = np.asarray(rows.column("timestamp").cast(pa.int64()))
    order = np.argsort(times, kind="stable")
    return SeriesPoints(file.stem, times[order], np.asarray(rows.column("value"))[order])


def _of_units(units: list[Path]) -> Iterator[SeriesPoints]:
    """Yield one metric of each unit, then another one of each, those that move."""
    tables = [(unit, read_unit(unit / "train.parquet"), read_unit(unit / "test.parquet")) for unit in units]
    for turn in range(max(len(train.metrics) for _, train, _ in tables)):
        for number, (unit, train, test) in enumerate(tables):
            place = (turn * 7 + number) % len(train.metrics)
            value = np.concatenate((train.values[:, place], test.values[:, place]))
            if np.unique(value).size >= 50:
                yield SeriesPoints(f"{unit.name}|{train.metrics[place]}", np.concatenate((train.time_us, test.time_us)), value)


def _simulated() -> dict[str, Iterator[SeriesPoints]]:
    def members() -> Iterator[SeriesPoints]:
        config = SimulationConfig(services=4, hours=18 * 24, step_s=300, seed=1001)
        rows = from_chunks(SimulatedSource(config).batches(), config.start + timedelta(hours=config.hours))
        named = [points for _, points in series_points(rows)]
        yield from (named[place] for place in np.random.default_rng(1).permutation(len(named)).tolist())

    return {"simulated": members()}


def _days(points: SeriesPoints, rivals: tuple[CourseModel, ...]) -> Iterator[_Day]:
    first, last = int(points.time_us[0]), int(points.time_us[-1])
    if last - first < LEAST_DAYS * DAY_US:
        return
    config = SeasonConfig(coverage=0.95)
    for share in CUTS:
        at_us = first + round(min(max(share * (last - first), (LEAST_DAYS - 1) * DAY_US), last - first - DAY_US))
        inside = (points.time_us >= at_us) & (points.time_us < at_us + DAY_US) & np.isfinite(points.value)
        known = points.before(at_us, config.history_days)
        if inside.sum() >= 12 and not not_enough(known, config):
            yield _day(known, SeriesPoints(points.series, points.time_us[inside], points.value[inside]), at_us, rivals)


def _day(known: SeriesPoints, day: SeriesPoints, at_us: int, rivals: tuple[CourseModel, ...]) -> _Day:
    config, began = SeasonConfig(coverage=0.95), time.process_time()
    wide = fit_bands(known, at_us, config)
    profile_s = time.process_time() - began
    choice = choose_beside(wide, known, config, rivals, FitBudget(float("inf"), float("inf")))
    choice_s = time.process_time() - began
    narrow = replace(config, coverage=0.8)
    chosen = next((model for model in rivals if model.name == choice.bands.model), None)
    inner = fit_bands(known, at_us, narrow)
    taken = inner if chosen is None else fit_course_bands(known, at_us, replace(narrow, min_strength=-np.inf), chosen)
    before = _before(known, known.time_us[known.time_us >= at_us - 7 * DAY_US])
    lines = {
        "flat line": _flat(known, day.time_us, at_us),
        "day before": _shifted(known, day.time_us, before),
        "profile": _banded(wide, inner, day.time_us),
        "choice": _banded(choice.bands, taken, day.time_us),
    }
    seconds = {"flat line": 0.0, "day before": 0.0, "profile": profile_s, "choice": choice_s}
    scale = float(np.mean(np.abs(_before(known, known.time_us))))
    return _Day(lines, seconds, day.value, scale, choice.bands.model if choice.bands.status == ESTABLISHED else "none")


def _before(known: SeriesPoints, times: IntArray) -> FloatArray:
    """Return the errors of the day before at those of the times of known points that have one."""
    judged = times[times >= known.time_us[0] + DAY_US]
    line = np.interp(judged - DAY_US, known.time_us, known.value)
    errors: FloatArray = known.value[np.searchsorted(known.time_us, judged)] - line
    return errors


def _flat(known: SeriesPoints, times: IntArray, at_us: int) -> Lines:
    recent = known.value[known.time_us >= at_us - 2 * DAY_US]
    week = known.value[known.time_us >= at_us - 7 * DAY_US]
    level = np.median(recent if recent.size else week)
    return np.repeat(np.array([level, *np.quantile(week, _TAILS)])[:, np.newaxis], times.size, axis=1)


def _shifted(known: SeriesPoints, times: IntArray, errors: FloatArray) -> Lines:
    line = np.interp(times - DAY_US, known.time_us, known.value)
    return np.stack([line, *(line + tail for tail in np.quantile(errors, _TAILS))])


def _banded(wide: SeriesBands, narrow: SeriesBands, times: IntArray) -> Lines | None:
    if ESTABLISHED not in (wide.status, narrow.status) or wide.status != narrow.status:
        return None
    (expected, low, high), (_, inner_low, inner_high) = band_at(wide, times), band_at(narrow, times)
    lines = np.stack([expected, low, inner_low, inner_high, high])
    return lines if bool(np.isfinite(lines).all()) else None


def _figures(name: str, days: list[_Day]) -> SetFigures:
    rules = tuple(_rule(rule, days) for rule in _RULES)
    return SetFigures(name, rules, dict(Counter(day.model for day in days).most_common()))


def _rule(rule: str, days: list[_Day]) -> RuleFigures:
    lines = [day.lines[rule] if day.lines[rule] is not None else day.lines["flat line"] for day in days]
    pairs = [(line, day) for line, day in zip(lines, days, strict=True) if line is not None and day.scale > 0]
    mase = [np.mean(np.abs(day.value - line[0])) / day.scale for line, day in pairs]
    pinball = [_pinball(line, day.value) / day.scale for line, day in pairs]
    own = [(line, day.value) for day in days if (line := day.lines[rule]) is not None]
    inner = [float(np.mean((value >= line[2]) & (value <= line[3]))) for line, value in own]
    outer = [float(np.mean((value >= line[1]) & (value <= line[4]))) for line, value in own]
    seconds = round(float(np.mean([day.seconds[rule] for day in days])), 3)
    coverage = [round(float(np.mean(shares)), 3) if shares else None for shares in (inner, outer)]
    return RuleFigures(rule, _mean(mase), _mean(pinball), coverage[0], coverage[1], len(days), len(own), seconds)


def _mean(values: list[float]) -> float:
    """Return the geometric mean, to three places."""
    return round(float(np.exp(np.mean(np.log(np.maximum(values, 1e-6))))), 3)


def _pinball(lines: Lines, value: FloatArray) -> float:
    """Return the mean pinball loss of the lines, which are (median, quantiles of `_TAILS`)."""
    losses = []
    for line, level in zip(lines, (0.5, *_TAILS), strict=True):
        apart = value - line
        losses.append(np.mean(np.maximum(level * apart, (level - 1.0) * apart)))
    return float(np.mean(losses))
