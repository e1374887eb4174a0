"""Which series will exceed their limit next: telemetry of the lake or of a source, in even rows, forecast, riskiest first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import ConfigurationError, SourceError
from aiops.features.series_index import distinct_series
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.metrics import spec_of
from data_contracts.series.series_name import SeriesName
from data_contracts.series.text import metric_with_labels
from data_contracts.telemetry.validate import validate
from models.breach.breach_features import NAMES, WARM_UP, breach_features, reference_of
from models.breach.breach_forecast import BreachForecast, ForecastConfig, SeriesHistory, learned_limit
from models.breach.breach_reasons import reasons_of, walk_reasons
from models.season.seasonal_profile import SeriesPoints
from orchestration.workspace.workspace import Workspace

HISTORY: Final = timedelta(days=14)
FITTED: Final = 0.6
"""Share of a series' rows that its limit and its reference are taken from, as the forecast rehearsed it."""
MOST_ROWS: Final = 100_000
"""Rows that the forecast learns from, the newest of every series: about 10 s and 200 MB."""
NO_MEASUREMENT: Final = 1e100
"""No metric has a value of this size in any unit; its square, which models need, is near what a number can hold."""
TYPE_LIMITS: Final = (float(np.finfo(np.float32).max), float(np.finfo(np.float64).max), 2.0**63, 2.0**64)
"""Sizes of the largest numbers of a type, which programs write for "unknown"."""
COLUMNS: Final = ("timestamp", *SeriesName._fields, "value")
_SLOPE: Final = NAMES.index("slope_48")
_GAP: Final = NAMES.index("gap")


@dataclass(frozen=True, slots=True)
class ForecastRequest:
    """Minutes ahead, and limits by metric or by series as people read them; both as given on the command line."""

    horizon_min: float = 60.0
    limits: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class ExpectedCourse:
    """A series at the end of the horizon: expected value and bounds; `model` made them, or `status` says why none did.

    `crosses_min`: minutes until the expected course exceeds the limit; None = not within the horizon.
    """

    model: str
    status: str
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    crosses_min: float | None = None


@dataclass(frozen=True, slots=True)
class SeriesForecast:
    """One series at its newest row. `probability` of exceeding `limit` within `horizon_min`; None = unknown, see `reasons`.

    `expected_min`: median minutes to the breach if the risk stays as it is. `trend_min`: minutes until a line through the last 48
    rows meets the limit; None where it does not rise. A coarse series is forecast 12 of its own steps ahead. `course`: what the
    riskiest are expected to do (`expected_courses`); None = not asked.
    """

    series: str
    at: datetime
    value: float
    limit: float
    limit_from: str
    horizon_min: float
    probability: float | None
    expected_min: float | None
    trend_min: float | None
    breached: bool
    reasons: tuple[str, ...]
    course: ExpectedCourse | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    name: SeriesName
    history: SeriesHistory
    row_s: float
    limit: float
    limit_from: str


def parse_limits(texts: Iterable[str]) -> dict[str, float]:
    """Return limits of texts METRIC=VALUE, or SERVICE|METRIC=VALUE.

    Raises:
        ConfigurationError: a text has another form, or the value is no finite number.
    """
    limits: dict[str, float] = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        try:
            limit = float(value)
        except ValueError:
            limit = float("nan")
        if not sign or not name.strip() or not np.isfinite(limit):
            raise ConfigurationError(
                f"--limit {text!r} is not METRIC=VALUE with a finite number; write for example --limit cpu_utilization=0.8"
            )
        limits[name.strip()] = limit
    return limits


def from_lake(workspace: Workspace) -> pa.Table:
    """Return the newest two weeks of telemetry; raises SourceError where the lake has none."""
    newest = workspace.newest_telemetry()
    return workspace.lake.read("telemetry", newest - HISTORY, None, list(COLUMNS))


def from_chunks(chunks: Iterable[pa.Table], now: datetime) -> pa.Table:
    """Return what the contract accepts of a source's chunks; raises SourceError where it accepts nothing."""
    accepted = [pa.Table.from_batches([validate(chunk, now).accepted]).select(COLUMNS) for chunk in chunks]
    kept = [table for table in accepted if table.num_rows]
    if not kept:
        raise SourceError("forecast: the source holds no row that the contract accepts; `aiops ingest` lists the reasons")
    return pa.concat_tables(kept, promote_options="permissive").unify_dictionaries()


