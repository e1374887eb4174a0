"""Tier 1: alarm levels and static limits a series, fitted on fault-free history; z scores come from the feature engine.

The engine's robust z is model-free; what is learned is how large |z| gets while all is well, and within which values a series
stays. Static limits are the safety net: they hold even where a slow change moved the running averages along.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from aiops.errors import ArtifactError
from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.engine_output import EngineOutput
from aiops.features.series_index import distinct_series, series_of_texts
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray, IntArray, PointStatus, SeriesBatch, State
from data_contracts.schemas.metrics import MetricSpec, spec_of
from data_contracts.series.series_name import SeriesName
from models.artifacts.artifact import array_names, names_array, state_array

FEATURES: Final = ("timestamp", "service", "metric", "value")


@dataclass(frozen=True, slots=True)
class LevelConfig:
    """How levels follow from history: alarm z = max(floor, headroom x quantile of |z|); limits = quantiles, widened.

    A series with fewer than `min_points` scored points keeps the floor, and the catalogue's range as limits.
    """

    floor_z: float = 6.0
    headroom: float = 1.2
    quantile: float = 0.9995
    widen: float = 1.0
    min_points: int = 500


@dataclass(frozen=True, slots=True)
class PointSample:
    """Fault-free points: their series, and a point's series number, engine z and value (n,) each."""

    series: tuple[SeriesName, ...]
    code: IntArray
    z: FloatArray
    value: FloatArray

    def take(self, where: npt.NDArray[np.bool_]) -> "PointSample":
        """Return the points chosen by a mask; the series are kept."""
        return PointSample(self.series, self.code[where], self.z[where], self.value[where])


