"""The evidence of the first cause as SVG bytes: small multiples along its path to the symptom. Same input, same bytes."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np

from aiops.incidents.root_cause import ChangeEvent, RootCause, RootCauseReport
from aiops.types import FloatArray
from data_contracts.values.moments import EPOCH, microseconds_of, moment_of_us
from models.rca.grid import SeriesGrid
from models.rca.metric_text import amount, call_to, shown, words_of
from models.rca.ranking import BEYOND, RootCauseRanker
from models.rca.signals import best_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bounds = Mapping[tuple[str, str], tuple[float, float]]
MOST_ROWS: Final = 6
_ROW_INCHES: Final = 1.35
_HEAD_INCHES: Final = 0.8
_BLUE, _RED, _PURPLE, _GREEN = "#1f4e8c", "#c0392b", "#7d3c98", "#2e7d32"
_DRAWING = threading.Lock()
"""Matplotlib's settings are of the whole process; one figure is written at a time."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One service of the path: its series, and when it strayed."""

    service: str
    metric: str
    column: int
    onset: datetime | None
    changes: tuple[ChangeEvent, ...]


def baseline_bounds(ranker: RootCauseRanker) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the range of each series, (service, metric), that is no evidence."""
    width = {name: BEYOND * ranker.width[name] for name in ranker.baseline if name in ranker.width}
    return {name: (ranker.baseline[name] - far, ranker.baseline[name] + far) for name, far in width.items()}


def evidence_figure(report: RootCauseReport, grid: SeriesGrid, bounds: Bounds) -> bytes:
    """Return one row a service from the likeliest cause to the symptom: its strongest series, the usual band, the onset.

    Services of which `grid` holds nothing are left out; SVG without a row says so. Times UTC.
    """
    import matplotlib as mpl

    with (
        _DRAWING,
        mpl.rc_context({"svg.hashsalt": "aiops", "svg.fonttype": "none", "timezone": "UTC"}),
        mpl.rc_context({"date.converter": "concise", "text.parse_math": False}),
    ):
        return _drawn(report, _rows(report, grid, bounds), grid, bounds)


def _drawn(report: RootCauseReport, rows: Sequence[_Row], grid: SeriesGrid, bounds: Bounds) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, _HEAD_INCHES + _ROW_INCHES * max(1, len(rows))), layout="constrained")
    axes = np.atleast_1d(figure.subplots(max(1, len(rows)), sharex=True))
    for place, row in enumerate(rows):
        _draw(axes[place], row, grid, bounds)
        axes[place].axvspan(_at(report.window_start), _at(report.window_end), color="#000000", alpha=0.03, linewidth=0)
    if not rows:
        axes[0].set_axis_off()
        axes[0].text(0.5, 0.5, "No telemetry of a likely cause", ha="center", va="center")
    else:
        axes[-1].set_xlabel("UTC", fontsize=7)
        axes[-1].xaxis.get_offset_text().set_fontsize(7)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7, frameon=False)
    figure.suptitle(_title(report), fontsize=9.5, x=0.01, ha="left")
    return _svg(figure)


def _title(report: RootCauseReport) -> str:
    if not report.causes:
        return "No cause was found"
    first = report.causes[0]
    way = f"  ·  {' → '.join(first.path)}" if len(first.path) > 1 else ""
    sure = "most probably" if report.decided else "undecided; likeliest"
    return f"Root cause {sure}: {first.service} ({first.probability:.0%}){way}"


def _rows(report: RootCauseReport, grid: SeriesGrid, bounds: Bounds) -> list[_Row]:
    """Return the rows of the path: the first cause by its strongest evidence, the others by latency or errors."""
    if not report.causes:
        return []
    first = report.causes[0]
    path = first.path or (first.service,)
    place = {name: number for number, name in enumerate(grid.series)}
    symptom_series = tuple(best_series(grid, signal) for signal in ("latency", "errors"))
    rows = []
    for service in path if len(path) <= MOST_ROWS else (*path[: MOST_ROWS - 1], path[-1]):
        column = _column(service, first, place) if service == first.service else None
        own = column is not None
        candidates = [numbers[service] for numbers in symptom_series if service in numbers]
        if column is None and candidates:
            column = max(candidates, key=lambda number: _beyond(grid, number, bounds))
        if column is not None:
            onset = first.onset if own else _began(report, grid, column, bounds)
            changes = first.changes if service == first.service else ()
            rows.append(_Row(service, grid.series[column][1], column, onset, changes))
    return rows


def _beyond(grid: SeriesGrid, column: int, bounds: Bounds) -> float:
    """Return how far a series rose above its usual range at most, in widths of that range."""
    band, values = bounds.get(grid.series[column]), grid.values[:, column]
    if band is None or not np.isfinite(values).any():
        return -1.0
    return float((np.nanmax(values) - band[1]) / max(band[1] - band[0], 1e-12))


def _began(report: RootCauseReport, grid: SeriesGrid, column: int, bounds: Bounds) -> datetime | None:
    """Return since when a series was above its usual range at its peak in the window; None where it never was."""
    band = bounds.get(grid.series[column])
    values = np.where(grid.time_us >= microseconds_of(report.window_start), grid.values[:, column], np.nan)
    if band is None or not (values > band[1]).any():
        return None
    within_band = np.flatnonzero(values[: int(np.nanargmax(values))] <= band[1])
    first = int(within_band[-1]) + 1 if within_band.size else int(np.flatnonzero(values > band[1])[0])
    return moment_of_us(int(grid.time_us[first]))


def _column(service: str, cause: RootCause, place: Mapping[tuple[str, str], int]) -> int | None:
    """Return the number of the series that a cause's strongest evidence was made from; None where there is none."""
    for evidence in cause.evidence:
        if (service, evidence.metric) in place:
            return place[service, evidence.metric]
        made_from = sorted(name for name in place if call_to(name[1]) == service)
        if made_from:
            return place[made_from[0]]
    return None


def _draw(axes: "Axes", row: _Row, grid: SeriesGrid, bounds: Bounds) -> None:
    times, values = grid.time_us.astype("datetime64[us]"), grid.values[:, row.column]
    factor, unit = shown(row.metric)
    known = np.isfinite(values)
    axes.plot(times[known], factor * values[known], color=_BLUE, linewidth=1.1, marker="o", markersize=2, label="measured")
    band = bounds.get(grid.series[row.column])
    if band is not None:
        low = max(0.0, band[0]) if known.any() and float(values[known].min()) >= 0.0 else band[0]
        axes.axhspan(factor * low, factor * band[1], color=_GREEN, alpha=0.15, linewidth=0, label="usual")
    if row.onset is not None:
        axes.axvline(_at(row.onset), color=_RED, linewidth=1.2, label="strays from here")
    for change in row.changes:
        axes.axvline(_at(change.at), color=_PURPLE, linestyle="--", linewidth=1.2, label="change")
        axes.annotate(
            change.kind, (_at(change.at), 0.92), xycoords=("data", "axes fraction"), fontsize=6.5, color=_PURPLE, ha="right"
        )
    peak = _peak(values[known], row.metric)
    axes.set_title(f"{row.service}: {words_of(row.metric)}{peak}", fontsize=8, loc="left", pad=3)
    axes.set_ylabel(unit, fontsize=7)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _peak(values: FloatArray, metric: str) -> str:
    return f", at most {amount(metric, float(values.max()))}" if values.size else ""


def _at(moment: datetime) -> float:
    """Return where a moment lies on an axis of times: days since 1970."""
    return (moment - EPOCH) / timedelta(days=1)


def _svg(figure: "Figure") -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
