"""Seasonal profile: level + the usual course of a day, by kind of day, with bounds from the errors on held-out days. O(points).

The level follows the days, the course is the median over days of what is left (median polish), and the bounds are quantiles of
what the same procedure got wrong on days that it had not seen. A season counts as established only if it predicts those days
better than the flat median does. Only points before the bands' start are used.
Sources: Tukey 1977, Exploratory Data Analysis, ch. 11 (median polish); Hyndman & Athanasopoulos, Forecasting: Principles and
Practice, 5.10 (rolling origin); Lei et al. 2018, JASA 113, sec. 5.2 (locally weighted conformal bounds).
"""

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from aiops.features.bands import ESTABLISHED, SeriesBands, distance, tail_of
from aiops.types import FloatArray, IntArray
from models.season.seasonal_bounds import Bounds, DaySlots, bounds_of
from models.season.seasonal_course import around_days, centred, filled, smoothed
from models.season.seasonal_kernels import BoolArray, medians_of_days, medians_of_slots, slot_grid
from models.season.seasonal_level import LEVELS, levels_after

MODEL: Final = "seasonal-profile"
DAY_US: Final = 86_400_000_000
_SLOTS_S: Final = (600, 900, 1200, 1800, 3600, 7200)
_KINDS: Final = ("every day alike", "weekends apart", "every weekday apart")
_SMOOTH: Final = (1, 5)
_BETTER: Final = 0.98
"""A richer course must be this much better than a plainer one."""


@dataclass(frozen=True, slots=True)
class SeasonConfig:
    """What establishes a season, and the bands that follow from it.

    `min_strength`: how much smaller than the flat median's the mean absolute error on held-out days must be. `coverage`: share
    of usual points within the bounds.
    """

    history_days: int = 28
    min_days: float = 3.0
    held_out_days: int = 7
    min_strength: float = 0.1
    coverage: float = 0.99
    horizon_s: int = 48 * 3600
    slot_s: int = 600


@dataclass(frozen=True, slots=True)
class SeriesPoints:
    """History of one series "service|metric": times ascending (n,), values (n,); NaN = masked or unknown."""

    series: str
    time_us: IntArray
    value: FloatArray

    def before(self, at_us: int, days: int) -> "SeriesPoints":
        """Return the known points of the `days` before `at_us`."""
        keep = (self.time_us < at_us) & (self.time_us >= at_us - days * DAY_US) & np.isfinite(self.value)
        return SeriesPoints(self.series, self.time_us[keep], self.value[keep])


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to describe a series: kinds of days, width of smoothing in slots, how the level goes on, logarithm or not."""

    kind: int
    smooth: int
    level: str
    log: bool


@dataclass(frozen=True, slots=True)
class _Grid:
    """Medians a slot, (days, slots), of UTC days from `first_us` on; `weekday` (days,), Monday = 0."""

    cells: FloatArray
    weekday: IntArray
    first_us: int
    slot_us: int

    def kinds(self, kind: int, days: int) -> IntArray:
        """Return each day's kind among those that `kind` tells apart (days,)."""
        weekday = (self.weekday[0] + np.arange(days)) % 7
        return np.array((np.zeros(days, np.int64), (weekday >= 5).astype(np.int64), weekday)[kind])


