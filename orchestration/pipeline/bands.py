"""Seasonal bands: telemetry of the lake → bands of every series for the next two days → the lake and the online store."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from aiops.features.bands import ESTABLISHED
from aiops.features.series_index import distinct_series
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.feature_views import BAND_HORIZON_S
from data_contracts.schemas.metrics import spec_of
from data_contracts.series.series_name import SeriesName
from data_contracts.values.moments import microseconds_of
from models.evaluation.drift import reached
from models.season.seasonal_profile import DAY_US, SeasonConfig, SeriesPoints
from orchestration.pipeline.band_choice import choices_of
from orchestration.workspace.workspace import Workspace
from serving.online.seasonal_bands import RedisBands, band_rows
from serving.stream.broker import connect

if TYPE_CHECKING:
    from models.season.prophet_bands import CapacityForecast

TABLE: Final = "seasonal_bands"
AFTER_INCIDENT: Final = timedelta(minutes=30)
MOST_FORECASTS: Final = 10


@dataclass(frozen=True, slots=True)
class Made:
    """Bands of one run, as rows of the lake table; `reasons`: how many series have which status, most frequent first.

    `by_model`: how many established bands each model made; `tried`: what came of others beside the profile, and how often.
    """

    at: datetime
    rows: pa.RecordBatch
    established: int
    by_model: tuple[tuple[str, int], ...]
    tried: tuple[tuple[str, int], ...]
    points: int
    reasons: tuple[tuple[str, int], ...]
    seconds: float

    @property
    def text(self) -> str:
        """Return the outcome as a sentence."""
        unknown = ", ".join(f"{count} × {reason}" for reason, count in self.reasons if reason != ESTABLISHED)
        rest = f"; unknown: {unknown}" if unknown else ""
        models = ", ".join(f"{count} by {model}" for model, count in self.by_model) or "none"
        tried = "; tried: " + ", ".join(f"{count} × {what}" for what, count in self.tried) if self.tried else ""
        return (
            f"seasonal bands from {self.at:%Y-%m-%d %H:%M} on: {self.established} of {self.rows.num_rows} series "
            f"({models}), {self.seconds:.1f} s{tried}{rest}"
        )


def make_bands(workspace: Workspace, at: datetime | None = None) -> Made:
    """Make the bands of every series from the telemetry before `at` (default: the newest), incidents masked, and store them.

    Memory: 24 B a point of the history. Repeating it replaces its rows.

    Raises:
        SourceError: the lake has no telemetry.
    """
    began = time.monotonic()
    until = at or workspace.newest_telemetry()
    settings = workspace.settings
    config = season_config(settings)
    history = list(histories(workspace, until, config.history_days))
    choices = choices_of(history, microseconds_of(until), config, settings)
    bands = [choice.bands for choice in choices]
    rows = band_rows(bands, [name for name, _ in history], datetime.now(UTC))
    if rows.num_rows:
        workspace.lake.write(TABLE, rows, key=f"bands-{until:%Y%m%dT%H%M%S}")
    reasons = Counter(band.status.partition(" (")[0] for band in bands).most_common()
    by_model = Counter(band.model for band in bands if band.status == ESTABLISHED).most_common()
    tried = Counter(f"{trial.model} {_outcome(trial.reason)}" for choice in choices for trial in choice.trials).most_common()
    points = sum(int(np.isfinite(series.value).sum()) for _, series in history)
    established = sum(band.status == ESTABLISHED for band in bands)
    return Made(until, rows, established, tuple(by_model), tuple(tried), points, tuple(reasons), time.monotonic() - began)


def _outcome(reason: str) -> str:
    """Return why a model was not taken, without what differs from series to series."""
    return re.sub(r":.*|\bby \d+%", "", reason) or "foresaw every held-out day better"


def publish_bands(workspace: Workspace, made: Made) -> int:
    """Write the bands to the online store, in Feast's layout; return how many series are new there.

    Raises:
        Unavailable: the broker does not answer.
    """
    return RedisBands(connect(workspace.settings), tenant=workspace.tenant).write_bands(made.rows) if made.rows.num_rows else 0


def season_config(settings: Settings) -> SeasonConfig:
    """Return what establishes a season, by the settings."""
    seasonal = settings.seasonal
    return SeasonConfig(
        history_days=seasonal.history_days,
        min_days=seasonal.min_days,
        min_strength=seasonal.min_strength,
        coverage=seasonal.coverage,
        horizon_s=BAND_HORIZON_S,
    )


def histories(workspace: Workspace, until: datetime, days: int) -> Iterator[tuple[SeriesName, SeriesPoints]]:
    """Yield each series with its points of the `days` before `until`, times ascending; NaN inside known incidents."""
    names, code, time_us, value = _points(workspace, until, days)
    order = np.lexsort((time_us, code))
    masks = _masks(workspace, until)
    for places in np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if order.size else []:
        name = names[int(code[places[0]])]
        times, values = time_us[places], value[places].copy()
        for begin, end in masks.get(name.service, ()):
            values[(times >= begin) & (times <= end)] = np.nan
        yield name, SeriesPoints(name.text, times, values)


def _points(workspace: Workspace, until: datetime, days: int) -> tuple[list[SeriesName], IntArray, IntArray, FloatArray]:
    """Return series and, a point each, its series' number, time and value; read day by day to bound memory."""
    place: dict[SeriesName, int] = {}
    parts: list[tuple[IntArray, IntArray, FloatArray]] = []
    begin = until - timedelta(days=days)
    while begin < until:
        end = min(begin + timedelta(days=1), until)
        rows = workspace.lake.read("telemetry", begin, end, ["timestamp", *SeriesName._fields, "value"])
        names, of_row = distinct_series(rows)
        numbers = np.array([place.setdefault(name, len(place)) for name in names], dtype=np.int64)
        time_us = np.asarray(rows["timestamp"].cast(pa.int64()).to_numpy(), dtype=np.int64)
        parts.append((numbers[of_row], time_us, np.asarray(rows["value"].to_numpy(), dtype=np.float64)))
        begin = end
    code, times, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return list(place), code, times, values


