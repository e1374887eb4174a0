"""An independent, slow feature engine in plain Python and numpy: the definitions, without rings, kernels or batches."""

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np

from aiops.features.engine import EngineConfig
from aiops.topology.graph import ServiceGraph
from aiops.types import PointStatus
from data_contracts.schemas.metrics import SIGNALS, spec_of
from data_contracts.schemas.telemetry_schemas import SERIES_FEATURES, SERVICE_FEATURES, WINDOWS

SECOND = 1_000_000
HOUR = 3600 * SECOND
NAN = math.nan


@dataclass(frozen=True)
class Point:
    time: int
    service: str
    metric: str
    value: float


@dataclass
class Averages:
    mean: float = NAN
    variance: float = NAN
    deviation: float = NAN
    masked_at: float = -math.inf


@dataclass
class Excursion:
    """Points in a row beyond the level on one side: (time, value) each."""

    side: float
    points: list[tuple[int, float]]


@dataclass
class Series:
    service: str
    metric: str
    points: list[tuple[int, float]] = field(default_factory=list)
    newest: int = -(2**62)
    covered_from: int = 2**62
    updates: int = 0
    now: Averages = field(default_factory=Averages)
    history: list[tuple[int, Averages]] = field(default_factory=list)  # (time, averages after it), points in order
    scores: list[tuple[int, float]] = field(default_factory=list)  # (time, score) of every scored point
    excursion: Excursion | None = None
    step: float = 0.0
    brief: bool = False
    ticked: int = 0
    median: float = NAN
    spread: float = NAN

    @property
    def floor(self) -> float:
        spec = spec_of(self.metric)
        width = 1.0 if self.metric in ("up", "probe_success") else spec.high - spec.low
        return 0.001 * width if math.isfinite(width) else 0.0


def floored(scale: float, centre: float, floor: float) -> float:
    return max(scale, floor, 0.01 * abs(centre), 1e-9)


def clip(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))