def fit_bands(points: SeriesPoints, at_us: int, config: SeasonConfig) -> SeriesBands:
    """Return the bands from `at_us` on, made from earlier points alone; without a season, the status says what is missing."""
    known = points.before(at_us, config.history_days)
    reason = not_enough(known, config)
    if reason:
        return no_bands(points.series, at_us, config, reason)
    grid = grid_of(known, at_us)
    chosen = _best_form(grid, bool((known.value > 0).all()), config)
    if isinstance(chosen, str):
        return no_bands(points.series, at_us, config, chosen)
    form, strength = chosen
    if strength < config.min_strength:
        reason = f"season not established: no daily season (strength {strength:.2f}, {config.min_strength:g} needed)"
        return no_bands(points.series, at_us, config, reason)
    bounds, far = _calibrated(known, grid, form, config)
    times = at_us + np.arange(config.horizon_s // config.slot_s + 1) * (config.slot_s * 1_000_000)
    course = _course(grid, form, grid.cells.shape[0])
    expected, lower, upper = bounds.around(*_at(times, grid, course))
    if np.isnan(expected).mean() > 0.5:
        return no_bands(points.series, at_us, config, "season not established: most times of day were never seen")
    return SeriesBands(
        points.series, at_us, float(config.slot_s), expected, lower, upper, tail_of(far), strength, MODEL, ESTABLISHED
    )


def no_bands(series: str, at_us: int, config: SeasonConfig, reason: str, model: str = MODEL) -> SeriesBands:
    """Return the series as one whose season is unknown, with the reason."""
    none = np.empty(0)
    return SeriesBands(series, at_us, float(config.slot_s), none, none, none, none, float("nan"), model, reason)


def not_enough(known: SeriesPoints, config: SeasonConfig) -> str:
    """Return what a history lacks for a season, "" where nothing."""
    if known.time_us.size < 2:
        return "season not established: no history outside incidents"
    days = (known.time_us[-1] - known.time_us[0]) / DAY_US
    if days < config.min_days - 0.05:
        return f"season not established: {days:.1f} days of history, {config.min_days:g} needed"
    step_s = float(np.median(np.diff(known.time_us))) / 1e6
    if step_s > _SLOTS_S[-1]:
        return f"season not established: a point every {step_s / 3600:.1f} h, {_SLOTS_S[-1] // 3600} h or less needed"
    if np.ptp(known.value) <= 0:
        return "season not established: the series never moves"
    return ""


def grid_of(known: SeriesPoints, at_us: int) -> _Grid:
    """Return the points as medians a slot; the last day is the one that `at_us` lies in, where points of it are known."""
    step_s = float(np.median(np.diff(known.time_us))) / 1e6
    slot_us = next(slot for slot in _SLOTS_S if slot >= step_s) * 1_000_000
    first = int(known.time_us[0]) // DAY_US
    days = (min(at_us, int(known.time_us[-1]) + 1) - 1) // DAY_US - first + 1
    slots = DAY_US // slot_us
    cells = slot_grid(known.time_us, known.value, first * DAY_US, slot_us, days * slots).reshape(days, slots)
    return _Grid(cells, (first + 3 + np.arange(days)) % 7, first * DAY_US, slot_us)


def _held_out(grid: _Grid, config: SeasonConfig) -> list[int]:
    """Return the newest days that are half known or more and have two such days before them."""
    share = np.isfinite(grid.cells).mean(axis=1)
    good = np.flatnonzero(share >= 0.5)
    return [int(day) for day in good[2:]][-config.held_out_days :]


@dataclass(frozen=True, slots=True)
class _CourseForm:
    """The kinds of day that are told apart, the slots that are smoothed over, and whether logarithms are taken."""

    kind: int
    smooth: int
    log: bool


def _best_form(grid: _Grid, positive: bool, config: SeasonConfig) -> tuple[_Form, float] | str:
    """Return the form with the smallest error on held-out days and its strength; a plainer one unless a richer is better."""
    held_out = _held_out(grid, config)
    if not held_out:
        return "season not established: no day to test it on (three days that are half known or more are needed)"
    flat = np.array([_flat_error(grid.cells, day) for day in held_out])
    best: tuple[_Form, FloatArray] | None = None
    kinds = [kind for kind in range(len(_KINDS)) if _has_seen(grid, kind)]
    for kind, smooth, log in product(kinds, _SMOOTH, (False, True) if positive else (False,)):
        for level, error in _errors(grid, _CourseForm(kind, smooth, log), held_out).items():
            if best is None or _is_better(error, best[1]):
                best = _Form(kind, smooth, level, log), error
    judged = np.isfinite(best[1]) if best is not None else np.zeros(len(held_out), np.bool_)
    if best is None or not judged.any():
        return "season not established: its days have too few points in common"
    form, error = best[0], best[1][judged]
    strength = 1.0 - float(np.mean(error) / max(float(np.mean(flat[judged])), 1e-300))
    return form, strength if np.mean(error < flat[judged]) > 0.5 else 0.0


def _has_seen(grid: _Grid, kind: int) -> bool:
    """Return whether the days ahead are of kinds that there were enough days of."""
    days = grid.cells.shape[0]
    every = grid.kinds(kind, days + 2)
    return all((every[:days] == day_kind).sum() >= max(1, kind) for day_kind in every[days - 1 :])


def _is_better(error: FloatArray, best: FloatArray) -> bool:
    """Return whether errors a held-out day (NaN = unknown) are clearly below the best so far, on the days that both know."""
    both = np.isfinite(error) & np.isfinite(best)
    if not np.isfinite(best).any():
        return bool(np.isfinite(error).any())
    enough = both.sum() >= max(2, both.size // 2)
    return bool(enough and np.mean(error[both]) < _BETTER * np.mean(best[both]))


def _flat_error(cells: FloatArray, day: int) -> float:
    """Return the mean absolute error of the flat median on a day: of the day before or the week before, whichever is better."""
    errors = [np.nanmean(np.abs(cells[day] - np.nanmedian(cells[max(0, day - back) : day]))) for back in (2, 7)]
    return float(min(errors))


def _errors(grid: _Grid, course: _CourseForm, held_out: list[int]) -> dict[str, FloatArray]:
    """Return mean absolute errors a held-out day (NaN: the days before cannot teach this course), by way of the level."""
    errors = {level: np.full(len(held_out), np.nan) for level in LEVELS}
    for place, day in enumerate(held_out):
        shapes, levels = _shapes(grid, course, day)
        shape = shapes[grid.kinds(course.kind, day + 1)[day]]
        for level, base in levels_after(levels).items():
            expected = base + shape
            predicted = np.exp(expected) if course.log else expected
            apart = np.abs(grid.cells[day] - predicted)
            if np.isfinite(apart).sum() >= 0.4 * apart.size:
                errors[level][place] = np.nanmean(apart)
    return errors


def _shapes(grid: _Grid, course: _CourseForm, days: int) -> tuple[FloatArray, FloatArray]:
    """Return the course of each kind of day (kinds, slots) and the level of each day (days,) from the first `days` days."""
    kind, smooth, log = course.kind, course.smooth, course.log
    cells = np.log(grid.cells[:days]) if log else grid.cells[:days]
    slots = cells.shape[1]
    everyone, alike = np.ones(days, np.bool_), np.zeros(days, np.int64)
    common = np.zeros((1, slots))
    level = medians_of_days(cells, common, alike, slots // 5)
    for _ in range(2):
        common = centred(medians_of_slots(cells, level, everyone))[np.newaxis]
        level = medians_of_days(cells, common, alike, slots // 5)
    if kind == 0:
        shapes = common
    else:
        around = around_days(level)
        kinds = grid.kinds(kind, days)
        shapes = np.full((2 if kind == 1 else 7, slots), np.nan)
        for shape_number in range(shapes.shape[0]):
            members: BoolArray = (kinds == shape_number) & np.isfinite(level)
            if members.sum() >= kind:
                shapes[shape_number] = medians_of_slots(cells, around, members)
        level = medians_of_days(cells, shapes, kinds, slots // 5)
    shapes = np.stack([filled(shape) for shape in shapes])
    if smooth > 1:
        shapes = np.stack([smoothed(shape, smooth) for shape in shapes])
    return shapes, level


@dataclass(frozen=True, slots=True)
class _Course:
    """Expected values at the middles of slots of three days and more from the day `first_day` on, in the form's own scale."""

    line: FloatArray
    first_day: int
    log: bool


def _course(grid: _Grid, form: _Form, days: int, ahead: int = 3) -> _Course:
    """Return what the first `days` days teach about the day before their end and the `ahead` days from it on."""
    shapes, levels = _shapes(grid, _CourseForm(form.kind, form.smooth, form.log), days)
    kinds = grid.kinds(form.kind, days + ahead)[days - 1 :]
    return _Course((levels_after(levels)[form.level] + shapes[kinds]).ravel(), days - 1, form.log)


def _at(times: IntArray, grid: _Grid, course: _Course) -> tuple[FloatArray, IntArray, bool]:
    """Return expected values at times, on the line between the middles of slots, each time's slot of the day, and log or not."""
    place = (times - grid.first_us - course.first_day * DAY_US) / grid.slot_us - 0.5
    expected = np.interp(place, np.arange(course.line.size), course.line)
    slot = ((times - grid.first_us) % DAY_US) // grid.slot_us
    return expected, slot, course.log


def _calibrated(known: SeriesPoints, grid: _Grid, form: _Form, config: SeasonConfig) -> tuple[Bounds, FloatArray]:
    """Return bounds from what the form gets wrong on held-out days, point by point, and how far those points lay (bound = 1)."""
    parts = []
    for day in _held_out(grid, config):
        begin = grid.first_us + day * DAY_US
        inside = (known.time_us >= begin) & (known.time_us < begin + DAY_US)
        parts.append((known.value[inside], *_at(known.time_us[inside], grid, _course(grid, form, day))[:2]))
    value, expected, slot = (np.concatenate(column) for column in zip(*parts, strict=True))
    learnt = np.isfinite(expected)
    value, expected, slot = value[learnt], expected[learnt], slot[learnt]
    bounds = bounds_of(value, expected, DaySlots(slot, DAY_US // grid.slot_us), form.log, config.coverage)
    return bounds, distance(value, *bounds.around(expected, slot, form.log))
