"""What assets show beside their materializations in Dagster's UI: tables and figures as Markdown."""

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from models.evaluation.drift import DriftReport
from orchestration.pipeline.drift import Measured

if TYPE_CHECKING:
    from models.season.prophet_bands import CapacityForecast
    from orchestration.pipeline.training import Judged

MOST_COLUMNS = 15


def drift_facts(measured: Measured) -> dict[str, dg.MetadataValue[Any]]:
    """Return what a drift check found, why, on which window, and the columns that moved."""
    check = measured.check
    facts: dict[str, dg.MetadataValue[Any]] = {
        "drifted": dg.MetadataValue.bool(check.drifted),
        "checked": dg.MetadataValue.bool(check.checked),
        "share": dg.MetadataValue.float(check.share),
        "reason": dg.MetadataValue.text(check.reason),
        "window": dg.MetadataValue.text(f"{check.since} to {check.at}"),
        "champion": dg.MetadataValue.text(f"{check.model} version {check.model_version}"),
    }
    if check.checked:
        facts["columns"] = drift_table(measured.report)
    if check.report:
        facts["page"] = dg.MetadataValue.path(check.report)
    return facts


def drift_table(report: DriftReport) -> dg.MarkdownMetadataValue:
    """Return the columns that moved most, farthest first, and what was left out."""
    farthest = sorted(report.columns, key=lambda column: -column.score)[:MOST_COLUMNS]
    rows = [(column.column, f"{column.score:.2f}", "yes" if column.drifted else "no") for column in farthest]
    left_out = "\n".join(f"- not compared: {reason}" for reason in report.screened)
    return dg.MetadataValue.md(
        _table(("column", "distance (reference standard deviations)", "drifted"), rows) + "\n\n" + left_out
    )


def gate_table(judged: "Sequence[Judged]") -> dg.MarkdownMetadataValue:
    """Return the gate's decision on each model."""
    rows = [
        (decision.model, decision.version or "–", "yes" if decision.promoted else "no", decision.reason) for decision in judged
    ]
    return dg.MetadataValue.md(_table(("model", "version", "promoted", "reason"), rows))


def capacity_table(forecasts: "Sequence[CapacityForecast]") -> dg.MarkdownMetadataValue:
    """Return when each series reaches its limit."""
    times = [
        [f"{at:%Y-%m-%d %H:%M}" if at else "–" for at in (forecast.crosses_at, forecast.earliest, forecast.latest)]
        for forecast in forecasts
    ]
    rows = [
        (forecast.series, f"{forecast.level:.3g}", f"{forecast.limit:g}", *text)
        for forecast, text in zip(forecasts, times, strict=True)
    ]
    return dg.MetadataValue.md(_table(("series", "now", "limit", "reaches it", "earliest", "latest"), rows))


def figures(files: Mapping[str, bytes]) -> dict[str, dg.MarkdownMetadataValue]:
    """Return SVG figures by name, embedded: the UI needs no file of the machine that trained."""
    return {name.removesuffix(".svg"): _figure(name, image) for name, image in files.items() if name.endswith(".svg")}


def _figure(name: str, image: bytes) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"![{name}](data:image/svg+xml;base64,{base64.b64encode(image).decode()})")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
