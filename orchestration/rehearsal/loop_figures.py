"""Plots of a run as PNG bytes: telemetry around an incident, drift before and after, the timeline of model versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from models.evaluation.drift import DriftReport

INK, ALARM, CALM, SHADE = "#24292f", "#c62828", "#1565c0", "#ffcdd2"


@dataclass(frozen=True, slots=True)
class IncidentView:
    """What to draw of one incident: its row of the incidents table and the tables to draw from (pandas, UTC times)."""

    incident: Mapping[str, Any]
    telemetry: pd.DataFrame
    detections: pd.DataFrame
    predictions: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Tenure:
    """One model version answering from `since` to `until` (event time of the replay)."""

    model: str
    version: str
    since: datetime
    until: datetime


def incident_figure(view: IncidentView, metrics: Sequence[str]) -> bytes:
    """Return the root service's metrics from 3 h before the incident to 1 h after it, with alarms and P(incident)."""
    from matplotlib.figure import Figure

    incident = view.incident
    begin, end = incident["onset_at"] - timedelta(hours=2), incident["ends_at"] + timedelta(hours=1)
    figure = Figure(figsize=(11, 1.7 * (len(metrics) + 1)), layout="constrained")
    axes = figure.subplots(len(metrics) + 1, 1, sharex=True)
    telemetry = _between(view.telemetry[view.telemetry["service"] == incident["service"]], begin, end)
    detections = _between(view.detections[view.detections["service"] == incident["service"]], begin, end)
    for axis, metric in zip(axes, metrics, strict=False):
        series = telemetry[telemetry["metric"] == metric]
        axis.plot(series["timestamp"], series["value"], color=CALM, lw=0.9)
        axis.set_ylabel(metric.replace("_", "\n", 1), fontsize=8)
        hits = detections[detections["metric"] == metric]
        axis.plot(hits["timestamp"], hits["value"], "v", color=ALARM, ms=5, label="detection")
    foreseen = _between(view.predictions[view.predictions["service"] == incident["service"]], begin, end)
    axes[-1].step(foreseen["timestamp"], foreseen["p_60min"], where="post", color=INK, lw=1, label="P(incident within 60 min)")
    alarms = foreseen[foreseen["alarm"]]
    axes[-1].plot(alarms["timestamp"], alarms["p_60min"], "v", color=ALARM, ms=5, label="page")
    axes[-1].set_ylim(-0.02, 1.05)
    axes[-1].legend(fontsize=7, loc="upper left")
    for axis in axes:
        axis.axvspan(incident["starts_at"], incident["ends_at"], color=SHADE, alpha=0.6, lw=0)
        axis.axvline(incident["onset_at"], color=INK, ls=":", lw=0.8)
        axis.tick_params(labelsize=7)
    figure.suptitle(
        f"{incident['kind']} in {incident['service']}: shaded = users feel it, dotted = it begins to build up", fontsize=10
    )
    return _png(figure)


def _between(rows: pd.DataFrame, begin: datetime, end: datetime) -> pd.DataFrame:
    return rows[(rows["timestamp"] >= begin) & (rows["timestamp"] <= end)].sort_values("timestamp")


def drift_figure(reports: Sequence[tuple[str, "DriftReport"]], threshold: float, columns: int = 14) -> bytes:
    """Return bars of the columns that moved most, one colour a check: before the drift, in it, and after the retraining."""
    from matplotlib.figure import Figure

    scores = pd.DataFrame({title: {c.column: c.score for c in report.columns} for title, report in reports if report.checked})
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axis = figure.subplots()
    if scores.empty:
        axis.text(0.5, 0.5, "no drift check had enough rows", ha="center")
        return _png(figure)
    top = scores.max(axis=1).sort_values(ascending=False).index[:columns]
    width = 0.8 / scores.shape[1]
    for position, title in enumerate(scores.columns):
        axis.bar(np.arange(len(top)) + position * width, np.minimum(scores.loc[top, title], 4), width, label=title)
    axis.axhline(threshold, color=ALARM, lw=1, ls="--", label=f"drifted: {threshold} or more")
    axis.set_xticks(np.arange(len(top)) + 0.4 - width / 2, top, rotation=40, ha="right", fontsize=8)
    axis.set_ylabel("distance from the training reference (σ, cut at 4)", fontsize=8)
    axis.legend(fontsize=8)
    return _png(figure)


def timeline_figure(tenures: Sequence[Tenure]) -> bytes:
    """Return which version of each model answered when, in the replay's own time."""
    from matplotlib.dates import date2num
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(tenure.model for tenure in tenures))
    figure = Figure(figsize=(11, 0.8 + 0.6 * max(len(names), 1)), layout="constrained")
    axis = figure.subplots()
    for tenure in tenures:
        left, right = (float(date2num(moment)) for moment in (tenure.since, tenure.until))  # type: ignore[no-untyped-call]
        shade = ("#90caf9", "#a5d6a7", "#ffe082", "#ce93d8")[(int(tenure.version) - 1) % 4]
        axis.barh(names.index(tenure.model), right - left, left=left, height=0.6, color=shade, edgecolor=INK, lw=0.6)
        axis.text((left + right) / 2, names.index(tenure.model), f"v{tenure.version}", ha="center", va="center", fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.xaxis_date()
    axis.tick_params(axis="x", labelsize=8)
    return _png(figure)


def _png(figure: "Figure") -> bytes:
    sink = BytesIO()
    figure.savefig(sink, format="png", dpi=110)
    return sink.getvalue()
