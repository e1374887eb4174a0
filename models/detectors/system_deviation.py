"""One anomaly score for a whole system of services: many small deviations that last, begin together and are new.

Each series is measured against its own fault-free history: z = distance from the median in units of the 99 % quantile's distance,
on a logarithmic scale, and only to the side that is bad: of latency, errors and saturation more, of load less.
What lasts for two steps and was not there all through the last hour counts, from 2 units on and up to 5 more: no single series,
however far out, is an alarm. The sum over series, in units of the alarm level, is reported where it rises above all of the last
minutes, so that one fault is one edge.
Sources of the ideas: median and quantile scales, Rousseeuw & Croux 1993; sums of clipped deviations over many streams,
Mei, "Efficient scalable schemes for monitoring a large number of data streams", Biometrika 2010.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import ClassVar

import numpy as np

from aiops.errors import ArtifactError, TrainingImpossible
from aiops.types import FloatArray, IntArray, SeriesBatch, State
from models.artifacts.artifact import array_names, names_array, state_array
from models.detectors.deviation_kernels import lasting_news, onsets
from models.detectors.deviation_levels import (
    BoolArray,
    DeviationConfig,
    Levels,
    enough_points,
    level_of,
    may_fall,
    may_rise,
    signed_logarithm,
    values_of_logarithms,
)
from models.detectors.deviation_stream import DeviationStream
from models.detectors.minute_grid import MinuteGrid, merged_name
from models.detectors.robust_stream import FEATURES


@dataclass(frozen=True, slots=True)
class SystemScores:
    """(steps,) `score`: at or above 1 is an alarm, NaN = unknown; `level`: the same without looking for the rise.

    `lasting` and `counted` (steps, series of the grid): each series' lasting |z|, and what it adds to `level`.
    """

    score: FloatArray
    level: FloatArray
    lasting: FloatArray
    counted: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class SystemDeviation:
    """Fitted normal levels of many series and the alarm level; immutable. Memory: 48 B a series and its name."""

    catalog_name: ClassVar[str] = "system-deviation"

    series: tuple[str, ...]
    levels: Levels
    alarm_level: float
    config: DeviationConfig
    place: Mapping[str, int] = field(repr=False)

    @classmethod
    def fit(cls, history: MinuteGrid, config: DeviationConfig | None = None) -> "SystemDeviation":
        """Return the levels of fault-free history, and an alarm level from its two halves, each judged by the other.

        Series with fewer than `min_points` known steps are left out: they stay unknown.

        Raises:
            TrainingImpossible: no series has enough known steps.
        """
        config = config or DeviationConfig()
        fitted = cls._levels_of(history, config)
        half = len(history.values) // 2
        parts = [MinuteGrid(history.first_us, history.step_s, history.series, part) for part in np.split(history.values, [half])]
        highest = [
            config.full_z * float(np.nanmax(cls._levels_of(known, config).judge(other).level, initial=0.0))
            for known, other in (parts, parts[::-1])
            if enough_points(known.values, config).any()
        ]
        alarm_level = max(config.full_series * config.full_z, config.headroom * float(np.mean(highest or [0.0])))
        return cls(fitted.series, fitted.levels, alarm_level, config, fitted.place)

    @classmethod
    def _levels_of(cls, history: MinuteGrid, config: DeviationConfig) -> "SystemDeviation":
        """Return the levels of history with an alarm level of one series in full."""
        kept = np.flatnonzero(enough_points(history.values, config))
        if not kept.size:
            raise TrainingImpossible(
                f"history: none of {len(history.series)} series has {config.min_points} known steps; give more fault-free time"
            )
        series = tuple(history.series[column] for column in kept)
        columns = [level_of(history.values[:, column], name, config) for column, name in zip(kept.tolist(), series, strict=True)]
        size, centre, up, down, points = np.array(columns).T
        place = {name: number for number, name in enumerate(series)}
        blank = np.zeros(len(series))
        model = cls(series, Levels(size, centre, up, down, blank, points), config.full_z, config, place)
        lasting, _ = model._lasting(model._z(history.values[:, kept], np.arange(kept.size)))
        levels = Levels(size, centre, up, down, np.nanmax(lasting, axis=0, initial=0.0), points)
        return cls(series, levels, config.full_z, config, place)

    @property
    def features(self) -> tuple[str, ...]:
        """Return the columns of a point."""
        return FEATURES

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return ("score",)."""
        return ("score",)

    @property
    def thresholds(self) -> FloatArray:
        """Return (1,): a point whose series counts in full scores 0.5."""
        return np.array([0.5])

    @property
    def threshold(self) -> float:
        """Return the system score of an alarm: 1."""
        return 1.0

    @property
    def lookback(self) -> int:
        """Return the points of a series before one can last: 1."""
        return 1

    def judge(self, grid: MinuteGrid) -> SystemScores:
        """Return the scores of every step, from that step and those before only. O(steps series standing_steps)."""
        place = self._places(grid.series)
        columns = np.flatnonzero(place >= 0)
        lasting, counted = (np.full(grid.values.shape, np.nan) for _ in range(2))
        if columns.size and len(grid.values):
            lasting[:, columns], new = self._lasting(self._z(grid.values[:, columns], place[columns]))
            counted[:, columns] = np.clip(new - self.config.ignored_z, 0.0, self.config.full_z) / self.alarm_level
        known = np.isfinite(counted)
        level = np.where(known.any(axis=1), np.where(known, counted, 0.0).sum(axis=1), np.nan)
        return SystemScores(onsets(level, self.config.recent_steps), level, lasting, counted)

    def score(self, batch: SeriesBatch) -> FloatArray:
        """Return (n,) of rows, each by its own series' rows so far in the batch: 1 - 2**(-new z / (ignored_z + full_z)).

        0.5 = counts in full; NaN = unknown: the first row of a series, or a series that was not fitted.
        """
        return self.stream().score(batch)

    def stream(self, state: State | None = None) -> DeviationStream:
        """Return row scores batch by batch, from nothing or from a snapshot.

        Raises:
            StateError: the snapshot is damaged or of another configuration.
        """
        return DeviationStream(self, state)

    def knows(self, series: str) -> bool:
        """Return whether a series "service|metric", or its replicas together, was fitted."""
        return merged_name(series) in self.place

    def row_z(self, names: Sequence[str], code: IntArray, values: FloatArray) -> FloatArray:
        """Return (n,) signed deviations of values of series `names[code]`; NaN where the series was not fitted."""
        place = self._places(tuple(merged_name(name) for name in names))[code]
        z = np.full(values.size, np.nan)
        fitted = place >= 0
        z[fitted] = self._z(values[fitted], place[fitted])
        return z

    def bounds(self, numbers: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (n,) expected, lower and upper value of series by number: beyond the bounds a value counts once it lasts."""
        chosen = self.levels
        centre, size = chosen.centre[numbers], chosen.size[numbers]
        reach = self.config.ignored_z
        down = np.where(self._which(may_fall)[numbers], -np.inf, centre - reach * chosen.down[numbers])
        up = np.where(self._which(may_rise)[numbers], np.inf, centre + reach * chosen.up[numbers])
        return values_of_logarithms(centre, size), values_of_logarithms(down, size), values_of_logarithms(up, size)

    def _which(self, holds: Callable[[str], bool]) -> BoolArray:
        return np.array([holds(name) for name in self.series], dtype=np.bool_)

    def _places(self, names: tuple[str, ...]) -> IntArray:
        return np.array([self.place.get(name, -1) for name in names], dtype=np.int64)

    def _z(self, values: FloatArray, numbers: IntArray) -> FloatArray:
        """Return signed deviations of values (..., k) of series `numbers` (k,); towards the harmless side 0."""
        levels = self.levels
        finite = np.where(np.isfinite(values), values, np.nan)
        away = signed_logarithm(finite, levels.size[numbers]) - levels.centre[numbers]
        z = np.where(away > 0.0, away / levels.up[numbers], away / levels.down[numbers])
        harmless = np.where(z < 0.0, self._which(may_fall)[numbers], self._which(may_rise)[numbers])
        return np.where(harmless & np.isfinite(z), 0.0, z)

    def _lasting(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (steps, series) lasting and new deviations."""
        steps, series = z.shape
        ends = np.arange(1, series + 1, dtype=np.int64) * steps
        lasting, new = lasting_news(np.ascontiguousarray(z.T).ravel(), ends, self.config.standing_steps)
        return lasting.reshape(series, steps).T, new.reshape(series, steps).T

    def state(self) -> State:
        """Return names, levels, alarm level and configuration."""
        levels = self.levels
        return {
            "series": names_array(self.series),
            "levels": np.stack([levels.size, levels.centre, levels.up, levels.down, levels.worst, levels.points]),
            "alarm_level": np.array([self.alarm_level]),
            "config": np.array(astuple(self.config), dtype=np.float64),
        }

    @classmethod
    def from_state(cls, state: State) -> "SystemDeviation":
        """Return the model of a state.

        Raises:
            ArtifactError: an array is missing, or they do not fit together.
        """
        series, levels = array_names(state_array(state, "series")), state_array(state, "levels").astype(np.float64)
        numbers, alarm = state_array(state, "config").astype(np.float64), state_array(state, "alarm_level").astype(np.float64)
        if levels.shape != (6, len(series)) or numbers.shape != (8,) or alarm.shape != (1,) or not np.isfinite(levels).all():
            raise ArtifactError(f"levels {levels.shape} do not fit {len(series)} series; save the model again")
        ignored, full, least, standing, recent, wanted, headroom, points = (float(number) for number in numbers)
        config = DeviationConfig(ignored, full, least, int(standing), int(recent), wanted, headroom, int(points))
        return cls(series, Levels(*levels), float(alarm[0]), config, {name: place for place, name in enumerate(series)})
