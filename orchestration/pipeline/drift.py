"""The drift check: what the champion was served against what it was trained on; one row of the lake a check."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa

from aiops.settings.tree import Settings
from data_contracts.schemas.learning_schema import DRIFT_CHECKS
from models.artifacts.audit import CHAMPION
from models.artifacts.catalog import watched_model
from models.evaluation.drift import DriftPolicy, DriftReport, mask_incidents, measure_drift
from orchestration.pipeline.drift_reference import load_reference
from orchestration.workspace.workspace import Workspace
from serving.lake.port import Between, Where

WATCHED = watched_model()


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """One check; `at` and `since` are ISO 8601 event times; `report` is the HTML report's path or ""."""

    check_id: str
    at: str
    since: str
    model: str
    model_version: str
    checked: bool
    drifted: bool
    share: float
    reason: str
    report: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A check with the full report behind it."""

    check: DriftCheck
    report: DriftReport


def check_drift(workspace: Workspace, at: datetime | None = None) -> DriftCheck:
    """Compare the window before `at` (default: the newest telemetry) and remember the outcome.

    Raises:
        ModelNotFound: there is no champion yet, or its training reference is gone.
    """
    return measure(workspace, at).check


def measure(workspace: Workspace, at: datetime | None = None) -> Measured:
    """As `check_drift`, with the per-column report."""
    settings = workspace.settings
    end = at or workspace.newest_telemetry()
    since = end - timedelta(hours=settings.drift.window_h)
    version = workspace.registry.get(WATCHED, CHAMPION)
    incidents = workspace.incidents(end).to_pandas()
    current = mask_incidents(scheduled_rows(workspace, since, end), incidents, workspace.graph())
    reference = mask_incidents(load_reference(workspace, version), incidents, workspace.graph())
    report = measure_drift(reference, current, policy(settings))
    check = _remember(workspace, since, end, version.version, report)
    return Measured(check, report)


def policy(settings: Settings) -> DriftPolicy:
    """Return the drift policy of the settings."""
    drift = settings.drift
    return DriftPolicy(drift.min_rows, drift.column_threshold, drift.share, drift.level_threshold)


def scheduled_rows(workspace: Workspace, since: datetime, end: datetime) -> pd.DataFrame:
    """Return what the champion answered at its fixed cadence for ticks in [since, end): one row a service and tick.

    Rows asked for because a point looked abnormal are left out: they are strange by selection, not by drift.
    """
    condition: Where = {"model": [WATCHED], "role": [CHAMPION], "event_timestamp": Between(since, end)}
    frame = workspace.lake.read("served", where=condition).to_pandas()
    cadence = timedelta(seconds=workspace.settings.consumer.predict_every_s)
    frame = frame[frame["event_timestamp"] == frame["event_timestamp"].dt.floor(cadence)]
    newest: pd.DataFrame = frame.sort_values("served_at").drop_duplicates(["service", "event_timestamp"], keep="last")
    return newest


def latest_check(workspace: Workspace) -> DriftCheck | None:
    """Return the newest check that was remembered, None without any."""
    rows = workspace.lake.read("drift_checks").sort_by([("checked_at", "descending")]).slice(0, 1).to_pylist()
    return _check_of(rows[0]) if rows else None


def _remember(workspace: Workspace, since: datetime, at: datetime, version: str, report: DriftReport) -> DriftCheck:
    now = datetime.now(UTC)
    check_id = f"{at:%Y%m%dT%H%M%S}-v{version}"
    page: Path | None = None
    if report.html:
        page = workspace.folder("drift") / f"{check_id}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(report.html)
        workspace.registry.attach(WATCHED, version, page)
    row = {
        "checked_at": now,
        "check_id": check_id,
        "at": at,
        "since": since,
        "model": WATCHED,
        "model_version": version,
        "checked": report.checked,
        "drifted": report.drifted,
        "share": report.share,
        "reason": report.reason,
        "report": "" if page is None else str(page),
    }
    workspace.lake.write("drift_checks", pa.Table.from_pylist([row], schema=DRIFT_CHECKS), key=check_id)
    return _check_of(row)


def _check_of(row: dict[str, object]) -> DriftCheck:
    at, since = row["at"], row["since"]
    assert isinstance(at, datetime)
    assert isinstance(since, datetime)
    return DriftCheck(
        str(row["check_id"]),
        at.isoformat(),
        since.isoformat(),
        str(row["model"]),
        str(row["model_version"]),
        bool(row["checked"]),
        bool(row["drifted"]),
        float(str(row["share"])),
        str(row["reason"]),
        str(row["report"]),
    )