def forecast(telemetry: pa.Table, request: ForecastRequest) -> list[SeriesForecast]:
    """Return the forecast of every series, riskiest first, unknown ones last, each of those with its reason.

    It learns from these series themselves, and from each row's past only. A series with values that stand for "unknown" teaches
    nothing and is left out; one that ended so long ago that its forecast would lie in the past is left out.

    Raises:
        ConfigurationError: the horizon is not positive, or a limit names no series.
        TrainingImpossible: the series are too short, or none breached after a rehearsed cut.
    """
    if not 0.0 < request.horizon_min <= 7 * 1_440.0:
        raise ConfigurationError(f"--horizon-min is {request.horizon_min}; choose more than 0 and at most 10080 minutes")
    config = ForecastConfig()
    candidates = list(_series(telemetry, request, config))
    _check_limits(request.limits or {}, [candidate.name for candidate in candidates])
    usable = [
        candidate
        for candidate in candidates
        if len(candidate.history.value) >= 2 * WARM_UP and not sentinels_in(candidate.history.value)
    ]
    kept = max(MOST_ROWS // max(len(usable), 1), 2 * WARM_UP)
    model = BreachForecast.fit([_newest(candidate.history, kept) for candidate in usable], config)
    newest_s = max(float(candidate.history.time_s[-1]) for candidate in candidates)
    forecasts = [_left_out(model, candidate, newest_s) or _forecast(model, candidate) for candidate in candidates]
    return sorted(
        forecasts,
        key=lambda entry: (-1.0 if entry.probability is None else entry.probability, entry.series),
        reverse=True,
    )


def sentinels_in(value: FloatArray) -> str:
    """Return which values (n,) are no measurements but stand for "unknown", in words; "" where there are none.

    >>> sentinels_in(np.array([1.0, 2.0])), sentinels_in(np.array([1.0, 1.7976931348623157e308]))
    ('', '1 of 2 values (first 1.79769e+308)')
    """
    size = np.abs(value)
    strange = (size >= NO_MEASUREMENT) | np.isin(size, TYPE_LIMITS)
    return f"{int(strange.sum())} of {len(value)} values (first {value[strange][0]:.6g})" if strange.any() else ""


def _left_out(model: BreachForecast, series: _Series, newest_s: float) -> SeriesForecast | None:
    """Return the series without a forecast and why, None where it can be forecast; `newest_s` is the newest time of all."""
    unknown = _unknown(model, series)
    ended_s, horizon_s = float(series.history.time_s[-1]), model.horizon * series.row_s
    if sentinels := sentinels_in(series.history.value):
        why = f"left out: {sentinels} stand for unknown, no measurement is of that size; send no row instead of such a value"
    elif newest_s - ended_s > horizon_s and (unknown.breached or len(series.history.value) >= 2 * WARM_UP):
        hours = (newest_s - ended_s) / 3600.0
        why = f"left out: it ended {hours:.1f} h before the newest value of all; {horizon_s / 60.0:.0f} min from then are over"
    else:
        return None
    return replace(unknown, breached=False, reasons=(why,))


def _check_limits(limits: Mapping[str, float], series: Sequence[SeriesName]) -> None:
    known = {name for candidate in series for name in _names(candidate)}
    for name in limits:
        if name not in known:
            metrics = ", ".join(sorted({candidate.metric for candidate in series})[:12])
            raise ConfigurationError(f"--limit {name}: no series has this metric; metrics here: {metrics}")


def _names(series: SeriesName) -> tuple[str, ...]:
    return series.text, metric_with_labels(series.metric, series.labels), series.metric


def _series(telemetry: pa.Table, request: ForecastRequest, config: ForecastConfig) -> Iterator[_Series]:
    bucket_s = request.horizon_min * 60.0 / config.horizon
    limits = request.limits or {}
    for name, points in series_points(telemetry):
        time_us, value = points.time_us, points.value
        row_s, history = _rows(time_us, value, bucket_s)
        seen = history.value[: max(int(FITTED * len(history.value)), 1)]
        given = next((limits[key] for key in _names(name) if key in limits), None)
        known = spec_of(name.metric).limit
        if given is not None:
            yield _Series(name, history, row_s, given, "given")
        elif np.isfinite(known):
            yield _Series(name, history, row_s, known, "catalogue")
        else:
            yield _Series(name, history, row_s, learned_limit(seen, config.quantile), f"{100 * config.quantile:g}th percentile")


def series_points(telemetry: pa.Table) -> Iterator[tuple[SeriesName, SeriesPoints]]:
    """Yield the known points of each series, by time; series ascending as people read them."""
    names, code = distinct_series(telemetry)
    time_us = telemetry["timestamp"].cast(pa.timestamp("us", "UTC")).to_numpy().astype("datetime64[us]").astype(np.int64)
    value = telemetry["value"].to_numpy().astype(np.float64)
    order = np.lexsort((time_us, code))
    ends = np.searchsorted(code[order], np.arange(len(names) + 1))
    for place, name in sorted(enumerate(names), key=lambda numbered: numbered[1].text):
        rows = order[ends[place] : ends[place + 1]]
        rows = rows[np.isfinite(value[rows])]
        if rows.size:
            yield name, SeriesPoints(name.text, time_us[rows], value[rows])


def _rows(time_us: IntArray, value: FloatArray, bucket_s: float) -> tuple[float, SeriesHistory]:
    """Return (seconds a row, the highest value of every `bucket_s` seconds, counted back from the newest point)."""
    time_s = time_us / 1e6
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else bucket_s
    if step_s >= bucket_s:
        return step_s, SeriesHistory(value, time_s)
    age = np.floor((time_s[-1] - time_s) / bucket_s)
    first = np.flatnonzero(np.diff(age, prepend=np.inf))
    last = np.append(first[1:], len(value)) - 1
    return bucket_s, SeriesHistory(np.maximum.reduceat(value, first), time_s[last])


def _newest(history: SeriesHistory, rows: int) -> SeriesHistory:
    return SeriesHistory(history.value[-rows:], history.time_s[-rows:])


def _unknown(model: BreachForecast, series: _Series) -> SeriesForecast:
    """Return what is known of a series without a forecast."""
    value, rows = series.history.value, len(series.history.value)
    return SeriesForecast(
        series=series.name.text,
        at=datetime.fromtimestamp(float(series.history.time_s[-1]), UTC),
        value=float(value[-1]),
        limit=series.limit,
        limit_from=series.limit_from,
        horizon_min=model.horizon * series.row_s / 60.0,
        probability=None,
        expected_min=None,
        trend_min=None,
        breached=bool(value[-1] > series.limit),
        reasons=(f"unknown: {rows} rows of {series.row_s:.0f} s, it needs {2 * WARM_UP}",),
    )


def _forecast(model: BreachForecast, series: _Series) -> SeriesForecast:
    newest, value, rows = _unknown(model, series), series.history.value, len(series.history.value)
    if newest.breached:
        return replace(newest, probability=1.0, expected_min=0.0, reasons=("it is above its limit now",))
    if rows < 2 * WARM_UP:
        return newest
    reference = reference_of(value[: int(FITTED * rows)], series.limit, model.horizon)
    features = breach_features(value, series.history.time_s, reference, model.horizon)
    p = float(model.score_rows(features, reference)[-1])
    row = features[-1]
    reasons = reasons_of(row, model.explain(row[None])[0]) if reference.reached else walk_reasons(row, reference)
    minutes = series.row_s / 60.0
    expected = float(np.log(2.0) * model.horizon / -np.log1p(-min(p, 1.0 - 1e-9))) * minutes
    return replace(newest, probability=p, expected_min=expected, trend_min=_trend_min(row, minutes), reasons=reasons)


def _trend_min(row: FloatArray, row_min: float) -> float | None:
    slope, gap = float(row[_SLOPE]), float(row[_GAP])
    return -gap / slope * row_min if np.isfinite(slope) and slope > 1e-6 and gap < 0 else None