def _masks(workspace: Workspace, until: datetime) -> dict[str, list[tuple[int, int]]]:
    """Return the spans (us) of incidents known at `until`, by every service that an incident can reach along calls."""
    graph: ServiceGraph = workspace.graph()
    spans: dict[str, list[tuple[int, int]]] = {}
    for row in workspace.incidents(until).to_pylist():
        span = microseconds_of(row["onset_at"]), microseconds_of(row["ends_at"] + AFTER_INCIDENT)
        for service in reached(row["service"], graph.callers) | reached(row["service"], graph.callees):
            spans.setdefault(service, []).append(span)
    return spans


def forecast_capacities(workspace: Workspace, at: datetime | None = None) -> "list[CapacityForecast]":
    """Return when series with a limit reach it, those that rise towards it fastest first; at most `MOST_FORECASTS`.

    Raises:
        SourceError: the lake has no telemetry.
    """
    from models.season.prophet_bands import ProphetConfig, forecast_capacity

    until, settings = at or workspace.newest_telemetry(), workspace.settings
    days = settings.seasonal.capacity_days
    limits = ((points, spec_of(name.metric).limit) for name, points in histories(workspace, until, 14))
    waits = [(_days_to(points, limit), points, limit) for points, limit in limits if np.isfinite(limit)]
    nearest = sorted((wait for wait in waits if wait[0] <= 2 * days), key=lambda wait: (wait[0], wait[1].series))[:MOST_FORECASTS]
    config = ProphetConfig(settings.seasonal.country, seed=settings.models.seed)
    return [forecast_capacity(points, microseconds_of(until), limit, days, config) for _, points, limit in nearest]


def _days_to(points: SeriesPoints, limit: float) -> float:
    """Return the days until the trend of the days' highest levels reaches the limit; infinite where it does not rise."""
    day = points.time_us // DAY_US
    highest = [
        float(np.nanquantile(values, 0.95))
        for values in np.split(points.value, np.flatnonzero(np.diff(day)) + 1)
        if np.isfinite(values).any()
    ]
    if len(highest) < 3:
        return float("inf")
    slope = float(np.median(np.diff(highest)))
    return (limit - highest[-1]) / slope if slope > 0 else float("inf")
