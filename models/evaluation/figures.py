"""Figures as SVG bytes: precision-recall, reliability, score over time. Same input, same bytes.

Each names the rows that it rests on and how many of them are positive; what cannot be drawn from them says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from aiops.types import FloatArray, IntArray
from models.evaluation.measures import PrecisionRecall, Reliability
from models.vectors.service_rows import BoolArray, ServiceRows
from models.vectors.truth import Truth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 2000
"""Points drawn at most in a line."""
_DRAWN = 1e300
"""Values are drawn up to here: the height of an axis is no number beyond twice the largest."""


@dataclass(frozen=True, slots=True)
class SeriesPanel:
    """One series with what a back-test found: times, values and alarms (n,), the 3-sigma band (low, high), incidents."""

    title: str
    time_us: IntArray
    value: FloatArray
    alarm: BoolArray
    band: tuple[float, float]
    incidents_us: tuple[tuple[int, int], ...]
    replay_from_us: int


@dataclass(frozen=True, slots=True)
class RowsShown:
    """What a figure rests on: rows, how many of them are positive, of how many incidents."""

    rows: int
    positive: int
    incidents: int

    @classmethod
    def of(cls, truth: Truth) -> "RowsShown":
        """Return the counts of the rows that are right or false."""
        return cls(int(truth.counted.sum()), int(truth.positive.sum()), int(truth.starts_us.size))

    def __str__(self) -> str:
        """Return it in words.

        >>> str(RowsShown(12000, 40, 1))
        '12,000 rows, 40 positive, 1 incident'
        """
        return f"{self.rows:,} rows, {self.positive:,} positive, {self.incidents} incident{'' if self.incidents == 1 else 's'}"


def undrawn_figure(title: str, shown: RowsShown) -> bytes:
    """Return a figure that says why there is none: without a positive row a curve or a share would say nothing."""
    figure, axes = _blank("", "", f"{title}: cannot be drawn")
    axes.set_axis_off()
    axes.text(0.5, 0.5, f"{shown}:\nno labelled incident to draw it from", ha="center", va="center", transform=axes.transAxes)
    return _svg(figure)


def precision_recall_figure(curve: PrecisionRecall, naive: PrecisionRecall, base_rate: float, shown: RowsShown) -> bytes:
    """Return the model's curve beside the naive rule's and the base rate."""
    figure, axes = _blank("Recall", "Precision", f"Precision and recall: {shown}")
    for name, line in (("model", curve), ("naive rule", naive)):
        step = max(1, line.recall.size // POINTS)
        axes.plot(line.recall[::step], line.precision[::step], drawstyle="steps-post", label=f"{name}, area {line.area:.3f}")
    axes.axhline(base_rate, linestyle="--", color="grey", label=f"base rate {base_rate:.4f}")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.legend()
    return _svg(figure)


def reliability_figure(bins: Reliability, shown: RowsShown) -> bytes:
    """Return observed share over predicted probability, with the diagonal of perfect calibration."""
    figure, axes = _blank("Predicted probability", "Observed share", f"Reliability: {shown}")
    axes.plot(bins.predicted, bins.observed, marker="o", label=f"model, error {bins.error:.4f}")
    top = max(float(bins.predicted.max(initial=0.0)), float(bins.observed.max(initial=0.0)), 1e-3)
    axes.plot([0, top], [0, top], linestyle="--", color="grey", label="perfect")
    axes.legend()
    return _svg(figure)


def timeline_figure(rows: ServiceRows, score: FloatArray, truth: Truth, threshold: float) -> bytes:
    """Return the highest score of all services over time, the threshold, and a mark at each incident's start."""
    figure, axes = _blank("Time (UTC)", "Highest score of all services", f"Score over time: {RowsShown.of(truth)}")
    times, place = np.unique(rows.time_us, return_inverse=True)
    worst = np.zeros(times.size)
    np.maximum.at(worst, place, np.where(np.isfinite(score), score, 0.0))
    width = max(1, -(-times.size // POINTS))
    edges = np.arange(0, times.size, width)
    shown_at, highest = times[edges], np.maximum.reduceat(worst, edges) if times.size else worst
    holes = _holes(shown_at)
    drawn_at = np.insert(shown_at, holes, shown_at[holes - 1] + 1)
    axes.plot(drawn_at.astype("datetime64[us]"), np.insert(highest, holes, np.nan), label="score")
    axes.axhline(threshold, linestyle="--", color="grey", label=f"threshold {threshold:.3f}")
    for number, start in enumerate(truth.starts_us):
        label = "incident starts" if number == 0 else None
        axes.axvline(start.astype("datetime64[us]"), color="tab:red", alpha=0.5, label=label)
    axes.legend()
    figure.autofmt_xdate()
    return _svg(figure)


def _holes(time_us: IntArray) -> IntArray:
    """Return the places after a pause of ten usual steps or more: rows on both sides, none between, so no line either."""
    steps = np.diff(time_us)
    return np.flatnonzero(steps > 10 * np.median(steps)) + 1 if steps.size else np.empty(0, dtype=np.int64)


def series_figure(panels: Sequence[SeriesPanel]) -> bytes:
    """Return small multiples of series: values, 3-sigma band, alarms (red), incidents (orange), begin of the replay."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.9 * max(1, len(panels))), layout="constrained")
    for axes, panel in zip(np.atleast_1d(figure.subplots(max(1, len(panels)))), panels, strict=False):
        _draw_series(axes, panel)
    return _svg(figure)


def _draw_series(axes: "Axes", panel: SeriesPanel) -> None:
    time = panel.time_us.astype("datetime64[us]")
    kept = np.arange(0, time.size, max(1, time.size // POINTS))
    kept = np.union1d(kept, np.flatnonzero(panel.alarm))
    value, band = (np.clip(np.asarray(numbers), -_DRAWN, _DRAWN) for numbers in (panel.value, panel.band))
    axes.plot(time[kept], value[kept], linewidth=0.7, color="tab:blue")
    axes.axhspan(*band, color="tab:green", alpha=0.12, label="3-sigma band of the history")
    axes.plot(time[panel.alarm], value[panel.alarm], "o", markersize=3.5, color="tab:red", label="alarm")
    for begin, end in panel.incidents_us:
        axes.axvspan(*np.array([begin, end]).astype("datetime64[us]"), color="tab:orange", alpha=0.3)
    axes.axvline(np.int64(panel.replay_from_us).astype("datetime64[us]"), color="grey", linestyle="--", linewidth=0.8)
    axes.set_title(panel.title, fontsize=8, loc="left", parse_math=False)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)


def _blank(x: str, y: str, title: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    return figure, axes


def _svg(figure: "Figure") -> bytes:
    import matplotlib as mpl

    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "aiops"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
