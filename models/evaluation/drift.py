"""Drift of what was served against what was trained on; Evidently measures, this module makes the comparison fair.

Four corrections come before any test, because each alone would raise false alarms:

1. rows of services that a known incident can reach along calls are masked: an incident is not drift;
2. each service is centred and scaled by its own reference median and spread: one model serves services of every size;
3. the reference is drawn to the same hours of day (and weekday or weekend) as the current rows: night is not drift; where
   it has too few of them, the columns that follow the time of day are left out and named;
4. columns that are unknown or nearly so on one side are screened out and named: Evidently aborts on an empty column.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from aiops.errors import ConfigurationError
from aiops.topology.graph import ServiceGraph
from aiops.types import IntArray
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES
from models.vectors.service_rows import CALENDAR

DRIFT_COLUMNS: tuple[str, ...] = tuple(name for name in SERVICE_FEATURES if name not in CALENDAR)
PREDICTION = "score"
METHOD = "wasserstein"


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    """When a difference is drift: thresholds are on the normed Wasserstein distance, in reference standard deviations.

    Drift is broad (`share` of the columns moved by `column_threshold`) or deep (a level, or the scores, by `level_threshold`):
    the abnormality columns adapt to a new level within the hour, so a lasting shift shows in the levels alone.
    """

    min_rows: int = 200
    column_threshold: float = 0.25
    share: float = 0.3
    level_threshold: float = 1.0
    reference_rows: int = 20_000


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """Distance of one column and whether it exceeds the threshold."""

    column: str
    score: float
    drifted: bool


@dataclass(frozen=True, slots=True)
class DriftReport:
    """Outcome of one check; `checked` is False where there was too little to compare (and `reason` says what)."""

    checked: bool
    drifted: bool
    reason: str
    rows_reference: int
    rows_current: int
    columns: tuple[ColumnDrift, ...] = ()
    prediction: ColumnDrift | None = None
    screened: tuple[str, ...] = ()
    html: bytes = b""

    @property
    def share(self) -> float:
        """Return the share of compared columns that drifted, 0 where none was compared."""
        return sum(column.drifted for column in self.columns) / len(self.columns) if self.columns else 0.0


def mask_incidents(rows: pd.DataFrame, incidents: pd.DataFrame, graph: ServiceGraph, margin_min: int = 30) -> pd.DataFrame:
    """Return the rows outside every incident of their own service or of a service they depend on.

    Args:
        rows: has columns service and event_timestamp (UTC).
        incidents: `schemas.INCIDENTS`; masked from onset_at to ends_at + `margin_min`.
        graph: who calls whom; failures travel to direct and indirect callers, load to callees.
        margin_min: minutes after the end in which the 1 h windows still hold the incident.
    """
    keep = np.ones(len(rows), dtype=bool)
    when, service = rows["event_timestamp"], rows["service"]
    until = incidents["ends_at"] + timedelta(minutes=margin_min)
    for root, first, last in zip(incidents["service"], incidents["onset_at"], until, strict=True):
        inside = (when >= first) & (when <= last)
        touched = reached(root, graph.callers) | reached(root, graph.callees)
        keep &= ~(inside & service.isin(touched)).to_numpy()
    return rows.loc[keep]


def reached(service: str, neighbours: Callable[[str], tuple[str, ...]]) -> set[str]:
    """Return `service` and all that are reached from it over any number of steps."""
    seen, frontier = {service}, [service]
    while frontier:
        unseen = [name for name in neighbours(frontier.pop()) if name not in seen]
        seen.update(unseen)
        frontier.extend(unseen)
    return seen


def measure_drift(reference: pd.DataFrame, current: pd.DataFrame, policy: DriftPolicy, html: bool = True) -> DriftReport:
    """Compare `current` with `reference`; both hold service, event_timestamp, `DRIFT_COLUMNS` and optionally `score`.

    Raises:
        ConfigurationError: a needed column is absent.
    """
    for name, frame in (("reference", reference), ("current", current)):
        absent = {"service", "event_timestamp", *DRIFT_COLUMNS} - set(frame.columns)
        if absent:
            raise ConfigurationError(
                f"{name} rows lack the columns {sorted(absent)}; give rows of the served log or the training set"
            )
    if len(current) < policy.min_rows:
        return _unchecked(
            f"{len(current)} rows were served outside incidents; at least {policy.min_rows} are needed", reference, current
        )
    if len(reference) < policy.min_rows:
        return _unchecked(f"the reference holds {len(reference)} rows; at least {policy.min_rows} are needed", reference, current)
    matched = match_season(reference, current, policy.reference_rows)
    seasons = min(map(len, matched)) >= policy.min_rows
    if seasons:
        reference, current = matched
    reference, current = _scale_by_service(reference, current)
    columns, screened = _screen(reference, current, policy.min_rows)
    if not seasons:
        screened += tuple(
            f"{name}: the reference has too few rows of these hours of day" for name in columns if is_seasonal(name)
        )
        columns = [name for name in columns if not is_seasonal(name)]
    if not columns:
        return _unchecked("no column is known on both sides", reference, current)
    scores, page = _evidently(reference[columns], current[columns], policy, html)
    return replace(_judge(scores, screened, policy), rows_reference=len(reference), rows_current=len(current), html=page)


def match_season(reference: pd.DataFrame, current: pd.DataFrame, rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return evenly spaced reference rows with the hour (and weekend) mix of `current`, and the current rows with a match."""
    ours, theirs = _season(current), _season(reference)
    groups = pd.Series(np.arange(len(reference))).groupby(theirs).indices
    counts = pd.Series(ours).value_counts()
    counts = counts[counts.index.isin(list(groups))]
    if counts.empty:
        return reference.iloc[:0], current.iloc[:0]
    ceiling = rows / counts.sum()
    available = min(len(groups[key]) / count for key, count in counts.items())
    ratio = float(np.clip(available, min(1.0, ceiling), ceiling))
    picks = [_spread(np.asarray(groups[key]), max(1, round(ratio * count))) for key, count in sorted(counts.items())]
    return reference.iloc[np.sort(np.concatenate(picks))], current.loc[np.isin(ours, counts.index)]