@dataclass
class ReferenceEngine:
    config: EngineConfig
    graph: ServiceGraph
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    services: list[str] = field(default_factory=list)
    incidents: list[tuple[int, str]] = field(default_factory=list)
    watermark: int | None = None
    next_tick: int = 0
    status: list[int] = field(default_factory=list)
    z: list[float] = field(default_factory=list)
    series_rows: list[tuple[int, str, dict[str, float]]] = field(default_factory=list)
    service_rows: list[tuple[int, str, dict[str, float]]] = field(default_factory=list)

    def apply(self, point: Point) -> None:
        step, lateness = self.config.step_s * SECOND, self.config.lateness_s * SECOND
        if self.watermark is None:
            self.watermark = point.time
            self.next_tick = math.ceil(point.time / step) * step
        if point.time > self.watermark:
            last_point = self.watermark
            while self.next_tick + lateness < point.time:
                if self.next_tick <= last_point + HOUR:
                    self.close(self.next_tick)
                self.next_tick += step
            self.watermark = point.time
        status, z = self._judge(point)
        self.status.append(int(status))
        self.z.append(z)

    def _judge(self, point: Point) -> tuple[PointStatus, float]:
        key = (point.service, point.metric)
        if key not in self.series:
            if len(self.series) >= self.config.max_series:
                return PointStatus.TOO_MANY_SERIES, NAN
            self.series[key] = Series(*key)
            if point.service not in self.services:
                self.services.append(point.service)
        series = self.series[key]
        in_order = point.time > series.newest
        if not in_order:
            if point.time <= series.newest - HOUR:
                return PointStatus.TOO_LATE, NAN
            kept = dict(series.points)
            if point.time in kept:
                same = kept[point.time] == float(np.float32(point.value))
                return (PointStatus.REPEATED if same else PointStatus.DUPLICATE), NAN
            if len(series.points) == self.config.window_points and point.time < series.points[0][0]:
                return PointStatus.TOO_LATE, NAN
        held = series.now if in_order else self._averages_before(series, point.time)
        before = series.newest
        if in_order and series.points:
            move = abs(float(np.float32(point.value) - np.float32(series.points[-1][1])))
            level = abs(series.points[-1][1])
            move = min(move, level) if level else move
            series.step = min(series.step or move, move or series.step)
        z = self._score(series, held, point.value)
        series.newest = max(series.newest, point.time)
        self._make_room(series, point.time, in_order)
        series.points = sorted([*series.points, (point.time, float(np.float32(point.value)))])  # windows hold 24 bits
        if in_order:
            self._follow(series, point, z, before)
            series.history.append((point.time, replace(series.now)))
        if math.isnan(z):
            return PointStatus.WARMUP, NAN
        if point.time > self.next_tick - self.config.step_s * SECOND:
            size = min(abs(z), 0.999 * 6) if in_order and series.brief else abs(z)
            series.scores.append((point.time, 1 - 2 ** (-size / 6)))
        return PointStatus.SCORED, z

    def _averages_before(self, series: Series, time: int) -> Averages:
        """Return the averages before the step of a late point, or as of the last closed tick if that is later."""
        step = self.config.step_s * SECOND
        boundary = max(math.ceil(time / step) * step, self.next_tick) - step
        known = [averages for when, averages in series.history if when <= boundary]
        return known[-1] if known else Averages()

    def _score(self, series: Series, now: Averages, value: float) -> float:
        if series.updates < self.config.warmup_points or series.ticked * self.config.step_s < self.config.warmup_s:
            return NAN
        least = min(series.step / 6.5, 10 * series.floor) if series.floor else series.step / 6.5
        scale = max(math.sqrt(now.variance), floored(now.deviation, now.mean, series.floor), least)
        z = clip((value - now.mean) / scale, 100)
        if not math.isnan(series.spread):
            second = clip((value - series.median) / max(series.spread, least), 100)
            z = second if abs(second) < abs(z) else z
        return z

    def _follow(self, series: Series, point: Point, z: float, before: int) -> None:
        """Move the averages, or keep the point out of them; an excursion of 20 min gives the averages its own."""
        excursion = series.excursion
        if excursion is not None and not (abs(z) >= 3 and math.copysign(1, z) == excursion.side):
            excursion = None
        if excursion is None and abs(z) >= 6:
            excursion = Excursion(math.copysign(1, z), [])
        series.excursion = excursion
        series.brief = False
        if excursion is None:
            self._move(series, point.value)
            return
        excursion.points.append((point.time, point.value))
        series.now = replace(series.now, masked_at=point.time)
        lasted = point.time - excursion.points[0][0]
        if len(excursion.points) >= self.config.warmup_points and lasted >= 1200 * SECOND:
            series.now = self._averages_of([value for _, value in excursion.points], point.time)
            series.excursion = None
        else:
            series.brief = lasted + point.time - before < 0.75 * self.config.step_s * SECOND

    def _averages_of(self, values: list[float], masked_at: int) -> Averages:
        mean, variance, deviation = values[0], 0.0, 0.0
        for count, value in enumerate(values[1:], start=2):
            step, weight = value - mean, max(self.config.alpha, 1 / count)
            mean += weight * step
            variance = (1 - weight) * (variance + weight * step * step)
            deviation += max(0.01, 1 / count) * (abs(step) - deviation)
        return Averages(mean, variance, deviation, masked_at)

    def _make_room(self, series: Series, time: int, in_order: bool) -> None:
        series.covered_from = min(series.covered_from, time)
        if in_order:  # no tick to come looks at what is older: it makes room, and is no loss
            oldest = time - HOUR - (self.config.lateness_s + self.config.step_s) * SECOND
            series.points = [kept for kept in series.points if kept[0] > oldest]
        if len(series.points) == self.config.window_points:
            del series.points[0]
            series.covered_from = series.points[0][0]

    def _move(self, series: Series, value: float) -> None:
        now = series.now
        series.updates += 1
        if series.updates == 1:
            series.now = Averages(value, 0.0, 0.0, now.masked_at)
            return
        step = value - now.mean
        size = abs(step)
        if series.updates > self.config.warmup_points:
            floor = floored(now.deviation, now.mean, series.floor)
            size = min(size, 5 * floor)
            step = clip(step, 5 * max(math.sqrt(now.variance), floor))
        weight = max(self.config.alpha, 1 / series.updates)
        now.mean += weight * step
        now.variance = (1 - weight) * (now.variance + weight * step * step)
        now.deviation += max(0.01, 1 / series.updates) * (size - now.deviation)

    def close(self, tick: int) -> None:
        rows: dict[tuple[str, str], dict[str, float]] = {}
        extra: dict[tuple[str, str], tuple[float, bool]] = {}
        for key, series in self.series.items():
            window = [(time, value) for time, value in series.points if tick - HOUR < time <= tick]
            if window:
                rows[key], error = self._series_features(series, tick, window)
                horizon = min(tick, series.newest) - HOUR
                series.points = [held for held in series.points if held[0] > horizon]
                recent = max(300, self.config.step_s) * SECOND
                extra[key] = (error, window[-1][0] > tick - recent)
                self.series_rows.append((tick, "|".join(key), rows[key]))
        for service in self.services:
            if any(extra[key][1] for key in rows if key[0] == service):
                self.service_rows.append((tick, service, self._service_features(service, tick, rows, extra)))

    def _series_features(self, series: Series, tick: int, hour: list[tuple[int, float]]) -> tuple[dict[str, float], float]:
        known = [averages for time, averages in series.history if time <= tick]
        held = known[-1] if known else Averages()
        scores = [score for time, score in series.scores if tick - self.config.step_s * SECOND < time <= tick]
        row = {
            "last": hour[-1][1],
            "ewma": held.mean,
            "ewma_dev": math.sqrt(held.variance),
            "abnormality": max(scores, default=NAN),
        }
        gaps = np.diff([time for time, _ in hour])
        interval = float(np.median(gaps)) if gaps.size else NAN
        floor = series.floor if math.isnan(held.deviation) else max(series.floor, held.deviation)
        for suffix, length_s in WINDOWS:
            length = length_s * SECOND
            points = [(time, value) for time, value in hour if time > tick - length]
            statistics, error, spread = window_statistics(points, floor)
            statistics["gap_count"] = NAN
            if not math.isnan(interval):
                expected = math.floor(length / interval)
                if series.covered_from > tick - length:
                    expected = math.floor((tick - series.covered_from) / interval) + 1
                statistics["gap_count"] = max(0.0, expected - len(points))
            row |= {f"{name}_{suffix}": value for name, value in statistics.items()}
        series.ticked += 1
        if not (held.masked_at > tick - HOUR and not math.isnan(series.spread)):
            series.median, series.spread = (row["median_1h"], spread) if len(hour) >= 5 else (NAN, NAN)
        return row, error

    def _service_features(
        self,
        service: str,
        tick: int,
        rows: dict[tuple[str, str], dict[str, float]],
        extra: dict[tuple[str, str], tuple[float, bool]],
    ) -> dict[str, float]:
        features = dict.fromkeys(SERVICE_FEATURES, NAN)
        own = {metric: row for (name, metric), row in rows.items() if name == service}
        by_signal: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
        for metric, row in own.items():
            by_signal[spec_of(metric).signal][metric] = row
        for signal in SIGNALS:
            signals = by_signal.get(signal, {})
            worst, mean, _ = abnormality(signals.values())
            level, slope = level_and_slope(signal, signals)
            for name, value in (("worst", worst), ("mean", mean), ("level", level), ("slope_per_min", slope)):
                features[f"{signal}_{name}"] = value
        features["abnormal_share"] = abnormality(own.values())[2]
        for side, others in (("callers", self.graph.callers(service)), ("callees", self.graph.callees(service))):
            pooled = [row for (name, _), row in rows.items() if name in others]
            for name, value in zip(("worst", "mean", "abnormal_share"), abnormality(pooled), strict=True):
                features[f"{side}_{name}"] = value
        features["minutes_to_limit"] = minutes_to_limit(own, {metric: extra[service, metric][0] for metric in own})
        known = [time for time, name in self.incidents if name == service and time <= tick]
        features["minutes_since_incident"] = min(10_080.0, (tick - max(known)) / 60e6) if known else 10_080.0
        features["hour"] = float(tick // HOUR % 24)
        features["weekday"] = float((tick // (24 * HOUR) + 3) % 7)
        return features


def window_statistics(points: list[tuple[int, float]], floor: float) -> tuple[dict[str, float], float, float]:
    """Return the statistics without gap_count, the standard error of the slope, the floored spread."""
    names = [name.removesuffix("_1h") for name in SERIES_FEATURES if name.endswith("_1h") and name != "gap_count_1h"]
    row = dict.fromkeys(names, NAN)
    if not points:
        return row, NAN, NAN
    minutes = np.array([(time - points[0][0]) / 60e6 for time, _ in points])
    values = np.array([value for _, value in points])
    median = float(np.median(values))
    spread = floored(1.4826 * float(np.median(np.abs(values - median))), median, floor)
    row |= {"mean": values.mean(), "min": values.min(), "max": values.max(), "median": median}
    if len(points) < 2:
        return row, NAN, spread
    x = minutes - minutes.mean()
    slope = float(x @ values / (x @ x))
    rest = values - values.mean() - slope * x
    error = math.sqrt(rest @ rest / (len(points) - 2) / (x @ x)) if len(points) >= 5 else NAN
    size = abs(values[-1]) + abs(values[0])
    row |= {
        "std": values.std(ddof=1),
        "mad_z": clip((values[-1] - median) / spread, 100),
        "slope_per_min": slope,
        "rate_of_change": 2 * (values[-1] - values[0]) / size if size else 0.0,
    }
    return row, error, spread


def abnormality(rows: object) -> tuple[float, float, float]:
    """Return worst, mean and share >= 0.5 over rows where it is known."""
    known = [row["abnormality"] for row in rows if not math.isnan(row["abnormality"])]  # type: ignore[attr-defined]
    if not known:
        return NAN, NAN, NAN
    return max(known), sum(known) / len(known), sum(score >= 0.5 for score in known) / len(known)


def level_and_slope(signal: str, rows: dict[str, dict[str, float]]) -> tuple[float, float]:
    limits = {metric: spec_of(metric).limit for metric in rows}
    limited = [row["last"] / limits[metric] for metric, row in rows.items() if math.isfinite(limits[metric])]
    lasts = [row["last"] for row in rows.values()]
    hourly = [row for row in rows.values() if not math.isnan(row["slope_per_min_1h"])]
    if signal == "saturation":
        return max(limited or lasts, default=NAN), max((row["slope_per_min_1h"] for row in hourly), default=NAN)
    slopes = []
    for row in hourly:
        size = abs(row["mean_1h"]) + row["std_1h"]
        slopes.append(row["slope_per_min_1h"] / size if size else 0.0)
    slope = max(slopes, key=lambda value: (abs(value), value), default=NAN)
    if signal == "errors":
        return max(lasts, default=NAN), slope
    means = [row["mean_5m"] for row in rows.values() if not math.isnan(row["mean_5m"])]
    mean = sum(means) / len(means) if means else NAN
    return math.copysign(math.log1p(abs(mean)), mean), slope


def minutes_to_limit(rows: dict[str, dict[str, float]], errors: dict[str, float]) -> float:
    minutes = []
    for metric, row in rows.items():
        limit, slope = spec_of(metric).limit, row["slope_per_min_1h"]
        if math.isnan(limit) or math.isnan(slope):
            continue
        if row["last"] >= limit:
            minutes.append(0.0)
        elif slope > 0 and slope > 3 * errors[metric]:
            minutes.append(min(1440.0, (limit - row["last"]) / slope))
        else:
            minutes.append(1440.0)
    return min(minutes, default=NAN)