@dataclass(frozen=True, slots=True, eq=False)
class RobustStream:
    """Fitted levels; `series` ids and their texts, ascending by text; `alarm_z`, `low`, `high` (len(series),).

    Memory: 24 B a series, its id and its text.
    """

    catalog_name: ClassVar[str] = "robust-stream"

    series_ids: IntArray
    series: tuple[str, ...]
    alarm_z: FloatArray
    low: FloatArray
    high: FloatArray
    default_alarm_z: float
    engine: EngineConfig
    place: Mapping[int, int] = field(repr=False)

    @classmethod
    def fit(cls, sample: PointSample, config: LevelConfig, engine: EngineConfig) -> "RobustStream":
        """Return the levels of a sample. O(n log n); the same sample in any order of points gives the same levels."""
        order = np.lexsort((sample.value, sample.code))
        ends = np.cumsum(np.bincount(sample.code, minlength=len(sample.series)))
        texts = [name.text for name in sample.series]
        names = sorted(range(len(texts)), key=lambda number: texts[number])
        levels = np.empty((3, len(names)))
        for column, number in enumerate(names):
            rows = order[ends[number - 1] if number else 0 : ends[number]]
            levels[:, column] = _levels(sample.z[rows], sample.value[rows], spec_of(sample.series[number].metric), config)
        ids = np.array([sample.series[number].series_id for number in names], np.int64)
        return cls._of(ids, tuple(texts[number] for number in names), levels, config.floor_z, engine)

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
        """Return (1,): a point at its series' alarm z scores 0.5."""
        return np.array([0.5])

    @property
    def lookback(self) -> int:
        """Return the points of a series needed before its z is known."""
        return self.engine.warmup_points

    def alarm_for(self, series: Sequence[SeriesName]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (n,) alarm |z|, lowest and highest normal value of series; infinite = no limit.

        A series that was not seen in training gets the default alarm z and the catalogue's range of its metric.
        """
        place = np.array([self.place.get(name.series_id, -1) for name in series], dtype=np.int64)
        levels = np.empty((3, place.size))
        known = place >= 0
        for row, fitted in enumerate((self.alarm_z, self.low, self.high)):
            levels[row, known] = fitted[place[known]]
        for column in np.flatnonzero(~known).tolist():
            spec = spec_of(series[column].metric)
            levels[:, column] = self.default_alarm_z, spec.low, spec.high
        return levels[0], levels[1], levels[2]

    def score(self, batch: SeriesBatch) -> FloatArray:
        """Return (n,) scores of points, by a fresh engine over the batch alone: 1 - 2**(-|z| / alarm z), so 0.5 = alarm.

        A value outside the static limits scores at least 0.5, in warm-up too; NaN = unknown (warm-up, duplicate, too late).
        """
        return self.stream().score(batch)

    def stream(self, state: State | None = None) -> "LevelStream":
        """Return scores batch by batch, from nothing or from a snapshot.

        Raises:
            StateError: the snapshot is damaged, of another version, or of another engine configuration.
        """
        graph = ServiceGraph.from_pairs(())
        engine = FeatureEngine(self.engine, graph) if state is None else FeatureEngine.restore(self.engine, graph, state)
        return LevelStream(self, engine)

    def judged(self, batch: SeriesBatch, output: EngineOutput) -> FloatArray:
        """Return (n,) scores of points whose engine output is known."""
        names, code = distinct_series(batch.table)
        alarm_z, low, high = (level[code] for level in self.alarm_for(names))
        value = batch.table.column("value").to_numpy(zero_copy_only=False)
        score = 1.0 - np.exp2(-np.abs(output.z) / alarm_z)
        new = (output.status == PointStatus.SCORED) | (output.status == PointStatus.WARMUP)
        outside = new & ((value < low) | (value > high))
        return np.where(outside, np.fmax(score, 0.5), np.where(new, score, np.nan))

    def state(self) -> State:
        """Return levels, names, the default and the engine's windows."""
        engine = self.engine
        windows = (engine.step_s, engine.lateness_s, engine.window_points, engine.max_series, engine.warmup_points, engine.alpha)
        return {
            "series_id": self.series_ids,
            "series": names_array(self.series),
            "levels": np.stack([self.alarm_z, self.low, self.high]),
            "default_alarm_z": np.array([self.default_alarm_z]),
            "engine": np.array(windows, dtype=np.float64),
        }

    @classmethod
    def from_state(cls, state: State) -> "RobustStream":
        """Return the levels of a state; those of version 0.1 name their series by texts alone, of the default tenant.

        Raises:
            ArtifactError: an array is missing, or the names and levels do not fit together.
        """
        series, levels = array_names(state_array(state, "series")), state_array(state, "levels").astype(np.float64)
        numbers = state_array(state, "engine")
        ids = state_array(state, "series_id") if "series_id" in state else ids_of_texts(series)
        if levels.shape != (3, len(series)) or ids.shape != (len(series),) or numbers.shape != (6,) or np.isnan(levels).any():
            raise ArtifactError(f"levels {levels.shape} do not fit {len(series)} series; save the model again")
        step_s, lateness_s, window_points, max_series, warmup_points = (int(number) for number in numbers[:5])
        engine = EngineConfig(step_s, lateness_s, window_points, max_series, warmup_points, float(numbers[5]))
        return cls._of(ids.astype(np.int64), series, levels, float(state_array(state, "default_alarm_z")[0]), engine)

    @classmethod
    def _of(
        cls, ids: IntArray, series: tuple[str, ...], levels: FloatArray, default_alarm_z: float, engine: EngineConfig
    ) -> "RobustStream":
        place = {number: column for column, number in enumerate(ids.tolist())}
        return cls(ids, series, levels[0], levels[1], levels[2], default_alarm_z, engine, place)


class LevelStream:
    """Levels over an engine that is carried from batch to batch; its features are not used. Not thread-safe."""

    def __init__(self, levels: RobustStream, engine: FeatureEngine) -> None:
        self._levels = levels
        self._engine = engine

    def score(self, batch: SeriesBatch) -> FloatArray:
        """Return (n,) scores as `RobustStream.score` does, knowing all batches before."""
        return self._levels.judged(batch, self._engine.update(batch)) if len(batch) else np.empty(0)

    def snapshot(self) -> State:
        """Return the engine's state."""
        return self._engine.snapshot()


def ids_of_texts(series: Sequence[str]) -> IntArray:
    """Return (n,) ids of series of the default tenant, from "service|metric" with the labels folded in, as version 0.1 wrote."""
    parts = [text.partition("|") for text in series]
    names = series_of_texts([service for service, _, _ in parts], [metric for _, _, metric in parts])
    return np.array([name.series_id for name in names], np.int64)


def _levels(z: FloatArray, value: FloatArray, spec: MetricSpec, config: LevelConfig) -> tuple[float, float, float]:
    """Return (alarm z, low, high) of one series; `value` ascending."""
    known = np.abs(z[np.isfinite(z)])
    if known.size < config.min_points:
        return config.floor_z, spec.low, spec.high
    alarm_z = max(config.floor_z, config.headroom * float(np.quantile(known, config.quantile)))
    lowest, highest = (float(np.quantile(value, share)) for share in (1 - config.quantile, config.quantile))
    catalogue_span = spec.high - spec.low
    least = 0.05 * catalogue_span if np.isfinite(catalogue_span) else 0.5 * max(abs(lowest), abs(highest))
    span = config.widen * max(highest - lowest, least)
    if span <= 0.0:
        return alarm_z, spec.low, spec.high
    low, high = max(spec.low, lowest - span), min(spec.high, highest + span)
    if highest < spec.limit:
        high = min(high, highest + 0.9 * (spec.limit - highest))
    return alarm_z, low, high