def is_seasonal(column: str) -> bool:
    """Return whether a column follows the time of day by itself; the abnormality columns are free of it."""
    return column.endswith(("_level", "_slope_per_min")) or column == "minutes_to_limit"


def _season(rows: pd.DataFrame) -> IntArray:
    """Return the hour of day (UTC), plus 24 at the weekend."""
    when = rows["event_timestamp"].dt
    return np.asarray(when.hour + 24 * (when.weekday >= 5), dtype=np.int64)


def _spread(positions: IntArray, count: int) -> IntArray:
    """Return `count` evenly spaced entries (all of them, where there are fewer)."""
    if count >= len(positions):
        return positions
    return np.asarray(positions[np.linspace(0, len(positions) - 1, count).astype(np.int64)])


def _scale_by_service(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Centre and scale the level-like columns of each service by its reference median and spread."""
    columns = [name for name in DRIFT_COLUMNS if name in reference]
    grouped = reference.groupby("service")[columns]
    centre = grouped.median()
    spread = (grouped.quantile(0.9) - grouped.quantile(0.1)) / 2.563
    floor = 0.05 * reference[columns].std().fillna(0.0) + 1e-9
    spread = spread.clip(lower=floor, axis=1)

    def scaled(frame: pd.DataFrame) -> pd.DataFrame:
        known = frame.loc[frame["service"].isin(centre.index)]
        values = (known[columns].to_numpy() - centre.loc[known["service"]].to_numpy()) / spread.loc[known["service"]].to_numpy()
        out = pd.DataFrame(np.clip(values, -20, 20), columns=columns, index=known.index)
        if PREDICTION in known:
            out[PREDICTION] = known[PREDICTION].to_numpy()
        return out

    return scaled(reference), scaled(current)


def _screen(reference: pd.DataFrame, current: pd.DataFrame, min_rows: int) -> tuple[list[str], tuple[str, ...]]:
    columns, screened = [], []
    for name in (*DRIFT_COLUMNS, PREDICTION):
        if name not in reference or name not in current:
            screened.append(f"{name}: absent")
        elif min(reference[name].notna().sum(), current[name].notna().sum()) < min_rows:
            screened.append(f"{name}: known in fewer than {min_rows} rows")
        elif reference[name].nunique() < 2:
            screened.append(f"{name}: constant in the reference")
        else:
            columns.append(name)
    return columns, tuple(screened)


def _evidently(reference: pd.DataFrame, current: pd.DataFrame, policy: DriftPolicy, html: bool) -> tuple[dict[str, float], bytes]:
    """Return the distance of each column and the HTML page (empty unless asked for)."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    names = list(reference.columns)
    definition = DataDefinition(numerical_columns=names)
    report = Report([ValueDrift(column=name, method=METHOD, threshold=policy.column_threshold) for name in names])
    snapshot = report.run(
        Dataset.from_pandas(current, data_definition=definition), Dataset.from_pandas(reference, data_definition=definition)
    )
    values = [float(metric["value"]) for metric in snapshot.dict()["metrics"]]
    if not html:
        return dict(zip(names, values, strict=True)), b""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "drift.html"
        snapshot.save_html(str(page))
        return dict(zip(names, values, strict=True)), page.read_bytes()


def _judge(scores: dict[str, float], screened: Sequence[str], policy: DriftPolicy) -> DriftReport:
    """Return the report of distances by column, its numbers of rows and its page still to come."""
    judged = [ColumnDrift(name, score, score >= policy.column_threshold) for name, score in scores.items()]
    columns = tuple(column for column in judged if column.column != PREDICTION)
    prediction = next((column for column in judged if column.column == PREDICTION), None)
    moved = sorted((column for column in columns if column.drifted), key=lambda column: -column.score)
    deep = [column for column in moved if column.column.endswith("_level") and column.score >= policy.level_threshold]
    rescored = prediction is not None and prediction.score >= policy.level_threshold
    drifted = bool(deep) or rescored or len(moved) >= policy.share * len(columns)
    named = ", ".join(f"{column.column} {column.score:.2f}" for column in moved[:4]) or "none"
    verdict = "drift" if drifted else "no drift"
    reason = (
        f"{verdict}: {len(moved)} of {len(columns)} columns moved by {policy.column_threshold} standard deviations or more"
        f" (broad: {policy.share:.0%}), {len(deep)} level(s) by {policy.level_threshold} or more,"
        f" the scores by {'–' if prediction is None else f'{prediction.score:.2f}'}; largest: {named}"
    )
    return DriftReport(True, drifted, reason, 0, 0, columns, prediction, tuple(screened))


def _unchecked(reason: str, reference: pd.DataFrame, current: pd.DataFrame) -> DriftReport:
    return DriftReport(False, False, f"not checked: {reason}", len(reference), len(current))
